//! Items as the network of [`ItemFinder`](crate::ItemFinder) sees them: insides grow until they meet.

use super::components::parts;
use super::outline::Outline;
use super::plane::SupportPlane;
use super::refine;
use crate::finder::ItemMaps;
use crate::grid::Grid;

/// A place is an item's from this chance on.
const ITEM: f32 = 0.5;
/// It is near another item from this chance on.
const BORDER: f32 = 0.5;
/// An inside of fewer places of the raster is no item.
const LEAST_INSIDE: u32 = 10;
/// Depth must miss so much of an item for the network alone to vouch for it.
const MISSED: f32 = 0.35;
/// What depth found belongs to it when so much of it lies inside …
const PIECE_INSIDE: f32 = 0.7;
/// … and it is smaller than this share of what depth misses of it, …
const FRAGMENT: f32 = 1.0;
/// … and other items may cover so much of it.
const OTHERS: f32 = 0.3;
/// Where one item is expected, so much of its border beside another item makes it part of that.
const BESIDE: f32 = 0.3;
/// Nothing that a cell handles covers more of the support, square metres.
const MOST_M2: f32 = 0.12;
/// What is found must be as sure as this on average.
const SURE: f32 = 0.7;

/// Items of a raster of `w` × `h` cells, each `step` pixels of the picture: their labels from 1 on, 0 where none is.
pub(crate) fn items(maps: &ItemMaps, [w, h]: [usize; 2], step: usize) -> Vec<u16> {
    let labels = of_raster(maps);
    let mut cells = vec![0u16; w * h];
    for (i, cell) in cells.iter_mut().enumerate() {
        let at = [i % w, i / w].map(|v| (v as f32 + 0.5) * step as f32 * maps.scale - 0.5);
        let at = [0, 1].map(|k| at[k] + maps.corner[k]);
        if chance(maps, at) > ITEM {
            *cell = nearest(&labels, maps, at);
        }
    }
    cells
}

/// Adds the items that a network sees and depth does not: glass, clear plastic, black. Pieces of depth that lie in one belong to it; what depth
/// knows well stays as it is. Gives the labels that it added.
///
/// `one_item`: what depth misses beside an item is part of it, as the dome of a blister pack.
pub(crate) fn add_unseen(labels: &mut [u16], seen: &[u16], grid: &Grid, one_item: bool) -> Vec<u16> {
    let z = &grid.z;
    let most = |of: &[u16]| usize::from(of.iter().copied().max().unwrap_or(0));
    let (known, found) = (most(labels), most(seen));
    let (mut cells, mut missed) = (vec![0usize; found + 1], vec![0usize; found + 1]);
    let (mut whole, mut shared) = (vec![0usize; known + 1], vec![vec![0usize; found + 1]; known + 1]);
    for ((label, seen), z) in labels.iter().zip(seen).zip(z) {
        let (label, seen) = (usize::from(*label), usize::from(*seen));
        cells[seen] += 1;
        missed[seen] += usize::from(*z <= 0.0);
        whole[label] += 1;
        shared[label][seen] += 1;
    }
    let mut added = Vec::new();
    for item in 1..=found {
        // Items that depth knows and that are no pieces of this one.
        let is_piece = |label: usize| {
            let is_fragment = (whole[label] as f32) < FRAGMENT * missed[item] as f32;
            label != 0 && is_fragment && shared[label][item] as f32 >= PIECE_INSIDE * whole[label] as f32
        };
        let others: usize = (1..=known).filter(|l| !is_piece(*l)).map(|l| shared[l][item]).sum();
        let share = |n: usize| n as f32 / cells[item].max(1) as f32;
        let Some(name) = u16::try_from(known + item).ok().filter(|_| share(missed[item]) >= MISSED && share(others) <= OTHERS) else {
            continue;
        };
        added.push(name);
        for (label, seen) in labels.iter_mut().zip(seen) {
            let own = usize::from(*label);
            // A piece may be named already as part of an item that was added before.
            if own <= known && (is_piece(own) || (own == 0 && usize::from(*seen) == item)) {
                *label = name;
            }
        }
    }
    if one_item {
        added.retain(|name| !joined(labels, *name, grid.w));
    }
    added
}

/// Gives an added item its neighbour's label where it borders mostly on one; whether it did.
fn joined(labels: &mut [u16], name: u16, w: usize) -> bool {
    let (mut border, mut beside) = (0usize, vec![0usize; usize::from(u16::MAX) + 1]);
    for (i, _) in labels.iter().enumerate().filter(|(_, l)| **l == name) {
        let around = [(i % w > 0).then(|| i - 1), (i % w + 1 < w).then(|| i + 1), i.checked_sub(w), Some(i + w)];
        for other in around.into_iter().flatten().filter_map(|j| labels.get(j)).filter(|l| **l != name) {
            border += 1;
            beside[usize::from(*other)] += 1;
        }
    }
    let most = (1..beside.len()).max_by_key(|l| beside[*l]).filter(|l| beside[*l] as f32 >= BESIDE * border.max(1) as f32);
    let Some(owner) = most.and_then(|l| u16::try_from(l).ok()) else { return false };
    labels.iter_mut().filter(|l| **l == name).for_each(|l| *l = owner);
    true
}

