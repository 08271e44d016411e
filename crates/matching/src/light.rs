//! The reference in the item's light.

use opencv::core::{CV_8UC1, CV_32FC3, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3f};
use opencv::imgproc;

use crate::MatchError;

/// Contrast of one channel may differ by this factor either way between two pictures.
const GAIN: (f32, f32) = (0.45, 2.2);
/// Share of the pixels that fit worst and are left out of the second fit: the damage must not set the light.
const LEFT_OUT: f32 = 0.35;
/// Slow changes of light over the item that are taken for light, not for damage.
const SLOW_GAIN: (f32, f32) = (0.72, 1.38);
/// Pixels that differ by more grey levels are not the same matter in other light, and say nothing of the light.
const OTHER_MATTER: f32 = 40.0;
/// Width of "slow", as a share of the longer side.
const SLOW_EXTENT: f32 = 0.28;

/// `reference` (32FC3) with every channel mapped to the item's light where `inside` is set: white balance and exposure by
/// a trimmed linear fit per channel, then a slowly varying gain (a lamp to one side).
pub(crate) fn relit(item: &Mat, reference: &Mat, inside: &Mat) -> Result<Mat, MatchError> {
    let inside_px = inside.data_bytes()?;
    let target = item.data_typed::<Vec3f>()?;
    let mut out = Mat::new_rows_cols_with_default(reference.rows(), reference.cols(), CV_32FC3, Scalar::all(0.0))?;
    let lines: Vec<(f32, f32)> = {
        let source = reference.data_typed::<Vec3f>()?;
        (0..3)
            .map(|c| trimmed_line(source.iter().zip(target).zip(inside_px).filter(|(_, m)| **m > 0).map(|((s, t), _)| (s[c], t[c]))))
            .collect()
    };
    for (o, s) in out.data_typed_mut::<Vec3f>()?.iter_mut().zip(reference.data_typed::<Vec3f>()?) {
        for (c, (gain, offset)) in lines.iter().enumerate() {
            o[c] = (s[c] * gain + offset).clamp(0.0, 255.0);
        }
    }
    slow_gain(item, &mut out, inside)?;
    Ok(out)
}

/// Gain and offset of `target ≈ gain * source + offset`, by least squares, again without the worst pixels.
fn trimmed_line(pairs: impl Iterator<Item = (f32, f32)>) -> (f32, f32) {
    let pairs: Vec<(f32, f32)> = pairs.collect();
    let first = line(pairs.iter().copied());
    let residual = |(s, t): &(f32, f32)| (t - (first.0 * s + first.1)).abs();
    let mut residuals: Vec<f32> = pairs.iter().map(residual).collect();
    let keep = ((residuals.len() as f32 * (1.0 - LEFT_OUT)) as usize).min(residuals.len().saturating_sub(1));
    if residuals.is_empty() {
        return (1.0, 0.0);
    }
    let (_, limit, _) = residuals.select_nth_unstable_by(keep, f32::total_cmp);
    let limit = *limit;
    line(pairs.iter().filter(|p| residual(p) <= limit).copied())
}

fn line(pairs: impl Iterator<Item = (f32, f32)>) -> (f32, f32) {
    let (mut n, mut s, mut t, mut ss, mut st) = (0f64, 0f64, 0f64, 0f64, 0f64);
    for (a, b) in pairs {
        let (a, b) = (f64::from(a), f64::from(b));
        (n, s, t, ss, st) = (n + 1.0, s + a, t + b, ss + a * a, st + a * b);
    }
    if n < 1.0 {
        return (1.0, 0.0);
    }
    let variance = ss / n - (s / n).powi(2);
    // A face of one colour fixes no contrast; then only the level moves.
    let gain = if variance > 20.0 { ((st / n - s * t / (n * n)) / variance) as f32 } else { 1.0 };
    let gain = gain.clamp(GAIN.0, GAIN.1);
    (gain, (t / n) as f32 - gain * (s / n) as f32)
}

/// Multiplies `reference` by the smoothed ratio of the two luminances.
fn slow_gain(item: &Mat, reference: &mut Mat, inside: &Mat) -> Result<(), MatchError> {
    let side = ((item.cols().max(item.rows()) as f32 * SLOW_EXTENT) as i32 | 1).max(9);
    let inside = &same_matter(item, reference, inside)?;
    let (above, below) = (slow_luminance(item, inside, side)?, slow_luminance(reference, inside, side)?);
    let (above, below) = (above.data_typed::<f32>()?, below.data_typed::<f32>()?);
    for ((p, a), b) in reference.data_typed_mut::<Vec3f>()?.iter_mut().zip(above).zip(below) {
        // The constant keeps dark regions, and those with nothing to measure, near gain 1.
        let gain = ((a + 12.0) / (b + 12.0)).clamp(SLOW_GAIN.0, SLOW_GAIN.1);
        p.0.iter_mut().for_each(|v| *v = (*v * gain).clamp(0.0, 255.0));
    }
    Ok(())
}

/// The pixels inside that show the same matter in both.
fn same_matter(item: &Mat, reference: &Mat, inside: &Mat) -> Result<Mat, MatchError> {
    let mut same = inside.clone();
    let pixels = item.data_typed::<Vec3f>()?.iter().zip(reference.data_typed::<Vec3f>()?);
    for (m, (a, b)) in same.data_bytes_mut()?.iter_mut().zip(pixels) {
        if (0..3).any(|c| (a[c] - b[c]).abs() > OTHER_MATTER) {
            *m = 0;
        }
    }
    Ok(same)
}

/// Mean luminance over a wide window, of the pixels inside only.
fn slow_luminance(rgb: &Mat, inside: &Mat, side: i32) -> Result<Mat, MatchError> {
    debug_assert_eq!(inside.typ(), CV_8UC1);
    let mut gray = Mat::default();
    imgproc::cvt_color_def(rgb, &mut gray, imgproc::COLOR_RGB2GRAY)?;
    let mut weight = Mat::default();
    inside.convert_to(&mut weight, opencv::core::CV_32F, 1.0 / 255.0, 0.0)?;
    let mut weighted = Mat::default();
    opencv::core::multiply_def(&gray, &weight, &mut weighted)?;
    let blurred = |mat: &Mat| -> Result<Mat, MatchError> {
        // Two passes of a box are nearly a Gaussian, at a cost that does not grow with its width.
        let (mut once, mut twice) = (Mat::default(), Mat::default());
        imgproc::blur_def(mat, &mut once, Size::new(side, side))?;
        imgproc::blur_def(&once, &mut twice, Size::new(side, side))?;
        Ok(twice)
    };
    let (mut sum, count) = (blurred(&weighted)?, blurred(&weight)?);
    for (s, c) in sum.data_typed_mut::<f32>()?.iter_mut().zip(count.data_typed::<f32>()?) {
        *s /= c.max(1e-3);
    }
    Ok(sum)
}
