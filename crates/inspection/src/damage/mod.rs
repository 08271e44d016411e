//! Classical damage scores of one item.
//!
//! Depth and colour become maps (behind the hull, hollows, bumps, roughness, dark openings, matter beside), maps become
//! a few dozen [cues](CUE_NAMES), and small sets of decision trees turn cues into scores.

mod cues;
mod forest;
mod relief;
mod repeat;
mod shape;

use vision::{HeatMap, Rect};

pub use cues::CUE_NAMES;
pub(crate) use forest::TREES;
pub(crate) use relief::Relief;

use crate::defect::{Defect, DefectType, Severity};
use crate::segment::{Cells, dilate};
use cues::Cues;

const TYPES: usize = DefectType::ALL.len();
/// A type's evidence map marks its place where it exceeds this.
const PLACE: f32 = 0.5;

/// Evidence a step of a raster over the picture.
#[derive(Clone, Debug)]
pub(crate) struct EvidenceMap {
    /// Columns of the raster.
    pub w: usize,
    /// Pixel where the raster begins.
    pub origin_px: (f32, f32),
    /// Pixels a step, along columns and rows.
    pub pitch_px: (f32, f32),
    /// Evidence, [0, 1], row after row.
    pub values: Vec<f32>,
}

/// Scores of one item with their places.
#[derive(Clone, Debug)]
pub(crate) struct Assessment {
    /// Score a type, in the order of [`DefectType::ALL`].
    pub scores: [f32; TYPES],
    /// Where each type shows; empty when it has no place.
    pub places: Vec<Option<EvidenceMap>>,
}

impl Assessment {
    /// An item that cannot be measured. No score: its quality flags say that it is in doubt.
    pub fn unknown() -> Self {
        Self { scores: [0.0; TYPES], places: vec![None; TYPES] }
    }

    /// The item's score.
    pub fn overall(&self) -> f32 {
        self.scores.iter().copied().fold(0.0, f32::max)
    }

    /// One defect a type.
    pub fn defects(&self, threshold: f32) -> Vec<Defect> {
        DefectType::ALL
            .into_iter()
            .zip(self.scores)
            .zip(&self.places)
            .map(|((kind, score), place)| Defect {
                kind,
                score,
                severity: Severity::of(score, threshold),
                bbox: place.as_ref().and_then(EvidenceMap::bbox),
            })
            .collect()
    }

    /// Adds the item to a heat map: evidence of each type, scaled by its score.
    pub fn draw(&self, heat: &mut HeatMap) {
        let shown = self.scores.iter().zip(&self.places).filter(|(score, _)| **score > 0.02);
        // One map a raster: the trees' and the network's. Drawing takes longer than merging.
        let mut merged: Vec<EvidenceMap> = Vec::new();
        for (score, place) in shown.filter_map(|(s, p)| p.as_ref().map(|p| (*s, p))) {
            let known = merged.iter().position(|all| all.is_laid_out_as(place));
            let at = known.unwrap_or_else(|| {
                merged.push(EvidenceMap { values: vec![0.0; place.values.len()], ..place.clone() });
                merged.len() - 1
            });
            for (value, v) in merged[at].values.iter_mut().zip(&place.values) {
                *value = value.max((score * v).clamp(0.0, 1.0));
            }
        }
        for all in merged {
            all.draw(heat, 1.0);
        }
    }
}

impl EvidenceMap {
    fn is_laid_out_as(&self, other: &EvidenceMap) -> bool {
        (self.w, self.values.len()) == (other.w, other.values.len()) && self.origin_px == other.origin_px && self.pitch_px == other.pitch_px
    }

    /// The box around what exceeds one half; `None` when nothing does.
    pub(crate) fn bbox(&self) -> Option<Rect> {
        let mut b: Option<(usize, usize, usize, usize)> = None;
        for i in (0..self.values.len()).filter(|i| self.values[*i] > PLACE) {
            let (x, y) = (i % self.w, i / self.w);
            let (x0, y0, x1, y1) = b.unwrap_or((x, y, x, y));
            b = Some((x0.min(x), y0.min(y), x1.max(x), y1.max(y)));
        }
        b.map(|(x0, y0, x1, y1)| {
            let px = |x: usize| (self.origin_px.0 + x as f32 * self.pitch_px.0).max(0.0) as u32;
            let py = |y: usize| (self.origin_px.1 + y as f32 * self.pitch_px.1).max(0.0) as u32;
            Rect { x: px(x0), y: py(y0), w: (px(x1 + 1) - px(x0)).max(1), h: (py(y1 + 1) - py(y0)).max(1) }
        })
    }

