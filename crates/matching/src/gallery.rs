//! The enrolled products, and which of them an item is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::appearance::Appearance;
use crate::color::ColorSignature;
use crate::consensus::{Consensus, consensus};
use crate::embedding::{Embedder, Embedding, cosine};
use crate::features::{FeatureOptions, Features, pairs};
use crate::index::Index;
use crate::{Cutout, Extent, MatchError, Units};

/// Identity scores at or above it are a match; calibrated with `examples/real_exam.rs` (see the README).
pub const IDENTITY_THRESHOLD: f32 = 0.5;
/// Lowe's ratio test.
pub(crate) const MAX_RATIO: f32 = 0.85;
/// Evidence (see [`evidence`]) at which the identity score is one half.
const HALF_EVIDENCE: f32 = 8.0;
/// A rival product with more than this share of the best one's evidence makes the answer ambiguous.
const RIVAL_SHARE: f32 = 0.7;
/// An embedding like the reference's weighs as much as so much evidence of features, …
const RESEMBLANCE_EVIDENCE: f32 = 5.0;
/// … one at or below this cosine nothing. Alone it is no match.
const RESEMBLANCE_FLOOR: f32 = 0.5;
/// Features of a thing that looks otherwise may be a logo that products share: below the larger cosine they count for less, …
const LOOKS_OTHERWISE: [f32; 2] = [0.2, 0.6];
/// … for this share at least. Fitted, as the numbers above, on `examples/identity_exam.rs` (60 products, seed 4700).
const SHARED_LOGO: f32 = 0.4;
/// At first look it counts like so many agreeing features.
const RESEMBLANCE_AT_GLANCE: f32 = 4.0;

/// Agreeing features that leave no doubt: chance and shared logos do not reach them …
const DECISIVE_FEATURES: u32 = 24;
/// … when the other views explain less than this share of what the found one does at first look.
const DECISIVE_SHARE: f32 = 0.4;
/// Agreeing features that confirm a product which the barcode claims: chance rarely finds so many.
const CONFIRMING_FEATURES: u32 = 6;

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
    color: ColorSignature,
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

/// One product in a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The product.
    pub product: String,
    /// [0, 1]; [`IDENTITY_THRESHOLD`] and above is a match.
    pub score: f32,
    /// Features that agree on one placement of the product's best view.
    pub agreeing: u32,
    /// That view, `<product>/<picture>`.
    pub reference: String,
    /// Cosine of its embedding with the most alike view of the product, [-1, 1]; `None` where the gallery has no network for it.
    pub resemblance: Option<f32>,
}

/// Which product an item is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identification {
    /// Products in order of score, best first: every product that was asked for and has a reference, in a large gallery only
    /// those that were proposed ([`GalleryOptions::proposals_above`]).
    pub ranking: Vec<Candidate>,
    /// True when the best is certain enough; otherwise the product is unknown.
    pub is_match: bool,
    /// A rival with more than this share of the best one's evidence makes the answer ambiguous.
    rival_share: f32,
}

