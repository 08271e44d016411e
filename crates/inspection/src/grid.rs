//! The working grid: depth at the resolution that the geometry needs, with the camera that belongs to it.

use nalgebra::Vector3;
use vision::{DepthImage, Intrinsics};

use crate::bands::bands;

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
    /// Points of the cells in the camera frame, metres; the origin where depth is invalid.
    points: Vec<V3>,
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

/// Median of the valid samples of one block, the lower one of an even number; 0 without any.
fn median(block: &mut [f32]) -> f32 {
    block.sort_unstable_by(f32::total_cmp);
    let valid = &block[block.partition_point(|z| *z <= 0.0)..];
    valid.get(valid.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// As [`median`] of four, without a sort where all are valid: most blocks of most frames.
fn median_of_4(mut block: [f32; 4]) -> f32 {
    let [a, b, c, d] = block;
    let (low, other_low) = (a.min(b), c.min(d));
    if low.min(other_low) > 0.0 {
        return low.max(other_low).min(a.max(b).min(c.max(d)));
    }
    median(&mut block)
}

/// One sample a block of `step` × `step`: the median of its valid samples, never a mixture of two surfaces.
fn thin(depth: &DepthImage, step: usize, w: usize, h: usize) -> Vec<f32> {
    if step == 1 {
        return depth.data().to_vec();
    }
    let row_len = depth.width() as usize;
    let mut z = vec![0.0; w * h];
    bands(&mut z, w, |rows, out| {
        let mut block = vec![0.0f32; step * step];
        for (y, line) in rows.zip(out.chunks_exact_mut(w)) {
            let source = &depth.data()[y * step * row_len..(y + 1) * step * row_len];
            if step == 2 {
                let (above, below) = source.split_at(row_len);
                for ((cell, [a, b]), [c, d]) in line.iter_mut().zip(above.as_chunks::<2>().0).zip(below.as_chunks::<2>().0) {
                    *cell = median_of_4([*a, *b, *c, *d]);
                }
                continue;
            }
            for (x, cell) in line.iter_mut().enumerate() {
                for (part, row) in block.chunks_exact_mut(step).zip(source.chunks_exact(row_len)) {
                    part.copy_from_slice(&row[x * step..(x + 1) * step]);
                }
                *cell = median(&mut block);
            }
        }
    });
    z
}

impl Grid {
    /// A grid from its samples.
    pub fn from_samples(w: usize, h: usize, step: usize, camera: Intrinsics, z: Vec<f32>) -> Self {
        let columns: Vec<f32> = (0..w).map(|u| (u as f32 - camera.cx as f32) / camera.fx as f32).collect();
        let mut points = vec![V3::zeros(); z.len()];
        for (v, (row, line)) in z.chunks_exact(w.max(1)).zip(points.chunks_exact_mut(w.max(1))).enumerate() {
            let ray_y = (v as f32 - camera.cy as f32) / camera.fy as f32;
            for ((point, z), ray_x) in line.iter_mut().zip(row).zip(&columns) {
                *point = V3::new(ray_x * z, ray_y * z, *z);
            }
        }
        Self { w, h, step, camera, z, points }
    }

    /// Thins `depth`; a cell takes the median of its valid samples, never a mixture of two surfaces.
    pub fn new(depth: &DepthImage, camera: &Intrinsics) -> Self {
        let step = step_for(depth.width());
        let (w, h) = (depth.width() as usize / step, depth.height() as usize / step);
        Self::from_samples(w, h, step, thinned(camera, step, w, h), thin(depth, step, w, h))
    }

    /// The grid of a picture without depth.
    pub fn new_flat(width: u32, height: u32, camera: &Intrinsics) -> Self {
        let step = step_for(width);
        let (w, h) = (width as usize / step, height as usize / step);
        Self::from_samples(w, h, step, thinned(camera, step, w, h), vec![0.0; w * h])
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
        self.points[i]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_its_lower_median_of_what_is_valid() {
        for (block, expected) in [
            ([4.0, 1.0, 3.0, 2.0], 2.0),
            ([1.0, 1.0, 9.0, 9.0], 1.0),
            ([5.0, 0.0, 3.0, 4.0], 4.0),
            ([0.0, 7.0, 0.0, 6.0], 6.0),
            ([0.0, 0.0, 0.0, 2.0], 2.0),
            ([0.0; 4], 0.0),
        ] {
            assert_eq!(median_of_4(block), expected, "{block:?}");
            assert_eq!(median(&mut block.clone()), expected, "{block:?}");
        }
    }
}
