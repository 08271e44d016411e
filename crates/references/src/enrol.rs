//! How a picture gets into the gallery: what is derived from it first, then one transaction.

use std::collections::BTreeSet;

use matching::{EMBEDDING_LEN, Embedding, FeatureOptions, Features};

use crate::codec::{digest, encode, encode_heights};
use crate::folder::is_product_name;
use crate::record::{Act, NewReference, Origin, ReferenceRecord};
use crate::store::{log, state_of};
use crate::tables::{Row, Statements, Value};
use crate::{Store, StoreError};

/// Embeddings that are made in one transaction.
const AT_ONCE: usize = 100;

/// What is kept of a picture.
pub(crate) struct Derived {
    picture: Vec<u8>,
    mask: Vec<u8>,
    features: Vec<u8>,
    features_len: u32,
    sha256: String,
    /// Of a store that has a network for it.
    heights: Option<Vec<u8>>,
    embedding: Option<Embedding>,
    /// Whether the database can search by it.
    is_searched: bool,
}

impl Store {
    /// Adds a reference; when this returns it is on the disk. `options` are those that its features are kept for. A picture that a person
    /// enrolled already takes the heights that the same picture brings now: they may have been measured better since.
    ///
    /// # Errors
    /// When the name is not a product's, the picture is enrolled already, or the gallery cannot be written.
    pub fn enrol(&mut self, new: &NewReference, options: &FeatureOptions) -> Result<ReferenceRecord, StoreError> {
        let derived = self.derive(new, options)?;
        let heights = derived.heights.clone().filter(|_| new.origin == Origin::Enrolled);
        let done = self.write(|statements| insert(statements, new, derived));
        if let (Err(StoreError::Duplicate { name, .. }), Some(heights)) = (&done, heights) {
            self.take_heights(new, name, heights)?;
        }
        done
    }

    /// Gives an enrolled picture other heights, with a line of history; nothing is written where it has these.
    fn take_heights(&mut self, new: &NewReference, name: &str, heights: Vec<u8>) -> Result<(), StoreError> {
        let key = [Value::from(&new.product), name.into()];
        let query = "SELECT state, depth FROM pictures WHERE product = ?1 AND name = ?2 AND origin = 'enrolled'";
        let known = |row: &Row| Ok((state_of(row, 0)?, row.blob(1).ok() == Some(heights.as_slice())));
        let known = self.read(|statements| statements.first(query, &key, known))?;
        let Some((state, _)) = known.filter(|(_, is_same)| !is_same) else { return Ok(()) };
        let note = Act { actor: &new.added_by, action: "heights", at_ns: new.added_ns, detail: &new.provenance };
        self.write(|statements| {
            let [product, name_of] = key.clone();
            statements
                .execute("UPDATE pictures SET depth = ?3 WHERE product = ?1 AND name = ?2", &[product, name_of, Value::Blob(heights)])?;
            log(statements, &new.product, name, state, &note)
        })
    }

    /// What takes time, and needs no transaction.
    pub(crate) fn derive(&self, new: &NewReference, options: &FeatureOptions) -> Result<Derived, StoreError> {
        if !is_product_name(&new.product) {
            return Err(StoreError::ProductName(new.product.clone()));
        }
        let bad = |reason: String| StoreError::Picture { name: new.product.clone(), reason };
        let features = Features::of(&new.cutout, options).map_err(|e| bad(e.to_string()))?;
        let embedding = self.embedder.as_ref().map(|e| e.embed(&new.cutout)).transpose().map_err(|e| bad(e.to_string()))?;
        let is_searched = self.tables.searches_embeddings();
        let (picture, mask) = encode(&new.cutout).map_err(bad)?;
        let heights = new.cutout.heights().map(encode_heights).transpose().map_err(bad)?;
        let sha256 = digest(&picture, &mask);
        Ok(Derived {
            picture,
            mask,
            heights,
            features_len: features.len() as u32,
            features: features.to_bytes(options),
            sha256,
            embedding,
            is_searched,
        })
    }
}

impl Store {
    /// Makes the embeddings that active references lack, or have of another network, as after an update; how many. Each hundred is one
    /// transaction: what was done stays when this is interrupted.
    ///
    /// # Errors
    /// When the gallery cannot be read or written.
    pub fn embed_missing(&mut self) -> Result<u32, StoreError> {
        let Some(embedder) = self.embedder.clone().filter(|_| self.away().is_none() && self.tables.schema() >= 3) else { return Ok(0) };
        let query = "SELECT product, name, embedding FROM pictures WHERE state = 'active' ORDER BY product, name";
        let of_now = |row: &Row| row.blob(2).ok().and_then(Embedding::from_bytes).is_some_and(|e| e.model == embedder.model());
        let known = |row: &Row| Ok((row.text(0)?, row.text(1)?, of_now(row)));
        let all = self.read(|statements| statements.all(query, &[], known))?;
        let missing: Vec<(String, String)> = all.into_iter().filter(|(.., is_there)| !is_there).map(|(p, n, _)| (p, n)).collect();
        let (is_searched, mut made) = (self.tables.searches_embeddings(), 0);
        for part in missing.chunks(AT_ONCE) {
            // What cannot be decoded is told when the gallery is read or checked.
            let embed = |(product, name): &(String, String)| embedder.embed(&self.picture(product, name).ok()?).ok();
            let embedded: Vec<_> = part.iter().filter_map(|key| Some((key, embed(key)?))).collect();
            self.write(|statements| {
                for ((product, name), embedding) in &embedded {
                    let update = "UPDATE pictures SET embedding = ?3 WHERE product = ?1 AND name = ?2";
                    statements.execute(update, &[product.into(), name.into(), Value::Blob(embedding.to_bytes())])?;
                    if is_searched {
                        make_searchable(statements, product, name, embedding)?;
                    }
                }
                Ok(())
            })?;
            made += embedded.len() as u32;
        }
        Ok(made)
    }
}

