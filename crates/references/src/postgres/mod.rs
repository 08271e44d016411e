//! A PostgreSQL server: one gallery that many cells share.

mod link;
mod schema;

use std::error::Error as _;

use ::postgres::Client;
use ::postgres::error::SqlState;

use crate::StoreError;
use crate::schema::SCHEMA_VERSION;
use crate::tables::{Row, Statements, Tables, Value, Work};
use link::Link;
use schema::NAMESPACE;

/// `INTG`: who makes the tables holds this lock, so that two that come at once make them once.
const MAKING: i64 = 0x494E_5447;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Postgres {
    link: Link,
    place: String,
    /// Changes made over this connection, which are not those of others.
    own: i64,
    searches_embeddings: bool,
    schema: i64,
}

/// What the driver says, with its cause, and without what was tried.
pub(crate) fn said(error: &::postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => refused.message().to_owned(),
        None => error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

/// Sorts what the server at `place` says.
fn error(place: &str, error: &::postgres::Error) -> StoreError {
    let (place, detail) = (place.to_owned(), said(error));
    let Some(code) = error.code() else {
        // Not the server speaks, but the way to it. What the driver cannot put into a parameter is no matter of the way.
        let way = error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) || detail.contains("timed out");
        return if way { StoreError::Unreachable { place, detail } } else { StoreError::Server { place, detail } };
    };
    let stopping = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::CONNECTION_FAILURE,
        SqlState::CONNECTION_EXCEPTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    match code {
        code if stopping.contains(code) => StoreError::Unreachable { place, detail },
        code if [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code) => {
            StoreError::Busy(place)
        }
        code if *code == SqlState::DISK_FULL => StoreError::Full(place),
        code if [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::INSUFFICIENT_PRIVILEGE].contains(code) => StoreError::ReadOnly(place),
        code if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) => StoreError::Damaged { place, detail },
        _ => StoreError::Server { place, detail },
    }
}

impl Postgres {
    /// Connects for reading and writing; makes the tables where there are none.
    pub fn open(address: &str, place: String) -> Result<Self, StoreError> {
        let named = place.clone();
        let link = Link::connect(address, place.clone(), move |client| make(client).map_err(|e| error(&named, &e)))?;
        Self::over(link, place)
    }

    /// Connects to tables that are there.
    pub fn open_for_reading(address: &str, place: String) -> Result<Self, StoreError> {
        let link = Link::connect(address, place.clone(), |_| Ok(()))?;
        Self::over(link, place)
    }

