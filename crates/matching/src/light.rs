//! The reference in the item's light.

use opencv::core::{CV_8UC3, CV_32F, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3b};
use opencv::imgproc;

use crate::{MatchError, cv};

/// Contrast of one channel may differ by this factor either way between two pictures.
const GAIN: (f32, f32) = (0.45, 2.2);
/// Share of the pixels that fit worst and are left out of the second fit: the damage must not set the light.
const LEFT_OUT: f32 = 0.35;
/// Slow changes of light over the item that are taken for light, not for damage.
const SLOW_GAIN: (f32, f32) = (0.72, 1.38);
/// Pixels that differ by more grey levels are not the same matter in other light, and say nothing of the light.
const OTHER_MATTER: u8 = 40;
/// Width of "slow", as a share of the longer side.
const SLOW_EXTENT: f32 = 0.28;
/// Slow changes are measured on pictures smaller by this factor.
const SLOW_SHRINK: i32 = 4;
/// One pixel in so many sets the light: enough for two numbers a channel.
const SAMPLED: usize = 3;

/// `reference` (8UC3) with every channel mapped to the item's light where `inside` is set: white balance and exposure by
/// a trimmed linear fit per channel, then a slowly varying gain (a lamp to one side).
pub(crate) fn relit(item: &Mat, reference: &Mat, inside: &Mat) -> Result<Mat, MatchError> {
    let (target, source, inside_px) = (item.data_typed::<Vec3b>()?, reference.data_typed::<Vec3b>()?, inside.data_bytes()?);
    let sampled: Vec<(Vec3b, Vec3b)> =
        source.iter().zip(target).zip(inside_px).filter(|(_, m)| **m > 0).map(|((s, t), _)| (*s, *t)).step_by(SAMPLED).collect();
    let tables: Vec<[u8; 256]> = (0..3)
        .map(|c| {
            let (gain, offset) = trimmed_line(sampled.iter().map(|(s, t)| (f32::from(s[c]), f32::from(t[c]))));
            std::array::from_fn(|v| (v as f32 * gain + offset).round().clamp(0.0, 255.0) as u8)
        })
        .collect();
    let mut out = Mat::new_rows_cols_with_default(reference.rows(), reference.cols(), CV_8UC3, Scalar::all(0.0))?;
    for (o, s) in out.data_typed_mut::<Vec3b>()?.iter_mut().zip(source) {
        for (c, table) in tables.iter().enumerate() {
            o[c] = table[usize::from(s[c])];
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
    let full = reference.size()?;
    let (cols, rows) = ((full.width / SLOW_SHRINK).max(1), (full.height / SLOW_SHRINK).max(1));
    let (small_item, small_reference) = (cv::resized(item, cols, rows)?, cv::resized(reference, cols, rows)?);
    let same = same_matter(&small_item, &small_reference, &cv::resized_mask(inside, cols, rows)?)?;
    let side = ((cols.max(rows) as f32 * SLOW_EXTENT) as i32 | 1).max(3);
    let (above, below) = (slow_luminance(&small_item, &same, side)?, slow_luminance(&small_reference, &same, side)?);
    let mut gains = below.try_clone()?;
    for (gain, above) in gains.data_typed_mut::<f32>()?.iter_mut().zip(above.data_typed::<f32>()?) {
        // The constant keeps dark regions, and those with nothing to measure, near gain 1.
        *gain = ((above + 12.0) / (*gain + 12.0)).clamp(SLOW_GAIN.0, SLOW_GAIN.1);
    }
    let mut spread = Mat::default();
    imgproc::resize(&gains, &mut spread, full, 0.0, 0.0, imgproc::INTER_LINEAR)?;
    for (p, gain) in reference.data_typed_mut::<Vec3b>()?.iter_mut().zip(spread.data_typed::<f32>()?) {
        p.0.iter_mut().for_each(|v| *v = (f32::from(*v) * gain + 0.5) as u8);
    }
    Ok(())
}

/// The pixels inside that show the same matter in both: 1 there, 0 elsewhere.
fn same_matter(item: &Mat, reference: &Mat, inside: &Mat) -> Result<Mat, MatchError> {
    let mut same = Mat::default();
    inside.convert_to(&mut same, CV_32F, 1.0 / 255.0, 0.0)?;
    let pixels = item.data_typed::<Vec3b>()?.iter().zip(reference.data_typed::<Vec3b>()?);
    for (m, (a, b)) in same.data_typed_mut::<f32>()?.iter_mut().zip(pixels) {
        if (0..3).any(|c| a[c].abs_diff(b[c]) > OTHER_MATTER) {
            *m = 0.0;
        }
    }
    Ok(same)
}

/// Mean luminance over a wide window, of the pixels of weight 1 only.
fn slow_luminance(rgb: &Mat, weight: &Mat, side: i32) -> Result<Mat, MatchError> {
    let mut gray = Mat::default();
    cv::gray(rgb)?.convert_to(&mut gray, CV_32F, 1.0, 0.0)?;
    let mut weighted = Mat::default();
    opencv::core::multiply_def(&gray, weight, &mut weighted)?;
    let blurred = |mat: &Mat| -> Result<Mat, MatchError> {
        // Two passes of a box are nearly a Gaussian, at a cost that does not grow with its width.
        let (mut once, mut twice) = (Mat::default(), Mat::default());
        imgproc::blur_def(mat, &mut once, Size::new(side, side))?;
        imgproc::blur_def(&once, &mut twice, Size::new(side, side))?;
        Ok(twice)
    };
    let (mut sum, count) = (blurred(&weighted)?, blurred(weight)?);
    for (s, c) in sum.data_typed_mut::<f32>()?.iter_mut().zip(count.data_typed::<f32>()?) {
        *s /= c.max(1e-3);
    }
    Ok(sum)
}
