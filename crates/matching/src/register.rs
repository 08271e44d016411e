//! Where the reference lies in the item's view: a homography, then a smooth local refinement.

use nalgebra::Matrix3;
use opencv::calib3d;
use opencv::core::{BORDER_CONSTANT, CV_64FC1, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Point2f, Scalar, Size, Vector};
use opencv::imgproc;

use crate::MatchError;
use crate::consensus::Consensus;
use crate::features::Features;

/// Fewer agreeing features register nothing: what rests on them is uncompared.
pub(crate) const MIN_AGREEING: usize = 8;
/// Side of the blocks that the refinement matches, pixels.
const BLOCK: i32 = 26;
/// Distance between their centres.
const STRIDE: i32 = 24;
/// Largest local displacement that the refinement looks for, pixels.
const REACH: i32 = 6;
/// A block must match at least so well …
const MIN_CORRELATION: f32 = 0.6;
/// … and have at least this standard deviation, grey levels, to say where it lies.
const MIN_TEXTURE: f64 = 7.0;

/// Homography `item_from_reference` in pixels of the two cutouts, by MAGSAC++ over the consensus; the consensus's own
/// affinity where a homography finds too little or is not one that a camera could see.
///
/// The second value is the share of the consensus that lies on one plane within `tolerance_px`: near 1 for the face of a
/// carton, less for what is round or soft.
pub(crate) fn homography(
    consensus: &Consensus,
    item: &Features,
    reference: &Features,
    tolerance_px: f64,
) -> Result<(Matrix3<f64>, f32), MatchError> {
    let affine = consensus.item_from_reference;
    let places = |p: &crate::features::Pair| Some((item.places.get(p.item as usize)?, reference.places.get(p.reference as usize)?));
    let (to, from): (Vec<_>, Vec<_>) =
        consensus.pairs.iter().filter_map(places).map(|(i, r)| (Point2f::new(i.x, i.y), Point2f::new(r.x, r.y))).unzip();
    if from.len() < MIN_AGREEING {
        return Ok((affine, 0.0));
    }
    let mut mask = Mat::default();
    let (from, to) = (Vector::<Point2f>::from_iter(from), Vector::<Point2f>::from_iter(to));
    let found = calib3d::find_homography(&from, &to, &mut mask, calib3d::USAC_MAGSAC, tolerance_px)?;
    if found.rows() != 3 || found.typ() != CV_64FC1 {
        return Ok((affine, 0.0));
    }
    let homography = Matrix3::from_row_slice(found.data_typed::<f64>()?);
    let kept = mask.data_bytes()?.iter().filter(|m| **m > 0).count();
    let sane = homography.iter().all(|v| v.is_finite()) && near(&homography, &affine, &from);
    let flatness = kept as f32 / from.len() as f32;
    Ok(if sane && flatness >= 0.5 { (homography, flatness) } else { (affine, flatness.min(0.5)) })
}

/// A homography that leaves the affinity of the same pairs by more than a tenth of their spread fits noise.
fn near(homography: &Matrix3<f64>, affine: &Matrix3<f64>, from: &Vector<Point2f>) -> bool {
    let at = |m: &Matrix3<f64>, p: Point2f| {
        let v = m * nalgebra::Vector3::new(f64::from(p.x), f64::from(p.y), 1.0);
        nalgebra::Vector2::new(v.x / v.z, v.y / v.z)
    };
    let placed: Vec<_> = from.iter().map(|p| at(affine, p)).collect();
    let spread = placed.iter().flat_map(|a| placed.iter().map(move |b| (a - b).norm())).fold(0.0, f64::max);
    from.iter().zip(&placed).all(|(p, a)| (at(homography, p) - a).norm() < 0.1 * spread.max(20.0))
}

/// `matrix` as OpenCV wants it.
pub(crate) fn to_mat(matrix: &Matrix3<f64>) -> Result<Mat, MatchError> {
    let mut mat = Mat::new_rows_cols_with_default(3, 3, CV_64FC1, Scalar::all(0.0))?;
    for (out, v) in mat.data_typed_mut::<f64>()?.iter_mut().zip(matrix.transpose().iter()) {
        *out = *v;
    }
    Ok(mat)
}

/// Warps a picture by `to_from`; outside it is 0.
pub(crate) fn warped(mat: &Mat, to_from: &Matrix3<f64>, size: Size, how: i32) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    imgproc::warp_perspective(mat, &mut out, &to_mat(to_from)?, size, how, BORDER_CONSTANT, Scalar::all(0.0))?;
    Ok(out)
}

/// A displacement for every pixel: where in the warped reference the item's pixel is found.
pub(crate) struct Displacement {
    map_x: Mat,
    map_y: Mat,
}

impl Displacement {
    /// Matches textured blocks of the item in the warped reference and spreads their displacements smoothly.
    /// `inside` marks the pixels that both show. Both pictures are luminance.
    pub fn between(item: &Mat, reference: &Mat, inside: &Mat) -> Result<Self, MatchError> {
        let size = item.size()?;
        let (cols, rows) = ((size.width - 1) / STRIDE + 1, (size.height - 1) / STRIDE + 1);
        let mut field = Field {
            dx: vec![0.0; (cols * rows) as usize],
            dy: vec![0.0; (cols * rows) as usize],
            weight: vec![0.0; (cols * rows) as usize],
        };
        let margin = BLOCK / 2 + REACH;
        for cell in 0..cols * rows {
            let (x, y) = (cell % cols * STRIDE, cell / cols * STRIDE);
            if x < margin || y < margin || x + margin >= size.width || y + margin >= size.height {
                continue;
            }
            if let Some((dx, dy, weight)) = block_shift(item, reference, inside, x, y)? {
                let at = cell as usize;
                (field.dx[at], field.dy[at], field.weight[at]) = (dx * weight, dy * weight, weight);
            }
        }
        field.to_maps(cols, rows, size)
    }

