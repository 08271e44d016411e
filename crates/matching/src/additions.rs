//! Paper labels that the reference lacks.
//!
//! A shipping label is put on pristine goods every day. It hides the print, so what lies under it cannot be compared;
//! it raises the anomaly score, but not by as much as an unexplained change of the same size.

use opencv::core::{
    CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Point2f, RotatedRect, Scalar, Size, Vec3b, Vector,
};
use opencv::imgproc;

use crate::MatchError;

/// Paper is at least this share of the item's brightest …
const MIN_BRIGHTNESS: f32 = 0.8;
/// … and at least this bright, grey levels …
const MIN_LEVEL: u8 = 130;
/// … and has no more colour than this, grey levels between its strongest and weakest channel.
const MAX_CHROMA: u8 = 45;
/// Differences above it are not print that the reference has too.
const NEW: f32 = 0.15;
/// Print on a label is bridged over this many pixels at the working size.
const BRIDGE_PX: i32 = 17;
/// White things narrower than this are print, not paper.
const MIN_SIDE_PX: i32 = 11;
/// A label's size, as a share of the item.
const AREA_SHARE: std::ops::RangeInclusive<f64> = 0.012..=0.5;
/// A label fills its rectangle at least so far: a torn or crumpled white thing does not.
const MIN_FILL: f64 = 0.8;
/// Mean difference from the reference inside a label; white print that the reference has too is no addition.
const MIN_DIFFERENCE: f64 = 0.3;
/// Rim around a label in which edges and corrected light still differ, pixels at the working size.
const RIM_PX: f32 = 12.0;

/// 255 where a label lies on the item and not on the reference. `rgb` is the picture, `item` its mask, `map`
/// the difference from the reference; all at the working size.
pub(crate) fn labels(rgb: &Mat, map: &Mat, item: &Mat, area_px: usize) -> Result<Mat, MatchError> {
    let mut found = Mat::new_rows_cols_with_default(rgb.rows(), rgb.cols(), CV_8UC1, Scalar::all(0.0))?;
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(&paper(rgb, map, item)?, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    for contour in &contours {
        let area = imgproc::contour_area_def(&contour)?;
        if !AREA_SHARE.contains(&(area / area_px.max(1) as f64)) {
            continue;
        }
        let rect = imgproc::min_area_rect(&contour)?;
        let bounds = f64::from(rect.size.width) * f64::from(rect.size.height);
        if area < MIN_FILL * bounds {
            continue;
        }
        let mut inside = Mat::new_rows_cols_with_default(rgb.rows(), rgb.cols(), CV_8UC1, Scalar::all(0.0))?;
        fill(&mut inside, &rect, 0.0)?;
        if opencv::core::mean(map, &inside)?[0] >= MIN_DIFFERENCE {
            fill(&mut found, &rect, RIM_PX)?;
        }
    }
    Ok(found)
}

/// Bright, colourless parts of the item that the reference does not have there, print on them bridged.
fn paper(rgb: &Mat, map: &Mat, item: &Mat) -> Result<Mat, MatchError> {
    let (pixels, differences, inside) = (rgb.data_typed::<Vec3b>()?, map.data_typed::<f32>()?, item.data_bytes()?);
    let mut histogram = [0usize; 256];
    for (p, _) in pixels.iter().zip(inside).filter(|(_, c)| **c > 0) {
        histogram[usize::from(p.0.into_iter().min().unwrap_or(0))] += 1;
    }
    let (limit, mut seen, mut brightest) = (histogram.iter().sum::<usize>() / 100, 0, 255u8);
    while brightest > 0 && seen <= limit {
        seen += histogram[usize::from(brightest)];
        brightest -= 1;
    }
    let level = ((f32::from(brightest) * MIN_BRIGHTNESS) as u8).max(MIN_LEVEL);
    let mut paper = Mat::new_rows_cols_with_default(rgb.rows(), rgb.cols(), CV_8UC1, Scalar::all(0.0))?;
    for (((out, p), d), c) in paper.data_bytes_mut()?.iter_mut().zip(pixels).zip(differences).zip(inside) {
        let (low, high) = (p.0.into_iter().min().unwrap_or(0), p.0.into_iter().max().unwrap_or(0));
        *out = if *c > 0 && *d > NEW && low >= level && high - low <= MAX_CHROMA { 255 } else { 0 };
    }
    let square = |side: i32| imgproc::get_structuring_element_def(imgproc::MORPH_RECT, Size::new(side, side));
    let (mut closed, mut opened) = (Mat::default(), Mat::default());
    imgproc::morphology_ex_def(&paper, &mut closed, imgproc::MORPH_CLOSE, &square(BRIDGE_PX)?)?;
    imgproc::morphology_ex_def(&closed, &mut opened, imgproc::MORPH_OPEN, &square(MIN_SIDE_PX)?)?;
    Ok(opened)
}

/// Paints a rectangle grown by `rim_px`.
fn fill(mask: &mut Mat, rect: &RotatedRect, rim_px: f32) -> Result<(), MatchError> {
    let size = opencv::core::Size2f::new(rect.size.width + 2.0 * rim_px, rect.size.height + 2.0 * rim_px);
    let mut corners = [Point2f::default(); 4];
    RotatedRect::new(rect.center, size, rect.angle)?.points(&mut corners)?;
    let polygon: Vector<Point> = corners.iter().map(|c| Point::new(c.x.round() as i32, c.y.round() as i32)).collect();
    Ok(imgproc::fill_convex_poly_def(mask, &polygon, Scalar::all(255.0))?)
}
