//! Where one item is expected: the pieces that belong to it.

use std::collections::BTreeSet;

use super::components::{dilate, parts};
use crate::grid::Grid;

/// Size of a piece beside the item that it belongs to, where one item is expected.
const PIECE_SHARE: f32 = 0.35;
/// Share of its convex outline that one item of several near pieces fills; two things that touch leave corners open.
const COMPACT: f32 = 0.88;
/// The same of pieces and the card between them, whose borders are ragged where tray and card are of one colour.
const COMPACT_CARD: f32 = 0.8;
/// So many pieces of like size are the units of one pack, …
const ALIKE: usize = 4;
/// … when they are this share of all matter in their group.
const ALIKE_SHARE: f32 = 0.7;
/// Distance of such a piece, metres.
const PIECE_GAP_M: f32 = 0.008;

/// Joins pieces that stand on one flat patch of foreign colour when all of it together is compact: the bubbles of a
/// blister on its card. The patch becomes part of the item.
pub(crate) fn gather_on_card(labels: &mut [u16], stained: &mut [bool], w: usize) {
    let first = labels.iter().copied().find(|l| *l != 0);
    if labels.iter().all(|l| *l == 0 || Some(*l) == first) {
        return;
    }
    let matter: Vec<bool> = labels.iter().zip(stained.iter()).map(|(l, s)| *l != 0 || *s).collect();
    let connected = parts(&matter, w, |_, _| true);
    let mut on = vec![BTreeSet::new(); connected.sizes.len()];
    for (part, l) in connected.of.iter().zip(labels.iter()).filter(|(_, l)| **l != 0) {
        on[*part as usize].insert(*l);
    }
    for (part, pieces) in on.iter().enumerate().skip(1).filter(|(_, p)| p.len() > 1) {
        let as_labels: Vec<u16> = connected.of.iter().map(|p| u16::from(*p as usize == part)).collect();
        let Some(first) = pieces.first().copied().filter(|_| solidity(&as_labels, w, |_| true) > COMPACT_CARD) else {
            continue;
        };
        for i in (0..labels.len()).filter(|i| as_labels[*i] != 0) {
            labels[i] = first;
            stained[i] = false;
        }
    }
}

/// Joins the units of a pack whose card or tray cannot be told from what it lies on: [`ALIKE`] pieces and more of like size, each near
/// another, with what hangs on them. Two things that touch are never so many.
pub(crate) fn gather_units(labels: &mut [u16], grid: &Grid) {
    let most = usize::from(labels.iter().copied().max().unwrap_or(0));
    let mut sizes = vec![0usize; most + 1];
    let mut z_sum = 0.0f32;
    for (l, z) in labels.iter().zip(&grid.z).filter(|(l, _)| **l != 0) {
        sizes[usize::from(*l)] += 1;
        z_sum += z;
    }
    let count: usize = sizes.iter().sum();
    if sizes.iter().filter(|n| **n > 0).count() < ALIKE {
        return;
    }
    let reach = grid.cells(PIECE_GAP_M / 2.0, z_sum / count.max(1) as f32).round().max(1.0) as usize;
    let matter: Vec<bool> = labels.iter().map(|l| *l != 0).collect();
    let near = parts(&dilate(&matter, grid.w, reach), grid.w, |_, _| true);
    let mut groups = vec![BTreeSet::new(); near.sizes.len()];
    for (group, l) in near.of.iter().zip(labels.iter()).filter(|(_, l)| **l != 0) {
        groups[*group as usize].insert(*l);
    }
    for group in groups.iter().filter(|g| g.len() >= ALIKE) {
        let mut by_size: Vec<usize> = group.iter().map(|l| sizes[usize::from(*l)]).collect();
        by_size.sort_unstable();
        let median = by_size[by_size.len() / 2];
        let alike = || by_size.iter().filter(|n| **n * 2 > median && **n < median * 2);
        let Some(first) = group
            .first()
            .copied()
            .filter(|_| alike().count() >= ALIKE && alike().sum::<usize>() as f32 > ALIKE_SHARE * by_size.iter().sum::<usize>() as f32)
        else {
            continue;
        };
        labels.iter_mut().filter(|l| group.contains(l)).for_each(|l| *l = first);
    }
}

