//! The tables in a SQLite file.

use rusqlite::Connection;

use crate::schema::{GUARDS, Guard, HISTORY, INDICES, LEARNING, LEARNING_GUARDS, PICTURES, PRODUCTS, SCHEMA_VERSION};

/// `INTG`, kept in the file's `application_id`: another program's database is not touched.
pub(crate) const APPLICATION_ID: i64 = 0x494E_5447;

/// Makes the tables in an empty file. The caller's transaction makes it all or nothing.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(PRODUCTS)?;
    connection.execute_batch(&format!("CREATE TABLE pictures {PICTURES}; CREATE TABLE history {HISTORY};"))?;
    guard(connection, &GUARDS)?;
    connection.execute_batch(&format!("{INDICES} {LEARNING}"))?;
    guard(connection, &LEARNING_GUARDS)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Makes the triggers that refuse.
fn guard(connection: &Connection, guards: &[Guard]) -> rusqlite::Result<()> {
    for Guard { table, refused, sentence } in guards {
        for event in *refused {
            connection.execute_batch(&format!(
                "CREATE TRIGGER {table}_refuses_{event} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{sentence}'); END;"
            ))?;
        }
    }
    Ok(())
}

/// Brings a file of an older version up to date; the caller's transaction makes it all or nothing.
pub(crate) fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    match found {
        1 => from_version_1(connection),
        _ => connection.execute_batch(
            "ALTER TABLE pictures ADD COLUMN embedding BLOB; ALTER TABLE pictures ADD COLUMN size_mm TEXT;
             ALTER TABLE pictures ADD COLUMN light TEXT;",
        ),
    }?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Brings a file of version 1 up to date; the caller's transaction makes it all or nothing. A constraint of SQLite cannot
/// be changed, so the two tables whose states are constrained are written anew; dropping fires no triggers.
fn from_version_1(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE new_pictures {PICTURES};
         INSERT INTO new_pictures (id, product, name, width, height, picture, mask, depth, camera, features, n_features, provenance,
             version, state, added_ns, added_by, sha256, origin)
         SELECT id, product, name, width, height, picture, mask, depth, camera, features, n_features, provenance,
             version, state, added_ns, added_by, sha256, 'enrolled' FROM pictures;
         DROP TABLE pictures;
         ALTER TABLE new_pictures RENAME TO pictures;
         CREATE TABLE new_history {HISTORY};
         INSERT INTO new_history SELECT sequence, at_ns, actor, action, product, reference, state, detail FROM history;
         DROP TABLE history;
         ALTER TABLE new_history RENAME TO history;"
    ))?;
    guard(connection, &GUARDS)?;
    connection.execute_batch(&format!("{INDICES} {LEARNING}"))?;
    guard(connection, &LEARNING_GUARDS)
}

/// The tables of version 2, as files in use have them.
#[cfg(test)]
pub(crate) fn create_version_2(connection: &Connection) -> rusqlite::Result<()> {
    create(connection)?;
    connection.execute_batch(
        "ALTER TABLE pictures DROP COLUMN embedding; ALTER TABLE pictures DROP COLUMN size_mm; ALTER TABLE pictures DROP COLUMN light;",
    )?;
    connection.pragma_update(None, "user_version", 2)
}

/// The tables of version 1, as files in use have them.
#[cfg(test)]
pub(crate) fn create_version_1(connection: &Connection) -> rusqlite::Result<()> {
    let old = |columns: &str| {
        let kept = columns
            .lines()
            .filter(|line| !["origin", "embedding", "size_mm", "light"].iter().any(|new| line.trim_start().starts_with(new)));
        kept.collect::<Vec<_>>().join("\n").replace(", 'rejected')", ")")
    };
    connection.execute_batch(PRODUCTS)?;
    connection.execute_batch(&format!("CREATE TABLE pictures {}; CREATE TABLE history {}; {INDICES}", old(PICTURES), old(HISTORY)))?;
    guard(connection, &GUARDS)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", 1)
}
