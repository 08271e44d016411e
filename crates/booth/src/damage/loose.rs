//! Deconstruction and spillage: matter beside the item.

use rand::Rng;

use super::Wound;
use super::cut::{area_of, cut_face, fill_below};
use crate::mesh::{Mesh, Part, Skin, V3};
use crate::paint::{Rgb, Texture, plain, scale};
use crate::random::{chance, fractal, noise2, pick, smoothstep, uniform};
use crate::types::Family;

/// Tears a large part of the skin away and strews pieces beside the item.
pub(super) fn deconstruct(wound: &mut Wound<'_>) {
    if let Some(spot) = wound.spot(0.25) {
        let [w, h] = wound.face_mm(spot.patch);
        let (cx, cy) = (spot.s * w, spot.t * h);
        let (rx, ry) = (w * (0.12 + 0.25 * wound.size), h * (0.12 + 0.25 * wound.size));
        let seed = wound.rng.random::<u32>();
        let outline: Vec<[f32; 2]> = (0..20)
            .map(|i| {
                let a = i as f32 / 20.0 * std::f32::consts::TAU;
                let k = 1.0 + 0.4 * fractal(a.cos() * 2.0, a.sin() * 2.0, 3, seed);
                [(cx + rx * k * a.cos()).clamp(0.0, w), (cy + ry * k * a.sin()).clamp(0.0, h)]
            })
            .collect();
        let depth = (wound.height_m() * 0.45).clamp(0.003, 0.08);
        let area = area_of(&outline, [w, h], 8.0);
        fill_below(wound, spot.patch, area, depth);
        cut_face(wound, spot.patch, outline, true);
    }
    let pieces = 1 + (wound.size * 4.0) as u32;
    let rgb = pick(wound.rng, [[214, 210, 200], [60, 90, 140], [170, 60, 50], [52, 54, 58], [190, 160, 60]]);
    for _ in 0..pieces {
        piece(wound, rgb);
    }
}

/// One thing that came out: a block, a bag, or a scrap of skin.
fn piece(wound: &mut Wound<'_>, rgb: Rgb) {
    let (lo, hi) = wound.mesh.bounds();
    let angle = wound.free_direction();
    let half = [(hi.x - lo.x) / 2.0, (hi.y - lo.y) / 2.0];
    let rim = (half[0] / angle.cos().abs().max(1e-3)).min(half[1] / angle.sin().abs().max(1e-3)).min(0.2);
    let away = rim + uniform(wound.rng, -0.005, 0.04);
    let at = V3::new(away * angle.cos(), away * angle.sin(), 0.0);
    let turn = uniform(wound.rng, 0.0, std::f32::consts::TAU);
    let (sin, cos) = turn.sin_cos();
    let place = |x: f32, y: f32, z: f32| at + V3::new(x * cos - y * sin, x * sin + y * cos, z);
    let scrap = chance(wound.rng, 0.35);
    let size = [uniform(wound.rng, 0.02, 0.06), uniform(wound.rng, 0.015, 0.045)];
    let height = if scrap { 0.004 } else { uniform(wound.rng, 0.006, 0.022) };
    let tint = if scrap { wound.mesh.patches[0].inner_rgb } else { scale(rgb, uniform(wound.rng, 0.8, 1.15)) };
    let gloss = if scrap { 8 } else { 120 };
    let texture = plain(tint, [size[0] * 1000.0, size[1] * 1000.0], wound.texel_mm, gloss, wound.rng.random());
    let seed = wound.rng.random::<u32>();
    let round = !scrap && chance(wound.rng, 0.6);
    let skin = Skin { film: if round { 0.4 } else { 0.05 }, ..Skin::new(texture, tint, Part::Loose) };
    let mut own = Mesh::default();
    let patch = own.grid([14, 14], skin, |s, t| {
        let (u, v) = (2.0 * s - 1.0, 1.0 - 2.0 * t);
        let power = if round { 2 } else { 12 };
        let body = (1.0 - u.powi(power)).max(0.0) * (1.0 - v.powi(power)).max(0.0);
        let z = height * body.powf(0.4) + 0.003 * (noise2(u * 2.0, v * 2.0, seed) + 1.0) * f32::from(u8::from(scrap));
        place(u * size[0] / 2.0, v * size[1] / 2.0, z + 0.001)
    });
    own.mark(patch, wound.bit);
    wound.mesh.append(own);
}