/// Clears what does not lie over the support, and what is smaller or larger there than an item.
pub(crate) fn keep_over(seen: &mut [u16], grid: &Grid, plane: &SupportPlane, outline: &Outline, least_m2: f32) {
    let (up, f2) = (plane.up(), (grid.camera.fx * grid.camera.fy) as f32);
    let mut area_m2 = vec![0.0f32; usize::from(seen.iter().copied().max().unwrap_or(0)) + 1];
    for (i, label) in seen.iter_mut().enumerate().filter(|(_, l)| **l != 0) {
        // Where the line of sight meets the support.
        let ray = grid.ray(i);
        let z = -plane.camera_height_m / up.dot(&ray);
        if z > 0.0 && outline.contains(&(ray * z)) {
            area_m2[usize::from(*label)] += z * z / f2;
        } else {
            *label = 0;
        }
    }
    let is_item = |label: u16| (least_m2..MOST_M2).contains(&area_m2[usize::from(label)]);
    seen.iter_mut().filter(|l| !is_item(**l)).for_each(|l| *l = 0);
}

/// Labels on the raster itself; grown by one place, so that finer cells at the outline find theirs.
fn of_raster(maps: &ItemMaps) -> Vec<u16> {
    let item: Vec<bool> = maps.item.iter().map(|c| *c > ITEM).collect();
    let inside: Vec<bool> = item.iter().zip(&maps.border).map(|(i, b)| *i && *b < BORDER).collect();
    let mut labels = numbered(&inside, maps, 0);
    refine::spread(&mut labels, &item, maps.w);
    // What is all border: two thin things, one on the other.
    let rest: Vec<bool> = item.iter().zip(&labels).map(|(i, l)| *i && *l == 0).collect();
    let known = labels.iter().copied().max().unwrap_or(0);
    for (label, other) in labels.iter_mut().zip(numbered(&rest, maps, known)) {
        *label = (*label).max(other);
    }
    let near = super::dilate(&labels.iter().map(|l| *l != 0).collect::<Vec<_>>(), maps.w, 1);
    refine::spread(&mut labels, &near, maps.w);
    labels
}

/// Connected pieces that are large and sure enough, numbered from `known` + 1 on.
fn numbered(set: &[bool], maps: &ItemMaps, known: u16) -> Vec<u16> {
    let found = parts(set, maps.w, |_, _| true);
    let mut sure = vec![0.0f32; found.sizes.len()];
    for (part, chance) in found.of.iter().zip(&maps.item) {
        sure[*part as usize] += chance;
    }
    let mut next = known;
    let names: Vec<u16> = (0..found.sizes.len())
        .map(|part| {
            let size = found.sizes[part];
            if part == 0 || size < LEAST_INSIDE || sure[part] < SURE * size as f32 || next == u16::MAX {
                return 0;
            }
            next += 1;
            next
        })
        .collect();
    found.of.iter().map(|part| names[*part as usize]).collect()
}

/// The chance at a place of the raster, between its four neighbours.
fn chance(maps: &ItemMaps, [x, y]: [f32; 2]) -> f32 {
    let (x, y) = (x.clamp(0.0, (maps.w - 1) as f32), y.clamp(0.0, (maps.h - 1) as f32));
    let (left, top) = (x as usize, y as usize);
    let (right, low) = ((left + 1).min(maps.w - 1), (top + 1).min(maps.h - 1));
    let (fx, fy) = (x - left as f32, y - top as f32);
    let at = |x: usize, y: usize| maps.item[y * maps.w + x];
    let upper = at(left, top) * (1.0 - fx) + at(right, top) * fx;
    let lower = at(left, low) * (1.0 - fx) + at(right, low) * fx;
    upper * (1.0 - fy) + lower * fy
}