/// Joins pieces to the largest item again and again as it grows: what is nearer than [`PIECE_GAP_M`] and either smaller
/// than [`PIECE_SHARE`] of it, or completes it to a compact outline (the cans of a pack, the bubbles of a blister).
pub(crate) fn gather_pieces(labels: &mut [u16], grid: &Grid) {
    let most = usize::from(labels.iter().copied().max().unwrap_or(0));
    let mut sizes = vec![0u32; most + 1];
    let mut z_sum = vec![0.0f32; most + 1];
    for (l, z) in labels.iter().zip(&grid.z).filter(|(l, _)| **l != 0) {
        sizes[usize::from(*l)] += 1;
        z_sum[usize::from(*l)] += z;
    }
    let Some(main) = (1..=most).max_by_key(|l| (sizes[*l], std::cmp::Reverse(*l))) else { return };
    let reach = grid.cells(PIECE_GAP_M, z_sum[main] / sizes[main].max(1) as f32).round().max(1.0) as usize;
    loop {
        let own: Vec<bool> = labels.iter().map(|l| usize::from(*l) == main).collect();
        let near = dilate(&own, grid.w, reach);
        let mut candidate = vec![false; most + 1];
        for (l, _) in labels.iter().zip(&near).filter(|(l, n)| **n && **l != 0 && usize::from(**l) != main) {
            candidate[usize::from(*l)] = true;
        }
        if !candidate.contains(&true) {
            return;
        }
        let small = |l: usize| (sizes[l] as f32) < PIECE_SHARE * sizes[main] as f32;
        let mut joins: Vec<bool> = (0..=most).map(|l| candidate[l] && small(l)).collect();
        if !joins.contains(&true) {
            let together = |chosen: &[bool]| solidity(labels, grid.w, |l| usize::from(l) == main || chosen[usize::from(l)]) > COMPACT;
            if together(&candidate) {
                joins = candidate;
            } else {
                for l in (1..=most).filter(|l| candidate[*l]) {
                    let only: Vec<bool> = (0..=most).map(|k| k == l).collect();
                    joins[l] = together(&only);
                }
            }
        }
        if !joins.contains(&true) {
            return;
        }
        for l in labels.iter_mut().filter(|l| joins[usize::from(**l)]) {
            sizes[usize::from(*l)] -= 1;
            sizes[main] += 1;
            *l = main as u16;
        }
    }
}

/// Share of the convex outline of the chosen labels that they fill, with what they enclose: what shines or lets light through
/// has no depth, and leaves holes.
fn solidity(labels: &[u16], w: usize, chosen: impl Fn(u16) -> bool) -> f32 {
    let set: Vec<bool> = labels.iter().map(|l| *l != 0 && chosen(*l)).collect();
    let Some((set, w)) = with_margin(&set, w) else { return 0.0 };
    // Only the ends of rows can lie on the outline; the margin keeps them off the border.
    let is_end = |i: &usize| set[*i] && (!set[i - 1] || !set[i + 1]);
    let ends: Vec<(f32, f32)> = (0..set.len()).filter(is_end).map(|i| ((i % w) as f32, (i / w) as f32)).collect();
    let free: Vec<bool> = set.iter().map(|s| !s).collect();
    let around = parts(&free, w, |_, _| true);
    // The margin is one part, the first: what is free and no part of it is enclosed.
    let outside = around.of[0];
    let count = around.of.iter().filter(|part| **part != outside).count() as f32;
    count / convex_area(&ends).max(1.0)
}

/// The smallest box of cells that holds all set ones, with one more free cell on every side, and its width. `None` when none is set.
fn with_margin(set: &[bool], w: usize) -> Option<(Vec<bool>, usize)> {
    let rows: Vec<usize> = set.chunks_exact(w).enumerate().filter(|(_, row)| row.contains(&true)).map(|(y, _)| y).collect();
    let (top, bottom) = (*rows.first()?, *rows.last()?);
    let inside = &set[top * w..(bottom + 1) * w];
    let left = inside.chunks_exact(w).filter_map(|row| row.iter().position(|s| *s)).min()?;
    let right = inside.chunks_exact(w).filter_map(|row| row.iter().rposition(|s| *s)).max()?;
    let width = right - left + 3;
    let mut out = vec![false; width * (bottom - top + 3)];
    for (own, row) in out[width..].chunks_exact_mut(width).zip(inside.chunks_exact(w)) {
        own[1..width - 1].copy_from_slice(&row[left..=right]);
    }
    Some((out, width))
}

