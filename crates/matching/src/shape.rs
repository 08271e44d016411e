//! The item's outline against that of a reference laid over it: matter beside it, and parts of it that are gone.
//!
//! A view from another side shows other walls of a thing, so an outline is only compared with references whose placement turns, shifts
//! and scales, and hardly shears, with a tolerance, and the reference that fits best speaks. A wall that comes into view because a
//! high thing lies elsewhere under the camera shears nothing: outlines are told and raise the score a little, and never alarm alone.

use nalgebra::Matrix3;
use opencv::core::{CV_8UC1, Mat, MatTraitConst, Point, Scalar, Size, ToInputArray, Vector};
use opencv::imgproc;

use crate::findings::{Finding, FindingKind, in_cutout};
use crate::register::warped;
use crate::{Cutout, MatchError, cv};

/// Distance between outlines that is forgiven, as a share of the item's size (root of its area): walls, masks, soft goods.
const TOLERANCE: f32 = 0.05;
/// Room around the item's picture in which the reference's outline may go on, as a share of its sides.
const ROOM: f32 = 0.3;
/// Largest ratio of the scales along two directions of a placement.
pub(crate) const MAX_SHEAR: f64 = 1.12;
/// Parts smaller than this share of the item say nothing.
const MIN_PART: f32 = 0.004;
/// Outlines laid with their middles together must leave less than this of what the print's own place leaves.
const CENTRED: f32 = 0.5;
/// Only a shift of more tolerances than this is taken for a print that is turned: a strip that is torn off moves the middle by less.
const TURNED: f64 = 2.0;
/// Parts of so much of the item together give a finding a score of one half.
const HALF_SHARE: f32 = 0.04;

/// One part of the outline that is not as on the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    /// Beyond the reference's outline; else the reference goes on where the item ends.
    pub is_extra: bool,
    /// Where, pixels at the working size; may lie outside the picture.
    pub bbox: opencv::core::Rect,
    /// Its area as a share of the item's.
    pub share: f32,
}

/// What the outline says; the parts, largest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outline {
    pub parts: Vec<Part>,
}

impl Outline {
    /// Area of all parts as a share of the item's.
    pub fn share(&self) -> f32 {
        self.parts.iter().map(|p| p.share).fold(0.0, |sum, share| sum + share)
    }

    /// [0, 1]: how far the outline is from the reference's.
    pub fn score(&self) -> f32 {
        let share = self.share();
        share / (share + HALF_SHARE)
    }

    /// Findings, in pixels of a cutout of this size with `scale` working pixels a pixel. Matter that only came is `ExtraMatter`; where some is
    /// gone, too, it moved, and the shape is changed.
    pub fn findings(&self, scale: f64, cutout: (u32, u32)) -> impl Iterator<Item = Finding> + use<'_> {
        let only_extra = self.parts.iter().all(|p| p.is_extra);
        let kind = if only_extra { FindingKind::ExtraMatter } else { FindingKind::ChangedShape };
        let score = self.score();
        self.parts.iter().map(move |part| Finding { kind, bbox: in_cutout(part.bbox, scale, cutout), score })
    }
}

