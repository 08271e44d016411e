//! The store itself: the rules, whatever database stands below.

use std::collections::{BTreeMap, BTreeSet};

use matching::{Cutout, Embedder, Embedding, Enrolled, FeatureOptions, Features, Picture};

use crate::codec::whole;
use crate::reach::Reach;
use crate::record::{Act, Event, Origin, ProductSummary, ReferenceRecord, State};
use crate::tables::{Row, Statements, Tables, Value};
use crate::url::Kind;
use crate::{GalleryUrl, StoreError};

/// An open gallery. Several processes may read and write one; each change is one transaction.
#[derive(Debug)]
pub struct Store {
    /// What is read, and written unless the server is away.
    pub(crate) tables: Box<dyn Tables>,
    /// Of a gallery on a server: whether it is there, and the local copy.
    pub(crate) reach: Option<Reach>,
    /// Makes the embeddings that are kept beside pictures.
    pub(crate) embedder: Option<Embedder>,
}

impl Store {
    /// Opens a gallery for reading and writing; makes it when it is not there: a file with its folder, or tables in the
    /// database. When the server cannot be reached, its local copy is opened for reading ([`Store::away`]).
    ///
    /// # Errors
    /// When it is no gallery, newer, damaged, read-only, the disk is full, or neither server nor local copy is there.
    pub fn open(url: &GalleryUrl) -> Result<Self, StoreError> {
        match &url.0 {
            Kind::Sqlite(path) => Ok(Self { tables: Box::new(crate::sqlite::Sqlite::open(path)?), reach: None, embedder: None }),
            Kind::Postgres { .. } => Reach::open(url),
        }
    }

    /// Opens a gallery for reading; works on read-only files and folders too. Of a server's gallery that cannot be reached,
    /// the local copy is read.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is no gallery.
    pub fn open_for_reading(url: &GalleryUrl) -> Result<Self, StoreError> {
        match &url.0 {
            Kind::Sqlite(path) => {
                Ok(Self { tables: Box::new(crate::sqlite::Sqlite::open_for_reading(path)?), reach: None, embedder: None })
            }
            Kind::Postgres { .. } => Reach::open_for_reading(url),
        }
    }

    /// The same store, which from now on keeps this network's embedding beside each picture that is enrolled.
    pub fn with_embedder(mut self, embedder: Option<Embedder>) -> Self {
        self.embedder = embedder;
        self
    }

