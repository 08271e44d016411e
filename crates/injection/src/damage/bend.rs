//! Dents and crushed edges: surface, shade and print move together.

use super::SEEN;
use crate::canvas::Canvas;
use crate::noise::{Dice, Noise, between, ramp};
use crate::place::Place;
use crate::plan::Plan;

/// A hollow with a low wall around it and, often, wrinkles.
pub(super) fn dent(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let deep_mm = (r * place.mm_per_px * between(dice, 0.16, 0.4)).clamp(3.2, 22.0);
    let (wrinkled, crack) = (between(dice, 0.0, 0.6), between(dice, -0.6, 0.45));
    let wall = between(dice, 0.03, 0.12);
    let tone = if between(dice, 0.0, 1.0) < 0.7 { [0.72, 0.69, 0.62] } else { [0.05, 0.045, 0.04] };
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (u, v) = place.local(x, y, place.stretch);
        let d = u.hypot(v) * (1.0 + 0.3 * noise.layers(1.4 * x / r, 1.4 * y / r, 3));
        let bowl = (1.0 - d * d).max(0.0).powi(2);
        let folds = noise.folds(2.2 * u + 9.0, 2.2 * v);
        touch.relief_mm = deep_mm * (bowl * (1.0 - wrinkled * folds) - wall * (-((d - 1.1) / 0.2).powi(2)).exp());
        // Where board breaks the print cracks open along the fold.
        if crack > 0.0 && canvas.item[i] {
            touch.cover(tone, crack * ramp(0.86, 0.98, folds) * ramp(0.1, 0.4, bowl));
        }
        touch.damaged = canvas.item[i] && bowl > SEEN;
    });
    plan.warp_along_relief((deep_mm / place.mm_per_px * 0.35).min(0.3 * r));
    plan
}

/// An edge or corner pushed in: what lies behind shows, the rest is thrown into folds.
pub(super) fn crush(canvas: &Canvas, place: &Place, dice: &mut Dice) -> Plan {
    let (r, noise) = (place.radius, Noise::new(dice));
    let (push, reach) = (r * between(dice, 0.15, 0.42), r * between(dice, 0.7, 1.3));
    let deep_mm = (r * place.mm_per_px * between(dice, 0.2, 0.45)).clamp(4.0, 25.0);
    let (crack, across_folds) = (between(dice, 0.0, 0.6), between(dice, 1.5, 4.0));
    let tone = if between(dice, 0.0, 1.0) < 0.7 { [0.68, 0.64, 0.56] } else { [0.06, 0.05, 0.045] };
    let mut plan = Plan::new(canvas);
    plan.draw(|i, x, y, touch| {
        let (s, along) = place.across(x, y);
        let q = along / r * (1.0 + 0.25 * noise.layers(1.5 * x / r, 1.5 * y / r, 2));
        let wide = (1.0 - q * q).max(0.0).powi(2);
        // Rises slowly outside the old outline, so that what lies behind is stretched and never folded over.
        let there = ramp(-2.5 * push, 0.0, s) * (1.0 - ramp(push, push + reach, s));
        touch.shift = place.inward.map(|n| -n * push * wide * there);
        let folds = noise.folds(across_folds * along / r, 1.3 * s / r + 4.0);
        let press = wide * (1.0 - ramp(0.0, push + reach, s));
        touch.relief_mm = deep_mm * press * (0.5 + 0.5 * folds);
        let source = canvas.index(x + touch.shift[0], y + touch.shift[1]);
        if canvas.item[source] {
            touch.cover(tone, crack * ramp(0.85, 0.98, folds) * ramp(0.15, 0.5, press));
        }
        touch.damaged = (canvas.item[i] || canvas.item[source]) && wide * there > SEEN;
    });
    plan
}
