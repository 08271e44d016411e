//! Items that a depth camera sees through: glass, clear plastic. They show as a hole in the depth of the support with a
//! few fragments of surface in it; the item is what holds both together.

use super::components::{Parts, dilate, erode, parts, smooth};
use super::outline::Outline;
use super::plane::SupportPlane;
use crate::bands::bands;
use crate::grid::Grid;

/// The shadow of the camera's second eye beside an opaque item is narrower than this, metres.
const SHADOW_M: f32 = 0.018;
/// Fragments are smaller than this share of their hole; beside an opaque item it is the other way round.
const FRAGMENTS: std::ops::Range<f32> = 0.03..0.8;
/// Visible area, square metres: smaller is speckle, larger is a dark or shiny table.
const AREA_M2: std::ops::Range<f32> = 6.0e-4..0.05;

/// Holes in the depth of the support that are no narrow shadows, and what of them are items.
pub(crate) struct Holes {
    /// The cells of each item that is seen through: the convex outline of a hole and the fragments in it.
    pub items: Vec<Vec<usize>>,
    /// True when a hole is as large as an item, whether it is one or not.
    pub are_large: bool,
}

/// Looks for holes; `mask` are the cells that rise over the plane.
pub(crate) fn find(grid: &Grid, plane: &SupportPlane, outline: &Outline, mask: &[bool]) -> Holes {
    let up = plane.up();
    // Depth of the support behind each cell.
    let behind_m = |i: usize| -plane.camera_height_m / up.dot(&grid.ray(i));
    let f2 = (grid.camera.fx * grid.camera.fy) as f32;
    let area_m2 = |cells: &[usize]| cells.iter().map(|i| behind_m(*i).powi(2) / f2).sum::<f32>();
    let mut hole = vec![false; grid.len()];
    bands(&mut hole, grid.w, |rows, out| {
        for (i, hole) in (rows.start * grid.w..).zip(out) {
            let z = behind_m(i);
            *hole = grid.z[i] <= 0.0 && z > 0.0 && outline.contains(&(grid.ray(i) * z));
        }
    });
    smooth(&mut hole, grid.w);
    let radius = (0.5 * grid.cells(SHADOW_M, plane.camera_height_m)).round() as usize;
    let core = dilate(&erode(&hole, grid.w, radius), grid.w, radius);
    let holes = cells_of(&parts(&core, grid.w, |_, _| true));
    let fragments = parts(mask, grid.w, |_, _| true);
    let of_fragment = cells_of(&fragments);
    let are_large = holes.iter().any(|cells| area_m2(cells) > AREA_M2.start);
    let items = holes
        .into_iter()
        .filter_map(|mut cells| {
            let whole = cells.len() as f32;
            let mut near: Vec<usize> = cells.iter().flat_map(|i| around(*i, grid)).map(|j| fragments.of[j] as usize).collect();
            near.sort_unstable();
            near.dedup();
            let own = near.into_iter().filter(|f| *f != 0 && (fragments.sizes[*f] as f32) < FRAGMENTS.end * whole);
            cells.extend(own.flat_map(|f| of_fragment[f].iter().copied()));
            let inner = cells.iter().all(|i| (1..grid.w - 1).contains(&(i % grid.w)) && (1..grid.h - 1).contains(&(i / grid.w)));
            (inner && cells.len() as f32 > (1.0 + FRAGMENTS.start) * whole).then(|| filled(&cells, grid.w))
        })
        .filter(|cells| AREA_M2.contains(&area_m2(cells)))
        .collect();
    Holes { items, are_large }
}

/// The cells of each part, none for part 0.
fn cells_of(parts: &Parts) -> Vec<Vec<usize>> {
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); parts.sizes.len()];
    for (i, part) in parts.of.iter().enumerate().filter(|(_, p)| **p != 0) {
        cells[*part as usize].push(i);
    }
    cells
}

/// Cells three steps from cell `i` along rows and columns: what opening has rounded off lies between.
fn around(i: usize, grid: &Grid) -> impl Iterator<Item = usize> + use<> {
    const STEPS: usize = 3;
    let (x, y, w, h) = (i % grid.w, i / grid.w, grid.w, grid.h);
    let left = (x >= STEPS).then(|| i - STEPS);
    let right = (x + STEPS < w).then(|| i + STEPS);
    let above = (y >= STEPS).then(|| i - STEPS * w);
    let below = (y + STEPS < h).then(|| i + STEPS * w);
    [left, right, above, below].into_iter().flatten()
}

/// All cells inside the convex outline of some.
fn filled(cells: &[usize], w: usize) -> Vec<usize> {
    let mut points: Vec<(f32, f32)> = cells.iter().map(|i| ((i % w) as f32, (i / w) as f32)).collect();
    let sides = super::outline::sides(&super::outline::hull(&mut points));
    let (Some(first), Some(last)) = (cells.iter().min().map(|i| i / w), cells.iter().max().map(|i| i / w)) else { return Vec::new() };
    let left = cells.iter().map(|i| i % w).min().unwrap_or(0);
    let right = cells.iter().map(|i| i % w).max().unwrap_or(0);
    (first..=last)
        .flat_map(|y| (left..=right).map(move |x| (x, y)))
        .filter(|(x, y)| sides.iter().all(|(a, b, c)| a * *x as f32 + b * *y as f32 + c > -0.5))
        .map(|(x, y)| y * w + x)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::segment::plane;
    use vision::{DepthImage, Intrinsics};

    /// A table 0.8 m away; in the box 130..190 × 90..150 depth is `inside(x, y)` (0 = none, above 0 = height over it).
    fn scene(inside: impl Fn(usize, usize) -> Option<f32>) -> (Grid, SupportPlane, Vec<bool>) {
        let camera = Intrinsics { fx: 300.0, fy: 300.0, cx: 160.0, cy: 120.0, width: 320, height: 240 };
        let depth = |i: usize| {
            let (x, y) = (i % 320, i / 320);
            let noise = (i.wrapping_mul(7919) % 11) as f32 * 1e-4;
            if (130..190).contains(&x) && (90..150).contains(&y) { inside(x, y).map_or(0.0, |h| 0.8 - h + noise) } else { 0.8 + noise }
        };
        let data: Vec<f32> = (0..320 * 240).map(depth).collect();
        let mask = data.iter().map(|z| *z > 0.0 && *z < 0.78).collect();
        let grid = Grid::new(&DepthImage::from_raw_m(320, 240, data).unwrap(), &camera);
        let plane = plane::find(&grid).unwrap();
        (grid, plane, mask)
    }

    fn found(inside: impl Fn(usize, usize) -> Option<f32>) -> usize {
        let (grid, plane, mask) = scene(inside);
        let outline = Outline::of(&grid, &plane, &plane.heights_m(&grid));
        find(&grid, &plane, &outline, &mask).items.iter().map(Vec::len).sum()
    }

    #[test]
    fn a_hole_with_fragments_is_an_item_and_a_shadow_is_none() {
        // A bottle: a cap is seen, the rest is not.
        let bottle = found(|x, y| ((145..175).contains(&x) && y < 100).then_some(0.15));
        assert!((3300..=3800).contains(&bottle), "{bottle} cells of 3600");
        assert_eq!(found(|_, _| None), 0, "a hole alone may be a dark spot of the table");
        assert_eq!(found(|x, _| (x > 145).then_some(0.1)), 0, "an opaque item with its shadow");
    }
}