    /// Reads from one moment.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut dyn Statements) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (mut work, mut out) = (Some(work), None);
        self.tables.read(&mut |statements| {
            if let Some(work) = work.take() {
                out = Some(work(statements)?);
            }
            Ok(())
        })?;
        out.ok_or_else(|| self.nothing_done())
    }

    /// Changes all of it or nothing.
    pub(crate) fn write<T>(&mut self, work: impl FnOnce(&mut dyn Statements) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(detail) = self.away() {
            return Err(StoreError::Away { place: self.server_place(), detail: detail.to_owned() });
        }
        let (mut work, mut out) = (Some(work), None);
        self.tables.write(&mut |statements| {
            if let Some(work) = work.take() {
                out = Some(work(statements)?);
            }
            Ok(())
        })?;
        out.ok_or_else(|| self.nothing_done())
    }

    /// Databases do what they are given; a sentence stands here all the same.
    fn nothing_done(&self) -> StoreError {
        StoreError::Damaged { place: self.tables.place().to_owned(), detail: "a transaction did nothing".into() }
    }

    /// All products.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn products(&self) -> Result<Vec<ProductSummary>, StoreError> {
        let count = |state: State| format!("sum(CASE WHEN state = '{state}' THEN 1 ELSE 0 END)");
        let counts = [State::Active, State::Quarantined, State::Retired, State::Rejected].map(count).join(", ");
        let query = format!("SELECT product, {counts}, max(version) FROM pictures GROUP BY product ORDER BY product");
        self.read(|statements| {
            statements.all(&query, &[], |row| {
                Ok(ProductSummary {
                    product: row.text(0)?,
                    active: row.number(1)?,
                    quarantined: row.number(2)?,
                    retired: row.number(3)?,
                    rejected: row.number(4)?,
                    version: row.number(5)?,
                })
            })
        })
    }

    /// The references of a product, retired ones too.
    ///
    /// # Errors
    /// When there are none, or the gallery cannot be read.
    pub fn references(&self, product: &str) -> Result<Vec<ReferenceRecord>, StoreError> {
        let schema = self.tables.schema();
        self.read(|statements| references(statements, schema, product))
    }

    /// The newest design of a product that is in use; 1 for a product that is not known.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn design_in_use(&self, product: &str) -> Result<u32, StoreError> {
        let query = "SELECT coalesce(max(version), 1) FROM pictures WHERE product = ?1 AND state = 'active'";
        Ok(self.read(|statements| statements.first(query, &[product.into()], |row| row.number(0)))?.unwrap_or(1))
    }

    /// What happened to a product, or to all; oldest first.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn history(&self, product: Option<&str>) -> Result<Vec<Event>, StoreError> {
        self.read(|statements| history(statements, product))
    }

    /// The active references, of `products` or of all that are on the manifest, as a gallery takes them. Features are given where they were taken
    /// with `options`. What cannot be decoded comes as an error beside them.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn enrolled(&self, products: Option<&[String]>, options: &FeatureOptions) -> Result<(Vec<Enrolled>, Vec<StoreError>), StoreError> {
        let (mut enrolled, mut bad) = (Vec::new(), Vec::new());
        let origin = if self.tables.schema() < 2 { "'enrolled'" } else { "origin" };
        let newer = if self.tables.schema() < 3 { "NULL, NULL" } else { "embedding, size_mm" };
        let columns =
            format!("SELECT product, name, picture, mask, features, {origin}, {newer}, depth FROM pictures WHERE state = 'active'");
        let mut take = |row: Row| {
            let (product, name) = (row.text(0)?, row.text(1)?);
            match whole(row.blob(2)?, row.blob(3)?, row.blob(8).ok()) {
                Ok(cutout) => {
                    let cutout = cutout.with_extent(row.text(7).ok().and_then(|text| text.parse().ok()));
                    let features = Features::from_bytes(row.blob(4)?, options);
                    let is_partial = row.text(5)? == Origin::Learned.as_str();
                    let embedding = row.blob(6).ok().and_then(Embedding::from_bytes);
                    enrolled.push(Enrolled { picture: Picture { product, name, cutout }, features, embedding, is_partial });
                }
                Err(reason) => bad.push(StoreError::Picture { name: format!("{product}/{name}"), reason }),
            }
            Ok(())
        };
        let asked = match products {
            Some(products) => Some(products.iter().cloned().collect()),
            None => self.manifest()?,
        };
        self.read(|statements| {
            let Some(asked) = &asked else {
                return statements.each(&format!("{columns} ORDER BY product, name"), &[], &mut take);
            };
            // One product after the other: a manifest is short, a gallery may be long.
            for product in asked {
                statements.each(&format!("{columns} AND product = ?1 ORDER BY name"), &[product.into()], &mut take)?;
            }
            Ok(())
        })?;
        Ok((enrolled, bad))
    }

    /// One reference's picture.
    ///
    /// # Errors
    /// When the reference is unknown, or its picture cannot be decoded.
    pub fn picture(&self, product: &str, name: &str) -> Result<Cutout, StoreError> {
        let full_name = format!("{product}/{name}");
        let size = if self.tables.schema() < 3 { "NULL" } else { "size_mm" };
        let query = format!("SELECT picture, mask, {size}, depth FROM pictures WHERE product = ?1 AND name = ?2");
        let found = self.read(|statements| {
            statements.first(&query, &[product.into(), name.into()], |row| {
                Ok((whole(row.blob(0)?, row.blob(1)?, row.blob(3).ok()), row.text(2).ok()))
            })
        })?;
        let (cutout, size) = found.ok_or_else(|| StoreError::Unknown(full_name.clone()))?;
        let cutout = cutout.map_err(|reason| StoreError::Picture { name: full_name, reason })?;
        Ok(cutout.with_extent(size.and_then(|text| text.parse().ok())))
    }

    /// Gives references of a product another state; `name` names one, else all that are in another state are meant but those that
    /// were refused, which are remembered. Returns the names changed.
    ///
    /// # Errors
    /// When there is no such reference, or the gallery cannot be written.
    pub fn set_state(&mut self, product: &str, name: Option<&str>, state: State, by: (&str, &str, i64)) -> Result<Vec<String>, StoreError> {
        let (actor, action, at_ns) = by;
        let schema = self.tables.schema();
        self.write(|statements| {
            let all = references(statements, schema, product)?;
            if let Some(name) = name.filter(|name| !all.iter().any(|r| r.name == **name)) {
                return Err(StoreError::Unknown(format!("{product}/{name}")));
            }
            let is_meant = |r: &&ReferenceRecord| name.map_or(r.state != State::Rejected, |n| n == r.name);
            let wanted: BTreeMap<String, State> = all.iter().filter(is_meant).map(|r| (r.name.clone(), state)).collect();
            change(statements, product, &wanted, &Act { actor, action, at_ns, detail: "" })
        })
    }

    /// Brings a product's references back to the states that they had after event `to` of the history (`None`: before the
    /// product's last change). What was added later is retired. What was learned and is taken out of use is refused: if it waited
    /// again, the next item that agrees with it would bring it back. Returns the names changed.
    ///
    /// # Errors
    /// When the product is unknown, or the gallery cannot be written.
    pub fn roll_back(&mut self, product: &str, to: Option<i64>, actor: &str, at_ns: i64) -> Result<Vec<String>, StoreError> {
        let schema = self.tables.schema();
        self.write(|statements| {
            let events = history(statements, Some(product))?;
            let last = events.last().ok_or_else(|| StoreError::Unknown(product.to_owned()))?;
            if let Some(to) = to.filter(|to| events.iter().all(|e| e.sequence != *to)) {
                return Err(StoreError::Unknown(format!("event {to} of {product}")));
            }
            // One change may have touched many references; they share time, actor and action.
            let of_last = |e: &&Event| (e.at_ns, &e.actor, &e.action) == (last.at_ns, &last.actor, &last.action);
            let to = to.unwrap_or_else(|| events.iter().rev().take_while(of_last).last().map_or(0, |first| first.sequence - 1));
            let mut wanted: BTreeMap<String, State> = events.iter().map(|e| (e.reference.clone(), State::Retired)).collect();
            for event in events.iter().filter(|e| e.sequence <= to) {
                wanted.insert(event.reference.clone(), event.state);
            }
            let learned = |r: &ReferenceRecord| r.origin == Origin::Learned && r.state == State::Active;
            for taken_back in references(statements, schema, product)?.into_iter().filter(learned) {
                wanted.entry(taken_back.name).and_modify(|s| *s = if *s == State::Quarantined { State::Rejected } else { *s });
            }
            let detail = format!("to event {to}");
            change(statements, product, &wanted, &Act { actor, action: "rollback", at_ns, detail: &detail })
        })
    }

    /// Takes one design of a product into use in place of the others: its retired references become active, active ones of other
    /// designs are retired; what waits or was refused stays so. Returns the names changed.
    ///
    /// # Errors
    /// When the product has no reference of that design that was ever in use, or the gallery cannot be written.
    pub fn use_design(&mut self, product: &str, version: u32, actor: &str, at_ns: i64) -> Result<Vec<String>, StoreError> {
        let schema = self.tables.schema();
        self.write(|statements| {
            // Retired is also what never was in use: what waited or was refused when its product was retired or rolled back.
            let was_used: BTreeSet<String> =
                history(statements, Some(product))?.into_iter().filter(|e| e.state == State::Active).map(|e| e.reference).collect();
            let there = references(statements, schema, product)?.into_iter().filter(|r| matches!(r.state, State::Active | State::Retired));
            let of = |version_of: u32| if version_of == version { State::Active } else { State::Retired };
            let wanted: BTreeMap<String, State> = there.filter(|r| was_used.contains(&r.name)).map(|r| (r.name, of(r.version))).collect();
            if !wanted.values().any(|state| *state == State::Active) {
                return Err(StoreError::Unknown(format!("design {version} of {product}")));
            }
            let detail = format!("to design {version}");
            change(statements, product, &wanted, &Act { actor, action: "rollback", at_ns, detail: &detail })
        })
    }

    /// Another number whenever another process, or another connection, has changed the gallery.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn foreign_changes(&self) -> Result<i64, StoreError> {
        self.tables.changes_by_others()
    }
}

