//! Surface normals of the foreground, kept sharp at creases.
//!
//! Inverse depth is linear in the picture over any plane, so a plane fit in a window is a 3×3 system in (1/z) with no
//! bias from perspective. A second, reweighted pass lets the surface of the window's centre win at creases and steps.

use crate::bands::bands;
use crate::grid::{Grid, V3};

/// Half width of the window on the surface: smaller follows noise, larger rounds the edges of small boxes.
const RADIUS_M: f32 = 0.011;
/// Samples along half the window.
const TAPS: i32 = 3;
/// Side of the blocks of cells that share a normal; with 3 small items suffer (MOSD: 0.894 for 0.899).
const BLOCK: usize = 2;

/// Normals towards the camera for the cells in `mask`; `None` elsewhere and where the surface is too thin to tell.
///
/// One normal serves a block of [`BLOCK`]² cells: that of its first cell in the mask.
pub(crate) fn normals(grid: &Grid, mask: &[bool]) -> Vec<Option<V3>> {
    let block = BLOCK;
    let (columns, rows) = (grid.w.div_ceil(block), grid.h.div_ceil(block));
    let mut of_block: Vec<Option<V3>> = vec![None; columns * rows];
    bands(&mut of_block, columns, |own, out| {
        let mut taps = Taps::default();
        for (at, normal) in (own.start * columns..).zip(out) {
            let (x, y) = (block * (at % columns), block * (at / columns));
            let lines = (y..(y + block).min(grid.h)).map(|y| y * grid.w);
            let centre = lines.flat_map(|line| line + x..line + (x + block).min(grid.w)).find(|i| mask[*i]);
            *normal = centre.and_then(|centre| normal_at(grid, mask, centre, &mut taps));
        }
    });
    let mut out = vec![None; grid.len()];
    bands(&mut out, grid.w, |own, out| {
        for (y, line) in own.zip(out.chunks_exact_mut(grid.w)) {
            let of_block = &of_block[y / block * columns..];
            for ((normal, of_block), set) in
                line.iter_mut().zip(of_block.iter().flat_map(|n| std::iter::repeat_n(n, block))).zip(&mask[y * grid.w..])
            {
                if *set {
                    *normal = *of_block;
                }
            }
        }
    });
    out
}

/// Cells from one sample of the window to the next at depth `z_m`.
fn tap_stride(grid: &Grid, z_m: f32) -> f32 {
    (grid.cells(RADIUS_M, z_m) / TAPS as f32).round().clamp(1.0, 6.0)
}

/// Samples side by side that vector instructions take at once.
const LANES: usize = 8;
/// Samples of a window, filled up to whole lanes with samples of no weight.
const SLOTS: usize = 56;

/// The samples of one window: offsets in cells, inverse depth, and whether the slot is used (1 or 0).
#[derive(Clone)]
struct Taps {
    x: [f32; SLOTS],
    y: [f32; SLOTS],
    w: [f32; SLOTS],
    used: [f32; SLOTS],
    n: usize,
}

impl Default for Taps {
    fn default() -> Self {
        Self { x: [0.0; SLOTS], y: [0.0; SLOTS], w: [0.0; SLOTS], used: [0.0; SLOTS], n: 0 }
    }
}

impl Taps {
    fn gather(&mut self, grid: &Grid, mask: &[bool], centre: usize) {
        let z = grid.z[centre];
        let (cx, cy) = ((centre % grid.w) as i32, (centre / grid.w) as i32);
        let stride = tap_stride(grid, z) as i32;
        let reach = RADIUS_M * 2.2 + 0.004 * z * z;
        self.n = 0;
        for y in (-TAPS..=TAPS).map(|t| cy + t * stride).filter(|y| (0..grid.h as i32).contains(y)) {
            for x in (-TAPS..=TAPS).map(|t| cx + t * stride).filter(|x| (0..grid.w as i32).contains(x)) {
                let i = y as usize * grid.w + x as usize;
                if mask[i] && (grid.z[i] - z).abs() < reach {
                    (self.x[self.n], self.y[self.n]) = ((x - cx) as f32, (y - cy) as f32);
                    (self.w[self.n], self.used[self.n]) = (1.0 / grid.z[i], 1.0);
                    self.n += 1;
                }
            }
        }
        let end = self.n.next_multiple_of(LANES);
        self.used[self.n..end].fill(0.0);
    }

