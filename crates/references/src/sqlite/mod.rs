//! One SQLite file: the gallery of one machine, or a cell's local copy of a shared one.

mod copy;
mod schema;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};

use crate::schema::SCHEMA_VERSION;
use crate::tables::{Row, Statements, Tables, Value, Work};
use crate::{StoreError, tables};
pub(crate) use copy::LocalCopy;
use schema::APPLICATION_ID;

/// Extended codes of a disk without room for the file that readers and writers share (SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMMAP).
const NO_ROOM: [i32; 2] = [4874, 5386];

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open file. Several processes may read and write it.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    place: String,
    schema: i64,
}

/// Attaches the file to what SQLite says.
trait At<T> {
    fn at(self, place: &str) -> Result<T, StoreError>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, place: &str) -> Result<T, StoreError> {
        self.map_err(|source| error(place, source))
    }
}

/// Sorts what SQLite says of the file at `place`.
fn error(place: &str, source: rusqlite::Error) -> StoreError {
    let place = place.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged { place, detail: source.to_string() },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(place),
        // The file is there, its write-ahead log cannot be made beside it.
        Some(ErrorCode::CannotOpen) if Path::new(&place).is_file() => StoreError::ReadOnly(place),
        Some(ErrorCode::DiskFull) => StoreError::Full(place),
        _ if source.sqlite_error().is_some_and(|e| NO_ROOM.contains(&e.extended_code)) => StoreError::Full(place),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(place),
        _ => StoreError::Sqlite { place, source },
    }
}

impl Sqlite {
    /// Opens a file for reading and writing; makes it, and its folder, when it is not there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Self::open_any(path)?;
        if copy::is_copy(&opened.connection).at(&opened.place)? {
            return Err(StoreError::IsCopy(opened.place));
        }
        Ok(opened)
    }

    /// As [`Sqlite::open`], a local copy too.
    fn open_any(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_path_buf(), source })?;
        }
        let place = path.display().to_string();
        let mut connection = Connection::open(path).at(&place)?;
        connection.busy_timeout(PATIENCE).at(&place)?;
        check_kind(&connection, &place)?;
        connection.pragma_update(None, "journal_mode", "WAL").at(&place)?;
        connection.pragma_update(None, "synchronous", "FULL").at(&place)?;
        connection.pragma_update(None, "foreign_keys", true).at(&place)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).at(&place)?;
        // Two processes may come here at once; the second finds the tables of the first.
        if kind(&transaction).at(&place)?.is_empty {
            schema::create(&transaction).at(&place)?;
        } else {
            let found = kind(&transaction).at(&place)?.version;
            if found < SCHEMA_VERSION {
                schema::migrate(&transaction, found).at(&place)?;
            }
        }
        transaction.commit().at(&place)?;
        Ok(Self { connection, place, schema: SCHEMA_VERSION })
    }

    /// Opens a file for reading; works on read-only files and folders too.
    pub fn open_for_reading(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        if !path.is_file() {
            return Err(StoreError::Missing(place));
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).at(&place)?;
        connection.busy_timeout(PATIENCE).at(&place)?;
        match check_kind(&connection, &place) {
            // A write-ahead log cannot be made beside the file; when there is none, or nothing in it, all is in the file.
            Err(StoreError::ReadOnly(_) | StoreError::Full(_) | StoreError::Sqlite { .. })
                if fs::metadata(with_suffix(path, "-wal")).map_or(0, |log| log.len()) == 0 =>
            {
                let uri = format!("file:{}?immutable=1", place.replace('%', "%25").replace('?', "%3f").replace('#', "%23"));
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let connection = Connection::open_with_flags(uri, flags).at(&place)?;
                check_kind(&connection, &place)?;
                Self::reading(connection, place)
            }
            Err(error) => Err(error),
            Ok(()) if kind(&connection).at(&place)?.is_empty => Err(StoreError::Missing(place)),
            Ok(()) => Self::reading(connection, place),
        }
    }

    fn reading(connection: Connection, place: String) -> Result<Self, StoreError> {
        let schema = kind(&connection).at(&place)?.version;
        Ok(Self { connection, place, schema })
    }

    /// For tests that spoil a file.
    #[cfg(test)]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Tables for Sqlite {
    fn place(&self) -> &str {
        &self.place
    }

    fn schema(&self) -> i64 {
        self.schema
    }

    fn read(&self, work: Work) -> Result<(), StoreError> {
        let transaction = self.connection.unchecked_transaction().at(&self.place)?;
        work(&mut Within { connection: &transaction, place: &self.place })
    }

    fn write(&mut self, work: Work) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).at(&self.place)?;
        work(&mut Within { connection: &transaction, place: &self.place })?;
        transaction.commit().at(&self.place)
    }

    fn changes_by_others(&self) -> Result<i64, StoreError> {
        self.connection.query_row("PRAGMA data_version", [], |row| row.get(0)).at(&self.place)
    }

    fn held(&self) -> Result<Option<BTreeSet<String>>, StoreError> {
        let mut held = None;
        self.read(&mut |statements| {
            held = copy::part(statements)?;
            Ok(())
        })?;
        Ok(held)
    }

    fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            let mut statement = self.connection.prepare(pragma).at(&self.place)?;
            let rows: Vec<String> = statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect).at(&self.place)?;
            found.extend(rows.into_iter().filter(|line| line != "ok"));
        }
        Ok(found)
    }
}

/// A transaction.
struct Within<'a> {
    connection: &'a Connection,
    place: &'a str,
}

impl Statements for Within<'_> {
    fn each(&mut self, query: &str, params: &[Value], row: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(query).at(self.place)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params)).at(self.place)?;
        while let Some(found) = rows.next().at(self.place)? {
            let values = (0..columns).map(|n| found.get_ref(n).map(value_of)).collect::<rusqlite::Result<_>>().at(self.place)?;
            row(Row { values, place: self.place.to_owned() })?;
        }
        Ok(())
    }

    fn execute(&mut self, statement: &str, params: &[Value]) -> Result<u64, StoreError> {
        let changed = self.connection.prepare_cached(statement).and_then(|mut s| s.execute(params_from_iter(params))).at(self.place)?;
        Ok(changed as u64)
    }
}

fn value_of(value: ValueRef) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // No column of ours holds one; a reader that expects something else names it.
        ValueRef::Real(number) => Value::Text(number.to_string()),
        // What is no UTF-8 is damage, and a reader that expects text says so.
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_or_else(|_| Value::Blob(bytes.to_vec()), Value::from),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl ToSql for tables::Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

struct Kind {
    is_empty: bool,
    application_id: i64,
    version: i64,
}

fn kind(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    Ok(Kind {
        is_empty: number("SELECT count(*) FROM sqlite_master")? == 0,
        application_id: number("PRAGMA application_id")?,
        version: number("PRAGMA user_version")?,
    })
}

fn check_kind(connection: &Connection, place: &str) -> Result<(), StoreError> {
    let kind = kind(connection).at(place)?;
    if kind.is_empty {
        return Ok(());
    }
    if kind.application_id != APPLICATION_ID {
        return Err(StoreError::Foreign(place.to_owned()));
    }
    if kind.version > SCHEMA_VERSION {
        return Err(StoreError::Newer { place: place.to_owned(), found: kind.version });
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