/// One line of history. Its number follows from the last one, without gaps: one writer at a time.
pub(crate) fn log(statements: &mut dyn Statements, product: &str, name: &str, state: State, note: &Act) -> Result<(), StoreError> {
    statements.execute(
        "INSERT INTO history (sequence, at_ns, actor, action, product, reference, state, detail)
         VALUES ((SELECT coalesce(max(sequence), 0) + 1 FROM history), ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[note.at_ns.into(), note.actor.into(), note.action.into(), product.into(), name.into(), state.as_str().into(), note.detail.into()],
    )?;
    Ok(())
}

/// Gives references the states that are wanted, with a line of history for each that had another one.
pub(crate) fn change(
    statements: &mut dyn Statements,
    product: &str,
    wanted: &BTreeMap<String, State>,
    note: &Act,
) -> Result<Vec<String>, StoreError> {
    let mut changed = Vec::new();
    for (name, state) in wanted {
        let update = "UPDATE pictures SET state = ?3 WHERE product = ?1 AND name = ?2 AND state <> ?3";
        if statements.execute(update, &[product.into(), name.into(), state.as_str().into()])? > 0 {
            log(statements, product, name, *state, note)?;
            changed.push(name.clone());
        }
    }
    Ok(changed)
}

/// A product's references. What people enrolled is pristine, and what they confirmed last, or what a new design was adopted with.
pub(crate) fn references(statements: &mut dyn Statements, schema: i64, product: &str) -> Result<Vec<ReferenceRecord>, StoreError> {
    let learned = if schema < 2 {
        "'enrolled', 1"
    } else {
        "origin, CASE WHEN origin = 'enrolled' OR coalesce((SELECT action FROM history WHERE history.product = pictures.product
             AND history.reference = pictures.name AND action NOT IN ('retire', 'rollback') ORDER BY sequence DESC LIMIT 1), '') IN ('confirm', 'adopt') THEN 1 ELSE 0 END"
    };
    let newer = if schema < 3 { "NULL, NULL" } else { "size_mm, light" };
    let query = format!(
        "SELECT product, name, width, height, n_features, camera, provenance, version, state, added_ns, added_by, {learned}, {newer}
         FROM pictures WHERE product = ?1 ORDER BY name"
    );
    let rows = statements.all(&query, &[product.into()], record_of)?;
    if rows.is_empty() { Err(StoreError::Unknown(product.to_owned())) } else { Ok(rows) }
}

