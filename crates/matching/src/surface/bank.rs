//! The filter bank: what surrounds a pixel, at several scales and in several directions, as numbers.
//!
//! Differences of Gaussians, first and second derivatives (eigenvalues of the Hessian: spots, dark and bright lines),
//! long line detectors in eight directions, energies around, and colour. Brightness is first freed of what changes slowly
//! and divided by its spread, so that the lamp hardly matters.

use std::f32::consts::PI;

use opencv::core::{CV_32FC3, Mat, MatTraitConstManual, MatTraitManual, Scalar, Vec3f};
use opencv::imgproc;

use super::Rgb;
use super::plane::Plane;
use crate::MatchError;

/// Widths of the Gaussians whose differences are taken, pixels.
const SCALES_PX: [f64; 5] = [0.7, 1.4, 2.8, 5.6, 11.2];
/// Brightness that changes over more than this is the lamp's, pixels.
const LAMP_PX: f64 = 16.0;
/// Width and length of the line detectors, pixels.
const LINES_PX: [(f32, f32); 2] = [(1.2, 6.0), (2.4, 10.0)];
const DIRECTIONS: usize = 8;
/// How far the energy around a pixel is averaged, pixels.
const AROUND_PX: f64 = 12.0;

/// The filters that need building.
pub(super) struct Bank {
    lines: Vec<Vec<Plane>>,
}

impl Bank {
    pub fn new() -> Bank {
        let of = |(width, length): &(f32, f32)| (0..DIRECTIONS).map(|n| line(*width, *length, PI * n as f32 / DIRECTIONS as f32)).collect();
        Bank { lines: LINES_PX.iter().map(of).collect() }
    }

    /// Every response of every pixel; always the same channels in the same order.
    pub fn responses(&self, picture: &Rgb) -> Result<Vec<Plane>, MatchError> {
        let [light, red_green, blue_yellow] = lab(picture)?;
        let lamp = light.blurred(LAMP_PX)?;
        let spread = light.with(&lamp, |v, l| (v - l) * (v - l)).blurred(LAMP_PX)?.map(|v| v.max(0.0).sqrt() + 0.02);
        let even = light.with(&lamp, |v, l| v - l).with(&spread, |v, s| v / s);
        let mut out = Vec::new();
        let mut around = Vec::new();
        let blurred: Result<Vec<Plane>, MatchError> = SCALES_PX.iter().map(|s| even.blurred(*s)).collect();
        let blurred = blurred?;
        for ((pair, sigma), wider) in blurred.windows(2).zip(SCALES_PX).zip([false, true, true, false]) {
            let difference = pair[0].with(&pair[1], |a, b| a - b);
            let dx = pair[0].derivative(1, 0, sigma / 4.0)?.map(f32::abs);
            let dy = pair[0].derivative(0, 1, sigma / 4.0)?.map(f32::abs);
            let [bright, dark] = curvatures(&pair[0], sigma)?;
            let energy = difference.map(|d| d * d).blurred(2.0 * sigma)?.map(|v| v.max(0.0).sqrt());
            let (mean_dx, mean_dy) = (dx.blurred(2.0 * sigma)?, dy.blurred(2.0 * sigma)?);
            if wider || sigma < 1.0 {
                around.push(energy.blurred(AROUND_PX)?);
            }
            if sigma < 2.0 {
                around.push(mean_dx.blurred(AROUND_PX)?);
                around.push(mean_dy.blurred(AROUND_PX)?);
            }
            out.extend([difference, dx, dy, bright, dark, energy, mean_dx, mean_dy]);
        }
        for color in [red_green, blue_yellow] {
            let (fine, middle, coarse) = (color.blurred(1.4)?, color.blurred(5.6)?, color.blurred(LAMP_PX)?);
            out.extend([fine.with(&middle, |a, b| a - b), middle.with(&coarse, |a, b| a - b), middle]);
        }
        for kernels in &self.lines {
            let responses: Result<Vec<Plane>, MatchError> = kernels.iter().map(|k| even.filtered(k)).collect();
            let responses = responses?;
            let extreme = |f: fn(f32, f32) -> f32| responses.iter().skip(1).fold(responses[0].clone(), |best, r| best.with(r, f));
            let extremes = [extreme(f32::max), extreme(f32::min)];
            out.extend(responses);
            out.extend(extremes);
        }
        out.extend(around);
        out.extend([light.blurred(2.8)?, lamp, spread]);
        Ok(out)
    }
}

/// Lightness and the two axes of colour of CIELAB, over 100.
pub(super) fn lab(picture: &Rgb) -> Result<[Plane; 3], MatchError> {
    let (width, height) = picture.size();
    let mut rgb = Mat::new_rows_cols_with_default(height as i32, width as i32, CV_32FC3, Scalar::all(0.0))?;
    let [r, g, b] = &picture.planes;
    for ((pixel, r), (g, b)) in rgb.data_typed_mut::<Vec3f>()?.iter_mut().zip(&r.data).zip(g.data.iter().zip(&b.data)) {
        *pixel = Vec3f::from([*r, *g, *b]);
    }
    let mut out = Mat::default();
    imgproc::cvt_color_def(&rgb, &mut out, imgproc::COLOR_RGB2Lab)?;
    let pixels = out.data_typed::<Vec3f>()?;
    let plane = |k: usize| Plane { width, height, data: pixels.iter().map(|p| p[k] / 100.0).collect() };
    Ok([plane(0), plane(1), plane(2)])
}

/// The larger and the smaller eigenvalue of the Hessian, in units of the scale.
fn curvatures(plane: &Plane, sigma_px: f64) -> Result<[Plane; 2], MatchError> {
    let factor = sigma_px * sigma_px / 4.0;
    let (xx, yy, xy) = (plane.derivative(2, 0, factor)?, plane.derivative(0, 2, factor)?, plane.derivative(1, 1, factor)?);
    let half = xx.with(&yy, |a, b| (a + b) / 2.0);
    let root = xx.with(&yy, |a, b| (a - b) * (a - b) / 4.0).with(&xy, |d, c| (d + c * c).sqrt());
    Ok([half.with(&root, |h, r| h + r), half.with(&root, |h, r| h - r)])
}

/// A detector of lines: curvature across, Gaussian along; no answer to plain brightness.
fn line(width_px: f32, length_px: f32, direction: f32) -> Plane {
    let half = (3.0 * length_px) as i32 / 2;
    let side = (2 * half + 1) as usize;
    let (sin, cos) = direction.sin_cos();
    let mut data: Vec<f32> = (-half..=half)
        .flat_map(|y| (-half..=half).map(move |x| (x as f32, y as f32)))
        .map(|(x, y)| {
            let (across, along) = (x * cos + y * sin, y * cos - x * sin);
            let u = across * across / (width_px * width_px);
            (u - 1.0) * (-u / 2.0 - along * along / (2.0 * length_px * length_px)).exp()
        })
        .collect();
    let mean = data.iter().sum::<f32>() / data.len() as f32;
    data.iter_mut().for_each(|v| *v -= mean);
    let size: f32 = data.iter().map(|v| v.abs()).sum();
    data.iter_mut().for_each(|v| *v /= size);
    Plane { width: side, height: side, data }
}
