//! A tray or tote that stands on the plane that was found: its floor, not the table, is what the items lie on.

use super::components::parts;
use super::plane::{self, SupportPlane};
use crate::grid::Grid;

/// Smaller things with a rim are items: bowls, lids, open boxes; square metres.
const LEAST_M2: f32 = 0.045;
/// Bin of the histogram of heights, metres.
const BIN_M: f32 = 0.002;
/// Share of a tray that shows its floor, at least.
const FLOOR_SHARE: f32 = 0.3;
/// A rim stands over the floor by this much, metres.
const RIM_M: f32 = 0.008;
/// Share of a tray's border that is rim, at least; the border of a carton is its top, or falls off.
const RIM_SHARE: f32 = 0.6;

/// The floor of the tray that stands on `table`; `None` when nothing there has the shape of one.
pub(crate) fn find(grid: &Grid, table: &SupportPlane) -> Option<SupportPlane> {
    let height_m = table.heights_m(grid);
    let above: Vec<bool> =
        (0..grid.len()).map(|i| grid.z[i] > 0.0 && height_m[i] > super::foreground::threshold_m(table, grid.z[i])).collect();
    let connected = parts(&above, grid.w, |_, _| true);
    let mut area_m2 = vec![0.0f32; connected.sizes.len()];
    for (i, part) in connected.of.iter().enumerate().filter(|(_, part)| **part != 0) {
        area_m2[*part as usize] += grid.cell_area_m2(i);
    }
    let largest = (1..area_m2.len()).max_by(|a, b| area_m2[*a].total_cmp(&area_m2[*b])).filter(|part| area_m2[*part] > LEAST_M2)?;
    let cells: Vec<usize> = (0..grid.len()).filter(|i| connected.of[*i] as usize == largest).collect();
    let floor_m = commonest(&cells, &height_m)?;
    let border: Vec<usize> = cells.iter().copied().filter(|i| is_border(&connected.of, grid.w, *i)).collect();
    let rim = border.iter().filter(|i| height_m[**i] > floor_m + RIM_M).count();
    if (rim as f32) < RIM_SHARE * border.len() as f32 {
        return None;
    }
    let floor: Vec<usize> = cells.into_iter().filter(|i| (height_m[*i] - floor_m).abs() < 1.5 * BIN_M).collect();
    let found = plane::refine(grid, &floor, table.up(), table.camera_height_m - floor_m)?;
    Some(SupportPlane { walled: true, ..found })
}

/// The height that most cells have; `None` when no height is common.
fn commonest(cells: &[usize], height_m: &[f32]) -> Option<f32> {
    let mut counts = vec![0u32; 256];
    for i in cells {
        counts[((height_m[*i] / BIN_M) as usize).min(255)] += 1;
    }
    // Two bins, since a floor seldom falls into the middle of one.
    let best = (0..254).max_by_key(|k| (counts[*k] + counts[k + 1], std::cmp::Reverse(*k)))?;
    let share = (counts[best] + counts[best + 1]) as f32 / cells.len().max(1) as f32;
    (share > FLOOR_SHARE).then(|| (best + 1) as f32 * BIN_M)
}

/// True when a neighbour of cell `i` belongs to another part.
fn is_border(part: &[u32], w: usize, i: usize) -> bool {
    let x = i % w;
    let other = |j: usize| part.get(j).is_none_or(|p| *p != part[i]);
    x == 0 || x + 1 == w || i < w || other(i - 1) || other(i + 1) || other(i - w) || other(i + w)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use vision::{DepthImage, Intrinsics};

    /// A table 1 m below the camera with a block of 40 × 30 cm on it: `rim_m` high around, `floor_m` high inside.
    fn scene(rim_m: f32, floor_m: f32) -> Grid {
        let camera = Intrinsics { fx: 300.0, fy: 300.0, cx: 160.0, cy: 120.0, width: 320, height: 240 };
        let data = (0..320 * 240)
            .map(|i: i32| {
                let (u, v) = ((i % 320 - 160).abs(), (i / 320 - 120).abs());
                let height = if u < 54 && v < 39 {
                    floor_m
                } else if u < 60 && v < 45 {
                    rim_m
                } else {
                    0.0
                };
                1.0 - height + (i.wrapping_mul(7919) % 11 - 5) as f32 * 1e-4
            })
            .collect();
        Grid::new(&DepthImage::from_raw_m(320, 240, data).unwrap(), &camera)
    }

    #[test]
    fn a_tray_has_a_floor_and_a_carton_has_none() {
        let tray = scene(0.04, 0.012);
        let table = plane::find(&tray).unwrap();
        let floor = find(&tray, &table).unwrap();
        assert!((floor.camera_height_m - 0.988).abs() < 0.002, "{floor:?}");
        let carton = scene(0.08, 0.08);
        assert!(find(&carton, &plane::find(&carton).unwrap()).is_none());
    }
}