impl Identification {
    /// Orders candidates by score and says whether the best is a match: certain enough, and clearly better than its rival.
    pub(crate) fn of(mut ranking: Vec<Candidate>, rival_share: f32) -> Self {
        ranking.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.product.cmp(&b.product)));
        // Scores are evidence over evidence plus a constant; this is the evidence, in units of that constant.
        let evidence = |c: &Candidate| c.score / (1.0 - c.score).max(1e-6);
        let is_match = match ranking.as_slice() {
            [first, second, ..] => first.score >= IDENTITY_THRESHOLD && evidence(second) < rival_share * evidence(first),
            [only] => only.score >= IDENTITY_THRESHOLD,
            [] => false,
        };
        Self { ranking, is_match, rival_share }
    }

    /// What would have been said had only `products` been asked for.
    pub fn among(&self, products: &[String]) -> Self {
        let asked = self.ranking.iter().filter(|c| products.contains(&c.product));
        Self::of(asked.cloned().collect(), self.rival_share)
    }

    /// The same, given what a barcode claims. A claim is a strong prior: where the picture ranks the claimed product
    /// first and its features agree, less evidence than an open search needs confirms it. A claim that the picture does
    /// not rank first changes nothing: it is the reader's part to see that the two disagree.
    pub fn confirmed_by(mut self, claimed: Option<&str>) -> Self {
        let confirmed = |c: &&mut Candidate| Some(c.product.as_str()) == claimed && c.agreeing >= CONFIRMING_FEATURES;
        if let Some(first) = self.ranking.first_mut().filter(confirmed) {
            self.is_match = true;
            first.score = first.score.max(IDENTITY_THRESHOLD);
        }
        self
    }

    /// The product, unless it is unknown.
    pub fn product(&self) -> Option<&Candidate> {
        self.ranking.first().filter(|_| self.is_match)
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
    extents: BTreeMap<String, Extent>,
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

    /// Which product the item is, among `candidates` when given (a tote's manifest), else among all.
    /// A product that is not enrolled is called unknown: `is_match` is false.
    pub fn identify(&self, item: &Item, candidates: Option<&[String]>) -> Identification {
        self.identify_claimed(item, candidates, None)
    }

    /// The same where a barcode claims a product: it is looked at even where a large gallery would not propose it.
    pub fn identify_claimed(&self, item: &Item, candidates: Option<&[String]>, claimed: Option<&str>) -> Identification {
        // Looks that cannot be taken propose nothing; then everything is looked at, which is slow and loses nothing.
        let asked = self
            .worth_a_look(candidates, claimed, |count| self.propose(item, candidates, count))
            .unwrap_or_else(|_| self.asked(candidates).collect());
        let mut best: BTreeMap<&str, Evidence> = BTreeMap::new();
        let mut in_full = 0;
        let looked = self.first_look(item, asked);
        let mut ahead = self.matched_ahead(item, &looked);
        for (glance, reference) in looked {
            let matched = ahead.next();
            let found = if in_full < self.options.matched_references && !is_decided(&best, &reference.product, glance) {
                in_full += 1;
                matched.unwrap_or_else(|| match_view(item, reference, LookAt::All))
            } else {
                None
            };
            let evidence = Evidence::of(found.as_ref(), glance, item, reference);
            match best.entry(reference.product.as_str()) {
                Entry::Vacant(entry) => drop(entry.insert(evidence)),
                Entry::Occupied(mut entry) if evidence.weight > entry.get().weight => drop(entry.insert(evidence)),
                Entry::Occupied(_) => {}
            }
        }
        // The same print in another size is another product.
        for (product, evidence) in &mut best {
            let sizes = item.cutout.extent().zip(self.extents.get(*product));
            evidence.weight *= sizes.map_or(1.0, |(item, product)| item.agreement(product));
        }
        rank(best)
    }

    /// What the first references say in full: of the very first alone where it leaves no doubt, else of as many as may be asked for, side
    /// by side. Whether they are asked for is decided one after another; what is matched in vain costs nothing but a core that waited.
    fn matched_ahead(&self, item: &Item, looked: &[(f32, &Reference)]) -> impl Iterator<Item = Option<Consensus>> + use<> {
        let match_all = |(_, reference): &(f32, &Reference)| match_view(item, reference, LookAt::All);
        let (first, rest) = looked.split_at(looked.len().min(1));
        let mut matched: Vec<Option<Consensus>> = first.iter().map(match_all).collect();
        if !matched.iter().flatten().any(|found| found.pairs.len() as u32 >= DECISIVE_FEATURES) {
            let more = rest.len().min(self.options.matched_references.saturating_sub(1));
            matched.par_extend(rest[..more].par_iter().map(match_all));
        }
        matched.into_iter()
    }

    /// References by how many of the item's strongest features they explain, most first: those are matched in full first.
    fn first_look<'a>(&self, item: &Item, references: Vec<&'a Reference>) -> Vec<(f32, &'a Reference)> {
        if references.len() <= 2 {
            return references.into_iter().map(|r| (0.0, r)).collect();
        }
        let mut scored: Vec<(f32, &Reference)> = references.into_par_iter().map(|r| (glance(item, r, &self.options), r)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored
    }
}

/// What speaks for one product, by its best view.
struct Evidence<'a> {
    weight: f32,
    agreeing: u32,
    /// What the first look at the view said.
    glance: f32,
    resemblance: Option<f32>,
    reference: &'a Reference,
}

