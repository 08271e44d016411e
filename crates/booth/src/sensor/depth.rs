//! A stereo depth camera after the RealSense D435: error grows with z², steps in disparity, fat edges,
//! shadows of the second imager, holes on dark and shiny surfaces, flying pixels, millimetre output.

use rand::Rng;

use crate::random::{Random, hash_normal, hash01, noise2, uniform};

/// Baseline of a D435, metres.
const BASELINE_M: f32 = 0.05;

/// State of the camera in one capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthSensor {
    /// Shift of depth against colour, pixels.
    pub offset_px: [f32; 2],
    /// Standard deviation of the disparity, pixels.
    noise_px: f32,
    /// Smallest step of the disparity, pixels.
    step_px: f32,
    /// Widening of near surfaces at edges, pixels.
    bleed_px: f32,
    /// Scale error of the calibration.
    scale: f32,
    seed: u32,
}

impl DepthSensor {
    /// Draws a capture's settings around a calibration offset.
    pub fn new(rng: &mut Random, offset_px: [f32; 2], width: u32) -> DepthSensor {
        let pixels = width as f32 / 640.0;
        DepthSensor {
            offset_px: offset_px.map(|o| (o + uniform(rng, -0.2, 0.2)) * pixels),
            noise_px: uniform(rng, 0.035, 0.07),
            step_px: 1.0 / 32.0,
            bleed_px: uniform(rng, 0.5, 2.4) * pixels,
            scale: 1.0 + uniform(rng, -0.002, 0.002),
            seed: rng.random(),
        }
    }
}

/// True depth (m) and how well each pixel can be matched (0 dark or dazzling … 1) to measured depth in metres.
pub(crate) fn measure(
    depth_m: &[f32],
    match_quality: &[f32],
    width: usize,
    height: usize,
    focal_px: f32,
    sensor: &DepthSensor,
) -> Vec<f32> {
    let seen = second_imager(&fatten(depth_m, width, height, sensor), width, focal_px);
    // The stereo pair has a wider lens than the colour camera.
    let fb = focal_px * 0.62 * BASELINE_M;
    let coarse = 1.0 / (5.0 * width as f32 / 640.0);
    let mut out = vec![0.0; depth_m.len()];
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let z = seen[i];
            if z <= 0.0 || lost(x, y, match_quality[i], coarse, sensor.seed) {
                continue;
            }
            let (fx, fy) = (x as f32 * coarse, y as f32 * coarse);
            let slow = noise2(fx, fy, sensor.seed) + 0.6 * noise2(fx * 0.23, fy * 0.23, sensor.seed ^ 1);
            let fast = 0.35 * hash_normal(x as u32, y as u32, sensor.seed ^ 2);
            let weak = 1.0 + 1.5 * (1.0 - match_quality[i]);
            let disparity = fb / (z * sensor.scale) + sensor.noise_px * weak * (1.3 * slow + fast);
            let stepped = (disparity / sensor.step_px).round() * sensor.step_px;
            let measured = fb / stepped.max(0.5);
            out[i] = (measured * 1000.0).round() / 1000.0;
        }
    }
    fly(&mut out, width, height, sensor.seed);
    out
}

/// Near surfaces spread over their edges by a locally varying amount; the calibration offset goes in here too.
fn fatten(depth_m: &[f32], width: usize, height: usize, sensor: &DepthSensor) -> Vec<f32> {
    let mut out = vec![0.0; depth_m.len()];
    let at = |x: f32, y: f32| {
        let (x, y) = (x.clamp(0.0, width as f32 - 1.0) as usize, y.clamp(0.0, height as f32 - 1.0) as usize);
        depth_m[y * width + x]
    };
    for y in 0..height {
        for x in 0..width {
            let (px, py) = (x as f32 + 0.5 + sensor.offset_px[0], y as f32 + 0.5 + sensor.offset_px[1]);
            let wobble = 0.5 + 0.5 * noise2(x as f32 * 0.13, y as f32 * 0.13, sensor.seed ^ 5);
            let r = sensor.bleed_px * wobble;
            out[y * width + x] = [(r, 0.0), (-r, 0.0), (0.0, r * 0.6), (0.0, -r * 0.6)]
                .iter()
                .map(|(dx, dy)| at(px + dx, py + dy))
                .fold(at(px, py), |near, z| if z > 0.0 { near.min(z) } else { near });
        }
    }
    out
}

