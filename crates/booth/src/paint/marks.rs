//! Damage that stays in the surface, and the outline of cuts.

use super::texture::{Texel, Texture, mix, polygon_bounds, polygon_distance, scale, segment_distance};
use crate::random::{Random, fractal, smoothstep, uniform};
use rand::Rng;

/// Abrasion: a bundle of near-parallel strokes that take the print off.
pub(crate) fn scuff(face: &mut Texture, centre: [f32; 2], size_mm: f32, bit: u16, rng: &mut Random) {
    let angle = uniform(rng, 0.0, std::f32::consts::TAU);
    let (sin, cos) = angle.sin_cos();
    let base = if rng.random::<bool>() { [226, 222, 214] } else { [120, 112, 104] };
    let seed = rng.random::<u32>();
    for _ in 0..(6.0 + size_mm * 0.35) as u32 {
        let (along, across) = (uniform(rng, -0.5, 0.5) * size_mm * 0.5, uniform(rng, -0.5, 0.5) * size_mm * 0.6);
        let half = size_mm * uniform(rng, 0.15, 0.5);
        let mid = [centre[0] + along * cos - across * sin, centre[1] + along * sin + across * cos];
        let lean = uniform(rng, -0.12, 0.12);
        let (ls, lc) = (angle + lean).sin_cos();
        let (a, b) = ([mid[0] - half * lc, mid[1] - half * ls], [mid[0] + half * lc, mid[1] + half * ls]);
        let width = uniform(rng, 0.6, 2.6);
        face.paint(polygon_bounds(&[a, b, [mid[0] + width, mid[1] + width], [mid[0] - width, mid[1] - width]]), |x, y, texel| {
            let d = segment_distance([x, y], a, b) + 0.6 * fractal(x * 0.5, y * 0.5, 2, seed);
            let cover = smoothstep(width, width * 0.3, d) * 0.7;
            if cover > 0.05 {
                texel.rgb = mix(texel.rgb, base, cover);
                texel.gloss = (f32::from(texel.gloss) * (1.0 - 0.7 * cover)) as u8;
                texel.damage |= bit;
            }
        });
    }
}

/// Ragged round blot: 1 well inside, 0 outside, with its distance from the centre as a share of the radius.
fn blot(x: f32, y: f32, centre: [f32; 2], radius: f32, seed: u32) -> f32 {
    let d = (x - centre[0]).hypot(y - centre[1]) / radius;
    d + 0.38 * fractal(x * 1.6 / radius, y * 1.6 / radius, 3, seed)
}

fn blot_paint(face: &mut Texture, centre: [f32; 2], radius: f32, bit: u16, seed: u32, change: impl Fn(f32, &mut Texel)) {
    let r = radius * 1.5;
    face.paint([centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r], |x, y, texel| {
        let d = blot(x, y, centre, radius, seed);
        if d < 1.05 {
            change(d, texel);
            texel.damage |= bit;
        }
    });
}

/// A dirty mark with a darker rim.
pub(crate) fn stain(face: &mut Texture, centre: [f32; 2], radius: f32, bit: u16, rng: &mut Random) {
    let dirt = [[74, 54, 34], [40, 38, 36], [96, 74, 30], [80, 28, 26]][rng.random_range(0..4)];
    let (strength, seed) = (uniform(rng, 0.3, 0.75), rng.random::<u32>());
    blot_paint(face, centre, radius, bit, seed, |d, texel| {
        let rim = 0.6 + 0.4 * smoothstep(0.6, 0.95, d);
        texel.rgb = mix(texel.rgb, dirt, strength * rim * smoothstep(1.05, 0.85, d));
    });
}

/// A soaked patch: darker, a little shinier, soft-edged.
pub(crate) fn wet_patch(face: &mut Texture, centre: [f32; 2], radius: f32, bit: u16, rng: &mut Random) {
    let (dark, seed) = (uniform(rng, 0.45, 0.68), rng.random::<u32>());
    blot_paint(face, centre, radius, bit, seed, |d, texel| {
        let cover = smoothstep(1.05, 0.9, d);
        texel.rgb = mix(texel.rgb, scale(texel.rgb, dark), cover);
        texel.gloss = texel.gloss.max((cover * 70.0) as u8);
    });
}

/// An opening through a face.
pub(crate) struct Cut {
    /// Outline, mm in the face's texture.
    pub outline: Vec<[f32; 2]>,
    /// Torn fibres at the edge, or a clean cut.
    pub fibre_rgb: Option<[u8; 3]>,
    pub seed: u32,
}

impl Cut {
    /// Cuts the face open and frays the edge.
    pub fn apply(&self, face: &mut Texture, bit: u16) {
        let [x0, y0, x1, y1] = polygon_bounds(&self.outline);
        face.paint([x0 - 5.0, y0 - 5.0, x1 + 5.0, y1 + 5.0], |x, y, texel| {
            let jag = 1.2 * fractal(x * 0.45, y * 0.45, 2, self.seed);
            let d = polygon_distance([x, y], &self.outline) + jag;
            if d < 0.0 {
                texel.solid = false;
                texel.damage |= bit;
                return;
            }
            let width = 1.8 + 1.6 * fractal(x * 0.2, y * 0.2, 2, self.seed ^ 21);
            if let Some(rgb) = self.fibre_rgb.filter(|_| d < width) {
                texel.rgb = mix(rgb, texel.rgb, (d / width).powi(2) * 0.8);
                texel.gloss = 5;
                texel.damage |= bit;
            }
        });
    }
}
