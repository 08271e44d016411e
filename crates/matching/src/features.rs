//! Local features: RootSIFT on an upscaled cutout.

use nalgebra::{DMatrix, Dyn, MatrixView};
use opencv::core::{KeyPoint, KeyPointTraitConst, Mat, MatTraitConst, MatTraitConstManual, Vector};
use opencv::features2d::{Feature2DTrait, SIFT};

use crate::{Cutout, MatchError, cv};

/// Numbers in one descriptor.
pub(crate) const DESCRIPTOR: usize = 128;
/// A descriptor's length in its integer form; its squared norm is the square of this, but for rounding.
const NORM: f32 = 256.0;

/// How features are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureOptions {
    /// The cutout is scaled so that its longer side has this many pixels. Cost grows with its square.
    pub work_px: u32,
    /// But it is never enlarged by more than this.
    pub max_upscale: f32,
    /// The strongest features kept.
    pub max_features: usize,
}

impl Default for FeatureOptions {
    fn default() -> Self {
        Self { work_px: 300, max_upscale: 2.5, max_features: 400 }
    }
}

/// One feature's place in its cutout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Column, pixels.
    pub x: f32,
    /// Row, pixels.
    pub y: f32,
    /// Diameter of the described neighbourhood, pixels.
    pub size_px: f32,
    /// Orientation, radians, clockwise in the picture.
    pub angle_rad: f32,
}

/// The features of one cutout, strongest first.
#[derive(Clone, Debug, Default)]
pub struct Features {
    pub(crate) places: Vec<Place>,
    /// [`DESCRIPTOR`] numbers a feature. Whole numbers up to [`NORM`]: their products sum without rounding in `f32`, so
    /// that a similarity does not depend on the order of the sum, the processor or the number of threads.
    descriptors: Vec<f32>,
}

impl Features {
    /// Number of features; a plane without texture has none.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when there is nothing to match.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes the features of a cutout.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn of(cutout: &Cutout, options: &FeatureOptions) -> Result<Self, MatchError> {
        let (width, height) = (cutout.color().width(), cutout.color().height());
        let scale = (options.work_px as f32 / width.max(height) as f32).min(options.max_upscale);
        let (w, h) = (((width as f32 * scale) as i32).max(8), ((height as f32 * scale) as i32).max(8));
        let gray = cv::resized(&cv::gray(&cv::from_color(cutout.color())?)?, w, h)?;
        let mask = cv::resized_mask(&cv::from_bytes(width, height, cutout.foreground())?, w, h)?;
        let mut keypoints = Vector::<KeyPoint>::new();
        let mut descriptors = Mat::default();
        let mut sift = SIFT::create(options.max_features as i32, 3, 0.03, 12.0, 1.6)?;
        sift.detect_and_compute(&gray, &mask, &mut keypoints, &mut descriptors, false)?;
        let to_cutout = (width as f32 / w as f32, height as f32 / h as f32);
        Self::sorted(&keypoints, &descriptors, to_cutout)
    }

    /// Strongest first, ties by place: the order, and so every result, is the same on every run.
    fn sorted(keypoints: &Vector<KeyPoint>, descriptors: &Mat, to_cutout: (f32, f32)) -> Result<Self, MatchError> {
        if keypoints.is_empty() || descriptors.rows() as usize != keypoints.len() {
            return Ok(Self::default());
        }
        let rows = descriptors.data_typed::<f32>()?;
        let mut order: Vec<(KeyPoint, &[f32])> = keypoints.iter().zip(rows.chunks_exact(DESCRIPTOR)).collect();
        order.sort_by(|(a, _), (b, _)| {
            let place = |k: &KeyPoint| (k.pt().x, k.pt().y, k.angle());
            let by_place = place(a).partial_cmp(&place(b)).unwrap_or(std::cmp::Ordering::Equal);
            b.response().total_cmp(&a.response()).then(by_place)
        });
        let mut features = Self::default();
        for (keypoint, row) in order {
            features.places.push(Place {
                x: keypoint.pt().x * to_cutout.0,
                y: keypoint.pt().y * to_cutout.1,
                size_px: keypoint.size() * to_cutout.0,
                angle_rad: keypoint.angle().to_radians(),
            });
            features.descriptors.extend(root_sift(row));
        }
        Ok(features)
    }

    /// The descriptors of the first `limit` features.
    fn strongest(&self, limit: usize) -> (usize, &[f32]) {
        let n = self.len().min(limit);
        (n, self.descriptors.get(..n * DESCRIPTOR).unwrap_or_default())
    }
}

/// Hellinger kernel: L1-normalised, then the square root, which makes the L2 norm 1 (here [`NORM`]).
fn root_sift(row: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let sum: f32 = row.iter().sum::<f32>().max(1e-6);
    row.iter().map(move |v| ((v / sum).max(0.0).sqrt() * NORM).round())
}

/// Cosine similarities times [`NORM`]²: a column for each of the item's first `item_limit` features, a row for each of the
/// reference's first `reference_limit`.
fn similarities(item: &Features, reference: &Features, item_limit: usize, reference_limit: usize) -> DMatrix<f32> {
    let ((items, columns), (references, rows)) = (item.strongest(item_limit), reference.strongest(reference_limit));
    let mut out = DMatrix::zeros(references, items);
    if items > 0 && references > 0 {
        let (descriptor, one) = (Dyn(DESCRIPTOR), Dyn(1));
        let rows = MatrixView::from_slice_with_strides_generic(rows, Dyn(references), descriptor, descriptor, one);
        let columns = MatrixView::from_slice_with_strides_generic(columns, descriptor, Dyn(items), one, descriptor);
        out.gemm(1.0, &rows, &columns, 0.0);
    }
    out
}

/// A feature of the item that looks like one of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub item: u32,
    pub reference: u32,
    /// Distance to the second nearest, more than one feature away, relative to this one's: 0 certain, 1 a toss-up.
    pub ratio: f32,
}

/// For each of the item's first `item_limit` features its nearest among the reference's first `reference_limit`, when it
/// is nearer by `max_ratio` than the second nearest (Lowe's ratio test).
pub(crate) fn pairs(item: &Features, reference: &Features, item_limit: usize, reference_limit: usize, max_ratio: f32) -> Vec<Pair> {
    let full = NORM * NORM;
    let distance = |s: f32| (2.0 * (full - s)).max(1.0).sqrt();
    let similarities = similarities(item, reference, item_limit, reference_limit);
    let mut found = Vec::new();
    for (i, column) in (0u32..).zip(similarities.column_iter()) {
        let (mut first, mut second, mut at) = (f32::MIN, f32::MIN, 0u32);
        for (j, s) in (0u32..).zip(column.iter().copied()) {
            if s > first {
                (second, first, at) = (first, s, j);
            } else if s > second {
                second = s;
            }
        }
        let ratio = distance(first) / distance(second);
        if second > f32::MIN && ratio < max_ratio {
            found.push(Pair { item: i, reference: at, ratio });
        }
    }
    found
}
