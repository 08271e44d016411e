//! The file's tables. A change here is a new [`SCHEMA_VERSION`] and a migration.

use rusqlite::Connection;

/// Version of the tables, kept in the file's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = 2;
/// `INTG`, kept in the file's `application_id`: another program's database is not touched.
pub(crate) const APPLICATION_ID: i64 = 0x494E_5447;

const PRODUCTS: &str = "
CREATE TABLE products (
    id       TEXT PRIMARY KEY,
    added_ns INTEGER NOT NULL,
    added_by TEXT NOT NULL
);";

/// Columns of `pictures`.
const PICTURES: &str = "(
    id         INTEGER PRIMARY KEY,
    product    TEXT NOT NULL REFERENCES products (id),
    name       TEXT NOT NULL,
    width      INTEGER NOT NULL,
    height     INTEGER NOT NULL,
    picture    BLOB NOT NULL,
    mask       BLOB NOT NULL,
    depth      BLOB,
    camera     TEXT NOT NULL,
    features   BLOB NOT NULL,
    n_features INTEGER NOT NULL,
    provenance TEXT NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 1),
    state      TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'retired', 'rejected')),
    added_ns   INTEGER NOT NULL,
    added_by   TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    origin     TEXT NOT NULL CHECK (origin IN ('enrolled', 'learned')),
    UNIQUE (product, name),
    UNIQUE (product, sha256)
)";

/// Columns of `history`.
const HISTORY: &str = "(
    sequence  INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    product   TEXT NOT NULL,
    reference TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'retired', 'rejected')),
    detail    TEXT NOT NULL
)";

/// What makes the history append-only, and references permanent.
const GUARDS: &str = "
CREATE INDEX history_of_product ON history (product, sequence);
CREATE TRIGGER history_refuses_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER history_refuses_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER pictures_refuse_delete BEFORE DELETE ON pictures BEGIN SELECT RAISE(ABORT, 'references are retired, never deleted'); END;
";

/// What version 2 adds: items that agreed with a proposal, and suspected new designs. Both only grow.
const LEARNING: &str = "
CREATE TABLE sightings (
    product   TEXT NOT NULL,
    reference TEXT NOT NULL,
    item      TEXT NOT NULL,
    at_ns     INTEGER NOT NULL,
    PRIMARY KEY (product, reference, item)
);
CREATE TABLE design_changes (
    sequence INTEGER PRIMARY KEY,
    at_ns    INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    product  TEXT NOT NULL,
    version  INTEGER NOT NULL CHECK (version >= 1),
    what     TEXT NOT NULL CHECK (what IN ('opened', 'closed')),
    detail   TEXT NOT NULL
);
CREATE TRIGGER sightings_refuse_update BEFORE UPDATE ON sightings BEGIN SELECT RAISE(ABORT, 'sightings are append-only'); END;
CREATE TRIGGER sightings_refuse_delete BEFORE DELETE ON sightings BEGIN SELECT RAISE(ABORT, 'sightings are append-only'); END;
CREATE TRIGGER designs_refuse_update BEFORE UPDATE ON design_changes BEGIN SELECT RAISE(ABORT, 'design changes are append-only'); END;
CREATE TRIGGER designs_refuse_delete BEFORE DELETE ON design_changes BEGIN SELECT RAISE(ABORT, 'design changes are append-only'); END;
";

/// Makes the tables in an empty file. The caller's transaction makes it all or nothing.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(PRODUCTS)?;
    connection.execute_batch(&format!("CREATE TABLE pictures {PICTURES}; CREATE TABLE history {HISTORY};"))?;
    connection.execute_batch(GUARDS)?;
    connection.execute_batch(LEARNING)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Brings a file of version 1 up to date; the caller's transaction makes it all or nothing. A constraint of SQLite cannot
/// be changed, so the two tables whose states are constrained are written anew; dropping fires no triggers.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
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
    connection.execute_batch(GUARDS)?;
    connection.execute_batch(LEARNING)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// The tables of version 1, as files in use have them.
#[cfg(test)]
pub(crate) fn create_version_1(connection: &Connection) -> rusqlite::Result<()> {
    let old = |columns: &str| {
        let kept = columns.lines().filter(|line| !line.trim_start().starts_with("origin"));
        kept.collect::<Vec<_>>().join("\n").replace(", 'rejected')", ")")
    };
    connection.execute_batch(PRODUCTS)?;
    connection.execute_batch(&format!("CREATE TABLE pictures {}; CREATE TABLE history {};", old(PICTURES), old(HISTORY)))?;
    connection.execute_batch(GUARDS)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", 1)
}
