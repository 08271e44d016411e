//! Over-segmentation of the foreground into patches of about one to two centimetres that stop at creases and steps.
//!
//! SLIC (Achanta et al., TPAMI 2012) over position and normal in metres, as VCCS (Papon et al., CVPR 2013) does in voxels.

use super::normals;
use crate::bands::bands;
use crate::grid::{Grid, V3};

/// Patch size on the surface; boxes of 3 cm still hold several.
const SIZE_M: f32 = 0.012;
/// Bend over which one patch may run, radians: as costly as one patch size of distance.
const BEND_RAD: f32 = 0.3;
const ROUNDS: usize = 4;
/// No patch.
pub(crate) const NONE: u32 = u32::MAX;

/// One patch of surface.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    /// Mean position, metres, camera frame.
    pub centre: V3,
    /// Mean unit normal towards the camera.
    pub normal: V3,
    /// Cells it holds.
    pub cells: u32,
    /// Lowest and highest height above the support, metres.
    pub low_m: f32,
    /// See `low_m`.
    pub high_m: f32,
}

/// Patches and the patch of each cell ([`NONE`] outside).
pub(crate) struct Patches {
    pub list: Vec<Patch>,
    pub of: Vec<u32>,
}

/// True where two neighbouring surface samples belong to different surfaces along the line of sight.
pub(crate) fn is_step(grid: &Grid, normals: &[Option<V3>], i: usize, j: usize) -> bool {
    let (a, b) = (grid.point(i), grid.point(j));
    let near = grid.z[i].min(grid.z[j]);
    let limit = 0.006 + 0.005 * near * near;
    if (a.z - b.z).abs() < limit {
        return false;
    }
    let off = |n: Option<V3>| n.map_or(f32::MAX, |n| n.dot(&(a - b)).abs());
    off(normals[i]).min(off(normals[j])) > limit * 0.8
}

/// Cuts the cells of `mask` into patches; `height_m` is the height of each cell.
pub(crate) fn build(grid: &Grid, mask: &[bool], height_m: &[f32]) -> (Patches, Vec<Option<V3>>) {
    let mut depths: Vec<f32> = (0..grid.len()).filter(|i| mask[*i]).step_by(7).map(|i| grid.z[i]).collect();
    depths.sort_unstable_by(f32::total_cmp);
    let Some(z) = depths.get(depths.len() / 2).copied() else {
        return (Patches { list: Vec::new(), of: vec![NONE; grid.len()] }, vec![None; grid.len()]);
    };
    let normals = normals::normals(grid, mask);
    let pitch = grid.cells(SIZE_M, z).round().clamp(4.0, 24.0) as usize;
    let size_m = pitch as f32 * z / grid.camera.fx as f32;
    let mut centres = seeds(grid, mask, &normals, pitch);
    let mut of = vec![NONE; grid.len()];
    for _ in 0..ROUNDS {
        assign(grid, mask, &normals, &centres, pitch, size_m, &mut of);
        recentre(grid, &normals, &of, &mut centres);
    }
    (connect(grid, &normals, &of, height_m), normals)
}

#[derive(Clone, Copy)]
struct Centre {
    point: V3,
    normal: V3,
    x: f32,
    y: f32,
}

fn seeds(grid: &Grid, mask: &[bool], normals: &[Option<V3>], pitch: usize) -> Vec<Centre> {
    let mut out = Vec::new();
    for y0 in (0..grid.h).step_by(pitch) {
        for x0 in (0..grid.w).step_by(pitch) {
            let (cx, cy) = (x0 + pitch / 2, y0 + pitch / 2);
            let nearest = (y0..(y0 + pitch).min(grid.h))
                .flat_map(|y| (x0..(x0 + pitch).min(grid.w)).map(move |x| (x, y)))
                .filter(|(x, y)| mask[y * grid.w + x] && normals[y * grid.w + x].is_some())
                .min_by_key(|(x, y)| x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2));
            if let Some((x, y)) = nearest
                && let Some(normal) = normals[y * grid.w + x]
            {
                out.push(Centre { point: grid.point(y * grid.w + x), normal, x: x as f32, y: y as f32 });
            }
        }
    }
    out
}