    /// Weighted least squares of `w = a·x + b·y + c`; without a plane so far all samples count alike, else those near it
    /// count most: by 1 / (1 + (r / `scale`)²) of their residual r.
    fn solve(&self, plane: Option<[f32; 3]>, scale: f32) -> Option<[f32; 3]> {
        let inverse = 1.0 / scale;
        let [pa, pb, pc] = plane.unwrap_or_default();
        // Sums of g, gx, gy, gxx, gxy, gyy, gw, gxw, gyw.
        let mut sums = [[0.0f32; LANES]; 9];
        for from in (0..self.n).step_by(LANES) {
            let lane = |values: &[f32; SLOTS]| -> [f32; LANES] { std::array::from_fn(|k| values[from + k]) };
            let (x, y, w, used) = (lane(&self.x), lane(&self.y), lane(&self.w), lane(&self.used));
            for k in 0..LANES {
                let r = (pa * x[k] + pb * y[k] + pc - w[k]) * inverse;
                let g = if plane.is_some() { used[k] / (1.0 + r * r) } else { used[k] };
                let terms =
                    [g, g * x[k], g * y[k], g * x[k] * x[k], g * x[k] * y[k], g * y[k] * y[k], g * w[k], g * x[k] * w[k], g * y[k] * w[k]];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum[k] += term;
                }
            }
        }
        let [s, sx, sy, sxx, sxy, syy, r, rx, ry] = sums.map(|lanes| lanes.iter().sum::<f32>());
        if s < 1e-6 {
            return None;
        }
        let (mx, my, mw) = (sx / s, sy / s, r / s);
        let (cxx, cxy, cyy) = (sxx - s * mx * mx, sxy - s * mx * my, syy - s * my * my);
        let (cxw, cyw) = (rx - s * mx * mw, ry - s * my * mw);
        let det = cxx * cyy - cxy * cxy;
        if det < 1e-3 * (cxx + cyy + 1e-6) {
            return None;
        }
        let a = (cyy * cxw - cxy * cyw) / det;
        let b = (cxx * cyw - cxy * cxw) / det;
        Some([a, b, mw - a * mx - b * my])
    }
}

fn normal_at(grid: &Grid, mask: &[bool], centre: usize, taps: &mut Taps) -> Option<V3> {
    taps.gather(grid, mask, centre);
    if taps.n < 8 {
        return None;
    }
    let mut plane = taps.solve(None, 1.0)?;
    // Noise of 1/z is constant over z for both stereo and structured light.
    let scale = 0.0025f32;
    for _ in 0..2 {
        let centre_pull = (plane[2] - 1.0 / grid.z[centre]).abs() * 0.5;
        plane = taps.solve(Some(plane), scale + centre_pull)?;
    }
    let [a, b, c] = plane;
    let k = &grid.camera;
    let (u, v) = ((centre % grid.w) as f32 - k.cx as f32, (centre / grid.w) as f32 - k.cy as f32);
    let normal = V3::new(a * k.fx as f32, b * k.fy as f32, c - a * u - b * v);
    let normal = normal.try_normalize(1e-6)?;
    Some(if normal.dot(&grid.ray(centre)) > 0.0 { -normal } else { normal })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::{DepthImage, Intrinsics};

    #[test]
    fn planes_meeting_in_a_ridge_keep_their_normals() {
        let camera = Intrinsics { fx: 500.0, fy: 500.0, cx: 100.0, cy: 80.0, width: 200, height: 160 };
        let (left, right) = (V3::new(-0.6, 0.0, -0.8), V3::new(0.6, 0.0, -0.8));
        let data = (0..200 * 160)
            .map(|i| {
                let u = (i % 200) as f32;
                let ray = V3::new((u - 100.0) / 500.0, ((i / 200) as f32 - 80.0) / 500.0, 1.0);
                let n = if u < 100.0 { left } else { right };
                -0.4 / n.dot(&ray)
            })
            .collect();
        let grid = Grid::new(&DepthImage::from_raw_m(200, 160, data).unwrap(), &camera);
        let all = normals(&grid, &vec![true; grid.len()]);
        for (x, expected) in [(60, left), (90, left), (110, right), (150, right)] {
            let n = all[80 * 200 + x].unwrap();
            assert!(n.dot(&expected) > 0.985, "column {x}: {n:?}");
        }
    }
}
