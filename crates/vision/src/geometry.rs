//! Boxes and the pinhole model.

use nalgebra::{Point2, Point3};
use serde::{Deserialize, Serialize};

/// An axis-aligned box in pixels: `x`, `y` is its top-left pixel, `w`, `h` its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    /// Leftmost column.
    pub x: u32,
    /// Topmost row.
    pub y: u32,
    /// Columns covered.
    pub w: u32,
    /// Rows covered.
    pub h: u32,
}

impl Rect {
    /// Pixels covered.
    pub fn area_px(&self) -> u64 {
        u64::from(self.w) * u64::from(self.h)
    }

    /// The box grown by `fraction` of its size on every side, kept inside a `width` × `height` picture.
    pub fn with_margin(&self, fraction: f32, width: u32, height: u32) -> Rect {
        let dx = (self.w as f32 * fraction).round() as u32;
        let dy = (self.h as f32 * fraction).round() as u32;
        let x = self.x.saturating_sub(dx);
        let y = self.y.saturating_sub(dy);
        let right = (self.x + self.w).saturating_add(dx).min(width);
        let bottom = (self.y + self.h).saturating_add(dy).min(height);
        Rect { x, y, w: right.saturating_sub(x), h: bottom.saturating_sub(y) }
    }
}

/// Pinhole intrinsics of a rectified image, in pixels. Camera frame: x right, y down, z forward (REP-103 optical).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsics {
    /// Focal length along columns.
    pub fx: f64,
    /// Focal length along rows.
    pub fy: f64,
    /// Principal point, column.
    pub cx: f64,
    /// Principal point, row.
    pub cy: f64,
    /// Columns of the image they belong to.
    pub width: u32,
    /// Rows of the image they belong to.
    pub height: u32,
}

impl Intrinsics {
    /// The point in the camera frame (metres) seen at pixel (`u`, `v`) at depth `depth_m` along z.
    pub fn deproject(&self, u: f64, v: f64, depth_m: f64) -> Point3<f64> {
        Point3::new((u - self.cx) / self.fx * depth_m, (v - self.cy) / self.fy * depth_m, depth_m)
    }

    /// The pixel at which a point in the camera frame (metres) is seen; `None` when it is not in front of the camera.
    pub fn project(&self, p_camera: &Point3<f64>) -> Option<Point2<f64>> {
        (p_camera.z > 0.0).then(|| Point2::new(p_camera.x / p_camera.z * self.fx + self.cx, p_camera.y / p_camera.z * self.fy + self.cy))
    }

    /// The same camera at another resolution.
    pub fn scaled(&self, width: u32, height: u32) -> Intrinsics {
        let (sx, sy) = (f64::from(width) / f64::from(self.width), f64::from(height) / f64::from(self.height));
        Intrinsics { fx: self.fx * sx, fy: self.fy * sy, cx: (self.cx + 0.5) * sx - 0.5, cy: (self.cy + 0.5) * sy - 0.5, width, height }
    }

    /// True when every number is finite and the focal lengths are positive.
    pub fn is_valid(&self) -> bool {
        [self.fx, self.fy, self.cx, self.cy].iter().all(|v| v.is_finite())
            && self.fx > 0.0
            && self.fy > 0.0
            && self.width > 0
            && self.height > 0
    }
}