    fn over(link: Link, place: String) -> Result<Self, StoreError> {
        let mut server = Self { link, place, own: 0, searches_embeddings: false, schema: SCHEMA_VERSION };
        let columns = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = ?1";
        let columns = server.all(columns, &[NAMESPACE.into()], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let has = |table: &str, column: &str| columns.iter().any(|(t, c)| t == table && c == column);
        if !has("meta", "version") {
            return Err(if columns.is_empty() { StoreError::Missing(server.place) } else { StoreError::Foreign(server.place) });
        }
        server.searches_embeddings = has("pictures", "embedding_vector");
        server.link.run(&format!("SET search_path TO {NAMESPACE}, public"), &[], &mut |_| Ok(()))?;
        match server.all("SELECT version FROM meta", &[], |row| row.int(0))?.first() {
            None => Err(StoreError::Damaged { place: server.place, detail: "it does not say which version it has".into() }),
            Some(found) if *found > SCHEMA_VERSION => Err(StoreError::Newer { place: server.place, found: *found }),
            Some(found) => {
                server.schema = *found;
                Ok(server)
            }
        }
    }

    fn all<T>(&self, query: &str, params: &[Value], mut of: impl FnMut(&Row) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.link.run(query, params, &mut |row| {
            found.push(of(&row)?);
            Ok(())
        })?;
        Ok(found)
    }

    fn say(&self, statement: &str) -> Result<(), StoreError> {
        self.link.run(statement, &[], &mut |_| Ok(())).map(drop)
    }

    /// All of `work`, or nothing.
    fn within(&self, begin: &str, work: Work) -> Result<(), StoreError> {
        self.say(begin)?;
        match work(&mut Within { link: &self.link }) {
            Ok(()) => self.say("COMMIT"),
            Err(error) => {
                // When this fails too, the connection is gone and the server rolls back by itself.
                let _ = self.say("ROLLBACK");
                Err(error)
            }
        }
    }
}

/// Makes the tables unless they are there, and brings older ones up to date. The lock and the tables end with their transaction.
fn make(client: &mut Client) -> Result<(), ::postgres::Error> {
    let changed = {
        let mut transaction = client.transaction()?;
        let is_there = "SELECT to_regnamespace($1) IS NOT NULL";
        // First without the lock: who may only read must not need it.
        let mut missing = !transaction.query_one(is_there, &[&NAMESPACE])?.try_get::<_, bool>(0)?;
        if missing {
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
            missing = !transaction.query_one(is_there, &[&NAMESPACE])?.try_get::<_, bool>(0)?;
        }
        if missing {
            transaction.batch_execute(&schema::tables())?;
        }
        let changed = missing
            || is_old(&mut transaction)? && {
                transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
                is_old(&mut transaction)?
            };
        if changed && !missing {
            transaction.batch_execute(&schema::migration())?;
        }
        transaction.commit()?;
        changed
    };
    if changed { schema::add_embeddings(client) } else { Ok(()) }
}

/// True for tables of an earlier version; others' tables are none of them.
fn is_old(transaction: &mut ::postgres::Transaction) -> Result<bool, ::postgres::Error> {
    let is_there = format!("SELECT to_regclass('{NAMESPACE}.meta') IS NOT NULL");
    if !transaction.query_one(&is_there, &[])?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let found = transaction.query_opt(&format!("SELECT version FROM {NAMESPACE}.meta"), &[])?;
    Ok(found.map(|row| row.try_get::<_, i64>(0)).transpose()?.is_some_and(|version| version < SCHEMA_VERSION))
}

impl Tables for Postgres {
    fn place(&self) -> &str {
        &self.place
    }

    fn schema(&self) -> i64 {
        self.schema
    }

    fn read(&self, work: Work) -> Result<(), StoreError> {
        self.within("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", work)
    }

    fn write(&mut self, work: Work) -> Result<(), StoreError> {
        self.within("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", &mut |statements| {
            // Who holds this row writes; the next one waits here, and then sees what was written.
            statements.execute("UPDATE meta SET changes = changes + 1", &[])?;
            work(statements)
        })?;
        self.own += 1;
        Ok(())
    }

    fn changes_by_others(&self) -> Result<i64, StoreError> {
        let all = self.all("SELECT changes FROM meta", &[], |row| row.int(0))?;
        Ok(all.first().copied().unwrap_or(0) - self.own)
    }

    fn integrity(&self) -> Result<Vec<String>, StoreError> {
        // The server checks its own pages and keys; what it does not watch is whether the guards still stand.
        let query = "SELECT t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?1 AND t.tgenabled <> 'D'";
        let there = self.all(query, &[NAMESPACE.into()], |row| row.text(0))?;
        let missing = schema::guards().into_iter().filter(|guard| !there.contains(&guard.0));
        Ok(missing.map(|(name, table, ..)| format!("{table}: the trigger {name} is gone or off")).collect())
    }

    fn searches_embeddings(&self) -> bool {
        self.searches_embeddings
    }
}

/// A transaction.
struct Within<'a> {
    link: &'a Link,
}

impl Statements for Within<'_> {
    fn each(&mut self, query: &str, params: &[Value], row: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.link.run(query, params, row).map(drop)
    }

    fn execute(&mut self, statement: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.link.run(statement, params, &mut |_| Ok(()))
    }
}
