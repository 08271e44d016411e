//! Units that always lie in the same places of their item.

use super::UnitCount;
use super::scene::{Patch, Scene, apart};
use crate::MatchError;

/// Units of one kind differ in area by no more than this factor from their median.
pub(super) const SAME_AREA: f32 = 1.5;
/// Units of a set; more are texture.
const COUNT: std::ops::RangeInclusive<usize> = 2..=40;
/// Sets of so many may show one unit only; of larger ones, one that shows one is not understood.
const FEW: usize = 3;
/// A unit lies where the layout says when it is no farther off than this share of its own radius.
pub(super) const IN_PLACE: f32 = 0.6;
/// Places of two views are laid over one another up to this number.
pub(super) const MOST_TRIED: usize = 15;
/// Two views agree about the places when at least this share of one's lies at the other's.
const AGREES: f32 = 0.8;
/// A place whose disc lies in the item by less than this share is hidden.
const IN_VIEW: f32 = 0.8;
/// A place with so much paper on it is hidden.
pub(super) const COVERED: f32 = 0.3;

/// The units of one reference.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// 8-bit Lab.
    pub(super) color: [f32; 3],
    /// Middles, in units of the square root of the item's area.
    pub(super) places: Vec<[f32; 2]>,
    /// Median area of a unit as a share of the item's.
    pub(super) area_share: f32,
    /// What has their colour, piece by piece and whatever its shape: areas as shares of the item's.
    pub(super) blobs: Vec<f32>,
    /// What lies around the units, 8-bit Lab.
    pub(super) ground: [f32; 3],
    /// How the item lies in the reference: middle in the same units as the places, direction of its longer side in radians.
    outline: ([f32; 2], f32),
}

/// The patches whose areas are alike, around the median of the larger ones.
pub(super) fn alike(patches: &[Patch]) -> Vec<Patch> {
    let mut best = Vec::new();
    for seed in patches {
        let group: Vec<Patch> =
            patches.iter().copied().filter(|p| p.area <= seed.area * SAME_AREA && p.area * SAME_AREA >= seed.area).collect();
        let weight = |g: &[Patch]| g.iter().map(|p| p.area).sum::<f32>();
        if weight(&group) > weight(&best) {
            best = group;
        }
    }
    best
}

impl Layout {
    /// The group of alike patches that covers most of the reference.
    pub(super) fn of(scene: &Scene) -> Result<Option<Self>, MatchError> {
        let mut best: Option<(f32, Self)> = None;
        for color in scene.colors()? {
            let group = alike(&scene.patches(color)?);
            let total: f32 = group.iter().map(|p| p.area).sum();
            if !COUNT.contains(&group.len()) || best.as_ref().is_some_and(|(area, _)| *area >= total) {
                continue;
            }
            let mut areas: Vec<f32> = group.iter().map(|p| p.area).collect();
            areas.sort_by(f32::total_cmp);
            let unit = scene.area.sqrt();
            let places = group.iter().map(|p| p.at.map(|v| v / unit)).collect();
            let median = areas[areas.len() / 2];
            let ground = scene.around(&group, (median / std::f32::consts::PI).sqrt(), color)?;
            let (middle, turn) = scene.outline()?;
            let outline = (middle.map(|v| v / unit), turn);
            let blobs = scene.blobs(color)?.into_iter().map(|area| area / scene.area).collect();
            best = Some((total, Self { color, places, area_share: median / scene.area, blobs, ground, outline }));
        }
        Ok(best.map(|(_, layout)| layout))
    }

    /// Whether the places are those of another view, turned, shifted and of a little other size. More than [`MOST_TRIED`] are taken at their
    /// word: trying all pairs of them takes seconds where none fits.
    pub(super) fn lies_as(&self, other: &Layout) -> bool {
        let (fewer, more) = (self.places.len().min(other.places.len()), self.places.len().max(other.places.len()));
        if (fewer as f32) < AGREES * more as f32 || more > MOST_TRIED {
            return fewer == more && more > MOST_TRIED;
        }
        let radius = (other.area_share / std::f32::consts::PI).sqrt();
        let patches: Vec<Patch> = other.places.iter().map(|at| Patch { at: *at, area: other.area_share }).collect();
        let laid = lay(&self.places, &patches, IN_PLACE * radius).unwrap_or_default();
        let hits = laid.iter().filter(|v| patches.iter().any(|p| apart(p.at, **v) <= IN_PLACE * radius)).count();
        hits as f32 >= AGREES * more as f32
    }

