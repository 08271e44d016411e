//! What a discrepancy map says in words: where the item differs, and whether something was added to it.

use opencv::core::{CV_8UC1, Mat, MatTraitConstManual, MatTraitManual, Point, Scalar, Size, Vector};
use opencv::imgproc;
use vision::Rect;

use crate::MatchError;

/// Differences above it are part of a finding.
pub(crate) const DIFFERENT: f32 = 0.4;
/// Gaps within one finding, pixels at the working size.
const BRIDGE_PX: i32 = 5;
/// Findings smaller than this many pixels at the working size are noise.
const MIN_PX: i32 = 30;
/// A finding is an addition when this share of it lies under labels.
const ADDED_SHARE: f32 = 0.5;

/// How the item differs in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Something that the reference lacks lies on the item, and is of the kinds that are put on goods every day: a label.
    /// It raises the anomaly score a little, and is no damage.
    Addition,
    /// A countable unit that the references show is not there.
    MissingUnit,
    /// The item reaches beyond the outline that a reference of the same side has.
    ExtraMatter,
    /// Its outline is another one: part of it is gone, or moved.
    ChangedShape,
    /// Anything else.
    ChangedRegion,
}

impl FindingKind {
    /// As it is written in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::MissingUnit => "missing_unit",
            Self::ExtraMatter => "extra_matter",
            Self::ChangedShape => "changed_shape",
            Self::ChangedRegion => "changed_region",
        }
    }
}

/// One place where the item differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// How.
    pub kind: FindingKind,
    /// Where, pixels of the item's cutout.
    pub bbox: Rect,
    /// Mean difference there, [0, 1].
    pub score: f32,
}

/// The places where `map` is high, largest score first. `labels` is 255 under labels; `scale`: working pixels a pixel of the
/// cutout, whose size bounds the boxes.
pub(crate) fn findings(map: &[f32], labels: &[u8], work: Size, scale: f64, cutout: (u32, u32)) -> Result<Vec<Finding>, MatchError> {
    let mut high = Mat::new_rows_cols_with_default(work.height, work.width, CV_8UC1, Scalar::all(0.0))?;
    for ((out, d), label) in high.data_bytes_mut()?.iter_mut().zip(map).zip(labels) {
        *out = if *d > DIFFERENT || *label > 0 { 255 } else { 0 };
    }
    let square = imgproc::get_structuring_element_def(imgproc::MORPH_RECT, Size::new(BRIDGE_PX, BRIDGE_PX))?;
    let mut closed = Mat::default();
    imgproc::morphology_ex_def(&high, &mut closed, imgproc::MORPH_CLOSE, &square)?;
    let mut contours = Vector::<Vector<Point>>::new();
    imgproc::find_contours_def(&closed, &mut contours, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
    let mut found = Vec::new();
    for contour in &contours {
        let mut inside = Mat::new_rows_cols_with_default(work.height, work.width, CV_8UC1, Scalar::all(0.0))?;
        let one = Vector::<Vector<Point>>::from_iter([contour.clone()]);
        imgproc::draw_contours_def(&mut inside, &one, 0, Scalar::all(255.0))?;
        imgproc::fill_poly_def(&mut inside, &one, Scalar::all(255.0))?;
        let (mut n, mut sum, mut added) = (0, 0.0, 0);
        for ((_, d), label) in inside.data_bytes()?.iter().zip(map).zip(labels).filter(|((m, _), _)| **m > 0) {
            (n, sum, added) = (n + 1, sum + d, added + i32::from(*label > 0));
        }
        if n < MIN_PX {
            continue;
        }
        let kind = if added as f32 >= ADDED_SHARE * n as f32 { FindingKind::Addition } else { FindingKind::ChangedRegion };
        let bounds = imgproc::bounding_rect(&contour)?;
        found.push(Finding { kind, bbox: in_cutout(bounds, scale, cutout), score: sum / n as f32 });
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.bbox.x, a.bbox.y).cmp(&(b.bbox.x, b.bbox.y))));
    Ok(found)
}

/// A box at the working size in pixels of the cutout, at least one pixel of it.
pub(crate) fn in_cutout(work: opencv::core::Rect, scale: f64, (width, height): (u32, u32)) -> Rect {
    let at = |v: i32, end: u32| ((f64::from(v) / scale).round() as u32).min(end);
    // What lies outside is shown at the border.
    let (x, y) = (at(work.x, width.saturating_sub(1)), at(work.y, height.saturating_sub(1)));
    Rect { x, y, w: at(work.x + work.width, width).max(x + 1) - x, h: at(work.y + work.height, height).max(y + 1) - y }
}
