//! The tables on a server, in a schema of their own: what else is in the database is not touched.

use ::postgres::Client;
use matching::EMBEDDING_LEN;

use crate::schema::{GUARDS, HISTORY, INDICES, LEARNING, LEARNING_GUARDS, PICTURES, PRODUCTS, SCHEMA_VERSION};

/// PostgreSQL's schema that holds the tables.
pub(super) const NAMESPACE: &str = "intact_gallery";

/// The shared tables in PostgreSQL's words. Text sorts by its bytes, as SQLite's does: the order of a gallery must not depend
/// on the server's language.
fn translated(tables: &str) -> String {
    tables
        .replace("id         INTEGER PRIMARY KEY", "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
}

/// Everything, for one transaction. `meta` holds the version, a name that no other gallery has, and the number of changes.
pub(super) fn tables() -> String {
    let mut text = format!(
        "CREATE SCHEMA {NAMESPACE};
         SET LOCAL search_path TO {NAMESPACE}, public;
         CREATE TABLE meta (
             only_one BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_one),
             version  BIGINT NOT NULL,
             gallery  TEXT NOT NULL,
             changes  BIGINT NOT NULL
         );
         INSERT INTO meta (version, gallery, changes) VALUES ({SCHEMA_VERSION}, gen_random_uuid()::text, 0);
         {}
         CREATE TABLE pictures {}; CREATE TABLE history {};
         {INDICES}
         {}
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $body$;
         ",
        translated(PRODUCTS),
        translated(PICTURES),
        translated(HISTORY),
        translated(LEARNING),
    );
    for guard in guards() {
        let (name, table, events, each, sentence) = guard;
        text += &format!("CREATE TRIGGER {name} BEFORE {events} ON {table} FOR EACH {each} EXECUTE FUNCTION refuse('{sentence}');\n");
    }
    text
}

/// Brings tables of version 2 up to date: what they called an embedding were colours, in pgvector's own type, and can be made again.
pub(super) fn migration() -> String {
    format!(
        "SET LOCAL search_path TO {NAMESPACE}, public;
         UPDATE meta SET version = {SCHEMA_VERSION};
         ALTER TABLE pictures DROP COLUMN IF EXISTS embedding;
         ALTER TABLE pictures ADD COLUMN embedding BYTEA;
         ALTER TABLE pictures ADD COLUMN size_mm TEXT COLLATE \"C\";
         ALTER TABLE pictures ADD COLUMN light TEXT COLLATE \"C\";"
    )
}

/// Name, table, events, `ROW` or `STATEMENT`, and what is said, of each trigger. Emptying a table at once is refused like deleting.
pub(super) fn guards() -> Vec<(String, &'static str, String, &'static str, &'static str)> {
    let all = GUARDS.iter().chain(&LEARNING_GUARDS);
    all.flat_map(|guard| {
        let rows = (format!("{}_refuses", guard.table), guard.table, guard.refused.join(" OR "), "ROW", guard.sentence);
        let whole = (format!("{}_refuses_emptying", guard.table), guard.table, "TRUNCATE".to_owned(), "STATEMENT", guard.sentence);
        [rows, whole]
    })
    .collect()
}

/// Adds the column that pgvector can search, where the server has pgvector and the user may use it. Failing is no error.
pub(super) fn add_embeddings(client: &mut Client) -> Result<(), ::postgres::Error> {
    let there = client.query("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'", &[])?;
    if there.is_empty() {
        return Ok(());
    }
    let add = format!(
        "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
         ALTER TABLE {NAMESPACE}.pictures ADD COLUMN IF NOT EXISTS embedding_vector vector({EMBEDDING_LEN});"
    );
    if let Err(error) = client.batch_execute(&add) {
        tracing::debug!(error = %super::said(&error), "the gallery has no embeddings to be searched");
    }
    Ok(())
}
