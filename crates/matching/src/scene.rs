//! Pictures of which it is not known what in them is the item: a small thing on a table, a carton held before a shelf.
//!
//! Nothing is known of the background. What differs from the median of its wide surroundings is a region that the item may
//! fill; features are matched within each, where a consensus means more than among those of the whole picture.

use opencv::core::{CV_8UC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point, Scalar, Size, Vec3b, Vector};
use opencv::imgproc;
use vision::Rect;

use crate::appearance::{Appearance, LOOK_PX, lab};
use crate::features::{FeatureOptions, Features};
use crate::{Cutout, MatchError, cv};

/// Side of the surroundings, as a share of the picture's longer side: for large things, and for small ones near edges.
const SURROUNDINGS: [f32; 2] = [0.35, 0.2];
/// A pixel stands out when it differs by more from its surroundings, Lab units.
const STANDS_OUT: [f32; 3] = [14.0, 22.0, 34.0];
/// Lightness counts for less than colour: lamps make gradients.
const LIGHTNESS_WEIGHT: f32 = 0.6;
/// Size of a region, as a share of the picture.
const AREA_SHARE: std::ops::RangeInclusive<f32> = 0.0015..=0.15;
/// Regions that overlap by more (intersection by union) are one.
const SAME: f32 = 0.8;
/// At most so many regions, the largest.
const MAX_REGIONS: usize = 24;
/// Features within so much of a region's side around it belong to it.
const MARGIN: f32 = 0.1;
/// An item is rather shown in the middle: standard deviation, as a share of the picture.
const MIDDLE: f32 = 0.25;

/// A part of the picture that the item may fill.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub features: Features,
    pub appearance: Appearance,
    /// Longer side, pixels of the picture.
    pub extent_px: f32,
    /// Logarithm of how likely such a place and size show an item, but for a constant.
    pub prior: f32,
    /// Its part of the picture.
    pub cutout: Cutout,
}

/// A picture and the parts of it that the item may fill.
#[derive(Clone, Debug)]
pub struct Scene {
    pub(crate) picture: Cutout,
    pub(crate) features: Features,
    pub(crate) regions: Vec<Region>,
    /// The picture at [`LOOK_PX`] in Lab, and its scale.
    pub(crate) lab: Mat,
    pub(crate) look_scale: f32,
}

impl Scene {
    /// Finds regions and features of a picture.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn of(picture: Cutout, options: &FeatureOptions) -> Result<Self, MatchError> {
        let features = Features::of(&picture, options)?;
        let (width, height) = (picture.color().width(), picture.color().height());
        let look_scale = (LOOK_PX as f32 / width.max(height) as f32).min(1.0);
        let at = |v: u32| ((v as f32 * look_scale).round() as i32).max(1);
        let lab = lab(&cv::resized(&cv::from_color(picture.color())?, at(width), at(height))?)?;
        let mut regions = Vec::new();
        for mask in standing_out(&lab)? {
            regions.push(region(&picture, &features, &lab, &mask, look_scale)?);
        }
        Ok(Self { picture, features, regions, lab, look_scale })
    }

    /// The picture.
    pub fn picture(&self) -> &Cutout {
        &self.picture
    }

    /// Number of regions that the item may fill.
    pub fn regions(&self) -> usize {
        self.regions.len()
    }
}

fn region(picture: &Cutout, features: &Features, lab: &Mat, mask: &Mat, look_scale: f32) -> Result<Region, MatchError> {
    let bounds = imgproc::bounding_rect(mask)?;
    let at = |v: i32| v as f32 / look_scale;
    let (x, y, w, h) = (at(bounds.x), at(bounds.y), at(bounds.width), at(bounds.height));
    let margin = MARGIN * w.max(h);
    let inside = |px: f32, py: f32| px > x - margin && px < x + w + margin && py > y - margin && py < y + h + margin;
    Ok(Region {
        features: features.filtered(inside),
        appearance: Appearance::of_mask(lab, mask)?,
        extent_px: w.max(h),
        prior: prior(lab, mask)?,
        cutout: part(picture, mask, bounds)?,
    })
}

/// What a mask at [`LOOK_PX`] shows of the picture.
fn part(picture: &Cutout, mask: &Mat, bounds: opencv::core::Rect) -> Result<Cutout, MatchError> {
    let (width, height) = (picture.color().width(), picture.color().height());
    let at = |v: i32, looked: i32, full: u32| (v as u32 * full / looked.max(1) as u32).min(full);
    let (x, y) = (at(bounds.x, mask.cols(), width), at(bounds.y, mask.rows(), height));
    let (right, low) = (at(bounds.x + bounds.width, mask.cols(), width), at(bounds.y + bounds.height, mask.rows(), height));
    let rect = Rect { x, y, w: (right - x).max(1), h: (low - y).max(1) };
    let color = picture.color().crop(rect).ok_or(MatchError::Empty)?;
    let inside = cv::resized_mask(&Mat::roi(mask, bounds)?.try_clone()?, rect.w as i32, rect.h as i32)?;
    Cutout::masked(color, inside.data_bytes()?.iter().map(|m| *m > 0))
}

