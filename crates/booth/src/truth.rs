//! Truth pictures from fragments: instance mask, depth, damage regions, severities.

use vision::{DepthImage, ImageError, LabelMask};

use crate::item::{Recipe, damage_bit};
use crate::render::{Layer, SUPERSAMPLE, Scene};
use crate::severity::{Extent, severity};
use crate::types::{DamageKind, DamageTruth};

/// Native-resolution truth of one picture.
#[derive(Clone)]
pub(crate) struct Plate {
    pub width: usize,
    pub height: usize,
    pub depth_m: Vec<f32>,
    pub instance: Vec<u16>,
    pub damage: Vec<u16>,
}

impl Plate {
    /// An empty plate.
    pub fn new(width: usize, height: usize) -> Plate {
        let n = width * height;
        Plate { width, height, depth_m: vec![0.0; n], instance: vec![0; n], damage: vec![0; n] }
    }

    /// Takes over a window (aligned to whole pixels). A pixel belongs to what most of its samples see.
    pub fn take(&mut self, layer: &Layer, scene: &Scene<'_>) {
        let w = layer.window;
        for row in (0..w.h).step_by(SUPERSAMPLE) {
            for column in (0..w.w).step_by(SUPERSAMPLE) {
                let at = row * w.w + column;
                let four = [at, at + 1, at + w.w, at + w.w + 1].map(|i| &layer.fragments[i]);
                let labels = four.map(|f| scene.instance(f.patch));
                let label = majority(labels);
                let same = four.iter().zip(labels).filter(|(_, l)| *l == label).map(|(f, _)| f);
                let (sum, n) = same.fold((0.0, 0u32), |(sum, n), f| (sum + f.inv_z, n + 1));
                let pixel = (w.y + row) / SUPERSAMPLE * self.width + (w.x + column) / SUPERSAMPLE;
                self.depth_m[pixel] = if sum > 0.0 { n as f32 / sum } else { 0.0 };
                self.instance[pixel] = label;
                self.damage[pixel] = common_bits(four.map(|f| f.damage));
            }
        }
    }

    /// The depth picture.
    pub fn depth_image(&self) -> Result<DepthImage, ImageError> {
        DepthImage::from_raw_m(self.width as u32, self.height as u32, self.depth_m.clone())
    }

    /// The instance mask.
    pub fn mask(&self) -> Result<LabelMask, ImageError> {
        LabelMask::new(self.width as u32, self.height as u32, self.instance.clone())
    }
}

fn majority(labels: [u16; 4]) -> u16 {
    labels.into_iter().max_by_key(|l| (labels.iter().filter(|m| *m == l).count(), *l)).unwrap_or(0)
}

/// Bits that at least two of four samples carry.
fn common_bits(bits: [u16; 4]) -> u16 {
    let [a, b, c, d] = bits;
    (a & (b | c | d)) | (b & (c | d)) | (c & d)
}

/// A surface that moved by more than this belongs to the damage that moved it, mm.
const MOVED_MM: f32 = 3.0;

/// The visible damage of one item: `damaged` and `intact` are plates of the same scene after and before.
pub(crate) fn label(
    recipe: &Recipe,
    instance: u16,
    damaged: &Plate,
    intact: &Plate,
    focal_px: [f32; 2],
) -> Result<Vec<DamageTruth>, ImageError> {
    let pixel_mm2 = |i: usize| pixel_mm2(damaged, i, focal_px);
    let item_area_mm2: f32 = (0..damaged.instance.len()).filter(|i| intact.instance[*i] == instance).map(pixel_mm2).sum();
    let mut found = Vec::new();
    for (number, plan) in recipe.damage.iter().enumerate() {
        let region = region(recipe, number, plan.kind, instance, damaged, intact);
        let area_mm2: f32 = (0..region.len()).filter(|i| region[*i] == 1).map(pixel_mm2).sum();
        let depth_mm = if moves(plan.kind) { movement_mm(&region, instance, damaged, intact) } else { 0.0 };
        let extent = Extent { area_mm2, depth_mm, item_area_mm2 };
        let Some(severity) = severity(plan.kind.kaputt_type(), extent) else { continue };
        let region = LabelMask::new(damaged.width as u32, damaged.height as u32, region)?;
        let Some((bbox, _)) = region.extent(1) else { continue };
        found.push(DamageTruth { instance, kind: plan.kind, kaputt: plan.kind.kaputt_type(), severity, region, bbox, area_mm2, depth_mm });
    }
    Ok(found)
}