/// Compares outlines; `None` when the reference was seen from another side. `item` is the item's mask at the working size.
pub(crate) fn outline(item: &Mat, reference: &Cutout, work_from_reference: &Matrix3<f64>) -> Result<Option<Outline>, MatchError> {
    if shear(work_from_reference, reference) > MAX_SHEAR {
        return Ok(None);
    }
    let (cols, rows) = (item.cols(), item.rows());
    let (room_x, room_y) = ((cols as f32 * ROOM) as i32, (rows as f32 * ROOM) as i32);
    let size = Size::new(cols + 2 * room_x, rows + 2 * room_y);
    let mut own = Mat::default();
    let item = solid(item)?;
    opencv::core::copy_make_border(&item, &mut own, room_y, room_y, room_x, room_x, opencv::core::BORDER_CONSTANT, Scalar::all(0.0))?;
    let color = reference.color();
    let mask = solid(&cv::from_bytes(color.width(), color.height(), reference.foreground())?)?;
    let shift = Matrix3::new_translation(&nalgebra::Vector2::new(f64::from(room_x), f64::from(room_y)));
    let theirs = warped(&mask, &(shift * work_from_reference), size, imgproc::INTER_NEAREST)?;
    let area_px = opencv::core::count_non_zero(&own)?.max(1) as f32;
    let tolerance_px = ((area_px.sqrt() * TOLERANCE) as i32).max(2);
    let moved = |dx: f64, dy: f64| -> Result<Outline, MatchError> {
        let theirs = warped(&theirs, &Matrix3::new_translation(&nalgebra::Vector2::new(dx, dy)), size, imgproc::INTER_NEAREST)?;
        let mut parts = beyond(&own, &theirs, tolerance_px, area_px, true)?;
        parts.extend(beyond(&theirs, &own, tolerance_px, area_px, false)?);
        Ok(Outline { parts })
    };
    let mut outline = moved(0.0, 0.0)?;
    if !outline.parts.is_empty() {
        // The print of a round thing is turned about its axis, and its outline stays: it fits much better where the middles meet.
        let (dx, dy) = between_middles(&theirs, &own)?;
        let centred = moved(dx, dy)?;
        let is_turned = dx.hypot(dy) > TURNED * f64::from(tolerance_px);
        if is_turned && centred.share() < CENTRED * outline.share() {
            outline = centred;
        }
    }
    for part in &mut outline.parts {
        (part.bbox.x, part.bbox.y) = (part.bbox.x - room_x, part.bbox.y - room_y);
    }
    outline.parts.sort_by(|a, b| b.share.total_cmp(&a.share).then((a.bbox.x, a.bbox.y).cmp(&(b.bbox.x, b.bbox.y))));
    Ok(Some(outline))
}