    /// Draws with bilinear interpolation; the larger of old and new stays.
    fn draw(&self, heat: &mut HeatMap, scale: f32) {
        let h = self.values.len() / self.w.max(1);
        if h == 0 {
            return;
        }
        let (width, height) = (heat.width() as usize, heat.height() as usize);
        let (px, py) = self.pitch_px;
        let x_from = self.origin_px.0.max(0.0) as usize;
        let x_end = ((self.origin_px.0 + self.w as f32 * px).max(0.0) as usize).min(width);
        let y_end = ((self.origin_px.1 + h as f32 * py).max(0.0) as usize).min(height);
        let place = |at: usize, origin: f32, pitch: f32, n: usize| {
            let u = ((at as f32 - origin + 0.5) / pitch - 0.5).clamp(0.0, (n - 1) as f32);
            (u as usize, (u as usize + 1).min(n - 1), u.fract())
        };
        let columns: Vec<(usize, usize, f32)> = (x_from..x_end).map(|x| place(x, self.origin_px.0, px, self.w)).collect();
        let mut line = vec![0.0f32; self.w];
        for y in self.origin_px.1.max(0.0) as usize..y_end {
            let (y0, y1, fy) = place(y, self.origin_px.1, py, h);
            let (top, low) = (&self.values[y0 * self.w..][..self.w], &self.values[y1 * self.w..][..self.w]);
            for (value, (a, b)) in line.iter_mut().zip(top.iter().zip(low)) {
                *value = scale * (a * (1.0 - fy) + b * fy);
            }
            let cells = &mut heat.data_mut()[y * width + x_from..y * width + x_end];
            for (cell, (x0, x1, fx)) in cells.iter_mut().zip(&columns) {
                let value = (line[*x0] * (1.0 - fx) + line[*x1] * fx).clamp(0.0, 1.0);
                *cell = cell.max(value);
            }
        }
    }
}

/// Distance of each step from the plane through its neighbours, metres.
pub(crate) fn flatness_m(relief: &Relief) -> Vec<f32> {
    shape::roughness_m(relief, 0.008)
}

/// Metres behind the item's convex hull, per step.
pub(crate) fn behind_hull_m(relief: &Relief) -> Vec<f32> {
    shape::behind_hull_m(relief)
}

/// The cues of one item.
pub(crate) fn measure(relief: &Relief) -> [f32; CUE_NAMES.len()] {
    cues::measure(relief).values
}

/// Scores one item.
pub(crate) fn assess(relief: &Relief, cells: &Cells) -> Assessment {
    let cues = cues::measure(relief);
    let scores = forest::score(&cues.values);
    let step = cells.grid.step as f32;
    let origin_px = (relief.origin.0 as f32 * step, relief.origin.1 as f32 * step);
    let pitch = relief.stride as f32 * step;
    let map = |values: Vec<f32>| Some(EvidenceMap { w: relief.w, origin_px, pitch_px: (pitch, pitch), values });
    let places = DefectType::ALL.into_iter().map(|kind| map(evidence(kind, relief, &cues))).collect();
    Assessment { scores, places }
}

/// Where one type of defect would show, [0, 1] a step.
fn evidence(kind: DefectType, relief: &Relief, cues: &Cues) -> Vec<f32> {
    let n = relief.inside.len();
    let ramp = |v: f32, from: f32, to: f32| ((v - from) / (to - from)).clamp(0.0, 1.0);
    match kind {
        DefectType::Penetration => (0..n).map(|i| f32::from(cues.dark_deep[i]).max(ramp(cues.rough_m[i], 0.002, 0.006))).collect(),
        DefectType::Deformation | DefectType::MissingUnit => {
            (0..n).map(|i| ramp(cues.behind_hull_m[i], 0.003, 0.015).max(ramp(cues.hollow_m[i], 0.002, 0.012))).collect()
        }
        DefectType::Actuation => (0..n).map(|i| ramp(cues.bump_m[i], 0.004, 0.02)).collect(),
        DefectType::Deconstruction => (0..n).map(|i| ramp(cues.bump_m[i], 0.004, 0.02).max(ramp(cues.rough_m[i], 0.002, 0.008))).collect(),
        DefectType::Spillage => {
            let border = dilate(&relief.inside, relief.w, 2);
            (0..n).map(|i| if border[i] || relief.foreign[i] { 0.0 } else { relief.stained[i] }).collect()
        }
        DefectType::Superficial => vec![0.0; n],
    }
}
