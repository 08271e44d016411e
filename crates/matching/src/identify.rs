//! Which product an item is: a first look at every reference, the most alike ones in full, and one ranking.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rayon::prelude::*;

use crate::consensus::{Consensus, consensus};
use crate::features::pairs;
use crate::gallery::Reference;
use crate::{Gallery, GalleryOptions, Item};

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

impl Gallery {
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
            let found = if in_full < self.options().matched_references && !is_decided(&best, &reference.product, glance) {
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
            let more = rest.len().min(self.options().matched_references.saturating_sub(1));
            matched.par_extend(rest[..more].par_iter().map(match_all));
        }
        matched.into_iter()
    }

    /// References by how many of the item's strongest features they explain, most first: those are matched in full first.
    fn first_look<'a>(&self, item: &Item, references: Vec<&'a Reference>) -> Vec<(f32, &'a Reference)> {
        if references.len() <= 2 {
            return references.into_iter().map(|r| (0.0, r)).collect();
        }
        let mut scored: Vec<(f32, &Reference)> = references.into_par_iter().map(|r| (glance(item, r, self.options()), r)).collect();
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