/// What runs out of an item.
struct Matter {
    rgb: Rgb,
    gloss: u8,
    /// Thickness in the middle, metres.
    thickness_m: f32,
    grainy: f32,
}

fn matter(wound: &mut Wound<'_>) -> Matter {
    let powder = match wound.product.family {
        Family::Bottle | Family::Tube | Family::Can => chance(wound.rng, 0.15),
        _ => chance(wound.rng, 0.6),
    };
    if powder {
        let rgb = pick(wound.rng, [[92, 62, 40], [224, 220, 210], [196, 160, 100], [150, 90, 60]]);
        Matter { rgb, gloss: 4, thickness_m: 0.002 + 0.008 * wound.size, grainy: 0.35 }
    } else {
        let rgb = pick(wound.rng, [[46, 40, 36], [120, 80, 40], [60, 74, 96], [150, 140, 120], [96, 30, 30]]);
        Matter { rgb, gloss: 235, thickness_m: 0.0012, grainy: 0.04 }
    }
}

/// A puddle or heap whose middle lies at the item's edge, so that part of it is under the item.
pub(super) fn spill(wound: &mut Wound<'_>) {
    let matter = matter(wound);
    let (lo, hi) = wound.mesh.bounds();
    let angle = wound.free_direction();
    let half = [(hi.x - lo.x) / 2.0, (hi.y - lo.y) / 2.0];
    let rim = (half[0] / angle.cos().abs().max(1e-3)).min(half[1] / angle.sin().abs().max(1e-3));
    let radius = 0.011 + 0.06 * wound.size;
    let away = (rim + radius * uniform(wound.rng, -0.1, 0.5)).min(0.24);
    let (cx, cy) = (away * angle.cos(), away * angle.sin());
    let side_mm = radius * 2000.0 * 1.5;
    let mut texture = Texture::new(side_mm, side_mm, wound.texel_mm, matter.rgb, matter.gloss);
    let seed = wound.rng.random::<u32>();
    let shape = move |s: f32, t: f32| {
        let (u, v) = ((2.0 * s - 1.0) * 1.5, (2.0 * t - 1.0) * 1.5);
        u.hypot(v) + 0.45 * fractal(u * 1.3, v * 1.3, 4, seed)
    };
    let bit = wound.bit;
    texture.paint_all(|x, y, texel| {
        let d = shape(x / side_mm, y / side_mm);
        let crumbs = matter.grainy > 0.1 && d < 1.35 && noise2(x * 0.8, y * 0.8, seed) > 0.55 + (d - 1.0);
        texel.solid = d < 1.0 || crumbs;
        // What the outline cuts away is tray, not damage.
        texel.damage = if texel.solid { bit } else { 0 };
        let tone = 1.0 + matter.grainy * fractal(x * 0.5, y * 0.5, 3, seed ^ 3) - 0.2 * smoothstep(0.7, 1.0, d);
        texel.rgb = scale(texel.rgb, tone);
    });
    let skin = Skin { film: matter.grainy, ..Skin::new(texture, matter.rgb, Part::Spill) };
    let side = radius * 3.0;
    wound.mesh.grid([28, 28], skin, |s, t| {
        let heap = smoothstep(1.05, 0.2, shape(s, t));
        let rough = 1.0 + matter.grainy * noise2(s * 14.0, t * 14.0, seed);
        V3::new(cx + (s - 0.5) * side, cy + (0.5 - t) * side, 0.0006 + matter.thickness_m * heap * rough)
    });
}
