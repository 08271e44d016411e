//! The working grid: depth at the resolution that the geometry needs, with the camera that belongs to it.

use nalgebra::Vector3;
use vision::{DepthImage, Intrinsics};

/// Columns above which depth is thinned: an item keeps hundreds of samples, the work halves twice.
const MAX_COLUMNS: u32 = 800;

/// Points and directions in the camera frame.
pub(crate) type V3 = Vector3<f32>;

/// Depth samples in metres on a regular grid of `step` × `step` pixels of the picture.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub w: usize,
    pub h: usize,
    /// Pixels of the picture per cell, along both axes.
    pub step: usize,
    /// Pinhole model of the grid.
    pub camera: Intrinsics,
    /// Metres along the optical axis, 0 = invalid.
    pub z: Vec<f32>,
}

/// A camera of 60° for frames that come without `camera_info`: shapes stay plausible, metres are only approximate.
pub(crate) fn assumed_camera(width: u32, height: u32) -> Intrinsics {
    let f = f64::from(width) * 0.87;
    Intrinsics { fx: f, fy: f, cx: f64::from(width) / 2.0, cy: f64::from(height) / 2.0, width, height }
}

/// Cell size for a picture of `width` columns.
pub(crate) fn step_for(width: u32) -> usize {
    width.div_ceil(MAX_COLUMNS).max(1) as usize
}

/// The pinhole model of every `step`-th pixel.
fn thinned(camera: &Intrinsics, step: usize, w: usize, h: usize) -> Intrinsics {
    let s = step as f64;
    Intrinsics {
        fx: camera.fx / s,
        fy: camera.fy / s,
        cx: (camera.cx + 0.5) / s - 0.5,
        cy: (camera.cy + 0.5) / s - 0.5,
        width: w as u32,
        height: h as u32,
    }
}

impl Grid {
    /// Thins `depth`; a cell takes the median of its valid samples, never a mixture of two surfaces.
    pub fn new(depth: &DepthImage, camera: &Intrinsics) -> Self {
        let step = step_for(depth.width());
        let (w, h) = (depth.width() as usize / step, depth.height() as usize / step);
        let z = if step == 1 {
            depth.data().to_vec()
        } else {
            let row_len = depth.width() as usize;
            let mut block = Vec::with_capacity(step * step);
            let mut z = Vec::with_capacity(w * h);
            for y in 0..h {
                for x in 0..w {
                    block.clear();
                    for row in depth.data().chunks_exact(row_len).skip(y * step).take(step) {
                        block.extend(row.iter().skip(x * step).take(step).filter(|d| **d > 0.0));
                    }
                    block.sort_unstable_by(f32::total_cmp);
                    z.push(block.get(block.len().saturating_sub(1) / 2).copied().unwrap_or(0.0));
                }
            }
            z
        };
        Self { w, h, step, camera: thinned(camera, step, w, h), z }
    }

    /// The grid of a picture without depth.
    pub fn new_flat(width: u32, height: u32, camera: &Intrinsics) -> Self {
        let step = step_for(width);
        let (w, h) = (width as usize / step, height as usize / step);
        Self { w, h, step, camera: thinned(camera, step, w, h), z: vec![0.0; w * h] }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.w * self.h
    }

    /// Viewing ray of cell `i`, scaled to z = 1.
    pub fn ray(&self, i: usize) -> V3 {
        let (u, v) = ((i % self.w) as f32, (i / self.w) as f32);
        let k = &self.camera;
        V3::new((u - k.cx as f32) / k.fx as f32, (v - k.cy as f32) / k.fy as f32, 1.0)
    }

    /// Point of cell `i` in the camera frame, metres; the origin where depth is invalid.
    pub fn point(&self, i: usize) -> V3 {
        self.ray(i) * self.z[i]
    }

    /// Cells that cover `metres` at depth `z_m`.
    pub fn cells(&self, metres: f32, z_m: f32) -> f32 {
        self.camera.fx as f32 * metres / z_m.max(0.05)
    }

    /// Area that cell `i` covers, seen head-on, square metres.
    pub fn cell_area_m2(&self, i: usize) -> f32 {
        let z = self.z[i];
        z * z / (self.camera.fx * self.camera.fy) as f32
    }
}