fn assign(grid: &Grid, mask: &[bool], normals: &[Option<V3>], centres: &[Centre], pitch: usize, size_m: f32, of: &mut [u32]) {
    let (inv_size, inv_bend) = (1.0 / (size_m * size_m), 1.0 / (BEND_RAD * BEND_RAD));
    bands(of, grid.w, |rows, of| {
        let mut best = vec![f32::MAX; of.len()];
        of.fill(NONE);
        let first = rows.start * grid.w;
        for (k, c) in centres.iter().enumerate() {
            let (x0, x1) = ((c.x as usize).saturating_sub(pitch), (c.x as usize + pitch + 1).min(grid.w));
            let (y0, y1) = ((c.y as usize).saturating_sub(pitch), (c.y as usize + pitch + 1).min(grid.h));
            for y in y0.max(rows.start)..y1.min(rows.end) {
                for i in y * grid.w + x0..y * grid.w + x1 {
                    if !mask[i] {
                        continue;
                    }
                    let far = (grid.point(i) - c.point).norm_squared() * inv_size;
                    if far >= best[i - first] {
                        continue;
                    }
                    let bend = normals[i].map_or(1.0, |n| 2.0 * (1.0 - n.dot(&c.normal)));
                    let cost = far + bend * inv_bend;
                    if cost < best[i - first] {
                        best[i - first] = cost;
                        of[i - first] = k as u32;
                    }
                }
            }
        }
    });
}

fn recentre(grid: &Grid, normals: &[Option<V3>], of: &[u32], centres: &mut [Centre]) {
    let mut sums = vec![(V3::zeros(), V3::zeros(), 0.0f32, 0.0f32, 0.0f32); centres.len()];
    for (i, k) in of.iter().enumerate().filter(|(_, k)| **k != NONE) {
        let s = &mut sums[*k as usize];
        s.0 += grid.point(i);
        s.1 += normals[i].unwrap_or_else(V3::zeros);
        s.2 += (i % grid.w) as f32;
        s.3 += (i / grid.w) as f32;
        s.4 += 1.0;
    }
    for (c, s) in centres.iter_mut().zip(&sums).filter(|(_, s)| s.4 > 0.0) {
        *c = Centre { point: s.0 / s.4, normal: s.1.try_normalize(1e-6).unwrap_or(c.normal), x: s.2 / s.4, y: s.3 / s.4 };
    }
}

/// Makes every patch one connected piece: pieces that an edge cut off become patches of their own.
fn connect(grid: &Grid, normals: &[Option<V3>], of: &[u32], height_m: &[f32]) -> Patches {
    let mut out = vec![NONE; grid.len()];
    let mut list: Vec<Patch> = Vec::new();
    let mut stack = Vec::new();
    for start in 0..grid.len() {
        if of[start] == NONE || out[start] != NONE {
            continue;
        }
        let id = list.len() as u32;
        let (mut point, mut normal, mut cells) = (V3::zeros(), V3::zeros(), 0u32);
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        out[start] = id;
        stack.push(start);
        while let Some(i) = stack.pop() {
            point += grid.point(i);
            normal += normals[i].unwrap_or_else(V3::zeros);
            cells += 1;
            low = low.min(height_m[i]);
            high = high.max(height_m[i]);
            for j in neighbours(grid, i) {
                if of[j] == of[start] && out[j] == NONE && !is_step(grid, normals, i, j) {
                    out[j] = id;
                    stack.push(j);
                }
            }
        }
        let centre = point / cells as f32;
        let normal = normal.try_normalize(1e-6).unwrap_or_else(|| -centre.normalize());
        list.push(Patch { centre, normal, cells, low_m: low, high_m: high });
    }
    Patches { list, of: out }
}

/// The four neighbours of a cell.
pub(crate) fn neighbours(grid: &Grid, i: usize) -> impl Iterator<Item = usize> + use<> {
    let (w, h) = (grid.w, grid.h);
    let (x, y) = (i % w, i / w);
    [(x > 0).then(|| i - 1), (x + 1 < w).then(|| i + 1), (y > 0).then(|| i - w), (y + 1 < h).then(|| i + w)].into_iter().flatten()
}
