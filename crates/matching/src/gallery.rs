//! The enrolled products: references, and what is derived from each once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::appearance::Appearance;
use crate::color::ColorSignature;
use crate::embedding::{Embedder, Embedding, cosine};
use crate::features::{FeatureOptions, Features};
use crate::index::Index;
use crate::{Cutout, Extent, MatchError, Units};

/// One reference picture, as it is enrolled.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The product it shows.
    pub product: String,
    /// Its name, unique within the product.
    pub name: String,
    /// The picture.
    pub cutout: Cutout,
}

/// A reference as a store keeps it: what is derived from its picture need not be derived again.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The picture.
    pub picture: Picture,
    /// Its features, taken with the gallery's options; `None`: they are taken now.
    pub features: Option<Features>,
    /// Its embedding, used where the gallery's network made it; else it is made anew.
    pub embedding: Option<Embedding>,
    /// True when it shows a part of the product only, as what was learned does: units are not counted in it.
    pub is_partial: bool,
}

impl From<Picture> for Enrolled {
    fn from(picture: Picture) -> Self {
        Self { picture, features: None, embedding: None, is_partial: false }
    }
}

/// A picture that could not be enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// `<product>/<name>`.
    pub picture: String,
    /// One sentence.
    pub reason: String,
}

/// How a gallery works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GalleryOptions {
    /// Features of items and references.
    pub features: FeatureOptions,
    /// The item's strongest features that look at every reference first …
    pub first_look_features: usize,
    /// … to choose the references that are matched in full.
    pub matched_references: usize,
    /// References of a product that an item is compared with; the smallest difference counts.
    pub compared_references: usize,
    /// Comparison happens at this length of the item's longer side, pixels.
    pub compare_px: u32,
    /// When more references than this are asked for, looks propose products from an index, and only those are matched.
    /// A first look takes time in proportion to their number.
    pub proposals_above: usize,
    /// So many products are proposed.
    pub proposed_products: usize,
}

impl Default for GalleryOptions {
    fn default() -> Self {
        Self {
            features: FeatureOptions::default(),
            first_look_features: 60,
            matched_references: 8,
            compared_references: 4,
            compare_px: 256,
            proposals_above: 2000,
            proposed_products: 200,
        }
    }
}

/// An item to be identified and compared: its cutout and what is derived from it once.
#[derive(Clone, Debug)]
pub struct Item {
    pub(crate) cutout: Cutout,
    pub(crate) features: Features,
    pub(crate) color: ColorSignature,
    /// Where the gallery has a network for it.
    pub(crate) embedding: Option<Embedding>,
}

impl Item {
    /// Derives features and colour signature.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn prepare(cutout: Cutout, options: &FeatureOptions) -> Result<Self, MatchError> {
        Ok(Self { features: Features::of(&cutout, options)?, color: ColorSignature::of(&cutout), embedding: None, cutout })
    }

    /// Its embedding; `None` where the gallery has no network that makes one.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref()
    }

    /// The item's picture.
    pub fn cutout(&self) -> &Cutout {
        &self.cutout
    }

    /// Its local features; a plane without texture has none.
    pub fn features(&self) -> &Features {
        &self.features
    }

    pub(crate) fn extent_px(&self) -> f32 {
        self.cutout.color().width().max(self.cutout.color().height()) as f32
    }
}

/// One enrolled picture with what is derived from it once.
#[derive(Debug)]
pub(crate) struct Reference {
    pub product: String,
    pub name: String,
    pub cutout: Cutout,
    /// The same, no larger than a comparison needs.
    pub small: Cutout,
    pub features: Features,
    pub color: ColorSignature,
    /// Colours and proportions, for pictures whose background is unknown.
    pub appearance: Appearance,
    /// True when it shows a part of the product only.
    pub is_partial: bool,
    /// Its countable units, once somebody has asked.
    pub units: OnceLock<Option<crate::units::Layout>>,
    /// The embedding that came with it, and the one that the gallery's network makes; `None` where it fails.
    kept: Option<Embedding>,
    embedding: OnceLock<Option<Embedding>>,
    digest: [u8; 32],
}

