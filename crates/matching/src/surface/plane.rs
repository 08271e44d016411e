//! One number a pixel, and the filters that run over it.

use opencv::boxed_ref::BoxedRef;
use opencv::core::{BORDER_DEFAULT, CV_32F, Mat, MatTraitConst, MatTraitConstManual, Point, Size};
use opencv::imgproc;

use crate::MatchError;

/// From this width on a Gaussian is made on a picture of a quarter of the size: nothing finer is left of it.
const COARSE_SIGMA_PX: f64 = 8.0;
const COARSE: usize = 4;

/// One number a pixel, row after row.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Plane {
    pub fn filled(width: usize, height: usize, value: f32) -> Plane {
        Plane { width, height, data: vec![value; width * height] }
    }

    fn mat(&self) -> Result<BoxedRef<'_, Mat>, MatchError> {
        Ok(Mat::new_rows_cols_with_data(self.height as i32, self.width as i32, &self.data)?)
    }

    /// `CV_32FC1` only.
    fn of_mat(mat: &Mat) -> Result<Plane, MatchError> {
        Ok(Plane { width: mat.cols() as usize, height: mat.rows() as usize, data: mat.data_typed::<f32>()?.to_vec() })
    }

    /// A Gaussian of `sigma_px` over it.
    pub fn blurred(&self, sigma_px: f64) -> Result<Plane, MatchError> {
        if sigma_px < COARSE_SIGMA_PX || self.width.min(self.height) < 4 * COARSE {
            let mut out = Mat::default();
            imgproc::gaussian_blur_def(&self.mat()?, &mut out, Size::new(0, 0), sigma_px)?;
            return Plane::of_mat(&out);
        }
        let small = self.resized(self.width.div_ceil(COARSE), self.height.div_ceil(COARSE), imgproc::INTER_AREA)?;
        let mut out = Mat::default();
        imgproc::gaussian_blur_def(&small.mat()?, &mut out, Size::new(0, 0), sigma_px / COARSE as f64)?;
        Plane::of_mat(&out)?.resized(self.width, self.height, imgproc::INTER_LINEAR)
    }

    /// Resized by one of OpenCV's interpolations.
    pub fn resized(&self, width: usize, height: usize, how: i32) -> Result<Plane, MatchError> {
        let mut out = Mat::default();
        imgproc::resize(&self.mat()?, &mut out, Size::new(width as i32, height as i32), 0.0, 0.0, how)?;
        Plane::of_mat(&out)
    }

    /// Sobel's derivative of orders `dx`, `dy`, times `factor`.
    pub fn derivative(&self, dx: i32, dy: i32, factor: f64) -> Result<Plane, MatchError> {
        let mut out = Mat::default();
        imgproc::sobel(&self.mat()?, &mut out, CV_32F, dx, dy, 3, factor, 0.0, BORDER_DEFAULT)?;
        Plane::of_mat(&out)
    }

    /// Correlated with a kernel of odd sides.
    pub fn filtered(&self, kernel: &Plane) -> Result<Plane, MatchError> {
        let mut out = Mat::default();
        imgproc::filter_2d(&self.mat()?, &mut out, CV_32F, &kernel.mat()?, Point::new(-1, -1), 0.0, BORDER_DEFAULT)?;
        Plane::of_mat(&out)
    }

    pub fn map(&self, f: impl Fn(f32) -> f32) -> Plane {
        Plane { width: self.width, height: self.height, data: self.data.iter().map(|v| f(*v)).collect() }
    }

    /// Pixel by pixel with another of the same size.
    pub fn with(&self, other: &Plane, f: impl Fn(f32, f32) -> f32) -> Plane {
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Plane { width: self.width, height: self.height, data }
    }
}