/// Area of the convex outline around cells (each one cell wide), from its support lines every five degrees.
pub(crate) fn convex_area(cells: &[(f32, f32)]) -> f32 {
    const LINES: usize = 72;
    let step = std::f32::consts::TAU / LINES as f32;
    let support: Vec<f32> = (0..LINES)
        .map(|k| {
            let (s, c) = (k as f32 * step).sin_cos();
            0.5 + cells.iter().map(|(x, y)| x * c + y * s).fold(f32::MIN, f32::max)
        })
        .collect();
    // Corners of the circumscribed polygon: neighbouring support lines meet.
    let corner = |k: usize| {
        let ((s, c), p, q) = ((k as f32 * step).sin_cos(), support[k], support[(k + 1) % LINES]);
        let along = (q - p * step.cos()) / step.sin();
        (p * c - along * s, p * s + along * c)
    };
    (0..LINES)
        .map(|k| {
            let (a, b) = (corner(k), corner((k + 1) % LINES));
            0.5 * (a.0 * b.1 - a.1 * b.0)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vision::Intrinsics;

    const W: usize = 100;

    /// A grid 1 m away with 2.5 mm cells, and labels from boxes `(label, x, y, w, h)`.
    fn labelled(boxes: &[(u16, usize, usize, usize, usize)]) -> (Grid, Vec<u16>) {
        let camera = Intrinsics { fx: 400.0, fy: 400.0, cx: 50.0, cy: 50.0, width: 100, height: 100 };
        let mut labels = vec![0; W * 100];
        for (label, x, y, w, h) in boxes {
            for yy in *y..y + h {
                labels[yy * W + x..yy * W + x + w].fill(*label);
            }
        }
        (Grid::from_samples(W, 100, 1, camera, vec![1.0; W * 100]), labels)
    }

    fn count(labels: &[u16]) -> usize {
        labels.iter().filter(|l| **l != 0).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn pieces_join_and_items_stay() {
        for (what, boxes, left) in [
            ("a lid beside its box", vec![(1, 20, 20, 40, 40), (2, 61, 30, 10, 10)], 1),
            ("four cans of a pack", vec![(1, 20, 20, 18, 18), (2, 40, 20, 18, 18), (3, 20, 40, 18, 18), (4, 40, 40, 18, 18)], 1),
            ("two boxes that touch at a corner", vec![(1, 20, 20, 30, 30), (2, 50, 45, 28, 28)], 2),
            (
                "a card around what has no depth",
                vec![(1, 20, 20, 50, 12), (1, 20, 32, 12, 26), (1, 58, 32, 12, 26), (2, 20, 58, 50, 12)],
                1,
            ),
            ("a small thing apart", vec![(1, 20, 20, 40, 40), (2, 75, 30, 10, 10)], 2),
        ] {
            let (grid, mut labels) = labelled(&boxes);
            gather_pieces(&mut labels, &grid);
            assert_eq!(count(&labels), left, "{what}");
        }
    }

    #[test]
    fn what_is_enclosed_counts_and_the_pictures_border_is_no_wall() {
        let ring = |x: usize, y: usize| {
            let (_, labels) = labelled(&[(1, x, y, 30, 6), (1, x, y + 24, 30, 6), (1, x, y, 6, 30), (1, x + 24, y, 6, 30)]);
            solidity(&labels, W, |_| true)
        };
        // Anywhere in the picture, also in its corners.
        for (x, y) in [(30, 40), (0, 0), (70, 70), (0, 70)] {
            assert!((ring(x, y) - 1.0).abs() < 0.02, "{x} {y}: {}", ring(x, y));
        }
        let (_, open) = labelled(&[(1, 0, 0, 30, 6), (1, 0, 24, 30, 6), (1, 24, 0, 6, 30)]);
        assert!(solidity(&open, W, |_| true) < 0.7, "a bay at the border is not enclosed by it");
        assert_eq!(solidity(&[0; W * 4], W, |_| true), 0.0);
    }

    #[test]
    fn many_alike_are_the_units_of_one_pack() {
        let unit = |n: u16| (n, 20 + 12 * usize::from((n - 1) % 4), 20 + 12 * usize::from((n - 1) / 4), 10, 10);
        for (what, boxes, left) in [
            ("eight domes and a scrap of card", (1..=8).map(unit).chain([(9, 68, 20, 6, 8)]).collect(), 1),
            ("three domes", (1..=3).map(unit).collect(), 3),
            ("four things far apart", (0..4).map(|k| (k + 1, 20 * usize::from(k) + 5, 40, 8, 8)).collect(), 4),
            ("a box among domes", (1..=4).map(unit).chain([(9, 20, 32, 60, 40)]).collect(), 5),
        ] as [(&str, Vec<_>, usize); 4]
        {
            let (grid, mut labels) = labelled(&boxes);
            gather_units(&mut labels, &grid);
            assert_eq!(count(&labels), left, "{what}");
        }
    }

    #[test]
    fn bubbles_on_one_card_are_one_item() {
        let (_, mut labels) = labelled(&[(1, 25, 25, 10, 10), (2, 45, 25, 10, 10), (3, 25, 45, 10, 10)]);
        let mut stained: Vec<bool> =
            (0..W * 100).map(|i| (20..60).contains(&(i % W)) && (20..60).contains(&(i / W)) && labels[i] == 0).collect();
        gather_on_card(&mut labels, &mut stained, W);
        assert_eq!(count(&labels), 1);
        assert!(!stained.contains(&true));
        assert_eq!(labels.iter().filter(|l| **l != 0).count(), 1600);
    }

    #[test]
    fn the_convex_outline_of_a_square_is_its_area() {
        let cells: Vec<(f32, f32)> = (0..400).map(|i| ((i % 20) as f32, (i / 20) as f32)).collect();
        assert!((convex_area(&cells) - 400.0).abs() < 12.0, "{}", convex_area(&cells));
    }
}
