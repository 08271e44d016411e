//! Which product is in a picture whose background is unknown.

use std::collections::BTreeMap;

use nalgebra::Matrix3;
use opencv::core::Size;
use opencv::imgproc;

use crate::appearance::Appearance;
use crate::consensus::{Consensus, consensus};
use crate::embedding::Embedding;
use crate::features::{Features, pairs};
use crate::gallery::Reference;
use crate::identify::{MAX_RATIO, certainty};
use crate::register::warped;
use crate::scene::{Region, Scene, prior};
use crate::{Candidate, Gallery, IDENTITY_THRESHOLD, Identification, MatchError, cv};

/// Likeness of colour and misfit of shape weigh so much beside one agreeing feature; fitted on `retail_arc2017`.
const COLOR_WEIGHT: f32 = 10.0;
const SHAPE_WEIGHT: f32 = 2.0;
/// Cosine of the embeddings of a region and of a reference weighs so much; fitted on the same.
const EMBEDDING_WEIGHT: f32 = 6.0;
/// Fewer agreeing features than this are chance in a region …
const MIN_AGREEING: usize = 4;
/// … and than this in the whole picture.
const MIN_AGREEING_ANYWHERE: usize = 6;
/// In the whole picture an item's longer side is about this share of the picture's.
const ANYWHERE_EXTENT: f32 = 0.4;
/// Total weight at which the score is one half: strangers stay below.
const HALF_WEIGHT: f32 = 12.0;
/// Total weight that anything in a picture has.
const FLOOR_WEIGHT: f32 = 2.0;
/// A rival product with more than this share of the best one's weight above the floor makes the answer ambiguous.
const RIVAL_SHARE: f32 = 0.85;

/// What speaks for a product in a picture.
#[derive(Clone, Copy)]
struct Seen<'a> {
    weight: f32,
    agreeing: u32,
    resemblance: Option<f32>,
    reference: &'a Reference,
}

impl Gallery {
    /// Which product a picture shows, among `candidates` when given, else among all. Every product asked for is ranked: by
    /// agreeing features, and by colour and proportions where there are none. Those alone never make a match.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn search(&self, scene: &Scene, candidates: Option<&[String]>) -> Result<Identification, MatchError> {
        let embed = |region: &Region| self.embedder().map(|e| e.embed(&region.cutout)).transpose();
        let embeddings: Vec<Option<Embedding>> = scene.regions.iter().map(embed).collect::<Result<_, _>>()?;
        let mut best: BTreeMap<&str, Seen> = BTreeMap::new();
        for reference in self.asked(candidates) {
            let mut seen = anywhere(scene, reference)?;
            for (region, embedding) in scene.regions.iter().zip(&embeddings) {
                let here = in_region(region, embedding.as_ref(), reference);
                if here.weight > seen.weight {
                    seen = here;
                }
            }
            let entry = best.entry(reference.product.as_str()).or_insert(seen);
            if seen.weight > entry.weight {
                *entry = seen;
            }
        }
        Ok(ranked(best))
    }
}

fn matched(features: &Features, reference: &Reference, extent_px: f32, least: usize) -> Option<Consensus> {
    let pairs = pairs(features, &reference.features, usize::MAX, usize::MAX, MAX_RATIO);
    consensus(features, &reference.features, &pairs, extent_px).filter(|c| c.pairs.len() >= least)
}

fn in_region<'a>(region: &Region, embedding: Option<&Embedding>, reference: &'a Reference) -> Seen<'a> {
    let found = matched(&region.features, reference, region.extent_px, MIN_AGREEING);
    let resemblance = reference.resemblance(embedding);
    let looks = looks(&region.appearance, &reference.appearance) + region.prior + EMBEDDING_WEIGHT * resemblance.unwrap_or(0.0);
    let weight = found.as_ref().map_or(0.0, certainty) + looks;
    Seen { weight, agreeing: found.map_or(0, |c| c.pairs.len() as u32), resemblance, reference }
}

fn looks(seen: &Appearance, reference: &Appearance) -> f32 {
    COLOR_WEIGHT * seen.likeness(reference) - SHAPE_WEIGHT * seen.misfit(reference)
}

/// The reference laid over the whole picture where its features agree, and judged by the colours there.
fn anywhere<'a>(scene: &Scene, reference: &'a Reference) -> Result<Seen<'a>, MatchError> {
    let nothing = Seen { weight: f32::MIN, agreeing: 0, resemblance: None, reference };
    let extent_px = ANYWHERE_EXTENT * scene.picture.longer_px() as f32;
    let Some(found) = matched(&scene.features, reference, extent_px, MIN_AGREEING_ANYWHERE) else { return Ok(nothing) };
    let outline = &reference.cutout;
    let mask = cv::from_bytes(outline.color().width(), outline.color().height(), outline.foreground())?;
    let look_from_reference = Matrix3::new_scaling(f64::from(scene.look_scale)) * found.item_from_reference;
    let size = Size::new(opencv::core::MatTraitConst::cols(&scene.lab), opencv::core::MatTraitConst::rows(&scene.lab));
    let laid = warped(&mask, &look_from_reference, size, imgproc::INTER_NEAREST)?;
    if opencv::core::count_non_zero(&laid)? == 0 {
        return Ok(nothing);
    }
    let seen = Appearance::of_mask(&scene.lab, &laid)?;
    let weight = certainty(&found) + COLOR_WEIGHT * seen.likeness(&reference.appearance) + prior(&scene.lab, &laid)?;
    Ok(Seen { weight, agreeing: found.pairs.len() as u32, resemblance: None, reference })
}

fn ranked(best: BTreeMap<&str, Seen>) -> Identification {
    let half = HALF_WEIGHT - FLOOR_WEIGHT;
    let candidate = |(product, seen): (&str, Seen)| {
        // Softened near the floor, so that what lies below it keeps its order.
        let above = seen.weight - FLOOR_WEIGHT;
        let above = if above < 10.0 { (1.0 + above.exp()).ln() } else { above };
        let score = above / (above + half);
        // Looks alone are no evidence of identity.
        let score = if (seen.agreeing as usize) < MIN_AGREEING { score * IDENTITY_THRESHOLD } else { score };
        let Seen { agreeing, resemblance, reference, .. } = seen;
        Candidate { product: product.to_owned(), score, agreeing, reference: reference.full_name(), resemblance }
    };
    Identification::of(best.into_iter().map(candidate).collect(), RIVAL_SHARE)
}
