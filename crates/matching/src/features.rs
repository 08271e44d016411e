//! Local features: RootSIFT on an upscaled cutout.

use nalgebra::{DMatrix, Dyn, MatrixView};
use opencv::core::{KeyPoint, KeyPointTraitConst, Mat, MatTraitConst, MatTraitConstManual, Vector};
use opencv::features2d::{Feature2DTrait, SIFT};

use crate::{Cutout, MatchError, cv};

/// Numbers in one descriptor.
pub(crate) const DESCRIPTOR: usize = 128;
/// A descriptor's length in its integer form; its squared norm is the square of this, but for rounding. A number of it
/// fits a byte.
const NORM: f32 = 255.0;
/// So few features are multiplied one by one: below its own limit nalgebra leaves the fast product, and its slow one steps
/// outside views that are stored by rows.
const FEW: usize = 8;
/// What stored features begin with.
const FORMAT: &[u8] = b"intact features 1\n";
/// Bytes of one stored [`Place`].
const PLACE_BYTES: usize = 16;

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

impl FeatureOptions {
    /// For pictures in which the item is not cut out, and may be small: more pixels, more features.
    pub fn of_a_scene() -> Self {
        Self { work_px: 1600, max_upscale: 2.5, max_features: 4000 }
    }

    /// Bytes that differ when the options do.
    fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&self.work_px.to_le_bytes());
        key[4..8].copy_from_slice(&self.max_upscale.to_le_bytes());
        key[8..].copy_from_slice(&(self.max_features as u64).to_le_bytes());
        key
    }
}

impl Default for FeatureOptions {
    fn default() -> Self {
        Self { work_px: 360, max_upscale: 2.5, max_features: 400 }
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
    /// A row a feature, a column each of its [`DESCRIPTOR`] numbers; stored column after column, as the product reads them fastest. Whole
    /// numbers up to [`NORM`]: their products sum without rounding in `f32`, so that a similarity does not depend on the order of
    /// the sum, the processor or the number of threads.
    descriptors: DMatrix<f32>,
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
        let place = |keypoint: &KeyPoint| Place {
            x: keypoint.pt().x * to_cutout.0,
            y: keypoint.pt().y * to_cutout.1,
            size_px: keypoint.size() * to_cutout.0,
            angle_rad: keypoint.angle().to_radians(),
        };
        let descriptors = DMatrix::from_row_iterator(order.len(), DESCRIPTOR, order.iter().flat_map(|(_, row)| root_sift(row)));
        Ok(Self { places: order.iter().map(|(keypoint, _)| place(keypoint)).collect(), descriptors })
    }

    /// Those whose place `is_inside` accepts, given column and row in pixels.
    pub(crate) fn filtered(&self, is_inside: impl Fn(f32, f32) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|i| is_inside(self.places[*i].x, self.places[*i].y)).collect();
        Self { places: kept.iter().map(|i| self.places[*i]).collect(), descriptors: self.descriptors.select_rows(&kept) }
    }

    /// The features as bytes, to be kept beside a reference's picture; [`Features::from_bytes`] reads them back.
    pub fn to_bytes(&self, options: &FeatureOptions) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        bytes.extend(options.key());
        bytes.extend((self.len() as u32).to_le_bytes());
        for place in &self.places {
            [place.x, place.y, place.size_px, place.angle_rad].iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        }
        // Feature after feature.
        bytes.extend(self.descriptors.row_iter().flat_map(|row| row.iter().map(|v| *v as u8).collect::<Vec<_>>()));
        bytes
    }

    /// `None` when the bytes are not features, or were taken with other options: then they are to be taken anew.
    pub fn from_bytes(bytes: &[u8], options: &FeatureOptions) -> Option<Self> {
        let rest = bytes.strip_prefix(FORMAT)?.strip_prefix(options.key().as_slice())?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        if rest.len() != count.checked_mul(PLACE_BYTES + DESCRIPTOR)? {
            return None;
        }
        let (places, descriptors) = rest.split_at(count * PLACE_BYTES);
        let number = |b: &[u8]| b.first_chunk::<4>().map_or(0.0, |b| f32::from_le_bytes(*b));
        let places = places
            .chunks_exact(PLACE_BYTES)
            .map(|p| Place { x: number(p), y: number(&p[4..]), size_px: number(&p[8..]), angle_rad: number(&p[12..]) })
            .collect();
        Some(Self { places, descriptors: DMatrix::from_row_iterator(count, DESCRIPTOR, descriptors.iter().map(|v| f32::from(*v))) })
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
    let (items, references) = (item.len().min(item_limit), reference.len().min(reference_limit));
    let rows = reference.descriptors.rows(0, references);
    let mut out = DMatrix::zeros(references, items);
    if items <= FEW || references <= FEW {
        for ((j, i), out) in (0..items).flat_map(|i| (0..references).map(move |j| (j, i))).zip(out.iter_mut()) {
            *out = rows.row(j).dot(&item.descriptors.row(i));
        }
    } else {
        // The item's transposed, without moving a number.
        let (columns, one, all) = (item.descriptors.as_slice(), Dyn(1), Dyn(item.len()));
        let columns = MatrixView::from_slice_with_strides_generic(columns, Dyn(DESCRIPTOR), Dyn(items), all, one);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::ColorImage;

    fn squares() -> Cutout {
        let pixel = |i: u32| if (i % 96 / 11 + i / 96 / 13).is_multiple_of(3) { [30, 30, 40] } else { [200, 190, 90] };
        Cutout::whole(ColorImage::new(96, 96, (0..96 * 96).flat_map(pixel).collect()).unwrap())
    }

    #[test]
    fn pairs_do_not_depend_on_how_many_are_multiplied_at_once() {
        let all = Features::of(&squares(), &FeatureOptions::default()).unwrap();
        for (items, references) in [(1, 2), (3, 40), (9, 9), (40, 3), (40, 40)] {
            let found = similarities(&all, &all, items, references);
            assert_eq!(found.shape(), (references, items));
            for (j, i) in (0..references).flat_map(|j| (0..items).map(move |i| (j, i))) {
                let (a, b) = (all.descriptors.row(i), all.descriptors.row(j));
                assert_eq!(found[(j, i)], a.iter().zip(b.iter()).map(|(a, b)| a * b).sum::<f32>());
            }
        }
    }

    #[test]
    fn features_come_back_from_bytes_and_only_with_their_own_options() {
        let options = FeatureOptions::default();
        let taken = Features::of(&squares(), &options).unwrap();
        assert!(taken.len() > 10);
        let bytes = taken.to_bytes(&options);
        let back = Features::from_bytes(&bytes, &options).unwrap();
        assert_eq!((&back.places, &back.descriptors), (&taken.places, &taken.descriptors));
        assert!(Features::from_bytes(&bytes, &FeatureOptions { work_px: 99, ..options }).is_none());
        assert!((0..bytes.len()).step_by(61).all(|n| Features::from_bytes(&bytes[..n], &options).is_none()));
    }
}
