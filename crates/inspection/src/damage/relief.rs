//! One item as a small relief: depth, height, colour on a raster of a few millimetres.

use crate::segment::Cells;

/// Rows and columns that a relief has at most; finer detail is below the depth camera's noise.
const MAX_SIDE: usize = 96;
/// Ring of tray around the item that belongs to the picture of it, share of its size.
const MARGIN: f32 = 0.2;

/// Raster around one item.
pub(crate) struct Relief {
    pub w: usize,
    pub h: usize,
    /// Cells of the working grid per raster step.
    pub stride: usize,
    /// Column and row of the working grid where the raster begins.
    pub origin: (usize, usize),
    /// Size of a raster step on the item, metres.
    pub pitch_m: f32,
    /// On the item.
    pub inside: Vec<bool>,
    /// On another item.
    pub foreign: Vec<bool>,
    /// Share of the step's cells whose depth is valid.
    pub valid: Vec<f32>,
    /// Depth, metres; gaps inside the item are filled from their border.
    pub z_m: Vec<f32>,
    /// Height above the support, metres; gaps filled likewise.
    pub height_m: Vec<f32>,
    /// Mean colour, RGB.
    pub color: Vec<[f32; 3]>,
    /// Share of flat matter on the tray.
    pub stained: Vec<f32>,
}

impl Relief {
    /// Cuts the relief of item `id` out of the cells; `None` when nothing of it has depth.
    pub fn of(cells: &Cells, id: u16) -> Option<Relief> {
        let (x0, y0, x1, y1) = bounds(cells, id)?;
        let (bw, bh) = (x1 - x0 + 1, y1 - y0 + 1);
        let (mx, my) = ((bw as f32 * MARGIN) as usize + 2, (bh as f32 * MARGIN) as usize + 2);
        let (x0, y0) = (x0.saturating_sub(mx), y0.saturating_sub(my));
        let (x1, y1) = ((x1 + mx + 1).min(cells.grid.w), (y1 + my + 1).min(cells.grid.h));
        let stride = (x1 - x0).max(y1 - y0).div_ceil(MAX_SIDE).max(1);
        let (w, h) = ((x1 - x0) / stride, (y1 - y0) / stride);
        if w < 4 || h < 4 {
            return None;
        }
        let mut relief = Relief {
            w,
            h,
            stride,
            origin: (x0, y0),
            pitch_m: 0.0,
            inside: vec![false; w * h],
            foreign: vec![false; w * h],
            valid: vec![0.0; w * h],
            z_m: vec![0.0; w * h],
            height_m: vec![0.0; w * h],
            color: vec![[0.0; 3]; w * h],
            stained: vec![0.0; w * h],
        };
        for y in 0..h {
            for x in 0..w {
                relief.gather(cells, id, x, y);
            }
        }
        let mut depths: Vec<f32> = (0..w * h).filter(|i| relief.inside[*i] && relief.z_m[*i] > 0.0).map(|i| relief.z_m[i]).collect();
        depths.sort_unstable_by(f32::total_cmp);
        let z = depths.get(depths.len() / 2).copied()?;
        relief.pitch_m = stride as f32 * z / cells.grid.camera.fx as f32;
        relief.fill_gaps();
        relief.denoise();
        Some(relief)
    }

