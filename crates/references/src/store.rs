//! The store itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use matching::{Cutout, Enrolled, FeatureOptions, Features, Picture, store::is_product_name};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, named_params, params};
use sha2::{Digest, Sha256};

use crate::record::{Act, Event, NewReference, Origin, ProductSummary, ReferenceRecord, State};
use crate::schema::{self, APPLICATION_ID, SCHEMA_VERSION};
use crate::{GalleryUrl, StoreError};

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open gallery. Several processes may read and write one file; each change is one transaction.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    /// A file of an older version that is only read is read as it is.
    pub(crate) schema: i64,
}

/// Attaches the file to what SQLite says.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::of(path, source))
    }
}

impl Store {
    /// Opens a gallery for reading and writing; makes it, and its folder, when it is not there.
    ///
    /// # Errors
    /// When the file is no gallery, newer, damaged, read-only, or the disk is full.
    pub fn open(url: &GalleryUrl) -> Result<Self, StoreError> {
        let path = url.path();
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_path_buf(), source })?;
        }
        let mut connection = Connection::open(path).at(path)?;
        connection.busy_timeout(PATIENCE).at(path)?;
        check_kind(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").at(path)?;
        connection.pragma_update(None, "synchronous", "FULL").at(path)?;
        connection.pragma_update(None, "foreign_keys", true).at(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).at(path)?;
        // Two processes may come here at once; the second finds the tables of the first.
        if kind(&transaction).at(path)?.is_empty {
            schema::create(&transaction).at(path)?;
        } else if kind(&transaction).at(path)?.version < SCHEMA_VERSION {
            schema::migrate(&transaction).at(path)?;
        }
        transaction.commit().at(path)?;
        Ok(Self { connection, path: path.to_path_buf(), schema: SCHEMA_VERSION })
    }

    /// Opens a gallery for reading; works on read-only files and folders too.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no file.
    pub fn open_for_reading(url: &GalleryUrl) -> Result<Self, StoreError> {
        let path = url.path();
        if !path.is_file() {
            return Err(StoreError::Missing(path.to_path_buf()));
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).at(path)?;
        connection.busy_timeout(PATIENCE).at(path)?;
        match check_kind(&connection, path) {
            // A write-ahead log cannot be made beside the file; when there is none, nobody can be writing.
            Err(StoreError::ReadOnly(_) | StoreError::Sqlite { .. }) if !with_suffix(path, "-wal").exists() => {
                let uri =
                    format!("file:{}?immutable=1", path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23"));
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let connection = Connection::open_with_flags(uri, flags).at(path)?;
                check_kind(&connection, path)?;
                Self::reading(connection, path)
            }
            Err(error) => Err(error),
            Ok(()) if kind(&connection).at(path)?.is_empty => Err(StoreError::Missing(path.to_path_buf())),
            Ok(()) => Self::reading(connection, path),
        }
    }

    fn reading(connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let schema = kind(&connection).at(path)?.version;
        Ok(Self { connection, path: path.to_path_buf(), schema })
    }

    /// Adds a reference; when this returns it is on the disk. `options` are those that its features are kept for.
    ///
    /// # Errors
    /// When the name is not a product's, the picture is enrolled already, or the file cannot be written.
    pub fn enrol(&mut self, new: &NewReference, options: &FeatureOptions) -> Result<ReferenceRecord, StoreError> {
        if !is_product_name(&new.product) {
            return Err(StoreError::ProductName(new.product.clone()));
        }
        let bad = |reason: String| StoreError::Picture { name: new.product.clone(), reason };
        let features = Features::of(&new.cutout, options).map_err(|e| bad(e.to_string()))?;
        let (picture, mask) = encode(&new.cutout).map_err(bad)?;
        let sha256 = digest(&picture, &mask);
        let path = self.path.clone();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).at(&path)?;
        let same: Option<String> = transaction
            .query_row("SELECT name FROM pictures WHERE product = ?1 AND sha256 = ?2", params![new.product, sha256], |row| row.get(0))
            .optional()
            .at(&path)?;
        if let Some(name) = same {
            return Err(StoreError::Duplicate { product: new.product.clone(), name });
        }
        let name = free_name(&transaction, new).at(&path)?;
        let record = ReferenceRecord {
            product: new.product.clone(),
            name,
            width: new.cutout.color().width(),
            height: new.cutout.color().height(),
            features: features.len() as u32,
            camera: new.camera.clone(),
            provenance: new.provenance.clone(),
            version: new.version.max(1),
            state: new.state,
            added_ns: new.added_ns,
            added_by: new.added_by.clone(),
            origin: new.origin,
            pristine: new.origin == Origin::Enrolled,
        };
        insert(&transaction, &record, &Blobs { picture, mask, features: features.to_bytes(options), sha256 }).at(&path)?;
        transaction.commit().at(&path)?;
        Ok(record)
    }

    /// All products.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn products(&self) -> Result<Vec<ProductSummary>, StoreError> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT product, sum(state = 'active'), sum(state = 'quarantined'), sum(state = 'retired'),
                     sum(state = 'rejected'), max(version)
                 FROM pictures GROUP BY product ORDER BY product",
            )
            .at(&self.path)?;
        let rows = statement.query_map([], |row| {
            Ok(ProductSummary {
                product: row.get(0)?,
                active: row.get(1)?,
                quarantined: row.get(2)?,
                retired: row.get(3)?,
                rejected: row.get(4)?,
                version: row.get(5)?,
            })
        });
        rows.and_then(Iterator::collect).at(&self.path)
    }

    /// The references of a product, retired ones too.
    ///
    /// # Errors
    /// When there are none, or the file cannot be read.
    pub fn references(&self, product: &str) -> Result<Vec<ReferenceRecord>, StoreError> {
        let query = format!("SELECT {} FROM pictures WHERE product = ?1 ORDER BY name", self.columns());
        let mut statement = self.connection.prepare(&query).at(&self.path)?;
        let rows: Vec<ReferenceRecord> = statement.query_map([product], record_of).and_then(Iterator::collect).at(&self.path)?;
        if rows.is_empty() { Err(StoreError::Unknown(product.to_owned())) } else { Ok(rows) }
    }

    /// Columns of a [`ReferenceRecord`]. What people enrolled is pristine, and what they
    /// confirmed last, or what a new design was adopted with.
    fn columns(&self) -> &'static str {
        if self.schema < 2 {
            return "product, name, width, height, n_features, camera, provenance, version, state, added_ns, added_by, 'enrolled', 1";
        }
        "product, name, width, height, n_features, camera, provenance, version, state, added_ns, added_by, origin,
             origin = 'enrolled' OR coalesce((SELECT action FROM history WHERE history.product = pictures.product
                 AND history.reference = pictures.name ORDER BY sequence DESC LIMIT 1), '') IN ('confirm', 'adopt')"
    }

    /// What happened to a product, or to all; oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history(&self, product: Option<&str>) -> Result<Vec<Event>, StoreError> {
        let query = "SELECT sequence, at_ns, actor, action, product, reference, state, detail
             FROM history WHERE ?1 IS NULL OR product = ?1 ORDER BY sequence";
        let mut statement = self.connection.prepare(query).at(&self.path)?;
        let rows = statement.query_map([product], |row| {
            Ok(Event {
                sequence: row.get(0)?,
                at_ns: row.get(1)?,
                actor: row.get(2)?,
                action: row.get(3)?,
                product: row.get(4)?,
                reference: row.get(5)?,
                state: state_of(row, 6)?,
                detail: row.get(7)?,
            })
        });
        rows.and_then(Iterator::collect).at(&self.path)
    }

    /// The active references, of `products` or of all, as a gallery takes them. Features are given where they were taken
    /// with `options`. What cannot be decoded comes as an error beside them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn enrolled(&self, products: Option<&[String]>, options: &FeatureOptions) -> Result<(Vec<Enrolled>, Vec<StoreError>), StoreError> {
        let query = "SELECT product, name, picture, mask, features FROM pictures WHERE state = 'active' ORDER BY product, name";
        let mut statement = self.connection.prepare(query).at(&self.path)?;
        let (mut enrolled, mut bad) = (Vec::new(), Vec::new());
        let mut rows = statement.query([]).at(&self.path)?;
        while let Some(row) = rows.next().at(&self.path)? {
            let (product, name): (String, String) = (row.get(0).at(&self.path)?, row.get(1).at(&self.path)?);
            if products.is_some_and(|asked| !asked.contains(&product)) {
                continue;
            }
            let blob = |n: usize| row.get::<_, Vec<u8>>(n).at(&self.path);
            match decode(&blob(2)?, &blob(3)?) {
                Ok(cutout) => {
                    let features = Features::from_bytes(&blob(4)?, options);
                    enrolled.push(Enrolled { picture: Picture { product, name, cutout }, features });
                }
                Err(reason) => bad.push(StoreError::Picture { name: format!("{product}/{name}"), reason }),
            }
        }
        Ok((enrolled, bad))
    }

    /// The active references as pictures with their records, to be exported.
    ///
    /// # Errors
    /// When the product is unknown, or a picture cannot be decoded.
    pub fn picture(&self, product: &str, name: &str) -> Result<Cutout, StoreError> {
        let full_name = format!("{product}/{name}");
        let found: Option<(Vec<u8>, Vec<u8>)> = self
            .connection
            .query_row("SELECT picture, mask FROM pictures WHERE product = ?1 AND name = ?2", [product, name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .at(&self.path)?;
        let (picture, mask) = found.ok_or_else(|| StoreError::Unknown(full_name.clone()))?;
        decode(&picture, &mask).map_err(|reason| StoreError::Picture { name: full_name, reason })
    }

    /// Gives references of a product another state; `name` names one, else all that are in another state are meant.
    /// Returns the names changed.
    ///
    /// # Errors
    /// When there is no such reference, or the file cannot be written.
    pub fn set_state(&mut self, product: &str, name: Option<&str>, state: State, by: (&str, &str, i64)) -> Result<Vec<String>, StoreError> {
        let (actor, action, at_ns) = by;
        let all = self.references(product)?;
        if let Some(name) = name.filter(|name| !all.iter().any(|r| r.name == **name)) {
            return Err(StoreError::Unknown(format!("{product}/{name}")));
        }
        let wanted: BTreeMap<String, State> =
            all.iter().filter(|r| name.is_none_or(|n| n == r.name)).map(|r| (r.name.clone(), state)).collect();
        self.change(product, &wanted, Act { actor, action, at_ns, detail: "" })
    }

    /// Brings a product's references back to the states that they had after event `to` of the history (`None`: before the
    /// product's last change). What was added later is retired. Returns the names changed.
    ///
    /// # Errors
    /// When the product is unknown, or the file cannot be written.
    pub fn roll_back(&mut self, product: &str, to: Option<i64>, actor: &str, at_ns: i64) -> Result<Vec<String>, StoreError> {
        let events = self.history(Some(product))?;
        let last = events.last().ok_or_else(|| StoreError::Unknown(product.to_owned()))?;
        // One change may have touched many references; they share time, actor and action.
        let of_last = |e: &&Event| (e.at_ns, &e.actor, &e.action) == (last.at_ns, &last.actor, &last.action);
        let to = to.unwrap_or_else(|| events.iter().rev().take_while(of_last).last().map_or(0, |first| first.sequence - 1));
        let mut wanted: BTreeMap<String, State> = events.iter().map(|e| (e.reference.clone(), State::Retired)).collect();
        for event in events.iter().filter(|e| e.sequence <= to) {
            wanted.insert(event.reference.clone(), event.state);
        }
        let detail = format!("to event {to}");
        self.change(product, &wanted, Act { actor, action: "rollback", at_ns, detail: &detail })
    }

    pub(crate) fn change(&mut self, product: &str, wanted: &BTreeMap<String, State>, note: Act) -> Result<Vec<String>, StoreError> {
        let path = self.path.clone();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).at(&path)?;
        let mut changed = Vec::new();
        for (name, state) in wanted {
            let update = "UPDATE pictures SET state = ?3 WHERE product = ?1 AND name = ?2 AND state <> ?3";
            if transaction.execute(update, params![product, name, state.as_str()]).at(&path)? > 0 {
                log(&transaction, product, name, *state, &note).at(&path)?;
                changed.push(name.clone());
            }
        }
        transaction.commit().at(&path)?;
        Ok(changed)
    }

    /// Looks for everything that can be wrong with the file; one sentence a finding, none when all is well.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            let mut statement = self.connection.prepare(pragma).at(&self.path)?;
            let rows: Vec<String> = statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect).at(&self.path)?;
            found.extend(rows.into_iter().filter(|line| line != "ok"));
        }
        let mut said = BTreeMap::new();
        for (event, expected) in self.history(None)?.into_iter().zip(1..) {
            if event.sequence != expected {
                found.push(format!("history: event {expected} is missing"));
                break;
            }
            said.insert((event.product, event.reference), event.state);
        }
        let mut statement =
            self.connection.prepare("SELECT product, name, picture, mask, sha256, state FROM pictures ORDER BY id").at(&self.path)?;
        let mut rows = statement.query([]).at(&self.path)?;
        let mut seen = BTreeSet::new();
        while let Some(row) = rows.next().at(&self.path)? {
            let key: (String, String) = (row.get(0).at(&self.path)?, row.get(1).at(&self.path)?);
            let (picture, mask): (Vec<u8>, Vec<u8>) = (row.get(2).at(&self.path)?, row.get(3).at(&self.path)?);
            let full_name = format!("{}/{}", key.0, key.1);
            if digest(&picture, &mask) != row.get::<_, String>(4).at(&self.path)? {
                found.push(format!("{full_name}: the picture is not the one that was enrolled"));
            } else if let Err(reason) = decode(&picture, &mask) {
                found.push(format!("{full_name}: {reason}"));
            }
            if said.get(&key) != Some(&state_of(row, 5).at(&self.path)?) {
                found.push(format!("{full_name}: its state does not follow from the history"));
            }
            seen.insert(key);
        }
        found.extend(said.keys().filter(|key| !seen.contains(*key)).map(|(p, n)| format!("{p}/{n}: in the history, but gone")));
        found.extend(self.orphans()?);
        Ok(found)
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