impl Reference {
    fn derive(enrolled: Enrolled, options: &GalleryOptions) -> Result<Self, MatchError> {
        let Enrolled { picture: Picture { product, name, cutout }, features, embedding: kept, is_partial } = enrolled;
        let mut hash = Sha256::new();
        for part in [product.as_bytes(), name.as_bytes(), cutout.color().data(), cutout.foreground()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        if let Some(heights) = cutout.heights() {
            hash.update((heights.data().len() as u64).to_le_bytes());
            heights.data().iter().for_each(|mm| hash.update(mm.to_le_bytes()));
        }
        let features = match features {
            Some(features) => features,
            None => Features::of(&cutout, &options.features)?,
        };
        let color = ColorSignature::of(&cutout);
        let small = cutout.shrunk(options.compare_px * 3 / 2)?;
        let appearance = Appearance::of(&cutout)?;
        let digest = hash.finalize().into();
        let (units, embedding) = (OnceLock::new(), OnceLock::new());
        Ok(Self { product, name, cutout, small, features, color, appearance, is_partial, units, kept, embedding, digest })
    }

    /// Makes its embedding, unless it is there.
    fn embed(&self, embedder: &Embedder) -> Option<&Embedding> {
        let kept = || self.kept.clone().filter(|kept| kept.model == embedder.model());
        self.embedding.get_or_init(|| kept().or_else(|| embedder.embed(&self.cutout).ok())).as_ref()
    }

    /// Its embedding, where it was made.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.get().and_then(Option::as_ref)
    }

    /// How alike an item and this look to the network, [-1, 1]; `None` where it was not asked.
    pub fn resemblance(&self, seen: Option<&Embedding>) -> Option<f32> {
        let (seen, own) = (seen?, self.embedding()?);
        (seen.model == own.model && seen.vector.len() == own.vector.len()).then(|| cosine(&seen.vector, &own.vector))
    }

    pub fn full_name(&self) -> String {
        format!("{}/{}", self.product, self.name)
    }
}

/// The enrolled products. Cheap to clone: the references are shared.
#[derive(Clone, Debug)]
pub struct Gallery {
    pub(crate) references: Vec<Arc<Reference>>,
    options: GalleryOptions,
    /// Makes embeddings of items and references.
    embedder: Option<Embedder>,
    /// The references' embeddings, or their colours, in their order, where there are enough references to need it.
    pub(crate) looks: Option<Arc<Index>>,
    /// Sizes of the products whose references were measured: a single measure may be wrong.
    pub(crate) extents: BTreeMap<String, Extent>,
    /// Countable units of the products that were asked for.
    pub(crate) units: Arc<Mutex<BTreeMap<String, Arc<Units>>>>,
    version: String,
}

impl Gallery {
    /// Enrols pictures; those that cannot be are named beside the gallery, never silently lost.
    pub fn new(pictures: impl IntoIterator<Item = impl Into<Enrolled>>, options: GalleryOptions) -> (Self, Vec<Rejected>) {
        let mut gallery = Self {
            references: Vec::new(),
            options,
            embedder: None,
            looks: None,
            extents: BTreeMap::new(),
            units: Arc::default(),
            version: String::new(),
        };
        let mut rejected = Vec::new();
        for enrolled in pictures.into_iter().map(Into::into) {
            let full_name = format!("{}/{}", enrolled.picture.product, enrolled.picture.name);
            match Reference::derive(enrolled, &options) {
                Ok(reference) => gallery.references.push(Arc::new(reference)),
                Err(error) => rejected.push(Rejected { picture: full_name, reason: error.to_string() }),
            }
        }
        gallery.index();
        (gallery, rejected)
    }

    /// The same with a network that makes embeddings: they propose products, and support what features say.
    pub fn with_embedder(mut self, embedder: Embedder) -> Self {
        self.embedder = Some(embedder);
        self.index();
        self
    }

    /// The network that makes embeddings.
    pub fn embedder(&self) -> Option<&Embedder> {
        self.embedder.as_ref()
    }

