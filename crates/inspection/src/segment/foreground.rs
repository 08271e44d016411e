//! Which cells belong to items: above the support, or different from the empty tray.

use super::components::{parts, smooth};
use super::outline::Outline;
use super::plane::SupportPlane;
use super::see_through;
use super::tray::Known;
use crate::bands::bands;
use crate::grid::Grid;

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

/// Cells of items, and what was measured on the way.
pub(crate) struct Foreground {
    /// Cells of items.
    pub mask: Vec<bool>,
    /// Height above the support, metres; 0 without depth.
    pub height_m: Vec<f32>,
    /// Cells that differ from the empty tray in colour alone: flat matter, or stains of the tray.
    pub stained: Vec<bool>,
    /// Cells of each item that depth sees through; they are in `mask`.
    pub see_through: Vec<Vec<usize>>,
    /// True when depth misses as much as an item in one place, and there is no picture of the empty tray to say what lies there.
    pub is_in_doubt: bool,
}

/// Height over the plane that is no noise of a camera at depth `z_m`, metres.
pub(crate) fn threshold_m(plane: &SupportPlane, z_m: f32) -> f32 {
    (NOISE_SIGMAS * plane.noise_at_m(z_m)).max(MIN_HEIGHT_M)
}

/// Cells above the plane and over the part of it that was seen.
pub(crate) fn above_plane(grid: &Grid, plane: &SupportPlane) -> Foreground {
    let height_m = plane.heights_m(grid);
    let outline = Outline::of(grid, plane, &height_m);
    let mut mask = vec![false; grid.len()];
    bands(&mut mask, grid.w, |rows, out| {
        for (i, above) in (rows.start * grid.w..).zip(out) {
            let h = height_m[i];
            *above = grid.z[i] > 0.0 && h > threshold_m(plane, grid.z[i]) && h < MAX_HEIGHT_M && outline.contains(&grid.point(i));
        }
    });
    smooth(&mut mask, grid.w);
    for (m, z) in mask.iter_mut().zip(&grid.z) {
        *m &= *z > 0.0;
    }
    cut_skirts(&mut mask, &height_m, grid.w);
    let holes = see_through::find(grid, plane, &outline, &mask);
    for i in holes.items.iter().flatten() {
        mask[*i] = true;
    }
    Foreground { mask, height_m, stained: vec![false; grid.len()], see_through: holes.items, is_in_doubt: holes.are_large }
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
pub(crate) fn against_background(grid: &Grid, plane: Option<&SupportPlane>, tray: &Known, changed: &[bool]) -> Foreground {
    let height_m = plane.map_or_else(|| vec![0.0; grid.len()], |p| p.heights_m(grid));
    let mut mask = vec![false; grid.len()];
    let mut rises = vec![0.0f32; grid.len()];
    if let Some(empty_z) = &tray.z_m {
        let floor = tray.height_m.as_ref();
        bands(&mut rises, grid.w, |rows, out| {
            for (i, rise) in (rows.start * grid.w..).zip(out).filter(|(i, _)| grid.z[*i] > 0.0 && empty_z[*i] > 0.0) {
                *rise = floor.map_or(empty_z[i] - grid.z[i], |f| height_m[i] - f[i]);
            }
        });
        bands(&mut mask, grid.w, |rows, out| {
            for (i, mask) in (rows.start * grid.w..).zip(out) {
                let (z, z0) = (grid.z[i], empty_z[i]);
                let noise = plane.map_or(0.002, |p| p.noise_m) * z * z;
                let limit = (NOISE_SIGMAS * 1.4 * noise).max(MIN_HEIGHT_M);
                *mask = z > 0.0
                    && if z0 > 0.0 {
                        rises[i] > limit && z0 - z > 0.5 * limit
                    } else {
                        // The empty tray gave no depth here: only what stands clearly over the support is matter.
                        plane.is_some() && height_m[i] > 3.0 * limit && height_m[i] < MAX_HEIGHT_M
                    };
            }
        });
        smooth(&mut mask, grid.w);
    }
    let mut stained = vec![false; grid.len()];
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
    if let (Some(plane), Some(outline)) = (plane, &tray.outline) {
        keep_over(grid, plane, outline, &mut mask, &mut stained);
    }
    Foreground { mask, height_m, stained, see_through: Vec::new(), is_in_doubt: false }
}

/// Clears what changed beside the tray: neighbouring bins, people, cables. Where the outline would leave nothing it is
/// not trusted.
fn keep_over(grid: &Grid, plane: &SupportPlane, outline: &Outline, mask: &mut [bool], stained: &mut [bool]) {
    let up = plane.up();
    let over = |i: usize| {
        let ray = grid.ray(i);
        // Without depth: where the line of sight meets the support.
        let z = if grid.z[i] > 0.0 { grid.z[i] } else { -plane.camera_height_m / up.dot(&ray) };
        z > 0.0 && outline.contains(&(ray * z))
    };
    let mut kept = vec![false; mask.len()];
    bands(&mut kept, grid.w, |rows, out| {
        for (i, kept) in (rows.start * grid.w..).zip(out) {
            *kept = (mask[i] || stained[i]) && over(i);
        }
    });
    if mask.contains(&true) && !mask.iter().zip(&kept).any(|(m, k)| *m && *k) {
        return;
    }
    for ((m, s), k) in mask.iter_mut().zip(stained).zip(kept) {
        (*m, *s) = (*m && k, *s && k);
    }
}

/// Mean of the values of set cells in a (2r+1)² window around set cells.
fn mean_around(values: &[f32], set: &[bool], w: usize, r: usize) -> Vec<f32> {
    let h = values.len() / w;
    let mut means = vec![0.0; values.len()];
    bands(&mut means, w, |rows, out| {
        for (i, mean) in (rows.start * w..).zip(out).filter(|(i, _)| set[*i]) {
            let (x, y) = (i % w, i / w);
            let (mut sum, mut n) = (0.0f32, 0.0f32);
            for yy in y.saturating_sub(r)..(y + r + 1).min(h) {
                for j in yy * w + x.saturating_sub(r)..yy * w + (x + r + 1).min(w) {
                    if set[j] {
                        sum += values[j];
                        n += 1.0;
                    }
                }
            }
            *mean = sum / n;
        }
    });
    means
}
