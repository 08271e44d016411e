//! Decoding one capture.

use std::path::Path;
use std::sync::Arc;

use image::{DynamicImage, ImageReader};
use nalgebra::Isometry3;
use vision::{ColorImage, DepthImage, Intrinsics, RgbdFrame};

use crate::{CameraRef, CaptureError, CaptureRef, DepthRef};

/// A median depth outside these metres means that the unit is wrong: no RGB-D camera of a cell works there.
const PLAUSIBLE_MEDIAN_M: std::ops::RangeInclusive<f64> = 0.02..=50.0;

/// What one camera saw in one capture.
#[derive(Clone, Debug)]
pub struct CameraCapture {
    /// Label of the camera in the files (`0`, `1`), empty when there is one camera only.
    pub camera: String,
    /// Colour, aligned depth and pinhole model.
    pub frame: RgbdFrame,
    /// The same view without the item (empty tray), where it was captured.
    pub background: Option<RgbdFrame>,
    /// Pose of the camera's optical frame in the captures' world frame, where it is known.
    pub world_from_camera: Option<Isometry3<f64>>,
    /// Metres that one count of the depth picture stood for; `None` without depth.
    pub depth_unit_m: Option<f64>,
}

impl CaptureRef {
    /// Decodes the pictures of every camera.
    ///
    /// # Errors
    /// When a picture does not decode, sizes differ, depth is not 16-bit or its unit is absurd.
    pub fn load(&self) -> Result<Vec<CameraCapture>, CaptureError> {
        self.cameras.iter().map(CameraRef::load).collect()
    }
}

impl CameraRef {
    fn load(&self) -> Result<CameraCapture, CaptureError> {
        let frame = load_frame(&self.color, self.depth.as_ref(), self.intrinsics)?;
        let background = match &self.background {
            Some(b) => Some(load_frame(&b.color, b.depth.as_ref(), self.intrinsics)?),
            None => None,
        };
        if let (Some(b), Some(files)) = (&background, &self.background) {
            same_size(&self.color, size_of(&frame.color), &files.color, size_of(&b.color))?;
        }
        Ok(CameraCapture {
            camera: self.name.clone(),
            frame,
            background,
            world_from_camera: self.world_from_camera,
            depth_unit_m: self.depth.as_ref().map(|d| d.unit_m),
        })
    }
}

/// Reads a colour picture (PNG or JPEG, grey and alpha are converted) as rgb8.
///
/// # Errors
/// When the file cannot be read or decoded, or its size is absurd.
pub fn load_color(path: &Path) -> Result<ColorImage, CaptureError> {
    let rgb = decode(path)?.into_rgb8();
    let (width, height) = rgb.dimensions();
    ColorImage::new(width, height, rgb.into_raw()).map_err(|source| CaptureError::Image { path: path.to_path_buf(), source })
}

/// Reads a 16-bit grey PNG of `unit_m` metres a count; 0 stays 0.0, invalid.
///
/// # Errors
/// When the file cannot be read, is not 16-bit grey, the unit is not positive, or the unit puts the median depth where
/// no cell's camera works.
pub fn load_depth(path: &Path, unit_m: f64) -> Result<DepthImage, CaptureError> {
    if !(unit_m.is_finite() && unit_m > 0.0) {
        return Err(CaptureError::BadUnit { unit_m });
    }
    let grey = match decode(path)? {
        DynamicImage::ImageLuma16(grey) => grey,
        other => {
            let found = format!("a {:?} picture", other.color());
            return Err(CaptureError::DepthFormat { path: path.to_path_buf(), found });
        }
    };
    let (width, height) = grey.dimensions();
    let counts = grey.into_raw();
    check_median(path, &counts, unit_m)?;
    let depth_m = counts.iter().map(|c| (f64::from(*c) * unit_m) as f32).collect();
    DepthImage::new(width, height, depth_m).map_err(|source| CaptureError::Image { path: path.to_path_buf(), source })
}

/// Reads one colour picture with its aligned depth (path and metres a count) and `[fx, fy, cx, cy]` in pixels.
///
/// # Errors
/// As [`load_color`] and [`load_depth`], and when the sizes differ.
pub fn load_rgbd(color: &Path, depth: Option<(&Path, f64)>, fx_fy_cx_cy: Option<[f64; 4]>) -> Result<RgbdFrame, CaptureError> {
    let depth = depth.map(|(path, unit_m)| DepthRef { path: path.to_path_buf(), unit_m });
    let mut frame = load_frame(color, depth.as_ref(), None)?;
    if let Some([fx, fy, cx, cy]) = fx_fy_cx_cy {
        let intrinsics = Intrinsics { fx, fy, cx, cy, width: frame.color.width(), height: frame.color.height() };
        if !intrinsics.is_valid() {
            let reason = format!("intrinsics {fx},{fy},{cx},{cy} are not fx,fy,cx,cy with positive focal lengths");
            return Err(CaptureError::Calibration { path: color.to_path_buf(), reason });
        }
        frame.intrinsics = Some(intrinsics);
    }
    Ok(frame)
}

fn load_frame(color: &Path, depth: Option<&DepthRef>, intrinsics: Option<Intrinsics>) -> Result<RgbdFrame, CaptureError> {
    let picture = load_color(color)?;
    let depth = match depth {
        Some(d) => {
            let image = load_depth(&d.path, d.unit_m)?;
            same_size(color, size_of(&picture), &d.path, (image.width(), image.height()))?;
            Some(Arc::new(image))
        }
        None => None,
    };
    Ok(RgbdFrame { color: Arc::new(picture), depth, intrinsics })
}

fn size_of(image: &ColorImage) -> (u32, u32) {
    (image.width(), image.height())
}

pub(crate) fn same_size(a: &Path, a_size: (u32, u32), b: &Path, b_size: (u32, u32)) -> Result<(), CaptureError> {
    if a_size == b_size {
        return Ok(());
    }
    Err(CaptureError::SizeMismatch { a: a.to_path_buf(), a_size, b: b.to_path_buf(), b_size })
}

fn decode(path: &Path) -> Result<DynamicImage, CaptureError> {
    let undecodable = |reason: String| CaptureError::Decode { path: path.to_path_buf(), reason };
    let bytes = std::fs::read(path).map_err(CaptureError::io(path))?;
    vision::codec::check_whole(&bytes).map_err(|e| undecodable(e.to_string()))?;
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().map_err(CaptureError::io(path))?;
    reader.decode().map_err(|e| undecodable(e.to_string()))
}

/// Median of the non-zero counts by histogram: 16 bits make it exact and cheap.
fn check_median(path: &Path, counts: &[u16], unit_m: f64) -> Result<(), CaptureError> {
    let mut histogram = vec![0u32; 65_536];
    for c in counts.iter().filter(|c| **c > 0) {
        histogram[usize::from(*c)] += 1;
    }
    let valid: u32 = histogram.iter().sum();
    let mut seen = 0;
    let Some(median) = histogram.iter().position(|n| {
        seen += n;
        seen * 2 > valid
    }) else {
        return Ok(()); // no valid depth at all: that is perception's to report
    };
    let median_m = median as f64 * unit_m;
    if valid == 0 || PLAUSIBLE_MEDIAN_M.contains(&median_m) {
        Ok(())
    } else {
        Err(CaptureError::AbsurdDepth { path: path.to_path_buf(), median_m, unit_m })
    }
}
