//! The difference of two registered pictures that forgives small misalignment.
//!
//! A pixel of the item differs by how far it lies outside the range of values that the reference takes within a small
//! radius, and the other way round. A print displaced by less than the radius differs nowhere; a crease, a hole, a stain
//! or a label differs however well it is registered.

use opencv::core::{CV_32FC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3b};
use opencv::imgproc;

use crate::{MatchError, cv};

/// Grey levels of difference that noise and light leave on intact items.
const FLOOR: f32 = 9.0;
/// Grey levels above the floor at which a pixel certainly differs.
const RANGE: f32 = 55.0;
/// A difference of colour counts for less than one of luminance, in 256ths: cameras carry colour at lower quality.
const CHROMA_WEIGHT: i32 = 179;

/// Difference a pixel, [0, 1], of two 8UC3 RGB pictures of one size; `radius_px` is the misalignment that is forgiven.
pub(crate) fn difference(item: &Mat, reference: &Mat, radius_px: i32) -> Result<Mat, MatchError> {
    let (item, reference) = (opponent(item)?, opponent(reference)?);
    let kernel = cv::disc(radius_px)?;
    let (outside_reference, outside_item) = (excess(&item, &reference, &kernel)?, excess(&reference, &item, &kernel)?);
    let mut out = Mat::new_rows_cols_with_default(item.rows(), item.cols(), CV_32FC1, Scalar::all(0.0))?;
    let both = outside_reference.iter().zip(&outside_item);
    for (o, (a, b)) in out.data_typed_mut::<f32>()?.iter_mut().zip(both) {
        *o = ((f32::from(*a.max(b)) - FLOOR) / RANGE).clamp(0.0, 1.0);
    }
    // Single pixels are noise.
    let mut smooth = Mat::default();
    imgproc::blur_def(&out, &mut smooth, Size::new(3, 3))?;
    Ok(smooth)
}

/// Luminance, red against green, yellow against blue; the last two around 128.
fn opponent(rgb: &Mat) -> Result<Mat, MatchError> {
    let mut soft = Mat::default();
    imgproc::gaussian_blur(rgb, &mut soft, Size::new(0, 0), 0.8, 0.8, opencv::core::BORDER_REPLICATE)?;
    for p in soft.data_typed_mut::<Vec3b>()? {
        let [r, g, b] = p.0.map(i32::from);
        let chroma = |difference: i32| (128 + ((CHROMA_WEIGHT * difference) >> 8)).clamp(0, 255) as u8;
        *p = Vec3b::from([((77 * r + 150 * g + 29 * b) >> 8) as u8, chroma(r - g), chroma((r + g) / 2 - b)]);
    }
    Ok(soft)
}

/// How far `a` lies outside the values that `b` takes nearby; the largest over the channels.
fn excess(a: &Mat, b: &Mat, kernel: &Mat) -> Result<Vec<u8>, MatchError> {
    let (mut high, mut low) = (Mat::default(), Mat::default());
    imgproc::dilate_def(b, &mut high, kernel)?;
    imgproc::erode_def(b, &mut low, kernel)?;
    let (a, high, low) = (a.data_typed::<Vec3b>()?, high.data_typed::<Vec3b>()?, low.data_typed::<Vec3b>()?);
    let outside = |v: u8, high: u8, low: u8| v.saturating_sub(high).max(low.saturating_sub(v));
    Ok(a.iter().zip(high).zip(low).map(|((a, h), l)| (0..3).map(|c| outside(a[c], h[c], l[c])).max().unwrap_or(0)).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opencv::core::MatTrait;

    /// Stripes of period 12, shifted by `shift` pixels.
    fn stripes(shift: i32) -> Mat {
        let mut mat = Mat::new_rows_cols_with_default(60, 80, opencv::core::CV_8UC3, Scalar::all(0.0)).unwrap();
        for (i, p) in mat.data_typed_mut::<Vec3b>().unwrap().iter_mut().enumerate() {
            let v = if ((i as i32 % 80 + shift) / 6) % 2 == 0 { 60u8 } else { 190 };
            *p = Vec3b::from([v, v, v]);
        }
        mat
    }

    fn worst(mat: &Mat) -> f32 {
        mat.data_typed::<f32>().unwrap().iter().copied().fold(0.0, f32::max)
    }

    #[test]
    fn forgives_a_shift_inside_the_radius_and_no_more() {
        assert!(worst(&difference(&stripes(6), &stripes(7), 2).unwrap()) < 0.1);
        assert!(worst(&difference(&stripes(6), &stripes(10), 1).unwrap()) > 0.5);
    }

    #[test]
    fn sees_what_is_added_and_what_is_gone() {
        let mut spotted = stripes(6);
        for y in 20..32 {
            for x in 30..42 {
                *spotted.at_2d_mut::<Vec3b>(y, x).unwrap() = Vec3b::from([240, 30, 30]);
            }
        }
        for (item, reference) in [(&spotted, &stripes(6)), (&stripes(6), &spotted)] {
            let map = difference(item, reference, 2).unwrap();
            assert!(*map.at_2d::<f32>(26, 36).unwrap() > 0.9);
            assert!(*map.at_2d::<f32>(26, 10).unwrap() < 0.05);
        }
    }
}
