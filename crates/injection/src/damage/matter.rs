//! Spilt matter, on the item and beside it.

use super::times;
use crate::canvas::Canvas;
use crate::noise::{Dice, Noise, between, one_of, ramp};
use crate::place::Place;
use crate::plan::Plan;

/// Sauce, coffee, soap, juice, milk.
const LIQUIDS: [[f32; 3]; 5] = [[0.34, 0.05, 0.03], [0.08, 0.04, 0.02], [0.10, 0.22, 0.34], [0.50, 0.26, 0.04], [0.72, 0.71, 0.67]];
/// Flour, ground coffee, sand, spice.
const POWDERS: [[f32; 3]; 4] = [[0.76, 0.74, 0.70], [0.09, 0.055, 0.035], [0.46, 0.36, 0.22], [0.44, 0.17, 0.05]];

/// A puddle or a heap of powder across the item's outline.
pub(super) fn spill(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let mut plan = if between(dice, 0.0, 1.0) < 0.55 { puddle(canvas, place, dice) } else { powder(canvas, place, dice) };
    plan.on_item = false;
    plan
}

fn puddle(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let (tint, body) = (one_of(dice, LIQUIDS), between(dice, 0.35, 0.9));
    let (thick_mm, shine, lost) = (between(dice, 0.6, 2.0), between(dice, 0.15, 0.6), between(dice, 0.1, 0.6));
    let mut plan = Plan::new(canvas);
    plan.draw(|_, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch);
        let d = u.hypot(v) * (1.0 + 0.5 * noise.layers(1.1 * x / r, 1.1 * y / r, 3));
        let pool = 1.0 - ramp(0.97, 1.03, d);
        // Thin at its edge, where it is also darkest.
        let rim = (-((d - 0.97) / 0.06).powi(2)).exp() * ramp(0.8, 0.95, d);
        touch.cover(times(tint, 1.0 - 0.5 * rim), pool * body);
        touch.gain = 1.0 - 0.25 * pool * (1.0 - body);
        touch.relief_mm = -thick_mm * (1.0 - ramp(0.75, 1.02, d)) * (1.0 + 0.3 * noise.layers(2.0 * x / r, 2.0 * y / r + 6.0, 2));
        let toward = (place.light[0] * u + place.light[1] * v) * ramp(0.3, 0.9, d);
        touch.gloss = shine * pool * ramp(0.45, 0.8, toward + 0.5 * noise.layers(2.5 * x / r + 8.0, 2.5 * y / r, 2));
        touch.drop = lost * pool;
        touch.damaged = pool > 0.4;
    });
    plan
}

fn powder(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let tint = times(one_of(dice, POWDERS), between(dice, 0.7, 1.2));
    let (thick_mm, dense) = (between(dice, 1.0, 7.0), between(dice, 0.6, 1.2));
    let mut plan = Plan::new(canvas);
    plan.draw(|_, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch);
        let d = u.hypot(v) * (1.0 + 0.4 * noise.layers(1.3 * x / r, 1.3 * y / r, 3));
        let heap = 1.0 - ramp(0.1, 1.15, d);
        let grains = 0.5 + 0.8 * noise.layers(0.55 * x, 0.55 * y, 2);
        let alpha = ramp(0.25, 0.55, heap * dense + 0.5 * (grains - 0.5) * ramp(0.0, 0.2, heap));
        touch.cover(times(tint, 0.8 + 0.3 * grains), alpha);
        touch.relief_mm = -thick_mm * heap * heap * (0.8 + 0.35 * noise.layers(3.0 * x / r, 3.0 * y / r, 3));
        touch.damaged = alpha > 0.3;
    });
    plan
}