    pub(super) fn count(&self, scene: &Scene) -> Result<Option<UnitCount>, MatchError> {
        let (unit, unit_area) = (scene.area.sqrt(), self.area_share * scene.area);
        let patches: Vec<Patch> =
            scene.patches(self.color)?.into_iter().filter(|p| p.area <= unit_area * SAME_AREA && p.area * SAME_AREA >= unit_area).collect();
        if patches.is_empty() {
            return Ok(None);
        }
        let (expected, radius) = (self.places.len() as u32, (unit_area / std::f32::consts::PI).sqrt());
        let places: Vec<[f32; 2]> = self.places.iter().map(|p| p.map(|v| v * unit)).collect();
        let by_units = lay(&places, &patches, IN_PLACE * radius);
        // One unit has no direction: the outline of the item does.
        let by_outline =
            || -> Result<_, MatchError> { Ok(self.lay_by_outline(&places, &patches, IN_PLACE * radius, scene.outline()?, unit)) };
        let few = self.places.len() <= FEW;
        let Some(laid) = by_units.map_or_else(|| if few { by_outline() } else { Ok(None) }, |laid| Ok(Some(laid)))? else {
            return Ok(None);
        };
        let paper = scene.paper(self, unit_area)?;
        let mut by_color = 0;
        let mut count = UnitCount { expected, seen: 0, hidden: 0, missing: Vec::new(), score: 0.0 };
        for place in laid {
            if patches.iter().any(|p| apart(p.at, place) <= IN_PLACE * radius) {
                count.seen += 1;
                continue;
            }
            let [inside, same, paper] = scene.disc(place, 0.7 * radius, self, &paper)?;
            if same > 0.6 {
                // A unit that runs into something of its colour.
                (count.seen, by_color) = (count.seen + 1, by_color + 1);
            } else if inside < IN_VIEW || paper > COVERED {
                count.hidden += 1;
            } else {
                count.score = count.score.max(1.0 - same);
                count.missing.push(scene.rect_around(place, radius));
            }
        }
        // A colour that lies everywhere is not that of units.
        Ok((2 * by_color <= count.seen).then_some(count))
    }
}

impl Layout {
    /// The places laid over the item by its outline, in the direction in which its units lie in place best. `None`: in neither.
    fn lay_by_outline(
        &self,
        places: &[[f32; 2]],
        patches: &[Patch],
        tolerance: f32,
        (middle, turn): ([f32; 2], f32),
        unit: f32,
    ) -> Option<Vec<[f32; 2]>> {
        let from = self.outline.0.map(|v| v * unit);
        let ways = [0.0, std::f32::consts::PI].map(|way| {
            let (s, c) = (turn - self.outline.1 + way).sin_cos();
            let laid = places.iter().map(|v| [v[0] - from[0], v[1] - from[1]]);
            laid.map(|d| [middle[0] + c * d[0] - s * d[1], middle[1] + s * d[0] + c * d[1]]).collect::<Vec<_>>()
        });
        let off = |laid: &Vec<[f32; 2]>| {
            let apart_least = |p: &Patch| laid.iter().map(|v| apart(p.at, *v)).fold(f32::INFINITY, f32::min);
            patches.iter().map(apart_least).fold(0.0, f32::max)
        };
        let [a, b] = ways;
        let (off_a, off_b) = (off(&a), off(&b));
        match (off_a <= tolerance, off_b <= tolerance) {
            (true, false) => Some(a),
            (false, true) => Some(b),
            // Both fit where the layout is the same in either direction.
            (true, true) => Some(if off_a <= off_b { a } else { b }),
            (false, false) => None,
        }
    }
}

/// Part of the tolerance: a layout whose every place lies nearer to a patch on average is not improved any further.
const GOOD_ENOUGH: f32 = 0.25;

/// How many places lie at a patch, and how far off they are together; `None` when fewer than `needed` can be.
fn in_place(laid: &[[f32; 2]], patches: &[Patch], tolerance: f32, needed: usize) -> Option<(usize, f32)> {
    let (mut n, mut sum) = (0, 0.0);
    for (k, v) in laid.iter().enumerate() {
        let off = patches.iter().map(|p| apart(p.at, *v)).fold(f32::INFINITY, f32::min);
        if off <= tolerance {
            n += 1;
            sum += off;
        }
        if n + laid.len() - k - 1 < needed {
            return None;
        }
    }
    Some((n, sum))
}

/// The places of the layout in the item: the turn, shift and small change of size under which most patches lie in place. All pairs
/// are tried, so that the answer is the same on every run. `None`: less than two patches.
pub(super) fn lay(places: &[[f32; 2]], patches: &[Patch], tolerance: f32) -> Option<Vec<[f32; 2]>> {
    let mut best: Option<(usize, f32, Vec<[f32; 2]>)> = None;
    let most = places.len().min(patches.len());
    for (i, a) in places.iter().enumerate() {
        for b in places.iter().skip(i + 1) {
            for (k, p) in patches.iter().enumerate() {
                for q in patches.iter().enumerate().filter(|(l, _)| *l != k).map(|(_, q)| q) {
                    let (from, to) = ([b[0] - a[0], b[1] - a[1]], [q.at[0] - p.at[0], q.at[1] - p.at[1]]);
                    let length = from[0].hypot(from[1]).max(1e-3);
                    let scale = to[0].hypot(to[1]) / length;
                    if !(0.8..=1.25).contains(&scale) {
                        continue;
                    }
                    // Complex quotient: turn and scale in one.
                    let (c, s) =
                        ((to[0] * from[0] + to[1] * from[1]) / (length * length), (to[1] * from[0] - to[0] * from[1]) / (length * length));
                    let laid: Vec<[f32; 2]> = places
                        .iter()
                        .map(|v| {
                            let d = [v[0] - a[0], v[1] - a[1]];
                            [p.at[0] + c * d[0] - s * d[1], p.at[1] + s * d[0] + c * d[1]]
                        })
                        .collect();
                    let needed = best.as_ref().map_or(0, |(n, ..)| *n);
                    let Some((n, sum)) = in_place(&laid, patches, tolerance, needed) else { continue };
                    if n == most && sum < GOOD_ENOUGH * tolerance * n as f32 {
                        return Some(laid);
                    }
                    if best.as_ref().is_none_or(|(m, s, _)| n > *m || (n == *m && sum < *s)) {
                        best = Some((n, sum, laid));
                    }
                }
            }
        }
    }
    best.map(|(_, _, laid)| laid)
}
