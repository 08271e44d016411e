//! Which pairs of features agree on one placement of the reference in the item's view.
//!
//! A pair of SIFT features fixes a whole similarity (place, scale, orientation), so every pair is a hypothesis and all
//! are tried: exhaustive, no random sampling (after Philbin et al., Object retrieval with large vocabularies, CVPR 2007).

use std::collections::HashMap;

use nalgebra::{Matrix3, Vector3};

use crate::features::{Features, Pair, Place};

/// Pairs tried as hypotheses: the most certain ones. Bounds the work at its square.
const MAX_HYPOTHESES: usize = 200;
/// Two features agree on a placement when their orientations differ by less, radians.
const MAX_TURN_RAD: f32 = 0.6;
/// … and their scales by less than this factor.
const MAX_SCALE_FACTOR: f32 = 1.8;
/// First tolerance of place, as a share of the item's longer side: a similarity stands for perspective and bulges.
const COARSE: f32 = 0.07;
/// Tolerance after an affine fit.
const FINE: f32 = 0.035;
/// Fewer pairs than this fix no affinity.
const MIN_AFFINE: usize = 4;

/// Pairs that agree, and the affinity that they agree on.
#[derive(Clone, Debug)]
pub(crate) struct Consensus {
    pub pairs: Vec<Pair>,
    /// `item_from_reference`, homogeneous pixels, affine.
    pub item_from_reference: Matrix3<f64>,
}

#[derive(Clone, Copy)]
struct Similarity {
    cos: f32,
    sin: f32,
    scale: f32,
    angle_rad: f32,
    tx: f32,
    ty: f32,
}

impl Similarity {
    fn of(item: &Place, reference: &Place) -> Option<Self> {
        let scale = item.size_px / reference.size_px;
        let angle_rad = item.angle_rad - reference.angle_rad;
        let (sin, cos) = angle_rad.sin_cos();
        let (cos, sin) = (cos * scale, sin * scale);
        let tx = item.x - (cos * reference.x - sin * reference.y);
        let ty = item.y - (sin * reference.x + cos * reference.y);
        (scale.is_finite() && scale > 0.02 && scale < 50.0).then_some(Self { cos, sin, scale, angle_rad, tx, ty })
    }

    fn agrees(&self, item: &Place, reference: &Place, tolerance_px: f32) -> bool {
        let dx = self.cos * reference.x - self.sin * reference.y + self.tx - item.x;
        let dy = self.sin * reference.x + self.cos * reference.y + self.ty - item.y;
        if dx * dx + dy * dy > tolerance_px * tolerance_px {
            return false;
        }
        let turn = (item.angle_rad - reference.angle_rad - self.angle_rad).rem_euclid(std::f32::consts::TAU);
        let turn = turn.min(std::f32::consts::TAU - turn);
        let factor = item.size_px / reference.size_px / self.scale;
        turn < MAX_TURN_RAD && factor < MAX_SCALE_FACTOR && factor > 1.0 / MAX_SCALE_FACTOR
    }
}

/// A pair with its two places, and a number for each place: features at one place, with two orientations, share it.
#[derive(Clone, Copy)]
struct Placed<'a> {
    pair: Pair,
    item: &'a Place,
    reference: &'a Place,
    item_spot: usize,
    reference_spot: usize,
}

/// The pairs in order of certainty.
fn placed<'a>(item: &'a Features, reference: &'a Features, pairs: &[Pair]) -> Vec<Placed<'a>> {
    let key = |p: &Place| ((p.x * 2.0) as i32, (p.y * 2.0) as i32);
    let (mut items, mut references) = (HashMap::new(), HashMap::new());
    let mut placed: Vec<Placed> = pairs
        .iter()
        .filter_map(|pair| {
            let (i, r) = (item.places.get(pair.item as usize)?, reference.places.get(pair.reference as usize)?);
            let (next_item, next_reference) = (items.len(), references.len());
            let item_spot = *items.entry(key(i)).or_insert(next_item);
            let reference_spot = *references.entry(key(r)).or_insert(next_reference);
            Some(Placed { pair: *pair, item: i, reference: r, item_spot, reference_spot })
        })
        .collect();
    placed.sort_by(|a, b| a.pair.ratio.total_cmp(&b.pair.ratio).then(a.pair.item.cmp(&b.pair.item)));
    placed
}

/// The largest set of pairs that agree, each feature of either side used once; `None` when fewer than four do.
pub(crate) fn consensus(item: &Features, reference: &Features, pairs: &[Pair], item_extent_px: f32) -> Option<Consensus> {
    let placed = placed(item, reference, pairs);
    let coarse_px = COARSE * item_extent_px;
    let mut best: Vec<Placed> = Vec::new();
    for hypothesis in placed.iter().take(MAX_HYPOTHESES) {
        let Some(similarity) = Similarity::of(hypothesis.item, hypothesis.reference) else { continue };
        let agreeing: Vec<Placed> = placed.iter().filter(|p| similarity.agrees(p.item, p.reference, coarse_px)).copied().collect();
        if agreeing.len() > best.len() {
            let once = each_once(agreeing, placed.len());
            if once.len() > best.len() {
                best = once;
            }
        }
    }
    if best.len() < MIN_AFFINE {
        return None;
    }
    refine(&placed, best, FINE * item_extent_px)
}