struct Blobs {
    picture: Vec<u8>,
    mask: Vec<u8>,
    features: Vec<u8>,
    sha256: String,
}

fn insert(transaction: &Transaction, record: &ReferenceRecord, blobs: &Blobs) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT OR IGNORE INTO products (id, added_ns, added_by) VALUES (?1, ?2, ?3)",
        params![record.product, record.added_ns, record.added_by],
    )?;
    transaction.execute(
        "INSERT INTO pictures (product, name, width, height, picture, mask, camera, features, n_features, provenance, version,
             state, added_ns, added_by, sha256, origin)
         VALUES (:product, :name, :width, :height, :picture, :mask, :camera, :features, :n_features, :provenance, :version,
             :state, :added_ns, :added_by, :sha256, :origin)",
        named_params! {
            ":product": record.product, ":name": record.name, ":width": record.width, ":height": record.height,
            ":picture": blobs.picture, ":mask": blobs.mask, ":camera": record.camera, ":features": blobs.features,
            ":n_features": record.features, ":provenance": record.provenance, ":version": record.version,
            ":state": record.state.as_str(), ":added_ns": record.added_ns, ":added_by": record.added_by, ":sha256": blobs.sha256,
            ":origin": record.origin.as_str(),
        },
    )?;
    let action = if record.origin == Origin::Learned { "propose" } else { "enrol" };
    let note = Act { actor: &record.added_by, action, at_ns: record.added_ns, detail: &record.provenance };
    log(transaction, &record.product, &record.name, record.state, &note)
}

