//! Scuffs, stains and wet patches: the surface stays where it is, or nearly.

use rand::Rng;

use super::{SEEN, times};
use crate::canvas::Canvas;
use crate::noise::{Dice, Noise, between, one_of, ramp};
use crate::place::Place;
use crate::plan::Plan;

/// What scuffs leave: bare board, white filler, rubber, metal.
const ABRASIONS: [[f32; 3]; 4] = [[0.58, 0.50, 0.40], [0.74, 0.73, 0.71], [0.05, 0.05, 0.05], [0.44, 0.45, 0.47]];
/// Coffee, oil, mud, ink, rust, sauce.
const LIQUIDS: [[f32; 3]; 6] =
    [[0.10, 0.05, 0.02], [0.28, 0.22, 0.08], [0.14, 0.11, 0.08], [0.03, 0.05, 0.14], [0.22, 0.09, 0.04], [0.30, 0.05, 0.03]];

/// Scratches side by side over a rubbed patch.
pub(super) fn scuff(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let (tone, strength) = (one_of(dice, ABRASIONS), between(dice, 0.5, 0.95));
    let (fine, long) = (between(dice, 0.35, 0.8), between(dice, 0.8, 2.2));
    let (rubbed, curve) = (between(dice, 0.05, 0.35), between(dice, -0.25, 0.25));
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch.max(1.3));
        let v = v + curve * u * u;
        let d = u.hypot(v) * (1.0 + 0.35 * noise.layers(1.8 * x / r, 1.8 * y / r, 3));
        let patch = 1.0 - ramp(0.45, 1.0, d);
        // Long along the movement, a pixel or two across it.
        let line = ramp(0.12, 0.5, noise.layers(long * u, fine * v * r, 2));
        let alpha = patch * (strength * line + rubbed * ramp(-0.2, 0.5, noise.layers(6.0 * x / r, 6.0 * y / r + 9.0, 2)));
        let on_item = ramp(0.0, 1.0, canvas.inside[i]);
        touch.cover(tone, alpha.min(0.95) * on_item);
        touch.relief_mm = 0.15 * patch * line;
        touch.damaged = patch > 0.35 && on_item > 0.5;
    });
    plan
}

/// A dried liquid: a rim darker than its middle, drops around it.
pub(super) fn stain(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let (tint, strength) = (one_of(dice, LIQUIDS), between(dice, 0.3, 0.75));
    let (ring, edge) = (between(dice, 0.0, 0.9), between(dice, 0.04, 0.22));
    let drops: Vec<[f32; 3]> = (0..dice.random_range(0..9))
        .map(|_| {
            let (turn, far) = (between(dice, 0.0, std::f32::consts::TAU), r * between(dice, 1.0, 1.9));
            [place.at[0] + far * turn.cos(), place.at[1] + far * turn.sin(), r * between(dice, 0.04, 0.16)]
        })
        .collect();
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch);
        let d = u.hypot(v) * (1.0 + 0.45 * noise.layers(1.5 * x / r, 1.5 * y / r, 4));
        let body = 1.0 - ramp(1.0 - edge, 1.0, d);
        let rim = ring * (-((d - 1.0 + edge) / 0.08).powi(2)).exp();
        let drop = drops.iter().map(|[a, b, size]| 1.0 - ramp(0.7, 1.1, (x - a).hypot(y - b) / size.max(1.0))).fold(0.0, f32::max);
        let soaked = 0.75 + 0.4 * noise.layers(3.0 * x / r, 3.0 * y / r + 8.0, 3);
        let on_item = ramp(0.0, 1.0, canvas.inside[i]);
        let alpha = strength * (body * soaked + rim).max(drop).clamp(0.0, 1.2) * on_item;
        touch.cover(tint, alpha);
        touch.damaged = alpha > SEEN;
    });
    plan
}

/// Soaked through: darker, cockled, with a sheen where the lamp is mirrored.
pub(super) fn wet_patch(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let (dark, sheen) = (between(dice, 0.35, 0.65), between(dice, 0.0, 0.35));
    let (cockle_mm, edge) = (between(dice, 0.4, 2.0), between(dice, 0.1, 0.35));
    let warm = times([1.0, 0.93, 0.82], 0.5);
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch);
        let d = u.hypot(v) * (1.0 + 0.5 * noise.layers(1.2 * x / r, 1.2 * y / r, 4));
        let on_item = ramp(0.0, 1.0, canvas.inside[i]);
        let wet = (1.0 - ramp(1.0 - edge, 1.0 + 0.4 * edge, d)) * on_item;
        touch.gain = 1.0 - dark * wet;
        touch.cover(times(warm, 0.1), 0.12 * wet);
        let waves = noise.layers(2.6 * x / r + 12.0, 2.6 * y / r, 2);
        touch.relief_mm = cockle_mm * wet * waves;
        touch.gloss = sheen * wet * ramp(0.35, 0.8, noise.layers(2.2 * x / r, 3.4 * y / r + 20.0, 3) + 0.25 * waves);
        touch.damaged = wet > 0.3;
    });
    plan
}