    /// This gallery and one more picture; a picture of the same product and name is replaced.
    ///
    /// # Errors
    /// When the picture cannot be enrolled.
    pub fn with(&self, picture: Picture) -> Result<Self, MatchError> {
        let reference = Arc::new(Reference::derive(picture.into(), &self.options)?);
        let mut gallery = self.clone();
        gallery.references.retain(|r| r.product != reference.product || r.name != reference.name);
        gallery.references.push(reference);
        gallery.index();
        Ok(gallery)
    }

    /// This gallery with other references of one product; those that cannot be used are named.
    pub fn replaced(&self, product: &str, references: impl IntoIterator<Item = impl Into<Enrolled>>) -> (Self, Vec<Rejected>) {
        let (fresh, rejected) = Self::new(references, self.options);
        let mut gallery = self.clone();
        gallery.references.retain(|r| r.product != product);
        gallery.references.extend(fresh.references);
        gallery.index();
        (gallery, rejected)
    }

    /// The references that `keep` says yes to, by product and name. Cheap: pictures are shared.
    pub fn only(&self, keep: impl Fn(&str, &str) -> bool) -> Self {
        let mut gallery = self.clone();
        gallery.references.retain(|r| keep(&r.product, &r.name));
        gallery.index();
        gallery
    }

    /// Order and version depend on what is enrolled, not on when.
    fn index(&mut self) {
        self.references.sort_by(|a, b| (&a.product, &a.name).cmp(&(&b.product, &b.name)));
        let mut hash = Sha256::new();
        self.references.iter().for_each(|r| hash.update(r.digest));
        self.version = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        self.units = Arc::default();
        self.extents = self.measured();
        if let Some(embedder) = &self.embedder {
            self.references.par_iter().for_each(|r| {
                r.embed(embedder);
            });
        }
        self.looks = (self.references.len() > self.options.proposals_above).then(|| Arc::new(self.index_of_looks()));
    }

    /// The middle of what was measured of each product.
    fn measured(&self) -> BTreeMap<String, Extent> {
        let mut sizes = BTreeMap::<&str, Vec<Extent>>::new();
        for (reference, extent) in self.references.iter().filter_map(|r| Some((r, r.cutout.extent()?))) {
            sizes.entry(&reference.product).or_default().push(extent);
        }
        sizes.into_iter().filter_map(|(product, sizes)| Some((product.to_owned(), Extent::median(&sizes)?))).collect()
    }

    /// Twelve hexadecimal digits that change with every enrolled pixel.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How it works.
    pub fn options(&self) -> &GalleryOptions {
        &self.options
    }

    /// Products and how many references each has.
    pub fn products(&self) -> BTreeMap<&str, u32> {
        let mut products = BTreeMap::new();
        for reference in &self.references {
            *products.entry(reference.product.as_str()).or_insert(0) += 1;
        }
        products
    }

    /// References in which no feature was found: they are told apart by nothing but colour.
    pub fn featureless(&self) -> Vec<String> {
        self.references.iter().filter(|r| r.features.is_empty()).map(|r| r.full_name()).collect()
    }

    /// Number of reference pictures.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// True when nothing is enrolled.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// Derives what identification and comparison need, with this gallery's options.
    ///
    /// # Errors
    /// When OpenCV or the network fails.
    pub fn prepare(&self, cutout: Cutout) -> Result<Item, MatchError> {
        self.prepare_embedded(cutout, None)
    }

    /// The same where its embedding is there already; one of another network than the gallery's is made anew.
    ///
    /// # Errors
    /// When OpenCV or the network fails.
    pub fn prepare_embedded(&self, cutout: Cutout, known: Option<Embedding>) -> Result<Item, MatchError> {
        let mut item = Item::prepare(cutout, &self.options.features)?;
        if let Some(embedder) = &self.embedder {
            let known = known.filter(|known| known.model == embedder.model());
            item.embedding = Some(known.map_or_else(|| embedder.embed(&item.cutout), Ok)?);
        }
        Ok(item)
    }

    /// The references of `candidates`, or all.
    pub(crate) fn asked(&self, candidates: Option<&[String]>) -> impl Iterator<Item = &Reference> {
        self.references.iter().map(Arc::as_ref).filter(move |r| candidates.is_none_or(|names| names.contains(&r.product)))
    }
}
