//! The append-only ledger of decisions (SQLite).
//!
//! Every row is on the disk before the decision is published: write-ahead log with `synchronous = FULL`, because a
//! record that a power cut can take back is no evidence. Triggers refuse changes, and each row of `decisions` carries the
//! SHA-256 of itself and its predecessor, so that an edit made around the triggers is found by [`Ledger::verify`]; rows that are
//! taken from the end are not, since nothing follows them.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, named_params, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::verdict::Disposition;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS decisions (
    sequence          INTEGER PRIMARY KEY,
    run_id            TEXT NOT NULL,
    item_id           TEXT NOT NULL,
    stamp_ns          INTEGER NOT NULL,
    decided_unix_ns   INTEGER NOT NULL,
    disposition       TEXT NOT NULL CHECK (disposition IN ('SORT', 'SIDELINE', 'REIMAGE')),
    lane              TEXT NOT NULL,
    reasons           TEXT NOT NULL,
    damage_score      REAL,
    damage_threshold  REAL,
    anomaly_score     REAL,
    anomaly_threshold REAL,
    product           TEXT NOT NULL,
    model             TEXT NOT NULL,
    gallery_version   TEXT NOT NULL,
    deadline_expired  INTEGER NOT NULL,
    hash              TEXT NOT NULL,
    damage_rejudged   REAL,
    comparison_model  TEXT NOT NULL DEFAULT '',
    UNIQUE (run_id, item_id)
);
CREATE TABLE IF NOT EXISTS duplicates (
    sequence     INTEGER PRIMARY KEY,
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    seen_unix_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS outcomes (
    sequence     INTEGER PRIMARY KEY,
    run_id       TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    result       TEXT NOT NULL,
    lane         TEXT NOT NULL,
    message      TEXT NOT NULL,
    duration_s   REAL NOT NULL,
    done_unix_ns INTEGER NOT NULL
);
";

/// What `decisions` has more than in files of earlier versions, whose rows keep their hashes: see [`LedgerEntry`].
const ADDED: [(&str, &str); 2] = [("damage_rejudged", "REAL"), ("comparison_model", "TEXT NOT NULL DEFAULT ''")];

/// `INTL`, kept in the file's `application_id`: another program's database is not touched. Files of earlier versions have 0.
const APPLICATION_ID: i64 = 0x494E_544C;

const INSERT_DECISION: &str = "
INSERT INTO decisions (run_id, item_id, stamp_ns, decided_unix_ns, disposition, lane, reasons, damage_score,
    damage_threshold, anomaly_score, anomaly_threshold, product, model, gallery_version, deadline_expired, hash,
    damage_rejudged, comparison_model)
VALUES (:run_id, :item_id, :stamp_ns, :decided_unix_ns, :disposition, :lane, :reasons, :damage_score,
    :damage_threshold, :anomaly_score, :anomaly_threshold, :product, :model, :gallery_version, :deadline_expired, :hash,
    :damage_rejudged, :comparison_model)";

/// Why the ledger did not take or give a row.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The folder of the file cannot be made.
    #[error("cannot make the ledger's folder {path}: {source}")]
    Folder {
        /// Folder.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is another program's, or no database.
    #[error("{path} is no ledger: it is {found}; name another file")]
    Foreign {
        /// File.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// SQLite says no: full disk, read-only file, not a database, …
    #[error("the ledger failed: {0}; is the disk full or the file read-only?")]
    Sqlite(#[from] rusqlite::Error),
    /// This id has a disposition in this run.
    #[error("item {item_id} was decided before in run {run_id}")]
    Duplicate {
        /// Run.
        run_id: String,
        /// Item.
        item_id: String,
    },
    /// A row cannot be put into canonical form.
    #[error("cannot encode a ledger row: {0}")]
    Encode(#[from] serde_json::Error),
    /// A row was changed, removed or inserted behind the ledger's back.
    #[error("ledger row {sequence} does not follow from its predecessor: the ledger was altered")]
    Altered {
        /// Row number.
        sequence: i64,
    },
}

/// One decision as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Run of the cell; an item id is unique within it.
    pub run_id: String,
    /// Item, or `<item>#<instance>` in clutter.
    pub item_id: String,
    /// ROS time of the judged image, nanoseconds.
    pub stamp_ns: i64,
    /// Wall clock at the decision, nanoseconds since 1970.
    pub decided_unix_ns: i64,
    /// What happens to it.
    pub disposition: Disposition,
    /// Bin.
    pub lane: String,
    /// Constants of `intact_msgs/msg/Decision`, most important first.
    pub reasons: Vec<String>,
    /// `None`: there was no inspection.
    pub damage_score: Option<f32>,
    /// In force.
    pub damage_threshold: Option<f32>,
    /// `None`: nothing was compared.
    pub anomaly_score: Option<f32>,
    /// In force.
    pub anomaly_threshold: Option<f32>,
    /// Empty when unknown.
    pub product: String,
    /// Scorer.
    pub model: String,
    /// Gallery.
    pub gallery_version: String,
    /// Time ran out.
    pub deadline_expired: bool,
    /// Damage as judged again beside the reference, as the gallery's report has it; `None` where that was not done. Left out of the hashed form where
    /// it is not there, so that rows of earlier versions still follow from each other; so is the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage_rejudged: Option<f32>,
    /// The network that judged it again; empty where none did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comparison_model: String,
}

/// What became of a decided item.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerOutcome {
    /// Run.
    pub run_id: String,
    /// Item.
    pub item_id: String,
    /// `DIVERTED`, `LEFT_FOR_PERSON` or `FAILED`.
    pub result: String,
    /// Bin.
    pub lane: String,
    /// One sentence, empty on success.
    pub message: String,
    /// Of the motion, seconds.
    pub duration_s: f32,
    /// Wall clock, nanoseconds since 1970.
    pub done_unix_ns: i64,
}

/// An open ledger file. Several processes may write to one file; each append is one transaction.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Opens or creates the file, with its folder.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| LedgerError::Folder { path: folder.display().to_string(), source })?;
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_millis(250))?;
        let is_marked = check_is_ledger(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        add_columns(&connection)?;
        if !is_marked {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        for table in ["decisions", "duplicates", "outcomes"] {
            for change in ["UPDATE", "DELETE"] {
                connection.execute_batch(&format!(
                    "CREATE TRIGGER IF NOT EXISTS {table}_refuse_{change} BEFORE {change} ON {table}
                     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
                ))?;
            }
        }
        Ok(Self { connection })
    }

    /// Writes a decision; when this returns it is on the disk.
    pub fn append(&mut self, entry: &LedgerEntry) -> Result<(), LedgerError> {
        // Immediate: the predecessor that is hashed must still be the last row at commit.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let previous: String = transaction
            .query_row("SELECT hash FROM decisions ORDER BY sequence DESC LIMIT 1", [], |row| row.get(0))
            .optional()?
            .unwrap_or_default();
        let inserted = transaction.execute(
            INSERT_DECISION,
            named_params! {
                ":run_id": entry.run_id, ":item_id": entry.item_id, ":stamp_ns": entry.stamp_ns,
                ":decided_unix_ns": entry.decided_unix_ns, ":disposition": entry.disposition.as_str(), ":lane": entry.lane,
                ":reasons": serde_json::to_string(&entry.reasons)?, ":damage_score": entry.damage_score,
                ":damage_threshold": entry.damage_threshold, ":anomaly_score": entry.anomaly_score,
                ":anomaly_threshold": entry.anomaly_threshold, ":product": entry.product, ":model": entry.model,
                ":gallery_version": entry.gallery_version, ":deadline_expired": entry.deadline_expired,
                ":hash": chained_hash(&previous, entry)?,
                ":damage_rejudged": entry.damage_rejudged, ":comparison_model": entry.comparison_model,
            },
        );
        match inserted {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(LedgerError::Duplicate { run_id: entry.run_id.clone(), item_id: entry.item_id.clone() })
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(transaction.commit()?),
        }
    }

    /// Notes that an id was seen again.
    pub fn append_duplicate(&mut self, run_id: &str, item_id: &str, seen_unix_ns: i64) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO duplicates (run_id, item_id, seen_unix_ns) VALUES (?1, ?2, ?3)",
            params![run_id, item_id, seen_unix_ns],
        )?;
        Ok(())
    }

    /// Notes what became of an item.
    pub fn append_outcome(&mut self, o: &LedgerOutcome) -> Result<(), LedgerError> {
        self.connection.execute(
            "INSERT INTO outcomes (run_id, item_id, result, lane, message, duration_s, done_unix_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![o.run_id, o.item_id, o.result, o.lane, o.message, o.duration_s, o.done_unix_ns],
        )?;
        Ok(())
    }

    /// The decisions of a run in the order in which they were made.
    pub fn decisions(&self, run_id: &str) -> Result<Vec<LedgerEntry>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT * FROM decisions WHERE run_id = ?1 ORDER BY sequence")?;
        let rows = statement.query_map([run_id], read_entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The outcomes of a run.
    pub fn outcomes(&self, run_id: &str) -> Result<Vec<LedgerOutcome>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT * FROM outcomes WHERE run_id = ?1 ORDER BY sequence")?;
        let rows = statement.query_map([run_id], |row| {
            Ok(LedgerOutcome {
                run_id: row.get("run_id")?,
                item_id: row.get("item_id")?,
                result: row.get("result")?,
                lane: row.get("lane")?,
                message: row.get("message")?,
                duration_s: row.get("duration_s")?,
                done_unix_ns: row.get("done_unix_ns")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ids that were seen again in a run, with repetition.
    pub fn duplicates(&self, run_id: &str) -> Result<Vec<String>, LedgerError> {
        let mut statement = self.connection.prepare("SELECT item_id FROM duplicates WHERE run_id = ?1 ORDER BY sequence")?;
        let rows = statement.query_map([run_id], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Walks the hash chain of all decisions; the number of rows when it holds.
    pub fn verify(&self) -> Result<u64, LedgerError> {
        let mut statement = self.connection.prepare("SELECT * FROM decisions ORDER BY sequence")?;
        let mut rows = statement.query([])?;
        let (mut previous, mut count) = (String::new(), 0);
        while let Some(row) = rows.next()? {
            let hash: String = row.get("hash")?;
            if chained_hash(&previous, &read_entry(row)?)? != hash {
                return Err(LedgerError::Altered { sequence: row.get("sequence")? });
            }
            previous = hash;
            count += 1;
        }
        Ok(count)
    }
}

/// Nothing is written to what is not ours: a picture, a gallery, another program's database. Whether it says itself that it is a ledger.
fn check_is_ledger(connection: &Connection, path: &Path) -> Result<bool, LedgerError> {
    let foreign = |found| LedgerError::Foreign { path: path.display().to_string(), found };
    let id: i64 = match connection.query_row("PRAGMA application_id", [], |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => return Err(foreign("not a database")),
        id => id?,
    };
    let tables = |condition: &str| {
        let count = format!("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND {condition}");
        connection.query_row(&count, [], |row| row.get::<_, i64>(0))
    };
    let is_marked = id == APPLICATION_ID;
    let is_ours = is_marked || (id == 0 && (tables("name = 'decisions'")? == 1 || tables("name NOT LIKE 'sqlite_%'")? == 0));
    if is_ours { Ok(is_marked) } else { Err(foreign("a database of something else")) }
}

/// Brings a file of an earlier version up to this one's columns.
fn add_columns(connection: &Connection) -> rusqlite::Result<()> {
    for (column, kind) in ADDED {
        let is_there = "SELECT 1 FROM pragma_table_info('decisions') WHERE name = ?1";
        if connection.query_row(is_there, [column], |_| Ok(())).optional()?.is_none() {
            match connection.execute_batch(&format!("ALTER TABLE decisions ADD COLUMN {column} {kind}")) {
                // Another process was quicker.
                Err(error) if error.to_string().contains("duplicate column") => {}
                result => result?,
            }
        }
    }
    Ok(())
}

fn chained_hash(previous: &str, entry: &LedgerEntry) -> Result<String, LedgerError> {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(serde_json::to_vec(entry)?);
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    let text = |name: &str| row.get::<_, String>(name);
    let not_ours = |name: &str| rusqlite::Error::InvalidColumnType(0, name.to_owned(), rusqlite::types::Type::Text);
    Ok(LedgerEntry {
        run_id: text("run_id")?,
        item_id: text("item_id")?,
        stamp_ns: row.get("stamp_ns")?,
        decided_unix_ns: row.get("decided_unix_ns")?,
        disposition: Disposition::parse(&text("disposition")?).ok_or_else(|| not_ours("disposition"))?,
        lane: text("lane")?,
        reasons: serde_json::from_str(&text("reasons")?).map_err(|_| not_ours("reasons"))?,
        damage_score: row.get("damage_score")?,
        damage_threshold: row.get("damage_threshold")?,
        anomaly_score: row.get("anomaly_score")?,
        anomaly_threshold: row.get("anomaly_threshold")?,
        product: text("product")?,
        model: text("model")?,
        gallery_version: text("gallery_version")?,
        deadline_expired: row.get("deadline_expired")?,
        damage_rejudged: row.get("damage_rejudged")?,
        comparison_model: text("comparison_model")?,
    })
}