fn log(transaction: &Transaction, product: &str, name: &str, state: State, note: &Act) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO history (at_ns, actor, action, product, reference, state, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![note.at_ns, note.actor, note.action, product, name, state.as_str(), note.detail],
    )?;
    Ok(())
}

/// The name asked for while it is free, else the first free number.
fn free_name(transaction: &Transaction, new: &NewReference) -> rusqlite::Result<String> {
    let mut statement = transaction.prepare("SELECT name FROM pictures WHERE product = ?1")?;
    let taken: BTreeSet<String> = statement.query_map([&new.product], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let asked = new.name.clone().filter(|name| !taken.contains(name));
    Ok(asked.unwrap_or_else(|| (taken.len()..).map(|n| format!("{n:04}")).find(|n| !taken.contains(n)).unwrap_or_default()))
}

fn record_of(row: &Row) -> rusqlite::Result<ReferenceRecord> {
    Ok(ReferenceRecord {
        product: row.get(0)?,
        name: row.get(1)?,
        width: row.get(2)?,
        height: row.get(3)?,
        features: row.get(4)?,
        camera: row.get(5)?,
        provenance: row.get(6)?,
        version: row.get(7)?,
        state: state_of(row, 8)?,
        added_ns: row.get(9)?,
        added_by: row.get(10)?,
        origin: if row.get::<_, String>(11)? == "learned" { Origin::Learned } else { Origin::Enrolled },
        pristine: row.get(12)?,
    })
}

fn state_of(row: &Row, column: usize) -> rusqlite::Result<State> {
    let text: String = row.get(column)?;
    State::parse(&text).ok_or_else(|| rusqlite::Error::InvalidColumnType(column, text, rusqlite::types::Type::Text))
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

fn check_kind(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let kind = kind(connection).at(path)?;
    if kind.is_empty {
        return Ok(());
    }
    if kind.application_id != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_path_buf()));
    }
    if kind.version > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_path_buf(), found: kind.version });
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn digest(picture: &[u8], mask: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [picture, mask] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Picture and mask as PNG.
fn encode(cutout: &Cutout) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (width, height) = (cutout.color().width(), cutout.color().height());
    let png = |image: image::DynamicImage| -> Result<Vec<u8>, String> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())?;
        Ok(bytes.into_inner())
    };
    let odd = || "the picture's size does not fit its pixels".to_owned();
    let color = image::RgbImage::from_raw(width, height, cutout.color().data().to_vec()).ok_or_else(odd)?;
    let mask = image::GrayImage::from_raw(width, height, cutout.foreground().to_vec()).ok_or_else(odd)?;
    Ok((png(color.into())?, png(mask.into())?))
}

fn decode(picture: &[u8], mask: &[u8]) -> Result<Cutout, String> {
    let png = |bytes: &[u8]| image::load_from_memory_with_format(bytes, image::ImageFormat::Png).map_err(|e| e.to_string());
    let (color, mask) = (png(picture)?.into_rgb8(), png(mask)?.into_luma8());
    let color = vision::ColorImage::new(color.width(), color.height(), color.into_raw()).map_err(|e| e.to_string())?;
    Cutout::masked(color, mask.pixels().map(|p| p.0[0] > 0)).map_err(|e| e.to_string())
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
