//! How a picture gets into the gallery: what is derived from it first, then one transaction.

use std::collections::BTreeSet;

use matching::{EMBEDDING_LEN, Embedding, FeatureOptions, Features};

use crate::codec::{digest, encode};
use crate::folder::is_product_name;
use crate::record::{Act, NewReference, Origin, ReferenceRecord};
use crate::store::log;
use crate::tables::{Statements, Value};
use crate::{Store, StoreError};

/// What is kept of a picture.
pub(crate) struct Derived {
    picture: Vec<u8>,
    mask: Vec<u8>,
    features: Vec<u8>,
    features_len: u32,
    sha256: String,
    /// Of a store that has a network for it.
    embedding: Option<Embedding>,
    /// Whether the database can search by it.
    is_searched: bool,
}

impl Store {
    /// Adds a reference; when this returns it is on the disk. `options` are those that its features are kept for.
    ///
    /// # Errors
    /// When the name is not a product's, the picture is enrolled already, or the gallery cannot be written.
    pub fn enrol(&mut self, new: &NewReference, options: &FeatureOptions) -> Result<ReferenceRecord, StoreError> {
        let derived = self.derive(new, options)?;
        self.write(|statements| insert(statements, new, derived))
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
        let sha256 = digest(&picture, &mask);
        Ok(Derived {
            picture,
            mask,
            features_len: features.len() as u32,
            features: features.to_bytes(options),
            sha256,
            embedding,
            is_searched,
        })
    }
}

/// Adds a picture that the product does not have yet.
pub(crate) fn insert(statements: &mut dyn Statements, new: &NewReference, derived: Derived) -> Result<ReferenceRecord, StoreError> {
    let same = "SELECT name FROM pictures WHERE product = ?1 AND sha256 = ?2";
    let same = statements.first(same, &[(&new.product).into(), (&derived.sha256).into()], |row| row.text(0))?;
    if let Some(name) = same {
        return Err(StoreError::Duplicate { product: new.product.clone(), name });
    }
    let record = record(new, free_name(statements, new)?, derived.features_len);
    let searched = derived.embedding.clone().filter(|e| derived.is_searched && e.vector.len() == EMBEDDING_LEN);
    insert_row(statements, &record, derived)?;
    if let Some(Embedding { vector, .. }) = searched {
        let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
        let update = "UPDATE pictures SET embedding_vector = CAST(CAST(?3 AS TEXT) AS vector) WHERE product = ?1 AND name = ?2";
        let params = [(&record.product).into(), (&record.name).into(), Value::Text(format!("[{}]", numbers.join(",")))];
        statements.execute(update, &params)?;
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
             state, added_ns, added_by, sha256, origin, embedding, size_mm, light)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
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