    fn gather(&mut self, cells: &Cells, id: u16, x: usize, y: usize) {
        let (s, grid) = (self.stride, &cells.grid);
        let (mut own, mut foreign, mut deep, mut stained) = (0u32, 0u32, 0u32, 0u32);
        let (mut z, mut height, mut color) = (0.0f32, 0.0f32, [0.0f32; 3]);
        for yy in 0..s {
            for xx in 0..s {
                let i = (self.origin.1 + y * s + yy) * grid.w + self.origin.0 + x * s + xx;
                own += u32::from(cells.labels[i] == id);
                foreign += u32::from(cells.labels[i] != id && cells.labels[i] != 0);
                stained += u32::from(cells.stained[i]);
                if grid.z[i] > 0.0 {
                    deep += 1;
                    z += grid.z[i];
                    height += cells.height_m[i];
                }
                for (sum, v) in color.iter_mut().zip(cells.colors[i]) {
                    *sum += v;
                }
            }
        }
        let (i, n) = (y * self.w + x, (s * s) as f32);
        self.inside[i] = own as f32 > 0.5 * n;
        self.foreign[i] = foreign as f32 > 0.3 * n;
        self.valid[i] = deep as f32 / n;
        self.stained[i] = stained as f32 / n;
        self.color[i] = color.map(|c| c / n);
        if deep > 0 {
            self.z_m[i] = z / deep as f32;
            self.height_m[i] = height / deep as f32;
        }
    }

    /// Fills depth gaps inside the item with the mean of their filled neighbours, from the border inwards.
    fn fill_gaps(&mut self) {
        loop {
            let mut filled = Vec::new();
            for i in 0..self.w * self.h {
                if !self.inside[i] || self.z_m[i] > 0.0 {
                    continue;
                }
                let (mut n, mut z, mut h) = (0.0f32, 0.0f32, 0.0f32);
                for j in self.around(i).filter(|j| self.inside[*j] && self.z_m[*j] > 0.0) {
                    n += 1.0;
                    z += self.z_m[j];
                    h += self.height_m[j];
                }
                if n > 0.0 {
                    filled.push((i, z / n, h / n));
                }
            }
            if filled.is_empty() {
                return;
            }
            for (i, z, h) in filled {
                self.z_m[i] = z;
                self.height_m[i] = h;
            }
        }
    }

    /// Edge-preserving mean: each step takes the mean of those around it that lie within the noise of its own height.
    fn denoise(&mut self) {
        for _ in 0..2 {
            let (z, height) = (self.z_m.clone(), self.height_m.clone());
            for i in 0..z.len() {
                if !self.inside[i] || z[i] <= 0.0 {
                    continue;
                }
                // Depth noise grows with the square of the distance.
                let gate = 0.004 + 0.006 * z[i] * z[i];
                let (mut n, mut sum_z, mut sum_h) = (1.0f32, z[i], height[i]);
                for j in self.around(i).filter(|j| self.inside[*j] && (height[*j] - height[i]).abs() < gate) {
                    n += 1.0;
                    sum_z += z[j];
                    sum_h += height[j];
                }
                self.z_m[i] = sum_z / n;
                self.height_m[i] = sum_h / n;
            }
        }
    }

    /// The eight neighbours of step `i`.
    pub fn around(&self, i: usize) -> impl Iterator<Item = usize> + use<> {
        let (w, h) = (self.w as i32, self.h as i32);
        let (x, y) = ((i % self.w) as i32, (i / self.w) as i32);
        [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)]
            .into_iter()
            .map(move |(dx, dy)| (x + dx, y + dy))
            .filter(move |(x, y)| *x >= 0 && *y >= 0 && *x < w && *y < h)
            .map(move |(x, y)| (y * w + x) as usize)
    }

    /// Steps on the item with depth.
    pub fn solid(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.inside.len()).filter(|i| self.inside[*i] && self.z_m[*i] > 0.0)
    }

    /// Area of `n` steps in square millimetres.
    pub fn area_mm2(&self, n: f32) -> f32 {
        n * self.pitch_m * self.pitch_m * 1e6
    }
}

fn bounds(cells: &Cells, id: u16) -> Option<(usize, usize, usize, usize)> {
    let mut b: Option<(usize, usize, usize, usize)> = None;
    for (y, row) in cells.labels.chunks_exact(cells.grid.w).enumerate() {
        for x in row.iter().enumerate().filter(|(_, l)| **l == id).map(|(x, _)| x) {
            let (x0, y0, x1, y1) = b.unwrap_or((x, y, x, y));
            b = Some((x0.min(x), y0.min(y), x1.max(x), y1.max(y)));
        }
    }
    b
}
