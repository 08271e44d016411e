//! The tables, as SQLite is told of them; PostgreSQL is told the same with its own names of types. A change here is a new
//! [`SCHEMA_VERSION`] and a migration in both rooms.

/// Version of the tables.
pub(crate) const SCHEMA_VERSION: i64 = 3;

pub(crate) const PRODUCTS: &str = "
CREATE TABLE products (
    id       TEXT PRIMARY KEY,
    added_ns INTEGER NOT NULL,
    added_by TEXT NOT NULL
);";

/// Columns of `pictures`.
pub(crate) const PICTURES: &str = "(
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
    embedding  BLOB,
    size_mm    TEXT,
    light      TEXT,
    UNIQUE (product, name),
    UNIQUE (product, sha256)
)";

/// Columns of `history`.
pub(crate) const HISTORY: &str = "(
    sequence  INTEGER PRIMARY KEY,
    at_ns     INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    product   TEXT NOT NULL,
    reference TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'retired', 'rejected')),
    detail    TEXT NOT NULL
)";

/// Reading a product's history goes past the others'.
pub(crate) const INDICES: &str = "CREATE INDEX history_of_product ON history (product, sequence);";

/// What nobody may do to a table, and what is said to who tries.
pub(crate) struct Guard {
    pub table: &'static str,
    /// `UPDATE`, `DELETE`.
    pub refused: &'static [&'static str],
    pub sentence: &'static str,
}

/// Guards of the tables of version 1.
pub(crate) const GUARDS: [Guard; 2] = [
    Guard { table: "history", refused: &["UPDATE", "DELETE"], sentence: "the history is append-only" },
    Guard { table: "pictures", refused: &["DELETE"], sentence: "references are retired, never deleted" },
];

/// Guards of the tables that version 2 adds.
pub(crate) const LEARNING_GUARDS: [Guard; 2] = [
    Guard { table: "sightings", refused: &["UPDATE", "DELETE"], sentence: "sightings are append-only" },
    Guard { table: "design_changes", refused: &["UPDATE", "DELETE"], sentence: "design changes are append-only" },
];

/// What version 2 adds: items that agreed with a proposal, and suspected new designs. Both only grow.
pub(crate) const LEARNING: &str = "
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
";
