//! A cell's local copy of a gallery on a server: the same tables in a SQLite file, brought up to date from the server's history.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{At, Sqlite};
use crate::StoreError;
use crate::tables::{Row, Statements, Tables, Value};

/// Which gallery the file copies, and how far it has come.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS copy_of (gallery TEXT PRIMARY KEY, changes INTEGER NOT NULL)";
/// Of a copy that holds some products only: those whose pictures are all there.
const HELD: &str = "CREATE TABLE IF NOT EXISTS copy_products (product TEXT PRIMARY KEY)";
/// Columns of `pictures` that both sides number in the same order; `id` is each side's own.
const COLUMNS: &str = "product, name, width, height, picture, mask, depth, camera, features, n_features, provenance, version, state, \
                       added_ns, added_by, sha256, origin, embedding, size_mm, light";

/// True for a file that copies a gallery.
pub(super) fn is_copy(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT 1 FROM sqlite_master WHERE name = 'copy_of'", [], |_| Ok(())).optional().map(|found| found.is_some())
}

/// Names of products.
type Products = BTreeSet<String>;

/// The copy, open for being brought up to date.
#[derive(Debug)]
pub(crate) struct LocalCopy {
    file: Sqlite,
}

/// What the server says of itself, within the transaction that is copied.
struct Server {
    id: String,
    changes: i64,
}

impl LocalCopy {
    /// Opens the copy at `path`; makes an empty one when there is none.
    ///
    /// # Errors
    /// When the file is a gallery of its own, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = Sqlite::open_any(path)?;
        let place = file.place().to_owned();
        if !is_copy(&file.connection).at(&place)? {
            let enrolled: i64 = file.connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).at(&place)?;
            if enrolled > 0 {
                return Err(StoreError::NoCopy(place));
            }
            file.connection.execute_batch(TABLE).at(&place)?;
        }
        Ok(Self { file })
    }

    /// The copy as something to read from; `None` when it never was brought up to date.
    pub fn read_only(path: &Path) -> Result<Option<Sqlite>, StoreError> {
        if !path.is_file() {
            return Ok(None);
        }
        let file = Sqlite::open_for_reading(path)?;
        if !is_copy(&file.connection).at(&file.place)? {
            return Err(StoreError::NoCopy(file.place));
        }
        let copied: i64 = file.connection.query_row("SELECT count(*) FROM copy_of", [], |row| row.get(0)).at(&file.place)?;
        Ok((copied > 0).then_some(file))
    }

    /// Takes what is new on the server, in one transaction on either side: of the products that are `wanted` (`None`: of all), and of
    /// those that were wanted once. True when there was something.
    ///
    /// # Errors
    /// When the server cannot be read, the file cannot be written, or the file copies another gallery.
    pub fn take(&mut self, server: &dyn Tables, wanted: Option<&Products>) -> Result<bool, StoreError> {
        let (file, mut news) = (&mut self.file, false);
        server.read(&mut |from| {
            let query = "SELECT gallery, changes FROM meta";
            let now = from.first(query, &[], |row| Ok(Server { id: row.text(0)?, changes: row.int(1)? }))?;
            let Some(now) = now else { return Err(StoreError::Missing(server.place().to_owned())) };
            let place = file.place().to_owned();
            file.write(&mut |to| {
                let had = to.first("SELECT gallery, changes FROM copy_of", &[], |row| Ok((row.text(0)?, row.int(1)?)))?;
                let held = held(to, had.is_some())?;
                let is_held = match (&held, wanted) {
                    (None, _) => wanted.is_none(),
                    (Some(held), Some(wanted)) => wanted.is_subset(held),
                    (Some(_), None) => false,
                };
                match had {
                    Some((_, changes)) if changes == now.changes && is_held => return Ok(()),
                    // A server that was set back to an earlier backup tells another history under the same name.
                    Some((id, changes)) if id != now.id || changes > now.changes => {
                        return Err(StoreError::OtherCopy { place: place.clone(), of: server.place().to_owned() });
                    }
                    _ => {}
                }
                news = true;
                take_all(from, to, held.as_ref())?;
                widen(from, to, held, wanted)?;
                to.execute("DELETE FROM copy_of", &[])?;
                to.execute("INSERT INTO copy_of (gallery, changes) VALUES (?1, ?2)", &[(&now.id).into(), now.changes.into()]).map(drop)
            })
        })?;
        Ok(news)
    }
}

/// The products whose pictures are all there; `None`: all products.
fn held(to: &mut dyn Statements, was_copied: bool) -> Result<Option<Products>, StoreError> {
    Ok(part(to)?.or_else(|| (!was_copied).then(Products::new)))
}

