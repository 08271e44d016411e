//! Heights of an item over what it lies on, as references keep them.

use vision::HeightMap;

use crate::segment::{Cells, Instance};

/// Heights of an item's box over what it lies on: the support, or the empty tray where that stands higher; lower is 1 mm. `None` where the
/// tray's own height is not known.
pub(crate) fn of_item(cells: &Cells, item: &Instance) -> Option<HeightMap> {
    let (grid, part) = (&cells.grid, item.bbox);
    let floor_m = match &cells.floor_m {
        Some(floor) => {
            let mut under: Vec<f32> = floor.iter().zip(&cells.labels).filter(|(_, l)| **l == item.id).filter_map(|(f, _)| *f).collect();
            let middle = under.len() / 2;
            if under.is_empty() {
                return None;
            }
            *under.select_nth_unstable_by(middle, f32::total_cmp).1
        }
        None => 0.0,
    };
    let at = |v: u32, end: usize| (v as usize / grid.step).min(end - 1);
    let mm =
        |cell: usize| if grid.z[cell] > 0.0 { ((cells.height_m[cell] - floor_m) * 1e3).round().clamp(1.0, 65_535.0) as u16 } else { 0 };
    let rows = (part.y..part.y + part.h).map(|y| at(y, grid.h) * grid.w);
    let data = rows.flat_map(|row| (part.x..part.x + part.w).map(move |x| row + at(x, grid.w))).map(mm).collect();
    HeightMap::new(part.w, part.h, data).ok()
}

#[cfg(test)]
mod tests {
    use vision::{Intrinsics, Rect};

    use super::*;
    use crate::grid::Grid;

    /// A row of eight cells, a pixel each; an item on the middle four whose top is 60 mm over the support, one cell of it without depth.
    fn row(floor_m: Option<Vec<Option<f32>>>) -> (Cells, Instance) {
        let camera = Intrinsics { fx: 8.0, fy: 8.0, cx: 4.0, cy: 0.0, width: 8, height: 1 };
        let grid = Grid::from_samples(8, 1, 1, camera, vec![0.9, 0.9, 0.84, 0.0, 0.84, 0.84, 0.9, 0.9]);
        let labels = vec![0, 0, 1, 1, 1, 1, 0, 0];
        let height_m = vec![0.0, 0.0, 0.06, 0.0, 0.06, 0.06, 0.0, -0.01];
        let item = Instance { id: 1, bbox: Rect { x: 1, y: 0, w: 6, h: 1 }, area_px: 4, clipped: false, see_through: false };
        (Cells { grid, labels, height_m, floor_m, stained: vec![false; 8], colors: vec![[0.0; 3]; 8] }, item)
    }

    fn heights(floor_m: Option<Vec<Option<f32>>>) -> Option<Vec<u16>> {
        let (cells, item) = row(floor_m);
        of_item(&cells, &item).map(|heights| heights.data().to_vec())
    }

    #[test]
    fn heights_are_over_the_support_or_the_tray_and_unknown_where_the_tray_is() {
        assert_eq!(heights(None), Some(vec![1, 60, 0, 60, 60, 1]));
        assert_eq!(heights(Some(vec![Some(0.02); 8])), Some(vec![1, 40, 0, 40, 40, 1]));
        // The tray's picture misses depth under most of the item: what is known of its floor speaks.
        let holes = vec![Some(0.0), Some(0.0), None, None, None, Some(0.02), Some(0.0), Some(0.0)];
        assert_eq!(heights(Some(holes)), Some(vec![1, 40, 0, 40, 40, 1]));
        assert_eq!(heights(Some(vec![None; 8])), None);
    }
}