/// The label of the nearest place of the raster.
fn nearest(labels: &[u16], maps: &ItemMaps, [x, y]: [f32; 2]) -> u16 {
    let place = |v: f32, n: usize| (v.round().max(0.0) as usize).min(n - 1);
    labels[place(y, maps.h) * maps.w + place(x, maps.w)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A raster of 40 × 30 places with items (x, y, w, h, chance), whose border is where two of them touch.
    fn maps(items: &[(usize, usize, usize, usize, f32)], border: &[(usize, usize, usize, usize)]) -> ItemMaps {
        let mut maps = ItemMaps { w: 40, h: 30, item: vec![0.1; 1200], border: vec![0.0; 1200], scale: 0.125, corner: [0.0, 0.0] };
        for (x, y, w, h, chance) in items {
            for row in *y..y + h {
                maps.item[row * 40 + x..row * 40 + x + w].fill(*chance);
            }
        }
        for (x, y, w, h) in border {
            for row in *y..y + h {
                maps.border[row * 40 + x..row * 40 + x + w].fill(0.9);
            }
        }
        maps
    }

    fn areas(labels: &[u16]) -> Vec<usize> {
        let most = usize::from(labels.iter().copied().max().unwrap_or(0));
        (1..=most).map(|l| labels.iter().filter(|v| usize::from(**v) == l).count()).collect()
    }

    #[test]
    fn items_that_touch_are_told_apart_by_their_border_and_lose_nothing() {
        // 320 × 240 pixels in cells of two: 160 × 120.
        let found = items(&maps(&[(5, 5, 20, 12, 0.95)], &[(14, 5, 2, 12)]), [160, 120], 2);
        let areas = areas(&found);
        assert_eq!(areas.len(), 2, "{areas:?}");
        let whole: usize = areas.iter().sum();
        assert!(whole.abs_diff(20 * 12 * 16) < 300, "{areas:?}");
    }

    #[test]
    fn what_is_small_or_unsure_is_no_item_and_what_is_all_border_is_one() {
        let cells = |m: &ItemMaps| areas(&items(m, [160, 120], 2)).len();
        assert_eq!(cells(&maps(&[(5, 5, 2, 2, 0.95)], &[])), 0, "too small");
        assert_eq!(cells(&maps(&[(5, 5, 10, 10, 0.6)], &[])), 0, "unsure");
        assert_eq!(cells(&maps(&[(5, 5, 10, 3, 0.95)], &[(4, 4, 14, 6)])), 1, "all border");
        assert_eq!(cells(&maps(&[], &[])), 0);
    }

    /// One row of 40 cells.
    fn row(z: &[f32]) -> Grid {
        let camera = vision::Intrinsics { fx: 40.0, fy: 40.0, cx: 20.0, cy: 0.0, width: 40, height: 1 };
        Grid::from_samples(40, 1, 1, camera, z.to_vec())
    }

    #[test]
    fn what_depth_misses_is_added_with_its_pieces_and_what_it_knows_stays() {
        // A row of 40 cells: a bottle at 5..15 whose cap depth sees, a box at 20..30 that it sees well, a shadow that nobody claims.
        let seen: Vec<u16> = (0..40)
            .map(|x| {
                if (5..15).contains(&x) {
                    1
                } else if (20..30).contains(&x) {
                    2
                } else {
                    0
                }
            })
            .collect();
        let z: Vec<f32> = (0..40).map(|x| if (7..15).contains(&x) || (30..33).contains(&x) { 0.0 } else { 0.8 }).collect();
        let mut labels: Vec<u16> = (0..40)
            .map(|x| {
                if (5..7).contains(&x) {
                    2
                } else if (20..30).contains(&x) {
                    1
                } else {
                    0
                }
            })
            .collect();
        add_unseen(&mut labels, &seen, &row(&z), false);
        assert!(labels[5..15].iter().all(|l| *l == labels[5] && *l > 2), "{labels:?}");
        assert!(labels[20..30].iter().all(|l| *l == 1) && labels[30..].iter().all(|l| *l == 0), "{labels:?}");
        // The network takes a bottle and the box beside it for one thing: the box is no fragment, and covers too much of it.
        let together: Vec<u16> = (0..40).map(|x| u16::from((5..30).contains(&x))).collect();
        let mut box_of = [[0u16; 17].as_slice(), &[1; 13], &[0; 10]].concat();
        let missed: Vec<f32> = (0..40).map(|x| if (5..17).contains(&x) { 0.0 } else { 0.8 }).collect();
        assert!(
            add_unseen(&mut box_of, &together, &row(&missed), false).is_empty() && box_of[17..30].iter().all(|l| *l == 1),
            "{box_of:?}"
        );
        // A bottle behind a box: the box stays, the rest of the bottle is added.
        let mut behind: Vec<u16> = (0..40).map(|x| if (0..8).contains(&x) { 1 } else { 0 }).collect();
        add_unseen(&mut behind, &seen, &row(&z), false);
        assert!(behind[..8].iter().all(|l| *l == 1) && behind[8..15].iter().all(|l| *l == 2), "{behind:?}");
        // Of one item the dome belongs to the card around it.
        let mut card: Vec<u16> = (0..40).map(|x| u16::from((0..5).contains(&x) || (15..20).contains(&x))).collect();
        let dome: Vec<f32> = (0..40).map(|x| if (5..15).contains(&x) { 0.0 } else { 0.8 }).collect();
        assert!(add_unseen(&mut card, &seen, &row(&dome), true).is_empty() && card[..20].iter().all(|l| *l == 1), "{card:?}");
    }

    #[test]
    fn the_raster_may_be_larger_than_the_picture() {
        // A wide picture of 320 × 180 pixels stands between two bands of the raster.
        let mut wide = maps(&[(10, 8, 8, 8, 0.95)], &[]);
        wide.corner = [0.0, 3.75];
        let found = items(&wide, [160, 90], 2);
        let rows: Vec<usize> = (0..90).filter(|y| found[y * 160..(y + 1) * 160].iter().any(|l| *l != 0)).collect();
        // (8 − 3.75) × 8 pixels to (16 − 3.75) × 8 pixels.
        assert!(rows.first().is_some_and(|y| y.abs_diff(17) <= 2) && rows.last().is_some_and(|y| y.abs_diff(48) <= 2), "{rows:?}");
    }
}