/// Of the damage `known` of one item, what another camera sees: `damaged` and `intact` are its plates. Kind and severity are the
/// item's; region, area and movement are measured here. `known` has an entry for each damage of the recipe, in its order.
pub(crate) fn label_beside(
    recipe: &Recipe,
    known: &[&DamageTruth],
    damaged: &Plate,
    intact: &Plate,
    focal_px: [f32; 2],
) -> Result<Vec<DamageTruth>, ImageError> {
    let mut found = Vec::new();
    for (number, (plan, known)) in recipe.damage.iter().zip(known).enumerate() {
        let region = region(recipe, number, plan.kind, known.instance, damaged, intact);
        let area_mm2 = (0..region.len()).filter(|i| region[*i] == 1).map(|i| pixel_mm2(damaged, i, focal_px)).sum();
        let depth_mm = if moves(plan.kind) { movement_mm(&region, known.instance, damaged, intact) } else { 0.0 };
        let region = LabelMask::new(damaged.width as u32, damaged.height as u32, region)?;
        let Some((bbox, _)) = region.extent(1) else { continue };
        found.push(DamageTruth { region, bbox, area_mm2, depth_mm, ..**known });
    }
    Ok(found)
}

/// Area that a pixel covers of a surface facing the camera, mm².
fn pixel_mm2(plate: &Plate, i: usize, focal_px: [f32; 2]) -> f32 {
    let z = plate.depth_m[i].max(0.05) * 1000.0;
    z * z / (focal_px[0] * focal_px[1])
}

/// Pixels of damage `number`: those that carry its bit, and, for the first damage that moves matter, those where
/// the item changed without a bit (a crushed corner leaves the tray behind).
fn region(recipe: &Recipe, number: usize, kind: DamageKind, instance: u16, damaged: &Plate, intact: &Plate) -> Vec<u16> {
    let bit = damage_bit(instance, number);
    let first_mover = recipe.damage.iter().position(|d| moves(d.kind)) == Some(number) && moves(kind);
    (0..damaged.instance.len())
        .map(|i| {
            let own = damaged.damage[i] & bit != 0;
            let was = intact.instance[i] == instance;
            let moved = (damaged.depth_m[i] - intact.depth_m[i]).abs() * 1000.0 > MOVED_MM;
            u16::from(own || (first_mover && damaged.damage[i] == 0 && was && moved))
        })
        .collect()
}

/// Whether a kind of damage moves the surface.
fn moves(kind: DamageKind) -> bool {
    !matches!(kind, DamageKind::Scuff | DamageKind::Stain | DamageKind::WetPatch)
}

/// 90th percentile of |Δz| over the region, mm; where the item is seen before and after, unless it is nowhere so
/// (beyond a pushed-in silhouette the ray meets the tray, which says nothing about the dent).
fn movement_mm(region: &[u16], instance: u16, damaged: &Plate, intact: &Plate) -> f32 {
    let moved_mm = |i: usize| (damaged.depth_m[i] - intact.depth_m[i]).abs() * 1000.0;
    let inside = || (0..region.len()).filter(|i| region[*i] == 1);
    let stays = |i: &usize| damaged.instance[*i] == instance && intact.instance[*i] == instance;
    let mut moved: Vec<f32> = inside().filter(stays).map(moved_mm).collect();
    if moved.is_empty() {
        moved = inside().map(moved_mm).collect();
    }
    let Some(last) = moved.len().checked_sub(1) else { return 0.0 };
    let (_, value, _) = moved.select_nth_unstable_by((last * 9).div_ceil(10).min(last), f32::total_cmp);
    *value
}