/// The products that a copy of some products holds; `None`: the file holds whatever its history tells of.
pub(super) fn part(statements: &mut dyn Statements) -> Result<Option<Products>, StoreError> {
    let is_part = statements.first("SELECT 1 FROM sqlite_master WHERE name = 'copy_products'", &[], |row| row.int(0))?.is_some();
    let products = |s: &mut dyn Statements| s.all("SELECT product FROM copy_products", &[], |row| row.text(0));
    if is_part { Ok(Some(products(statements)?.into_iter().collect())) } else { Ok(None) }
}

/// Takes whole the products that are wanted and not held, and notes what is held now.
fn widen(from: &mut dyn Statements, to: &mut dyn Statements, held: Option<Products>, wanted: Option<&Products>) -> Result<(), StoreError> {
    let all = |from: &mut dyn Statements| from.all("SELECT id FROM products", &[], |row| row.text(0));
    let missing: Vec<String> = match (&held, wanted) {
        (None, _) => Vec::new(),
        (Some(held), Some(wanted)) => wanted.difference(held).cloned().collect(),
        (Some(held), None) => all(from)?.into_iter().filter(|p| !held.contains(p)).collect(),
    };
    for product in &missing {
        let query = format!("SELECT {COLUMNS} FROM pictures WHERE product = ?1 ORDER BY id");
        pour(from, to, &query, &[product.into()], &insert_picture())?;
    }
    if wanted.is_none() {
        return to.execute("DROP TABLE IF EXISTS copy_products", &[]).map(drop);
    }
    to.execute(HELD, &[])?;
    let newly = if held.is_none() { all(from)? } else { missing };
    newly.iter().try_for_each(|p| to.execute("INSERT OR IGNORE INTO copy_products VALUES (?1)", &[p.into()]).map(drop))
}

fn insert_picture() -> String {
    format!(
        "INSERT INTO pictures ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
    )
}

/// What happened since the last time; pictures only of the products that are `held` (`None`: of all).
fn take_all(from: &mut dyn Statements, to: &mut dyn Statements, held: Option<&Products>) -> Result<(), StoreError> {
    pour(from, to, "SELECT id, added_ns, added_by FROM products", &[], "INSERT OR IGNORE INTO products VALUES (?1, ?2, ?3)")?;
    let last = |to: &mut dyn Statements, table: &str| {
        let query = format!("SELECT coalesce(max(sequence), 0) FROM {table}");
        to.first(&query, &[], |row| row.int(0)).map(|found| found.unwrap_or(0))
    };
    let since = last(to, "history")?;
    let touched = "SELECT DISTINCT product, reference FROM history WHERE sequence > ?1";
    for (product, name) in from.all(touched, &[since.into()], |row| Ok((row.text(0)?, row.text(1)?)))? {
        if held.is_some_and(|held| !held.contains(&product)) {
            continue;
        }
        let key = [Value::from(&product), Value::from(&name)];
        let now = "SELECT state, depth FROM pictures WHERE product = ?1 AND name = ?2";
        let now = from.first(now, &key, |row| Ok((row.text(0)?, row.blob(1).map_or(Value::Null, |b| Value::Blob(b.to_vec())))))?;
        let Some((state, depth)) = now else { continue };
        let [product, name] = key;
        let update = "UPDATE pictures SET state = ?3, depth = ?4 WHERE product = ?1 AND name = ?2";
        if to.execute(update, &[product.clone(), name.clone(), (&state).into(), depth])? == 0 {
            let query = format!("SELECT {COLUMNS} FROM pictures WHERE product = ?1 AND name = ?2");
            pour(from, to, &query, &[product, name], &insert_picture())?;
        }
    }
    let history = "SELECT sequence, at_ns, actor, action, product, reference, state, detail FROM history WHERE sequence > ?1";
    pour(from, to, history, &[since.into()], "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let sightings = "SELECT product, reference, item, at_ns FROM sightings";
    pour(from, to, sightings, &[], "INSERT OR IGNORE INTO sightings VALUES (?1, ?2, ?3, ?4)")?;
    let since = last(to, "design_changes")?;
    let designs = "SELECT sequence, at_ns, actor, product, version, what, detail FROM design_changes WHERE sequence > ?1";
    pour(from, to, designs, &[since.into()], "INSERT INTO design_changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
}

/// Row by row from the server into the file: pictures of a large gallery need not fit into memory.
fn pour(from: &mut dyn Statements, to: &mut dyn Statements, query: &str, params: &[Value], insert: &str) -> Result<(), StoreError> {
    from.each(query, params, &mut |row: Row| to.execute(insert, &row.values).map(drop))
}