impl<'a> Evidence<'a> {
    fn of(found: Option<&Consensus>, glance: f32, item: &Item, reference: &'a Reference) -> Self {
        let likeness = item.color.likeness(&reference.color);
        let resemblance = reference.resemblance(item.embedding());
        // A product without a consensus keeps its place by its look and colour, below any match.
        let weight = found.map_or(0.0, |c| evidence(c, likeness) * credit(resemblance)) + resembling(resemblance) + 0.01 * likeness;
        Self { weight, agreeing: found.map_or(0, |c| c.pairs.len() as u32), glance, resemblance, reference }
    }
}

/// True when matching one more view in full cannot change the answer: a product is found beyond doubt, the best view of
/// another was tried, and what is left was far from it at first look.
fn is_decided(best: &BTreeMap<&str, Evidence>, product: &str, glance: f32) -> bool {
    let found = best.values().filter(|e| e.agreeing >= DECISIVE_FEATURES).max_by(|a, b| a.weight.total_cmp(&b.weight));
    found.is_some_and(|e| e.reference.product == product || (best.len() >= 2 && glance < DECISIVE_SHARE * e.glance))
}

/// How much of the item is looked at.
#[derive(Clone, Copy)]
pub(crate) enum LookAt {
    /// The strongest features of both.
    Strongest { item: usize, reference: usize },
    /// All features.
    All,
}

/// First look at a view: features that agree, and colour where they are equal.
pub(crate) fn glance(item: &Item, reference: &Reference, options: &GalleryOptions) -> f32 {
    let strongest = LookAt::Strongest { item: options.first_look_features, reference: 2 * options.first_look_features };
    let agreeing = match_view(item, reference, strongest).map_or(0.0, |c| c.pairs.len() as f32);
    let resemblance = reference.resemblance(item.embedding()).map_or(0.0, |r| RESEMBLANCE_AT_GLANCE * r.max(0.0));
    agreeing + item.color.likeness(&reference.color) + resemblance
}

/// Matches the item with one view.
pub(crate) fn match_view(item: &Item, reference: &Reference, look: LookAt) -> Option<Consensus> {
    let (items, references) = match look {
        LookAt::Strongest { item, reference } => (item, reference),
        LookAt::All => (usize::MAX, usize::MAX),
    };
    let pairs = pairs(&item.features, &reference.features, items, references, MAX_RATIO);
    consensus(&item.features, &reference.features, &pairs, item.extent_px())
}

/// How far features are believed of a thing that looks so like the reference.
fn credit(resemblance: Option<f32>) -> f32 {
    let [low, high] = LOOKS_OTHERWISE;
    resemblance.map_or(1.0, |r| ((r - low) / (high - low)).clamp(SHARED_LOGO, 1.0))
}

/// What an embedding says, as evidence.
fn resembling(resemblance: Option<f32>) -> f32 {
    RESEMBLANCE_EVIDENCE * resemblance.map_or(0.0, |r| ((r - RESEMBLANCE_FLOOR) / (1.0 - RESEMBLANCE_FLOOR)).max(0.0))
}

/// Agreeing pairs, each by how far it passed the ratio test, scaled by how alike the colours are.
fn evidence(consensus: &Consensus, likeness: f32) -> f32 {
    certainty(consensus) * (0.4 + 0.6 * likeness)
}

/// Agreeing pairs, each by how far it passed the ratio test.
pub(crate) fn certainty(consensus: &Consensus) -> f32 {
    consensus.pairs.iter().map(|p| ((1.0 - p.ratio) / (1.0 - 0.5)).min(1.0)).sum()
}

fn rank(best: BTreeMap<&str, Evidence>) -> Identification {
    let candidate = |(product, evidence): (&str, Evidence)| Candidate {
        product: product.to_string(),
        score: evidence.weight / (evidence.weight + HALF_EVIDENCE),
        agreeing: evidence.agreeing,
        reference: evidence.reference.full_name(),
        resemblance: evidence.resemblance,
    };
    Identification::of(best.into_iter().map(candidate).collect(), RIVAL_SHARE)
}