/// Removes what the second imager, to the right, cannot see behind a nearer surface on its line.
fn second_imager(depth_m: &[f32], width: usize, focal_px: f32) -> Vec<f32> {
    let mut out = depth_m.to_vec();
    let reach = focal_px * BASELINE_M;
    for (row, line) in out.chunks_exact_mut(width).enumerate() {
        // A point at column x appears at x − d in the other picture; going right to left a near surface hides what lies left of it.
        let mut covered = f32::INFINITY;
        for x in (0..width).rev() {
            let z = depth_m[row * width + x];
            let other = x as f32 - reach / z.max(0.05);
            if other > covered + 0.5 {
                line[x] = 0.0;
            } else {
                covered = covered.min(other);
            }
        }
    }
    out
}

/// No match: dark, dazzling, or simply speckle.
fn lost(x: usize, y: usize, quality: f32, coarse: f32, seed: u32) -> bool {
    let (fx, fy) = (x as f32 * coarse * 1.4, y as f32 * coarse * 1.4);
    let field = 0.5 + 0.5 * noise2(fx, fy, seed ^ 7);
    let speckle = hash01((x / 3) as i32, (y / 3) as i32, seed ^ 8);
    field * 0.8 + speckle * 0.2 > 0.42 + 0.56 * quality.clamp(0.0, 1.0) || speckle > 0.9993
}

/// At steps some pixels lie between near and far.
fn fly(depth_m: &mut [f32], width: usize, height: usize, seed: u32) {
    let before = depth_m.to_vec();
    for y in 0..height {
        for x in 2..width.saturating_sub(2) {
            let i = y * width + x;
            let (a, b) = (before[i - 2], before[i + 2]);
            if a > 0.0 && b > 0.0 && (a - b).abs() > 0.012 && hash01(x as i32, y as i32, seed ^ 11) < 0.22 {
                let t = hash01(x as i32, y as i32, seed ^ 12);
                depth_m[i] = ((a + (b - a) * t) * 1000.0).round() / 1000.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, stream};

    const W: usize = 160;
    const H: usize = 120;

    fn sensor() -> DepthSensor {
        let mut sensor = DepthSensor::new(&mut stream(3, Stream::Item, 0), [0.0, 0.0], 640);
        sensor.scale = 1.0;
        sensor
    }

    fn plane(z: f32, quality: f32) -> Vec<f32> {
        measure(&[z; W * H], &[quality; W * H], W, H, 615.0, &sensor())
    }

    fn deviation(depth: &[f32], z: f32) -> f32 {
        let valid: Vec<f32> = depth.iter().copied().filter(|d| *d > 0.0).collect();
        (valid.iter().map(|d| (d - z).powi(2)).sum::<f32>() / valid.len() as f32).sqrt()
    }

    #[test]
    fn noise_grows_with_the_square_of_the_distance() {
        let (near, far) = (deviation(&plane(0.6, 1.0), 0.6), deviation(&plane(1.8, 1.0), 1.8));
        let ratio = far / near;
        assert!((6.0..12.0).contains(&ratio), "three times as far: {ratio} times the noise");
    }

    #[test]
    fn dark_surfaces_have_holes() {
        let lost = |quality| plane(0.9, quality).iter().filter(|d| **d == 0.0).count();
        assert!(lost(1.0) < W * H / 100);
        assert!(lost(0.3) > 10 * lost(1.0).max(10));
    }

    #[test]
    fn the_second_imager_has_a_blind_strip_on_one_side() {
        let mut depth = vec![1.0; W * H];
        for row in depth.chunks_exact_mut(W) {
            row[60..100].fill(0.7);
        }
        let seen = second_imager(&depth, W, 615.0);
        let row = &seen[..W];
        // Disparities 30.75 and 43.9 px: 13 px of the background left of the box are hidden, none to its right.
        let hidden: Vec<usize> = (0..W).filter(|x| row[*x] == 0.0).collect();
        assert!((11..=14).contains(&hidden.len()), "{hidden:?}");
        assert!(hidden.iter().all(|x| (40..60).contains(x)), "{hidden:?}");
    }
}
