//! The file's tables. A change here is a new [`SCHEMA_VERSION`] and a migration.

use rusqlite::Connection;

/// Version of the tables, kept in the file's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = 1;
/// `INTG`, kept in the file's `application_id`: another program's database is not touched.
pub(crate) const APPLICATION_ID: i64 = 0x494E_5447;

const TABLES: &str = "
CREATE TABLE products (
    id       TEXT PRIMARY KEY,
    added_ns INTEGER NOT NULL,
    added_by TEXT NOT NULL
);
CREATE TABLE pictures (
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
    state      TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'retired')),
    added_ns   INTEGER NOT NULL,
    added_by   TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    UNIQUE (product, name),
    UNIQUE (product, sha256)
);
CREATE TABLE history (
    sequence  INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    product   TEXT NOT NULL,
    reference TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'retired')),
    detail    TEXT NOT NULL
);
CREATE INDEX history_of_product ON history (product, sequence);
CREATE TRIGGER history_refuses_update BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER history_refuses_delete BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER pictures_refuse_delete BEFORE DELETE ON pictures BEGIN SELECT RAISE(ABORT, 'references are retired, never deleted'); END;
";

/// Makes the tables in an empty file. The caller's transaction makes it all or nothing.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}
