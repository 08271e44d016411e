//! The colour camera: exposure, white balance, vignette, blur, noise, gamma.

use rand::Rng;

use crate::random::{Random, chance, hash_normal, normal, uniform};

/// State of the camera in one capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColorSensor {
    exposure: f32,
    white_balance: [f32; 3],
    vignette: f32,
    /// Standard deviation of the blur, pixels.
    blur_px: f32,
    /// Photon noise and read noise in linear light.
    shot: f32,
    read: f32,
    seed: u32,
}

impl ColorSensor {
    /// Draws a capture's settings.
    pub fn new(rng: &mut Random) -> ColorSensor {
        let off = if chance(rng, 0.1) { 0.28 } else { 0.08 };
        ColorSensor {
            exposure: (1.05 * (1.0 + off * normal(rng))).clamp(0.55, 1.9),
            white_balance: [1.0 + 0.025 * normal(rng), 1.0, 1.0 + 0.03 * normal(rng)],
            vignette: uniform(rng, 0.05, 0.22),
            blur_px: if chance(rng, 0.1) { uniform(rng, 0.7, 1.3) } else { uniform(rng, 0.35, 0.65) },
            shot: uniform(rng, 0.004, 0.011),
            read: uniform(rng, 0.0015, 0.004),
            seed: rng.random(),
        }
    }
}

/// Steps of the gamma table.
const STEPS: usize = 4096;

fn gamma_table() -> Vec<u8> {
    (0..=STEPS)
        .map(|i| {
            let c = i as f32 / STEPS as f32;
            let s = if c <= 0.003_130_8 { 12.92 * c } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
            (s * 255.0 + 0.5) as u8
        })
        .collect()
}

/// Linear light to `rgb8`. The light is changed on the way (blurred).
pub(crate) fn expose(light: &mut Vec<[f32; 3]>, width: usize, height: usize, sensor: &ColorSensor) -> Vec<u8> {
    blur(light, width, height, sensor.blur_px);
    let gamma = gamma_table();
    let (cx, cy) = (width as f32 / 2.0, height as f32 / 2.0);
    let reach2 = cx * cx + cy * cy;
    let mut out = Vec::with_capacity(width * height * 3);
    for (i, pixel) in light.iter().enumerate() {
        let (x, y) = (i % width, i / width);
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let gain = sensor.exposure * (1.0 - sensor.vignette * (dx * dx + dy * dy) / reach2);
        for (c, value) in pixel.iter().enumerate() {
            let v = value * gain * sensor.white_balance[c];
            let sigma = (sensor.shot * sensor.shot * v.max(0.0) + sensor.read * sensor.read).sqrt();
            let noisy = v + sigma * hash_normal(x as u32, (y * 3 + c) as u32, sensor.seed);
            // A soft shoulder instead of hard clipping up to 1.25.
            let toned = if noisy > 0.8 { 0.8 + 0.2 * ((noisy - 0.8) / 0.45).min(1.0).powf(0.75) } else { noisy };
            out.push(gamma[(toned.clamp(0.0, 1.0) * STEPS as f32) as usize]);
        }
    }
    out
}

/// Separable Gaussian over five taps.
fn blur(light: &mut Vec<[f32; 3]>, width: usize, height: usize, sigma: f32) {
    let weight = |d: f32| (-d * d / (2.0 * sigma * sigma)).exp();
    let sum = 1.0 + 2.0 * weight(1.0) + 2.0 * weight(2.0);
    let taps = [weight(2.0) / sum, weight(1.0) / sum, 1.0 / sum, weight(1.0) / sum, weight(2.0) / sum];
    let pass = |from: &[[f32; 3]], stride: usize, position: &dyn Fn(usize) -> usize, len: usize| {
        let mut out = vec![[0.0f32; 3]; from.len()];
        for (i, target) in out.iter_mut().enumerate() {
            let at = position(i);
            for (k, tap) in taps.iter().enumerate() {
                // Repeat the border.
                let shift = (at + k).clamp(2, len + 1) as isize - 2 - at as isize;
                let source = &from[(i as isize + shift * stride as isize) as usize];
                for c in 0..3 {
                    target[c] += tap * source[c];
                }
            }
        }
        out
    };
    let rows = pass(light, 1, &|i| i % width, width);
    *light = pass(&rows, width, &|i| i / width, height);
}