    /// The reference as displaced.
    pub fn apply(&self, reference: &Mat, how: i32) -> Result<Mat, MatchError> {
        let mut out = Mat::default();
        imgproc::remap(reference, &mut out, &self.map_x, &self.map_y, how, BORDER_CONSTANT, Scalar::all(0.0))?;
        Ok(out)
    }
}

/// Displacement of one block, and how far it can be trusted; `None` when it shows too little.
fn block_shift(item: &Mat, reference: &Mat, inside: &Mat, x: i32, y: i32) -> Result<Option<(f32, f32, f32)>, MatchError> {
    let half = BLOCK / 2;
    if *inside.at_2d::<u8>(y, x)? == 0 {
        return Ok(None);
    }
    let block = Mat::roi(item, opencv::core::Rect::new(x - half, y - half, BLOCK, BLOCK))?;
    let (mut mean, mut deviation) = (Scalar::default(), Scalar::default());
    opencv::core::mean_std_dev(&block, &mut mean, &mut deviation, &opencv::core::no_array())?;
    if deviation[0] < MIN_TEXTURE {
        return Ok(None);
    }
    let (reach, side) = (half + REACH, BLOCK + 2 * REACH);
    let window = Mat::roi(reference, opencv::core::Rect::new(x - reach, y - reach, side, side))?;
    let mut correlation = Mat::default();
    imgproc::match_template_def(&window, &block, &mut correlation, imgproc::TM_CCOEFF_NORMED)?;
    let (mut peak, mut at) = (0.0, opencv::core::Point::default());
    opencv::core::min_max_loc(&correlation, None, Some(&mut peak), None, Some(&mut at), &opencv::core::no_array())?;
    let on_edge = at.x == 0 || at.y == 0 || at.x == 2 * REACH || at.y == 2 * REACH;
    if (peak as f32) < MIN_CORRELATION || on_edge {
        return Ok(None);
    }
    let c = |dx: i32, dy: i32| correlation.at_2d::<f32>(at.y + dy, at.x + dx).copied();
    let (sub_x, sub_y) = (vertex(c(-1, 0)?, c(0, 0)?, c(1, 0)?), vertex(c(0, -1)?, c(0, 0)?, c(0, 1)?));
    Ok(Some(((at.x - REACH) as f32 + sub_x, (at.y - REACH) as f32 + sub_y, (peak as f32).powi(4))))
}

/// Offset of a parabola's vertex from the middle of three samples, within half a step.
fn vertex(left: f32, middle: f32, right: f32) -> f32 {
    let bend = left - 2.0 * middle + right;
    if bend.abs() < 1e-6 { 0.0 } else { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) }
}

struct Field {
    dx: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
}

impl Field {
    /// Weighted smoothing over neighbouring blocks; without any block near, the displacement fades to zero.
    fn to_maps(&self, cols: i32, rows: i32, size: Size) -> Result<Displacement, MatchError> {
        let smooth = |values: &[f32]| -> Result<Vec<f32>, MatchError> {
            let grid = Mat::new_rows_cols_with_data(rows, cols, values)?;
            let mut out = Mat::default();
            imgproc::gaussian_blur(&grid, &mut out, Size::new(0, 0), 1.2, 1.2, opencv::core::BORDER_REPLICATE)?;
            Ok(out.data_typed::<f32>()?.to_vec())
        };
        let (dx, dy, weight) = (smooth(&self.dx)?, smooth(&self.dy)?, smooth(&self.weight)?);
        let map = |shift: &[f32], vertical: bool| -> Result<Mat, MatchError> {
            let cells: Vec<f32> = shift.iter().zip(&weight).map(|(d, w)| d / (w + 0.05)).collect();
            let mut map = spread(&cells, cols, rows, size)?;
            for (i, v) in map.data_typed_mut::<f32>()?.iter_mut().enumerate() {
                let (x, y) = (i % size.width as usize, i / size.width as usize);
                *v += if vertical { y as f32 } else { x as f32 };
            }
            Ok(map)
        };
        Ok(Displacement { map_x: map(&dx, false)?, map_y: map(&dy, true)? })
    }
}

/// Bilinear interpolation of cells that lie at multiples of [`STRIDE`].
fn spread(cells: &[f32], cols: i32, rows: i32, size: Size) -> Result<Mat, MatchError> {
    let grid = Mat::new_rows_cols_with_data(rows, cols, cells)?;
    let mut scale = Matrix3::identity();
    (scale[(0, 0)], scale[(1, 1)]) = (f64::from(STRIDE), f64::from(STRIDE));
    let mut out = Mat::default();
    imgproc::warp_perspective(
        &grid,
        &mut out,
        &to_mat(&scale)?,
        size,
        imgproc::INTER_LINEAR,
        opencv::core::BORDER_REPLICATE,
        Scalar::all(0.0),
    )?;
    Ok(out)
}