/// A mask without holes: what shines has no depth, and may be missing from the middle of a mask.
fn solid(mask: &Mat) -> Result<Mat, MatchError> {
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(mask, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let mut filled = mask.clone();
    for contour in &contours {
        imgproc::fill_poly_def(&mut filled, &Vector::<Vector<Point>>::from_iter([contour]), Scalar::all(255.0))?;
    }
    Ok(filled)
}

/// From the centre of one mask's area to that of another, pixels.
fn between_middles(from: &Mat, to: &Mat) -> Result<(f64, f64), MatchError> {
    let middle = |mask: &Mat| -> Result<(f64, f64), MatchError> {
        let m = imgproc::moments(mask, true)?;
        Ok((m.m10 / m.m00.max(1.0), m.m01 / m.m00.max(1.0)))
    };
    let (a, b) = (middle(from)?, middle(to)?);
    Ok((b.0 - a.0, b.1 - a.1))
}

/// Ratio of the largest and smallest scale of the placement at the middle of the reference.
pub(crate) fn shear(work_from_reference: &Matrix3<f64>, reference: &Cutout) -> f64 {
    let (w, h) = (f64::from(reference.color().width()), f64::from(reference.color().height()));
    let at = |x: f64, y: f64| {
        let p = work_from_reference * nalgebra::Vector3::new(x, y, 1.0);
        nalgebra::Vector2::new(p.x / p.z, p.y / p.z)
    };
    let (cx, cy, d) = (w / 2.0, h / 2.0, (w + h) / 40.0);
    let (u, v) = (at(cx + d, cy) - at(cx - d, cy), at(cx, cy + d) - at(cx, cy - d));
    let singular = nalgebra::Matrix2::from_columns(&[u, v]).singular_values();
    singular[0] / singular[1].max(1e-9)
}

/// Parts of `a` that lie farther than `tolerance_px` from `b`.
fn beyond(a: &Mat, b: &Mat, tolerance_px: i32, area_px: f32, is_extra: bool) -> Result<Vec<Part>, MatchError> {
    // A square within the disc grows at a tenth of its cost: what it leaves holds all that the disc would leave, and mostly that is nothing.
    let inner_px = (f64::from(tolerance_px) / std::f64::consts::SQRT_2) as i32;
    let square = imgproc::get_structuring_element_def(imgproc::MORPH_RECT, Size::new(2 * inner_px + 1, 2 * inner_px + 1))?;
    let beyond_square = outside(a, b, &square)?;
    if (opencv::core::count_non_zero(&beyond_square)? as f32) < MIN_PART * area_px {
        return Ok(Vec::new());
    }
    let left = imgproc::bounding_rect(&beyond_square)?;
    let around = opencv::core::Rect::new(
        left.x - tolerance_px,
        left.y - tolerance_px,
        left.width + 2 * tolerance_px,
        left.height + 2 * tolerance_px,
    ) & opencv::core::Rect::new(0, 0, a.cols(), a.rows());
    // Growing a part of a picture reads what lies beyond the part, so its rim is as of the whole.
    let far = outside(&Mat::roi(a, around)?, &Mat::roi(b, around)?, &cv::disc(tolerance_px)?)?;
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(&far, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let mut parts = Vec::new();
    for contour in &contours {
        let mut bbox = imgproc::bounding_rect(&contour)?;
        // Most are specks; a part is no larger than its box.
        if (bbox.area() as f32) < MIN_PART * area_px {
            continue;
        }
        let mut inside = Mat::new_rows_cols_with_default(far.rows(), far.cols(), CV_8UC1, Scalar::all(0.0))?;
        imgproc::fill_poly_def(&mut inside, &Vector::<Vector<Point>>::from_iter([contour]), Scalar::all(255.0))?;
        let mut own = Mat::default();
        opencv::core::bitwise_and_def(&inside, &far, &mut own)?;
        let share = opencv::core::count_non_zero(&own)? as f32 / area_px;
        if share >= MIN_PART {
            (bbox.x, bbox.y) = (bbox.x + around.x, bbox.y + around.y);
            parts.push(Part { is_extra, bbox, share });
        }
    }
    Ok(parts)
}

/// What of `a` the mask `b` does not reach when it is grown by `kernel`.
fn outside(a: &impl ToInputArray, b: &impl ToInputArray, kernel: &Mat) -> Result<Mat, MatchError> {
    let (mut grown, mut beyond, mut left) = (Mat::default(), Mat::default(), Mat::default());
    imgproc::dilate_def(b, &mut grown, kernel)?;
    opencv::core::bitwise_not_def(&grown, &mut beyond)?;
    opencv::core::bitwise_and_def(a, &beyond, &mut left)?;
    Ok(left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opencv::core::MatTraitManual;
    use vision::ColorImage;

    /// A mask of boxes `(x, y, w, h)`, set or cleared in turn, in a picture of 200 × 160.
    fn mask(boxes: &[(usize, usize, usize, usize, bool)]) -> Vec<bool> {
        let mut out = vec![false; 200 * 160];
        for (x, y, w, h, set) in boxes {
            for row in out.chunks_exact_mut(200).skip(*y).take(*h) {
                row[*x..x + w].fill(*set);
            }
        }
        out
    }

    fn parts(item: &[bool], placement: &Matrix3<f64>) -> Option<Outline> {
        let thing = mask(&[(50, 40, 100, 80, true)]);
        let cutout = Cutout::masked(ColorImage::new(200, 160, vec![90; 200 * 160 * 3]).unwrap(), thing).unwrap();
        let mut mat = Mat::new_rows_cols_with_default(160, 200, CV_8UC1, Scalar::all(0.0)).unwrap();
        mat.data_bytes_mut().unwrap().iter_mut().zip(item).for_each(|(m, i)| *m = if *i { 255 } else { 0 });
        outline(&mat, &cutout, placement).unwrap()
    }

    #[test]
    fn what_sticks_out_and_what_is_gone() {
        let whole = (50, 40, 100, 80, true);
        let kinds = |outline: &Outline| outline.findings(1.0, (200, 160)).map(|f| f.kind).collect::<Vec<_>>();
        for (what, boxes, expected) in [
            ("as it should be", vec![whole], vec![]),
            ("a rim within the tolerance", vec![(48, 38, 104, 84, true)], vec![]),
            ("no depth in the middle", vec![whole, (80, 60, 30, 30, false)], vec![]),
            ("a strip of a tenth is torn off", vec![whole, (140, 40, 10, 80, false)], vec![FindingKind::ChangedShape]),
            ("a flap of a whole side", vec![whole, (150, 40, 12, 80, true)], vec![FindingKind::ExtraMatter]),
            ("a flap", vec![whole, (150, 60, 25, 40, true)], vec![FindingKind::ExtraMatter]),
            ("a corner is gone", vec![whole, (115, 40, 35, 35, false)], vec![FindingKind::ChangedShape]),
            (
                "a corner went to the other side",
                vec![whole, (125, 40, 25, 40, false), (20, 80, 30, 30, true)],
                vec![FindingKind::ChangedShape; 2],
            ),
        ] {
            let outline = parts(&mask(&boxes), &Matrix3::identity()).unwrap();
            assert_eq!(kinds(&outline), expected, "{what}: {outline:?}");
            assert_eq!(outline.score() > 0.4, !expected.is_empty(), "{what}: {}", outline.score());
        }
        let flap = parts(&mask(&[whole, (150, 60, 25, 40, true)]), &Matrix3::identity()).unwrap();
        let found = flap.findings(0.5, (400, 320)).next().unwrap().bbox;
        assert!(found.x >= 300 && found.x + found.w <= 352 && found.y >= 110 && found.y + found.h <= 210, "twice as large: {found:?}");
    }

    /// The quick way round must find what growing the whole mask by the disc finds.
    #[test]
    fn parts_are_those_that_a_disc_leaves() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut drawn = || {
            let boxes: Vec<_> = (0..4)
                .map(|_| (rng.random_range(0..150), rng.random_range(0..120), rng.random_range(4..50), rng.random_range(4..40), true))
                .collect();
            Mat::from_slice_2d(
                &mask(&boxes).chunks(200).map(|row| row.iter().map(|m| u8::from(*m) * 255).collect()).collect::<Vec<Vec<u8>>>(),
            )
            .unwrap()
        };
        let mut seen = 0;
        for tolerance_px in (2..12).flat_map(|t| [t; 6]) {
            let (a, b) = (drawn(), drawn());
            let far = outside(&a, &b, &cv::disc(tolerance_px).unwrap()).unwrap();
            let parts = beyond(&a, &b, tolerance_px, 400.0, true).unwrap();
            // With an area so small no part is too small: together they are all that the disc leaves, and lie where it does.
            let found: f32 = parts.iter().map(|p| p.share * 400.0).sum();
            let left = opencv::core::count_non_zero(&far).unwrap() as f32;
            assert!((found - left).abs() <= 1.0 + 0.001 * left, "tolerance {tolerance_px}: {found} of {left}");
            let hull = parts.iter().map(|p| p.bbox).reduce(|a, b| a | b).unwrap_or_default();
            assert_eq!(hull, imgproc::bounding_rect(&far).unwrap());
            seen += parts.len();
        }
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn a_turned_print_moves_no_outline_and_another_side_is_not_compared() {
        let item = mask(&[(50, 40, 100, 80, true)]);
        let moved = Matrix3::new_translation(&nalgebra::Vector2::new(0.0, 30.0));
        assert_eq!(parts(&item, &moved).unwrap(), Outline::default());
        let slanted = Matrix3::new_nonuniform_scaling(&nalgebra::Vector2::new(1.0, 0.8));
        assert_eq!(parts(&item, &slanted), None);
    }
}
