//! Pictures of damage, printed flat on intact products.

use super::texture::{Texture, mix, scale};
use crate::random::{Random, fractal, integer, ridged, uniform};
use crate::types::LookAlike;
use rand::Rng;

/// Paints one kind into the panel `[x, y, width, height]` (mm).
pub(crate) fn paint(texture: &mut Texture, kind: LookAlike, panel: [f32; 4], rng: &mut Random) {
    match kind {
        LookAlike::Crack => crack(texture, panel, rng),
        LookAlike::Splash => splash(texture, panel, rng),
        LookAlike::TornEdge => torn_edge(texture, panel, rng),
        LookAlike::DarkBlob => dark_blob(texture, panel, rng),
        LookAlike::Puddle => puddle(texture, panel, rng),
        LookAlike::Wood => wood(texture, panel, rng),
    }
}

/// A dark screen with cracks running from one point.
fn crack(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    texture.rect(x, y, w, h, [30, 34, 42]);
    texture.rect(x + 2.0, y + 2.0, w - 4.0, h - 4.0, [58, 70, 88]);
    let (cx, cy) = (x + w * uniform(rng, 0.3, 0.7), y + h * uniform(rng, 0.3, 0.7));
    for ray in 0..integer(rng, 7, 13) {
        let mut angle = ray as f32 * 0.55 + uniform(rng, 0.0, 0.4);
        let (mut px, mut py) = (cx, cy);
        while px > x && px < x + w && py > y && py < y + h {
            let step = uniform(rng, 3.0, 8.0);
            angle += uniform(rng, -0.35, 0.35);
            let (nx, ny) = (px + step * angle.cos(), py + step * angle.sin());
            texture.stroke(&[[px, py], [nx, ny]], uniform(rng, 0.5, 1.1), [222, 228, 236]);
            (px, py) = (nx, ny);
        }
    }
}

/// Blobs and droplets of one colour.
fn splash(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    let rgb = [[120, 60, 24], [40, 90, 170], [150, 30, 40], [70, 120, 50]][integer(rng, 0, 3) as usize];
    let (cx, cy) = (x + w * 0.5, y + h * 0.5);
    let (radius, seed) = (w.min(h) * 0.33, rng.random::<u32>());
    texture.fill([x, y, x + w, y + h], rgb, |px, py| {
        let d = (px - cx).hypot(py - cy);
        d - radius * (1.0 + 0.5 * fractal(px * 0.06, py * 0.06, 3, seed))
    });
    for _ in 0..24 {
        let (angle, far) = (uniform(rng, 0.0, std::f32::consts::TAU), radius * uniform(rng, 1.1, 1.7));
        let r = uniform(rng, 0.8, 3.5);
        texture.ellipse(cx + far * angle.cos(), cy + far * angle.sin() * h / w, r, r * 0.8, rgb);
    }
}

/// A white ragged edge between two colours, like torn paper.
fn torn_edge(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    let seed = rng.random::<u32>();
    let under = [90, 64, 44];
    texture.paint([x, y, x + w, y + h], |px, py, texel| {
        let edge = y + h * (0.35 + 0.2 * fractal(px * 0.05, 1.0, 4, seed));
        let fibre = edge + 3.0 + 2.0 * fractal(px * 0.4, 7.0, 2, seed ^ 3);
        texel.rgb = match py {
            v if v < edge => texel.rgb,
            v if v < fibre => [238, 234, 226],
            _ => scale(under, 1.0 + 0.3 * fractal(px * 0.2, py * 0.2, 2, seed ^ 9)),
        };
    });
}

/// Burn-like marks that fade outwards.
fn dark_blob(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    for _ in 0..integer(rng, 1, 3) {
        let (cx, cy) = (x + w * uniform(rng, 0.25, 0.75), y + h * uniform(rng, 0.3, 0.7));
        let (r, seed) = (w.min(h) * uniform(rng, 0.2, 0.4), rng.random::<u32>());
        texture.paint([cx - r * 1.6, cy - r * 1.6, cx + r * 1.6, cy + r * 1.6], |px, py, texel| {
            let d = (px - cx).hypot(py - cy) / r + 0.35 * fractal(px * 0.1, py * 0.1, 3, seed);
            texel.rgb = mix([24, 18, 14], texel.rgb, ((d - 0.6) * 2.2).clamp(0.0, 1.0));
        });
    }
}

/// A drawn puddle with a highlight.
fn puddle(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    let seed = rng.random::<u32>();
    let (cx, cy) = (x + w * 0.5, y + h * 0.6);
    let shape = move |px: f32, py: f32, grow: f32| {
        let d = ((px - cx) / w).hypot((py - cy) / h * 1.2);
        (d - 0.3 - 0.12 * fractal(px * 0.05, py * 0.05, 2, seed) - grow) * w
    };
    texture.fill([x, y, x + w, y + h], [96, 120, 140], |px, py| shape(px, py, 0.02));
    texture.fill([x, y, x + w, y + h], [140, 170, 190], |px, py| shape(px, py, 0.0));
    texture.ellipse(cx - w * 0.1, cy - h * 0.08, w * 0.09, h * 0.03, [236, 244, 250]);
}

/// Planks, or bare board.
fn wood(texture: &mut Texture, [x, y, w, h]: [f32; 4], rng: &mut Random) {
    let seed = rng.random::<u32>();
    texture.paint([x, y, x + w, y + h], |px, py, texel| {
        let plank = ((py - y) / 16.0).floor();
        let n = ridged(px * 0.012 + plank * 7.0, py * 0.16, 3, seed);
        let gap = if (py - y).rem_euclid(16.0) < 0.9 { 0.35 } else { 1.0 };
        texel.rgb = scale(mix([150, 104, 62], [98, 62, 34], n), gap);
    });
}
