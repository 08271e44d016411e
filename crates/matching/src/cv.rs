//! Our pictures as OpenCV matrices and back. Every function copies: a matrix never outlives its picture.

use opencv::core::{CV_8UC1, CV_8UC3, Mat, MatTraitConst, MatTraitConstManual, MatTraitManual, Scalar, Size, Vec3b};
use opencv::imgproc;
use vision::ColorImage;

use crate::MatchError;

/// `rgb8` as a matrix with channels in the same order.
pub(crate) fn from_color(color: &ColorImage) -> Result<Mat, MatchError> {
    let (rows, cols) = (color.height() as i32, color.width() as i32);
    let mut mat = Mat::new_rows_cols_with_default(rows, cols, CV_8UC3, Scalar::all(0.0))?;
    mat.data_bytes_mut()?.copy_from_slice(color.data());
    Ok(mat)
}

/// One byte a pixel as a matrix.
pub(crate) fn from_bytes(width: u32, height: u32, bytes: &[u8]) -> Result<Mat, MatchError> {
    let expected = width as usize * height as usize;
    if bytes.len() != expected {
        return Err(MatchError::MaskSize { expected, actual: bytes.len() });
    }
    let mut mat = Mat::new_rows_cols_with_default(height as i32, width as i32, CV_8UC1, Scalar::all(0.0))?;
    mat.data_bytes_mut()?.copy_from_slice(bytes);
    Ok(mat)
}

/// A three-channel byte matrix as a picture.
pub(crate) fn to_color(mat: &Mat) -> Result<ColorImage, MatchError> {
    let data = mat.data_typed::<Vec3b>()?.iter().flat_map(|p| p.0).collect();
    Ok(ColorImage::new(mat.cols() as u32, mat.rows() as u32, data)?)
}

/// Resized to `width` × `height`: area averaging when smaller, cubic when larger.
pub(crate) fn resized(mat: &Mat, width: i32, height: i32) -> Result<Mat, MatchError> {
    if mat.cols() == width && mat.rows() == height {
        return Ok(mat.clone());
    }
    let shrinks = width < mat.cols();
    let mut out = Mat::default();
    let how = if shrinks { imgproc::INTER_AREA } else { imgproc::INTER_CUBIC };
    imgproc::resize(mat, &mut out, Size::new(width, height), 0.0, 0.0, how)?;
    Ok(out)
}

/// A mask resized so that it stays 0 or 255.
pub(crate) fn resized_mask(mat: &Mat, width: i32, height: i32) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    imgproc::resize(mat, &mut out, Size::new(width, height), 0.0, 0.0, imgproc::INTER_NEAREST)?;
    Ok(out)
}

/// Luminance of an RGB matrix.
pub(crate) fn gray(rgb: &Mat) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    imgproc::cvt_color_def(rgb, &mut out, imgproc::COLOR_RGB2GRAY)?;
    Ok(out)
}

/// A round structuring element of radius `radius` pixels.
pub(crate) fn disc(radius: i32) -> Result<Mat, MatchError> {
    let size = 2 * radius.max(0) + 1;
    Ok(imgproc::get_structuring_element_def(imgproc::MORPH_ELLIPSE, Size::new(size, size))?)
}

/// Erosion with a disc of `radius` pixels; what lies beyond the picture counts as background.
pub(crate) fn eroded_mask(mask: &Mat, radius: i32) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    let anchor = opencv::core::Point::new(-1, -1);
    imgproc::erode(mask, &mut out, &disc(radius)?, anchor, 1, opencv::core::BORDER_CONSTANT, Scalar::all(0.0))?;
    Ok(out)
}

/// A mask with one pixel of nothing around it.
pub(crate) fn framed(mask: &Mat) -> Result<Mat, MatchError> {
    let mut out = Mat::default();
    opencv::core::copy_make_border(mask, &mut out, 1, 1, 1, 1, opencv::core::BORDER_CONSTANT, Scalar::all(0.0))?;
    Ok(out)
}