/// Items are rather in the middle of their picture, and not tiny.
pub(crate) fn prior(lab: &Mat, mask: &Mat) -> Result<f32, MatchError> {
    let bounds = imgproc::bounding_rect(mask)?;
    let off = |from: i32, size: i32, whole: i32| (from as f32 + size as f32 / 2.0) / whole as f32 - 0.5;
    let (x, y) = (off(bounds.x, bounds.width, lab.cols()), off(bounds.y, bounds.height, lab.rows()));
    let middle = (-(x * x + y * y) / (2.0 * MIDDLE * MIDDLE)).exp();
    let area = opencv::core::count_non_zero(mask)? as f32 / lab.total().max(1) as f32;
    Ok((middle + 1e-3).ln() + 0.5 * (area / 0.01).clamp(1e-3, 1.0).ln())
}

/// Masks of the regions, 255 inside.
fn standing_out(lab: &Mat) -> Result<Vec<Mat>, MatchError> {
    let mut kept: Vec<Mat> = Vec::new();
    for share in SURROUNDINGS {
        let difference = difference_from_surroundings(lab, share)?;
        let mut found: Vec<(usize, Mat)> = Vec::new();
        for limit in STANDS_OUT {
            found.extend(parts(&difference, lab.size()?, limit)?);
        }
        // Largest first; the order of equal ones is that in which they were found.
        found.sort_by_key(|(area, _)| std::cmp::Reverse(*area));
        for (_, mask) in found {
            let mut is_new = true;
            for other in &kept {
                is_new &= overlap(&mask, other)? < SAME;
            }
            if is_new && kept.len() < MAX_REGIONS {
                kept.push(mask);
            }
        }
    }
    Ok(kept)
}

/// Distance of each pixel from the median of the square around it, Lab units.
fn difference_from_surroundings(lab: &Mat, share: f32) -> Result<Vec<f32>, MatchError> {
    let side = (share * lab.cols().max(lab.rows()) as f32) as i32 | 1;
    let mut median = Mat::default();
    imgproc::median_blur(lab, &mut median, side.max(3))?;
    let pairs = lab.data_typed::<Vec3b>()?.iter().zip(median.data_typed::<Vec3b>()?);
    Ok(pairs
        .map(|(p, m)| {
            let d = |c: usize| f32::from(p[c]) - f32::from(m[c]);
            ((LIGHTNESS_WEIGHT * d(0)).powi(2) + d(1).powi(2) + d(2).powi(2)).sqrt()
        })
        .collect())
}

/// Connected parts above `limit` of an item's size that do not touch the picture's edge, with their areas.
fn parts(difference: &[f32], size: Size, limit: f32) -> Result<Vec<(usize, Mat)>, MatchError> {
    let mut mask = Mat::new_rows_cols_with_default(size.height, size.width, CV_8UC1, Scalar::all(0.0))?;
    for (m, d) in mask.data_bytes_mut()?.iter_mut().zip(difference) {
        *m = if *d > limit { 255 } else { 0 };
    }
    let square = |side: i32| imgproc::get_structuring_element_def(imgproc::MORPH_RECT, Size::new(side, side));
    let (mut closed, mut opened) = (Mat::default(), Mat::default());
    imgproc::morphology_ex_def(&mask, &mut closed, imgproc::MORPH_CLOSE, &square(5)?)?;
    imgproc::morphology_ex_def(&closed, &mut opened, imgproc::MORPH_OPEN, &square(3)?)?;
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(&opened, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let mut found = Vec::new();
    for contour in &contours {
        let b = imgproc::bounding_rect(&contour)?;
        if b.x == 0 || b.y == 0 || b.x + b.width >= size.width || b.y + b.height >= size.height {
            continue;
        }
        let mut part = Mat::new_rows_cols_with_default(size.height, size.width, CV_8UC1, Scalar::all(0.0))?;
        imgproc::fill_poly_def(&mut part, &Vector::<Vector<Point>>::from_iter([contour]), Scalar::all(255.0))?;
        let area = opencv::core::count_non_zero(&part)? as usize;
        if AREA_SHARE.contains(&(area as f32 / difference.len().max(1) as f32)) {
            found.push((area, part));
        }
    }
    Ok(found)
}

fn overlap(a: &Mat, b: &Mat) -> Result<f32, MatchError> {
    let (mut both, mut either) = (0u32, 0u32);
    for (a, b) in a.data_bytes()?.iter().zip(b.data_bytes()?) {
        both += u32::from(*a > 0 && *b > 0);
        either += u32::from(*a > 0 || *b > 0);
    }
    Ok(both as f32 / either.max(1) as f32)
}

/// Bounding box of `inside`, in a picture of `width` columns.
pub(crate) fn bounds(inside: &[bool], width: u32) -> Option<Rect> {
    let places = (0u32..).zip(inside).filter(|(_, inside)| **inside).map(|(i, _)| (i % width, i / width));
    let (x0, y0, x1, y1) = places.fold((u32::MAX, u32::MAX, 0, 0), |(x0, y0, x1, y1), (x, y)| (x0.min(x), y0.min(y), x1.max(x), y1.max(y)));
    (x0 <= x1).then(|| Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 })
}