/// Fits an affinity and gathers what agrees with it, twice.
fn refine(all: &[Placed], start: Vec<Placed>, fine_px: f32) -> Option<Consensus> {
    let (mut inliers, mut item_from_reference) = (start, None);
    for _ in 0..2 {
        let Some(affinity) = fit_affinity(&inliers) else { break };
        let near = all.iter().filter(|p| error_px(&affinity, p.item, p.reference) < fine_px);
        let agreeing = each_once(near.copied().collect(), all.len());
        if agreeing.len() < MIN_AFFINE {
            break;
        }
        (inliers, item_from_reference) = (agreeing, Some(affinity));
    }
    let pairs = inliers.iter().map(|p| p.pair).collect();
    item_from_reference.map(|item_from_reference| Consensus { pairs, item_from_reference })
}

fn error_px(item_from_reference: &Matrix3<f64>, item: &Place, reference: &Place) -> f32 {
    let at = item_from_reference * Vector3::new(f64::from(reference.x), f64::from(reference.y), 1.0);
    ((at.x as f32 - item.x).powi(2) + (at.y as f32 - item.y).powi(2)).sqrt()
}

/// Keeps the most certain pair of each item feature, reference feature and place: repeated prints and features with two
/// orientations must not vote twice. Expects pairs in order of certainty; `spots` bounds their numbers.
fn each_once(mut pairs: Vec<Placed>, spots: usize) -> Vec<Placed> {
    let (mut items, mut references) = (vec![false; spots], vec![false; spots]);
    pairs.retain(|p| match (items.get_mut(p.item_spot), references.get_mut(p.reference_spot)) {
        (Some(item), Some(reference)) => !*reference && !std::mem::replace(item, true) && !std::mem::replace(reference, true),
        _ => false,
    });
    pairs
}

/// Least-squares affinity that is no reflection and no collapse.
fn fit_affinity(pairs: &[Placed]) -> Option<Matrix3<f64>> {
    let mut normal = Matrix3::<f64>::zeros();
    let (mut right_x, mut right_y) = (Vector3::<f64>::zeros(), Vector3::<f64>::zeros());
    for Placed { item: i, reference: r, .. } in pairs {
        let row = Vector3::new(f64::from(r.x), f64::from(r.y), 1.0);
        normal += row * row.transpose();
        right_x += row * f64::from(i.x);
        right_y += row * f64::from(i.y);
    }
    let inverse = normal.try_inverse()?;
    let (a, b) = (inverse * right_x, inverse * right_y);
    let affinity = Matrix3::new(a.x, a.y, a.z, b.x, b.y, b.z, 0.0, 0.0, 1.0);
    plausible(&affinity).then_some(affinity)
}

/// The linear part turns and scales, and shears by no more than a steep view would.
fn plausible(affinity: &Matrix3<f64>) -> bool {
    let linear = affinity.fixed_view::<2, 2>(0, 0).into_owned();
    let values = linear.svd(false, false).singular_values;
    let (large, small) = (values.max(), values.min());
    affinity.iter().all(|v| v.is_finite()) && linear.determinant() > 0.0 && small > 0.02 && large / small < 4.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use rand::{Rng, SeedableRng};

    fn scene(right: usize, wrong: usize, angle_rad: f32, scale: f32) -> (Features, Features, Vec<Pair>) {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let (mut item, mut reference, mut pairs) = (Features::default(), Features::default(), Vec::new());
        let (sin, cos) = angle_rad.sin_cos();
        for k in 0..right + wrong {
            let r = Place {
                x: rng.random_range(0.0..200.0),
                y: rng.random_range(0.0..200.0),
                size_px: rng.random_range(3.0..20.0),
                angle_rad: rng.random_range(0.0..6.0),
            };
            let i = if k < right {
                Place {
                    x: scale * (cos * r.x - sin * r.y) + 30.0,
                    y: scale * (sin * r.x + cos * r.y) + 40.0,
                    size_px: r.size_px * scale,
                    angle_rad: r.angle_rad + angle_rad,
                }
            } else {
                Place {
                    x: rng.random_range(0.0..200.0),
                    y: rng.random_range(0.0..200.0),
                    size_px: 7.0,
                    angle_rad: rng.random_range(0.0..6.0),
                }
            };
            item.places.push(i);
            reference.places.push(r);
            pairs.push(Pair { item: k as u32, reference: k as u32, ratio: 0.5 });
        }
        (item, reference, pairs)
    }

    #[test]
    fn finds_the_placement_among_wrong_pairs() {
        for angle in [0.0f32, 1.0, 3.0, 5.0] {
            let (item, reference, pairs) = scene(15, 60, angle, 0.8);
            let found = consensus(&item, &reference, &pairs, 200.0).expect("fifteen pairs agree");
            assert!(found.pairs.len() >= 15 && found.pairs.iter().filter(|p| p.item < 15).count() == 15);
            let scale = found.item_from_reference.fixed_view::<2, 2>(0, 0).determinant().sqrt();
            assert!((scale - 0.8).abs() < 0.02, "scale {scale} at {angle}");
        }
    }

    #[test]
    fn chance_agrees_on_little() {
        let (item, reference, pairs) = scene(0, 60, 0.0, 1.0);
        assert!(consensus(&item, &reference, &pairs, 200.0).is_none_or(|c| c.pairs.len() < 7));
        assert!(consensus(&item, &reference, &[], 200.0).is_none());
    }
}
