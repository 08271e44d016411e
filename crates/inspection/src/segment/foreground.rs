//! Which cells belong to items: above the support, or different from the empty tray.

use vision::{DepthImage, Intrinsics};

use super::components::{parts, smooth};
use super::plane::SupportPlane;
use crate::grid::{Grid, V3};

/// Least height above the support that counts as matter, metres.
const MIN_HEIGHT_M: f32 = 0.003;
/// Where an item meets the support, depth cameras smear a skirt around it. Whatever reaches this height loses what lies
/// lower, metres; thin items, which never reach it, stay whole.
const SKIRT_M: f32 = 0.007;
/// Heights above this many standard deviations of the support's noise are matter.
const NOISE_SIGMAS: f32 = 3.5;
/// Matter of another colour than the tray that rises by this on average is an item's; lower, it is a stain or a puddle,
/// metres.
const THIN_M: f32 = 0.0015;
/// Nothing that is handled by a cell is higher.
const MAX_HEIGHT_M: f32 = 0.8;
/// Items stand on the support: their foot may overhang what was seen of it by this much.
const OVERHANG_M: f32 = 0.03;

/// Cells of items, and what was measured on the way.
pub(crate) struct Foreground {
    /// Cells of items.
    pub mask: Vec<bool>,
    /// Height above the support, metres; 0 without depth.
    pub height_m: Vec<f32>,
    /// Cells that differ from the empty tray in colour alone: flat matter, or stains of the tray.
    pub stained: Vec<bool>,
}

/// Heights over the plane of all cells.
pub(crate) fn heights(grid: &Grid, plane: &SupportPlane) -> Vec<f32> {
    (0..grid.len()).map(|i| plane.height_m(grid, i).unwrap_or(0.0)).collect()
}

fn threshold_m(plane: &SupportPlane, z_m: f32) -> f32 {
    (NOISE_SIGMAS * plane.noise_at_m(z_m)).max(MIN_HEIGHT_M)
}

/// Cells above the plane and over the part of it that was seen.
pub(crate) fn above_plane(grid: &Grid, plane: &SupportPlane) -> Foreground {
    let height_m = heights(grid, plane);
    let outline = Outline::of(grid, plane, &height_m);
    let mut mask: Vec<bool> = (0..grid.len())
        .map(|i| {
            let h = height_m[i];
            grid.z[i] > 0.0 && h > threshold_m(plane, grid.z[i]) && h < MAX_HEIGHT_M && outline.contains(&grid.point(i))
        })
        .collect();
    smooth(&mut mask, grid.w);
    for (m, z) in mask.iter_mut().zip(&grid.z) {
        *m &= *z > 0.0;
    }
    cut_skirts(&mut mask, &height_m, grid.w);
    Foreground { mask, height_m, stained: vec![false; grid.len()] }
}

/// Clears low cells of connected matter that is mostly higher than [`SKIRT_M`].
fn cut_skirts(mask: &mut [bool], height_m: &[f32], w: usize) {
    let connected = parts(mask, w, |_, _| true);
    let mut high = vec![0u32; connected.sizes.len()];
    for (part, h) in connected.of.iter().zip(height_m) {
        high[*part as usize] += u32::from(*h > SKIRT_M);
    }
    for (i, m) in mask.iter_mut().enumerate() {
        let part = connected.of[i] as usize;
        *m &= height_m[i] > SKIRT_M || high[part] * 2 < connected.sizes[part];
    }
}

