//! Where an edit goes, how large it is, and from where the light comes.

use rand::Rng;

use crate::canvas::Canvas;
use crate::noise::{Dice, between};
use crate::{InjectionError, Operator};

/// Size of an unknown item, millimetres; only shapes depend on it where there is no depth.
const ASSUMED_ITEM_MM: f32 = 160.0;
/// Radius of an edit, share of the item's size (the root of its area).
const RADIUS: (f32, f32) = (0.035, 0.26);
/// Smallest radius, pixels.
const LEAST_PX: f32 = 3.0;
/// An outline nearer to the picture's border is cut off, not the item's.
const BORDER_PX: usize = 8;

/// What a damage and its sham share.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Pixel of the canvas.
    pub at: [f32; 2],
    pub radius: f32,
    pub angle: f32,
    pub stretch: f32,
    /// From the outline towards the item.
    pub inward: [f32; 2],
    /// Towards the lamp: right, down, to the camera; unit.
    pub light: [f32; 3],
    pub mm_per_px: f32,
    /// True when the scale was measured.
    pub is_measured: bool,
    /// Root of the item's area, pixels.
    pub item_px: f32,
}

impl Place {
    pub fn draw(
        canvas: &Canvas,
        operator: Operator,
        picture: (u32, u32),
        focal_px: Option<f32>,
        dice: &mut Dice,
    ) -> Result<Place, InjectionError> {
        let item_px = (canvas.area_px() as f32).sqrt();
        let share = RADIUS.0 * (RADIUS.1 / RADIUS.0).powf(dice.random::<f32>());
        let grown = if operator.is_at_outline() { 1.4 } else { 1.0 };
        let radius = (item_px * share * grown).max(LEAST_PX);
        let free = |i: &usize| {
            let (x, y) = (i % canvas.w + canvas.window.x as usize, i / canvas.w + canvas.window.y as usize);
            x.min(y) >= BORDER_PX && x + BORDER_PX < picture.0 as usize && y + BORDER_PX < picture.1 as usize
        };
        let deepest = canvas.inside.iter().copied().fold(0.0, f32::max);
        let wanted = |i: &usize| {
            let d = canvas.inside[*i];
            if operator.is_at_outline() { d > 0.0 && d <= 1.5 } else { d >= (0.6 * radius).min(0.5 * deepest) }
        };
        let places: Vec<usize> = (0..canvas.item.len()).filter(wanted).filter(free).collect();
        let chosen = *places.get(dice.random_range(0..places.len().max(1))).ok_or(InjectionError::NoPlace)?;
        let at = [(chosen % canvas.w) as f32, (chosen / canvas.w) as f32];
        let (turn, rise) = (between(dice, 0.0, std::f32::consts::TAU), between(dice, 0.6, 1.15));
        let depth = canvas.depth_near(at, radius);
        let measured = depth.zip(focal_px).map(|(z, f)| 1000.0 * z / f);
        Ok(Place {
            at,
            radius,
            angle: between(dice, 0.0, std::f32::consts::PI),
            stretch: between(dice, 1.0, 1.8),
            inward: inward(canvas, at, radius),
            light: [rise.cos() * turn.cos(), rise.cos() * turn.sin(), rise.sin()],
            mm_per_px: measured.unwrap_or(ASSUMED_ITEM_MM / item_px),
            is_measured: measured.is_some(),
            item_px,
        })
    }

    /// Coordinates along and across the edit, 1 at its radius.
    pub fn local(&self, x: f32, y: f32, stretch: f32) -> (f32, f32) {
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = ((x - self.at[0]) / self.radius, (y - self.at[1]) / self.radius);
        ((dx * cos + dy * sin) / stretch.sqrt(), (dy * cos - dx * sin) * stretch.sqrt())
    }

    /// Pixels inwards from the outline and along it.
    pub fn across(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.at[0], y - self.at[1]);
        (dx * self.inward[0] + dy * self.inward[1], dy * self.inward[0] - dx * self.inward[1])
    }
}

/// Towards the middle of what lies around `at` of the item.
fn inward(canvas: &Canvas, at: [f32; 2], radius: f32) -> [f32; 2] {
    let reach = radius.max(6.0);
    let mut sum = [0.0f32; 2];
    for (i, _) in canvas.item.iter().enumerate().filter(|(_, item)| **item) {
        let (dx, dy) = ((i % canvas.w) as f32 - at[0], (i / canvas.w) as f32 - at[1]);
        if dx.hypot(dy) < reach {
            sum = [sum[0] + dx, sum[1] + dy];
        }
    }
    let length = sum[0].hypot(sum[1]);
    if length > 1e-3 { [sum[0] / length, sum[1] / length] } else { [0.0, 1.0] }
}
