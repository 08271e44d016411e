//! Tears, holes and opened flaps: the inside shows, with the shadow of its edge in it.

use super::times;
use crate::canvas::Canvas;
use crate::noise::{Dice, Noise, between, one_of, ramp};
use crate::place::Place;
use crate::plan::Plan;

/// What packages are made of inside, linear light.
const PLIES: [[f32; 3]; 5] = [[0.40, 0.28, 0.17], [0.50, 0.40, 0.28], [0.62, 0.60, 0.56], [0.30, 0.29, 0.28], [0.70, 0.70, 0.69]];
/// What lies in them.
const INSIDES: [[f32; 3]; 6] =
    [[0.16, 0.11, 0.07], [0.09, 0.085, 0.08], [0.42, 0.41, 0.39], [0.24, 0.17, 0.10], [0.10, 0.13, 0.18], [0.30, 0.28, 0.26]];
/// How far light reaches into the shadow of an edge.
const SHADOW: f32 = 0.14;

/// A ragged opening: long and thin for a tear, round for a hole.
pub(super) fn opening(canvas: &Canvas, place: &Place, is_tear: bool, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let stretch = if is_tear { between(dice, 3.0, 7.0) } else { place.stretch };
    let (ragged, wander) = if is_tear { (between(dice, 0.15, 0.35), between(dice, 0.3, 0.9)) } else { (between(dice, 0.12, 0.28), 0.0) };
    let to_px = r / stretch.sqrt();
    // Pixels into the opening; negative outside.
    let into = |x: f32, y: f32| {
        let (u, v) = place.local(x, y, stretch);
        let v = v + wander * noise.layers(1.3 * u + 3.0, 7.0, 2);
        let jag = ragged * noise.layers(3.0 * x / r, 3.0 * y / r, 3) + 0.06 * noise.layers(11.0 * x / r, 11.0 * y / r + 5.0, 2);
        (1.0 - u.hypot(v) * (1.0 + jag)) * to_px
    };
    let deep_mm = between(dice, 6.0, 35.0);
    let (ply, inside) = (times(one_of(dice, PLIES), between(dice, 0.7, 1.2)), times(one_of(dice, INSIDES), between(dice, 0.4, 1.3)));
    let rim_px = between(dice, 0.8, 1.6 + 0.10 * r);
    let (raised_mm, lost) = (between(dice, 0.5, 3.0), between(dice, 0.0, 0.5));
    // An edge throws its shadow as far as the inside lies below it.
    let flat = place.light[0].hypot(place.light[1]).max(1e-3);
    let throw = (deep_mm / place.mm_per_px * flat / place.light[2]).min(1.3 * r);
    let lamp = [place.light[0] / flat, place.light[1] / flat];
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let on_item = ramp(0.0, 1.5, canvas.inside[i]);
        let f = into(x, y);
        if on_item <= 0.0 || f < -6.0 * rim_px - 2.0 {
            return;
        }
        let fibre = 1.0 + 0.25 * noise.layers(0.9 * x, 0.9 * y, 1);
        let rim = rim_px * (0.7 + 0.8 * noise.layers(7.0 * x / r + 31.0, 7.0 * y / r, 2)).max(0.1);
        touch.cover(times(ply, fibre), 0.9 * on_item * ramp(-rim - 0.7, -rim + 0.7, f));
        let shaded = 1.0 - ramp(-1.5, 1.5, into(x + throw * lamp[0], y + throw * lamp[1]));
        let lit = 1.0 - (1.0 - SHADOW) * shaded;
        let rumpled = 1.0 + 0.5 * noise.layers(5.0 * x / r, 5.0 * y / r + 40.0, 3);
        let open = on_item * ramp(-0.6, 0.8, f);
        touch.cover(times(inside, lit * rumpled), open);
        // The torn edge stands up.
        touch.relief_mm = -raised_mm * on_item * (1.0 - open) * ramp(-4.0 * rim_px - 2.0, 0.0, f);
        touch.sink_mm = deep_mm * open;
        touch.drop = open * lost * (0.3 + 0.7 * shaded);
        touch.damaged = f > -rim && on_item > 0.5;
    });
    plan
}

/// A flap folded out over the outline, and the opening that it leaves.
pub(super) fn flap(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let noise = Noise::new(dice);
    let (half, long) = (place.radius * between(dice, 0.7, 1.1), place.radius * between(dice, 0.7, 1.3));
    let (bend, skew) = (between(dice, 0.25, 1.1), between(dice, -0.25, 0.25));
    let (out, up_px) = (long * bend.cos(), long * bend.sin());
    let (ply, inside) = (times(one_of(dice, PLIES), between(dice, 0.7, 1.2)), times(one_of(dice, INSIDES), between(dice, 0.4, 1.0)));
    // Facing the lamp it is bright, turned away dark.
    let facing = -(place.inward[0] * place.light[0] + place.inward[1] * place.light[1]) * bend.sin() + place.light[2] * bend.cos();
    let lit = (0.42 + 0.58 * facing.max(0.0) / place.light[2]).clamp(0.25, 1.4);
    let (deep_mm, lost) = (between(dice, 8.0, 35.0), between(dice, 0.0, 0.4));
    let hinge_m = canvas.depth_near(place.at, place.radius);
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (s, along) = place.across(x, y);
        let ragged = 0.6 * noise.layers(0.25 * x, 0.25 * y, 2);
        let side = half - (along - skew * s).abs() + ragged;
        let on_item = ramp(0.0, 1.5, canvas.inside[i]);
        let open = ramp(-0.6, 0.6, side) * ramp(-0.6, 0.6, s) * (1.0 - ramp(-0.6, 0.6, s - long - ragged)) * on_item;
        if open > 0.0 {
            let deep = 0.25 + 0.75 * ramp(0.0, 1.0, s / long);
            let rumpled = 1.0 + 0.5 * noise.layers(5.0 * x / long, 5.0 * y / long, 3);
            touch.cover(times(inside, deep * rumpled), open);
            touch.sink_mm = deep_mm * open;
            touch.drop = lost * open;
        }
        let leaf = ramp(-0.6, 0.6, side) * ramp(-0.6, 0.6, -s) * (1.0 - ramp(-0.6, 0.6, -s - out - ragged));
        if leaf > 0.0 {
            let fibre = 1.0 + 0.15 * noise.layers(0.7 * x, 0.12 * y, 2) - 0.35 * ramp(-3.0, 0.0, s) + 0.3 * ramp(2.0, 0.0, out + s);
            touch.cover(times(ply, lit * fibre), leaf);
            touch.sheet_m =
                hinge_m.filter(|_| leaf > 0.5).map(|z| z - (-s / out.max(1.0)).clamp(0.0, 1.0) * up_px * place.mm_per_px / 1000.0);
        } else if s < 0.0 {
            // It darkens what lies below and beside it.
            let beside = (-side).max(0.0).hypot((-s - out).max(0.0)) / (0.35 * long);
            touch.gain = 1.0 - 0.35 * (1.0 - beside).max(0.0);
        }
        touch.damaged = open > 0.5 || leaf > 0.5;
    });
    plan
}