/// Cells that rise over the empty tray, or show another colour where depth cannot tell.
pub(crate) fn against_background(
    grid: &Grid,
    plane: Option<&SupportPlane>,
    background: Option<&DepthImage>,
    camera: &Intrinsics,
    changed: Option<&[bool]>,
) -> Foreground {
    let height_m = plane.map_or_else(|| vec![0.0; grid.len()], |p| heights(grid, p));
    let mut mask = vec![false; grid.len()];
    let mut rises = vec![0.0f32; grid.len()];
    if let Some(background) = background {
        let empty = Grid::new(background, camera);
        let floor = plane.map(|p| heights(&empty, p));
        for i in 0..grid.len() {
            let (z, z0) = (grid.z[i], empty.z[i]);
            if z <= 0.0 {
                continue;
            }
            let noise = plane.map_or(0.002, |p| p.noise_m) * z * z;
            let limit = (NOISE_SIGMAS * 1.4 * noise).max(MIN_HEIGHT_M);
            if z0 > 0.0 {
                rises[i] = floor.as_ref().map_or(z0 - z, |f| height_m[i] - f[i]);
                mask[i] = rises[i] > limit && z0 - z > 0.5 * limit;
            } else {
                // The empty tray gave no depth here: only what stands clearly over the support is matter.
                mask[i] = plane.is_some() && height_m[i] > 3.0 * limit && height_m[i] < MAX_HEIGHT_M;
            }
        }
        smooth(&mut mask, grid.w);
    }
    let mut stained = vec![false; grid.len()];
    if let Some(changed) = changed {
        let mean_rise = mean_around(&rises, changed, grid.w, 3);
        for i in 0..grid.len() {
            if mask[i] || !changed[i] {
                continue;
            }
            // Where colour says that there is something, depth needs less proof: a mean over many cells will do.
            // Without depth colour decides alone.
            if grid.z[i] <= 0.0 || mean_rise[i] > THIN_M { mask[i] = true } else { stained[i] = true }
        }
        smooth(&mut mask, grid.w);
    }
    Foreground { mask, height_m, stained }
}

/// Mean of the values of set cells in a (2r+1)² window around set cells.
fn mean_around(values: &[f32], set: &[bool], w: usize, r: usize) -> Vec<f32> {
    let h = values.len() / w;
    (0..values.len())
        .map(|i| {
            if !set[i] {
                return 0.0;
            }
            let (x, y) = (i % w, i / w);
            let (mut sum, mut n) = (0.0f32, 0.0f32);
            for yy in y.saturating_sub(r)..(y + r + 1).min(h) {
                for xx in x.saturating_sub(r)..(x + r + 1).min(w) {
                    let j = yy * w + xx;
                    if set[j] {
                        sum += values[j];
                        n += 1.0;
                    }
                }
            }
            sum / n
        })
        .collect()
}

/// Outline of the support that was seen, in coordinates of the plane.
struct Outline {
    along: V3,
    across: V3,
    hull: Vec<(f32, f32)>,
}

impl Outline {
    fn of(grid: &Grid, plane: &SupportPlane, height_m: &[f32]) -> Self {
        let up = plane.up();
        let along = up.cross(&V3::new(0.0, 0.0, 1.0)).try_normalize(1e-3).unwrap_or_else(|| V3::new(1.0, 0.0, 0.0));
        let across = up.cross(&along);
        let on: Vec<bool> = (0..grid.len()).map(|i| grid.z[i] > 0.0 && height_m[i].abs() < threshold_m(plane, grid.z[i])).collect();
        // Only the large connected parts: single far points on the same plane must not widen the outline.
        let connected = parts(&on, grid.w, |i, j| (grid.z[i] - grid.z[j]).abs() < 0.02 + 0.02 * grid.z[i]);
        let largest = connected.sizes.iter().copied().max().unwrap_or(0);
        let mut points: Vec<(f32, f32)> = (0..grid.len())
            .step_by(3)
            .filter(|i| connected.sizes[connected.of[*i] as usize] * 10 > largest && connected.of[*i] != 0)
            .map(|i| {
                let p = grid.point(i);
                (along.dot(&p), across.dot(&p))
            })
            .collect();
        Self { along, across, hull: hull(&mut points) }
    }

    /// True when the foot of the point on the plane lies inside, or out by no more than [`OVERHANG_M`].
    fn contains(&self, p: &V3) -> bool {
        let (x, y) = (self.along.dot(p), self.across.dot(p));
        if self.hull.len() < 3 {
            return true;
        }
        let next = self.hull.iter().cycle().skip(1);
        self.hull.iter().zip(next).all(|(a, b)| {
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = dx.hypot(dy).max(1e-6);
            (dx * (y - a.1) - dy * (x - a.0)) / length > -OVERHANG_M
        })
    }
}

/// Convex hull, counter-clockwise (monotone chain).
fn hull(points: &mut [(f32, f32)]) -> Vec<(f32, f32)> {
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let turn = |a: (f32, f32), b: (f32, f32), c: (f32, f32)| (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0);
    let chain = |points: &mut dyn Iterator<Item = (f32, f32)>| {
        let mut out: Vec<(f32, f32)> = Vec::new();
        for p in points {
            while let [.., a, b] = out[..]
                && turn(a, b, p) <= 0.0
            {
                out.pop();
            }
            out.push(p);
        }
        out.pop();
        out
    };
    let mut all = chain(&mut points.iter().copied());
    all.extend(chain(&mut points.iter().rev().copied()));
    all
}
