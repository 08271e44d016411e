//! Crush and dent: the skin moves, nothing opens.

use rand::Rng;

use super::Wound;
use crate::mesh::{Part, V3};
use crate::random::{chance, fractal, ridged, smoothstep, uniform};
use crate::types::Family;

/// A vertex belongs to the damage when it moved at least this far.
const MOVED_M: f32 = 0.0015;

/// Moves the vertices by `shift`, not below the tray, and marks those that moved.
fn displace(wound: &mut Wound<'_>, shift: impl Fn(&V3) -> V3) {
    for patch in &wound.mesh.patches {
        if matches!(patch.part, Part::Loose | Part::Spill) {
            continue;
        }
        for v in patch.vertices.clone() {
            let p = wound.mesh.positions[v];
            let mut moved = p + shift(&p);
            moved.z = moved.z.max(0.0004);
            if (moved - p).norm() > MOVED_M {
                wound.mesh.damage[v] |= wound.bit;
            }
            wound.mesh.positions[v] = moved;
        }
    }
}

/// Pushes a corner or an upper edge in: a plane comes from outside, what it meets folds before it.
pub(super) fn crush(wound: &mut Wound<'_>) {
    let soft = matches!(wound.product.family, Family::PaddedMailer | Family::PolyMailer | Family::Pouch | Family::BubbleWrap);
    if soft {
        fold(wound);
        return;
    }
    let (lo, hi) = wound.mesh.bounds();
    let extent = hi - lo;
    let side = |rng: &mut crate::random::Random| if rng.random::<bool>() { 1.0 } else { -1.0 };
    let edge_only = chance(wound.rng, 0.35);
    let mut normal = V3::new(
        side(wound.rng) * uniform(wound.rng, 0.5, 1.0) / extent.x,
        side(wound.rng) * uniform(wound.rng, 0.5, 1.0) / extent.y,
        uniform(wound.rng, 0.45, 1.0) / extent.z.max(0.03),
    );
    if edge_only {
        if wound.rng.random::<bool>() { normal.x *= 0.08 } else { normal.y *= 0.08 }
    }
    let normal = normal.normalize();
    let reach = wound.mesh.positions.iter().map(|p| p.dot(&normal)).fold(f32::NEG_INFINITY, f32::max);
    let corner_thickness = 0.55 * extent.min().clamp(0.02, 0.12);
    let depth = (0.006 + 0.044 * wound.size).min(corner_thickness.max(0.008));
    let plane = reach - depth;
    let seed = wound.rng.random::<u32>();
    displace(wound, |p| {
        let over = p.dot(&normal) - plane;
        let crease = ridged(p.x * 34.0 + p.z * 20.0, p.y * 34.0 - p.z * 15.0, 2, seed) - 0.5;
        if over <= 0.0 {
            // Just behind the fold the board buckles.
            let near = smoothstep(-0.35 * depth - 0.004, 0.0, over);
            return normal * (crease * depth * 0.16 * near);
        }
        -normal * (over * (0.9 + 0.25 * crease)) + V3::z() * (crease * over * 0.12)
    });
}

/// Soft goods are bent and pressed flat along a line.
fn fold(wound: &mut Wound<'_>) {
    let (lo, hi) = wound.mesh.bounds();
    let extent = hi - lo;
    let angle = uniform(wound.rng, 0.0, std::f32::consts::PI);
    let across = V3::new(angle.cos(), angle.sin(), 0.0);
    let offset = uniform(wound.rng, -0.25, 0.25) * extent.x.min(extent.y);
    let width = 0.012 + 0.03 * wound.size;
    let press = 0.25 + 0.6 * wound.size;
    let seed = wound.rng.random::<u32>();
    displace(wound, |p| {
        let bent = 0.012 * fractal(p.x * 9.0, p.y * 9.0, 2, seed);
        let d = (p.dot(&across) - offset + bent).abs();
        let valley = smoothstep(width, width * 0.15, d);
        let ridge = smoothstep(width * 0.5, 0.0, (d - width * 1.35).abs());
        let crease = ridged(p.x * 30.0, p.y * 30.0, 2, seed) - 0.5;
        V3::z() * (p.z * (-press * valley + 0.22 * ridge) + crease * 0.006 * wound_strength(valley))
    });
}

fn wound_strength(valley: f32) -> f32 {
    (valley * 1.5).min(1.0)
}

/// A hollow: steep-walled or shallow, oval, with creases towards its rim.
pub(super) fn dent(wound: &mut Wound<'_>) {
    let Some(spot) = wound.spot(0.16) else { return };
    let centre = wound.mesh.point(spot.patch, spot.s, spot.t);
    let normal = wound.mesh.normal(spot.patch, spot.s, spot.t);
    let radius = 0.012 + 0.05 * wound.size * uniform(wound.rng, 0.7, 1.0);
    let depth = (radius * uniform(wound.rng, 0.25, 0.55)).min(wound.height_m() * 0.6);
    let turn = uniform(wound.rng, 0.0, std::f32::consts::PI);
    let long = normal.cross(&V3::new(turn.cos(), turn.sin(), 0.13)).normalize();
    let wide = normal.cross(&long);
    let stretch = uniform(wound.rng, 1.0, 2.0);
    let sharp = uniform(wound.rng, 0.8, 2.2);
    let seed = wound.rng.random::<u32>();
    displace(wound, |p| {
        let to = p - centre;
        let below = to.dot(&normal);
        // Only the near skin: not the far side of the item.
        if below.abs() > radius * 1.2 {
            return V3::zeros();
        }
        let (a, b) = (to.dot(&long) / stretch, to.dot(&wide));
        let rough = 1.0 + 0.25 * fractal(a * 40.0, b * 40.0, 2, seed);
        let d = a.hypot(b) / (radius * rough);
        if d >= 1.3 {
            return V3::zeros();
        }
        let crease = ridged(a * 45.0, b * 45.0, 2, seed) - 0.5;
        let hollow = (1.0 - d * d).max(0.0).powf(sharp);
        let rim = 0.08 * smoothstep(1.3, 1.05, d) * smoothstep(0.8, 1.05, d);
        normal * (depth * (rim - hollow * (0.9 + 0.3 * crease)))
    });
}
