//! What a warehouse adds to a good item: shipping labels and tape. None of it is damage.

use super::font::{Type, barcode, text};
use super::texture::{Texture, mix, scale};
use crate::random::{Random, chance, fractal, integer, uniform};
use rand::Rng;

/// Copies an own little texture, rotated, onto a face.
fn stick(face: &mut Texture, patch: &Texture, centre: [f32; 2], angle: f32, opacity: f32) {
    let (w, h) = (patch.width_mm(), patch.height_mm());
    let (sin, cos) = angle.sin_cos();
    let reach = w.hypot(h) / 2.0;
    let bounds = [centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach];
    face.paint(bounds, |x, y, texel| {
        let (dx, dy) = (x - centre[0], y - centre[1]);
        let (s, t) = ((dx * cos + dy * sin) / w + 0.5, (dy * cos - dx * sin) / h + 0.5);
        if (0.0..1.0).contains(&s) && (0.0..1.0).contains(&t) {
            let over = patch.nearest(s, t);
            texel.rgb = mix(texel.rgb, over.rgb, opacity);
            texel.gloss = over.gloss;
        }
    });
}

/// A white label with address lines and codes, stuck on crookedly.
pub(crate) fn shipping_label(face: &mut Texture, texel_mm: f32, rng: &mut Random) {
    let (w, h) = (face.width_mm(), face.height_mm());
    let size = uniform(rng, 0.35, 0.6) * w.min(h) * 1.3;
    let (lw, lh) = (size.clamp(30.0, 150.0), (size * 0.68).clamp(20.0, 100.0));
    let mut label = Texture::new(lw, lh, texel_mm, [240, 240, 236], 40);
    let ink = [34, 34, 38];
    let digits: String = (0..12).map(|_| char::from(b'0' + integer(rng, 0, 9) as u8)).collect();
    barcode(&mut label, &digits, lw * 0.08, lh * 0.52, lw * 0.84, lh * 0.42);
    for line in 0..4 {
        let y = lh * (0.08 + 0.09 * line as f32);
        label.rect(lw * 0.06, y, lw * uniform(rng, 0.25, 0.5), (lh * 0.035).max(0.8), ink);
    }
    label.rect(lw * 0.04, lh * 0.48, lw * 0.92, 0.9, ink);
    let style = Type { height_mm: lh * 0.2, weight: 0.2, slant: 0.0, rgb: ink };
    text(&mut label, &digits[..2], lw * 0.68, lh * 0.12, style);
    let centre = [w * uniform(rng, 0.35, 0.65), h * uniform(rng, 0.35, 0.65)];
    let crooked = uniform(rng, -0.12, 0.12) + if chance(rng, 0.3) { std::f32::consts::FRAC_PI_2 } else { 0.0 };
    stick(face, &label, centre, crooked, 1.0);
}

/// A strip of packing tape along the seam (`along_x`) or across the face.
pub(crate) fn tape(face: &mut Texture, texel_mm: f32, along_x: bool, rng: &mut Random) {
    let (w, h) = (face.width_mm(), face.height_mm());
    let (length, across) = if along_x { (w, h) } else { (h, w) };
    let width = uniform(rng, 38.0, 52.0).min(across * 0.5);
    let (rgb, opacity) = match integer(rng, 0, 2) {
        0 => ([186, 152, 104], 0.75),
        1 => ([206, 200, 186], 0.45),
        _ => ([168, 128, 80], 0.9),
    };
    let seed = rng.random::<u32>();
    let mut strip = Texture::new(length * 1.1, width, texel_mm, rgb, 150);
    strip.paint_all(|x, y, texel| {
        texel.rgb = scale(texel.rgb, 1.0 + 0.08 * fractal(x * 0.02, y * 0.2, 2, seed));
    });
    let angle = uniform(rng, -0.03, 0.03) + if along_x { 0.0 } else { std::f32::consts::FRAC_PI_2 };
    stick(face, &strip, [w / 2.0, h / 2.0], angle, opacity);
}

/// One or two narrow bands of plastic around a carton.
pub(crate) fn straps(face: &mut Texture, texel_mm: f32, rng: &mut Random) {
    let (w, h) = (face.width_mm(), face.height_mm());
    let rgb = [[24, 24, 26], [214, 212, 204], [60, 110, 170], [196, 168, 60]][integer(rng, 0, 3) as usize];
    let strip = Texture::new(h * 1.1, 12.0, texel_mm, rgb, 120);
    let places: &[f32] = if chance(rng, 0.5) { &[0.5] } else { &[0.25, 0.75] };
    for place in places {
        let lean = std::f32::consts::FRAC_PI_2 + uniform(rng, -0.03, 0.03);
        stick(face, &strip, [w * place, h / 2.0], lean, 0.97);
    }
}