pub(crate) fn history(statements: &mut dyn Statements, product: Option<&str>) -> Result<Vec<Event>, StoreError> {
    let query = "SELECT sequence, at_ns, actor, action, product, reference, state, detail
         FROM history WHERE CAST(?1 AS TEXT) IS NULL OR product = ?1 ORDER BY sequence";
    statements.all(query, &[product.into()], |row| {
        Ok(Event {
            sequence: row.int(0)?,
            at_ns: row.int(1)?,
            actor: row.text(2)?,
            action: row.text(3)?,
            product: row.text(4)?,
            reference: row.text(5)?,
            state: state_of(row, 6)?,
            detail: row.text(7)?,
        })
    })
}

fn record_of(row: &Row) -> Result<ReferenceRecord, StoreError> {
    Ok(ReferenceRecord {
        product: row.text(0)?,
        name: row.text(1)?,
        width: row.number(2)?,
        height: row.number(3)?,
        features: row.number(4)?,
        camera: row.text(5)?,
        size_mm: row.text(13).ok(),
        light: row.text(14).unwrap_or_default(),
        provenance: row.text(6)?,
        version: row.number(7)?,
        state: state_of(row, 8)?,
        added_ns: row.int(9)?,
        added_by: row.text(10)?,
        origin: if row.text(11)? == "learned" { Origin::Learned } else { Origin::Enrolled },
        pristine: row.int(12)? != 0,
    })
}

pub(crate) fn state_of(row: &Row, column: usize) -> Result<State, StoreError> {
    let text = row.text(column)?;
    State::parse(&text).ok_or_else(|| row.odd(column, "a state", Some(&Value::Text(text.clone()))))
}