/// Where the database has its own type of vectors, and the network's length fits it.
fn make_searchable(statements: &mut dyn Statements, product: &str, name: &str, embedding: &Embedding) -> Result<(), StoreError> {
    if embedding.vector.len() != EMBEDDING_LEN {
        return Ok(());
    }
    let numbers: Vec<String> = embedding.vector.iter().map(ToString::to_string).collect();
    let update = "UPDATE pictures SET embedding_vector = CAST(CAST(?3 AS TEXT) AS vector) WHERE product = ?1 AND name = ?2";
    statements.execute(update, &[product.into(), name.into(), Value::Text(format!("[{}]", numbers.join(",")))]).map(drop)
}

/// Adds a picture that the product does not have yet.
pub(crate) fn insert(statements: &mut dyn Statements, new: &NewReference, derived: Derived) -> Result<ReferenceRecord, StoreError> {
    let same = "SELECT name FROM pictures WHERE product = ?1 AND sha256 = ?2";
    let same = statements.first(same, &[(&new.product).into(), (&derived.sha256).into()], |row| row.text(0))?;
    if let Some(name) = same {
        return Err(StoreError::Duplicate { product: new.product.clone(), name });
    }
    let record = record(new, free_name(statements, new)?, derived.features_len);
    let (embedding, is_searched) = (derived.embedding.clone(), derived.is_searched);
    insert_row(statements, &record, derived)?;
    if let Some(embedding) = embedding.filter(|_| is_searched) {
        make_searchable(statements, &record.product, &record.name, &embedding)?;
    }
    let action = if record.origin == Origin::Learned { "propose" } else { "enrol" };
    let note = Act { actor: &record.added_by, action, at_ns: record.added_ns, detail: &record.provenance };
    log(statements, &record.product, &record.name, record.state, &note)?;
    Ok(record)
}

fn record(new: &NewReference, name: String, features: u32) -> ReferenceRecord {
    ReferenceRecord {
        product: new.product.clone(),
        name,
        width: new.cutout.color().width(),
        height: new.cutout.color().height(),
        features,
        camera: new.camera.clone(),
        light: new.light.clone(),
        size_mm: new.cutout.extent().map(|e| e.to_string()),
        provenance: new.provenance.clone(),
        version: new.version.max(1),
        state: new.state,
        added_ns: new.added_ns,
        added_by: new.added_by.clone(),
        origin: new.origin,
        pristine: new.origin == Origin::Enrolled,
    }
}

fn insert_row(statements: &mut dyn Statements, record: &ReferenceRecord, derived: Derived) -> Result<(), StoreError> {
    statements.execute(
        "INSERT INTO products (id, added_ns, added_by) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        &[(&record.product).into(), record.added_ns.into(), (&record.added_by).into()],
    )?;
    statements.execute(
        "INSERT INTO pictures (product, name, width, height, picture, mask, camera, features, n_features, provenance, version,
             state, added_ns, added_by, sha256, origin, embedding, size_mm, light, depth)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        &[
            (&record.product).into(),
            (&record.name).into(),
            record.width.into(),
            record.height.into(),
            Value::Blob(derived.picture),
            Value::Blob(derived.mask),
            (&record.camera).into(),
            Value::Blob(derived.features),
            record.features.into(),
            (&record.provenance).into(),
            record.version.into(),
            record.state.as_str().into(),
            record.added_ns.into(),
            (&record.added_by).into(),
            Value::Text(derived.sha256),
            record.origin.as_str().into(),
            derived.embedding.map_or(Value::Null, |e| Value::Blob(e.to_bytes())),
            record.size_mm.as_deref().into(),
            Some(record.light.as_str()).filter(|l| !l.is_empty()).into(),
            derived.heights.map_or(Value::Null, Value::Blob),
        ],
    )?;
    Ok(())
}

/// The name asked for while it is free, else the first free number.
fn free_name(statements: &mut dyn Statements, new: &NewReference) -> Result<String, StoreError> {
    let taken = statements.all("SELECT name FROM pictures WHERE product = ?1", &[(&new.product).into()], |row| row.text(0))?;
    let taken: BTreeSet<String> = taken.into_iter().collect();
    let asked = new.name.clone().filter(|name| !taken.contains(name));
    Ok(asked.unwrap_or_else(|| (taken.len()..).map(|n| format!("{n:04}")).find(|n| !taken.contains(n)).unwrap_or_default()))
}
