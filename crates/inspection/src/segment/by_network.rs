//! Items as the network of [`ItemFinder`](crate::ItemFinder) sees them: insides grow until they meet.

use super::components::parts;
use super::refine;
use crate::finder::ItemMaps;

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
/// … and other items may cover so much of it.
const OTHERS: f32 = 0.3;
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
pub(crate) fn add_unseen(labels: &mut [u16], seen: &[u16], z: &[f32]) -> Vec<u16> {
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
        let is_piece = |label: usize| label != 0 && shared[label][item] as f32 >= PIECE_INSIDE * whole[label] as f32;
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
    added
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

/// The label of the place, or of the nearest of its neighbours that has one.
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
        add_unseen(&mut labels, &seen, &z);
        assert!(labels[5..15].iter().all(|l| *l == labels[5] && *l > 2), "{labels:?}");
        assert!(labels[20..30].iter().all(|l| *l == 1) && labels[30..].iter().all(|l| *l == 0), "{labels:?}");
        // A bottle behind a box: the box stays, the rest of the bottle is added.
        let mut behind: Vec<u16> = (0..40).map(|x| if (0..8).contains(&x) { 1 } else { 0 }).collect();
        add_unseen(&mut behind, &seen, &z);
        assert!(behind[..8].iter().all(|l| *l == 1) && behind[8..15].iter().all(|l| *l == 2), "{behind:?}");
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
