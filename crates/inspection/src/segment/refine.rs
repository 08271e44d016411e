//! From labels of cells to a mask of the picture: holes, borders, resolution.

use std::collections::VecDeque;

use vision::{DepthImage, LabelMask};

use super::components::parts;
use crate::bands::bands;
use crate::grid::Grid;

/// Holes without depth inside an item up to this size belong to it, square metres (print and gloss eat depth).
const HOLE_M2: f32 = 3.0e-4;

/// Gives cells of `mask` without a label that of the nearest labelled cell that `mask` connects them to.
pub(crate) fn spread(labels: &mut [u16], mask: &[bool], w: usize) {
    let mut queue: VecDeque<usize> = (0..labels.len()).filter(|i| labels[*i] != 0).collect();
    while let Some(i) = queue.pop_front() {
        let x = i % w;
        let around = [(x > 0).then(|| i - 1), (x + 1 < w).then(|| i + 1), i.checked_sub(w), (i + w < labels.len()).then(|| i + w)];
        for j in around.into_iter().flatten() {
            if mask[j] && labels[j] == 0 {
                labels[j] = labels[i];
                queue.push_back(j);
            }
        }
    }
}

/// Fills small unlabelled holes without depth that lie inside one item.
pub(crate) fn fill_holes(labels: &mut [u16], grid: &Grid) {
    let open: Vec<bool> = labels.iter().zip(&grid.z).map(|(l, z)| *l == 0 && *z <= 0.0).collect();
    let holes = parts(&open, grid.w, |_, _| true);
    let n = holes.sizes.len();
    // Per hole: the one label around it, or none when there are several or background.
    let mut owner: Vec<Option<u16>> = vec![None; n];
    let mut broken = vec![false; n];
    let mut depth = vec![0.0f32; n];
    for i in 0..labels.len() {
        let hole = holes.of[i] as usize;
        if hole == 0 {
            continue;
        }
        let x = i % grid.w;
        let around = [
            (x > 0).then(|| i - 1),
            (x + 1 < grid.w).then(|| i + 1),
            i.checked_sub(grid.w),
            (i + grid.w < labels.len()).then(|| i + grid.w),
        ];
        for j in around {
            let Some(j) = j else {
                broken[hole] = true;
                continue;
            };
            if holes.of[j] as usize == hole {
                continue;
            }
            match owner[hole] {
                _ if labels[j] == 0 => broken[hole] = true,
                None => owner[hole] = Some(labels[j]),
                Some(l) if l != labels[j] => broken[hole] = true,
                Some(_) => {}
            }
            depth[hole] = depth[hole].max(grid.z[j]);
        }
    }
    let f2 = (grid.camera.fx * grid.camera.fy) as f32;
    for (label, hole) in labels.iter_mut().zip(&holes.of) {
        let hole = *hole as usize;
        if hole != 0 && !broken[hole] && holes.sizes[hole] as f32 * depth[hole] * depth[hole] / f2 < HOLE_M2 {
            *label = owner[hole].unwrap_or(0);
        }
    }
}

/// Takes every label that the majority of a 3 × 3 neighbourhood has against the cell's own: ragged borders between
/// items become smooth.
pub(crate) fn smooth(labels: &mut [u16], w: usize) {
    let before = labels.to_vec();
    let h = before.len() / w;
    for y in 1..h.saturating_sub(1) {
        for x in 1..w.saturating_sub(1) {
            let i = y * w + x;
            if before[i] == before[i - 1] && before[i] == before[i + 1] && before[i] == before[i - w] && before[i] == before[i + w] {
                continue;
            }
            let mut around = [0u16; 9];
            for (k, a) in around.iter_mut().enumerate() {
                *a = before[(y + k / 3 - 1) * w + x + k % 3 - 1];
            }
            let best = around.iter().copied().max_by_key(|l| (around.iter().filter(|a| *a == l).count(), *l));
            let count = |l: u16| around.iter().filter(|a| **a == l).count();
            if let Some(best) = best
                && count(best) >= 5
                && count(best) > count(before[i])
            {
                labels[i] = best;
            }
        }
    }
}

/// Brings labels of cells to the picture; border pixels follow the picture's own depth.
pub(crate) fn to_picture(labels: &[u16], grid: &Grid, depth: &DepthImage) -> Option<LabelMask> {
    let (width, height) = (depth.width(), depth.height());
    if grid.step == 1 {
        return LabelMask::new(width, height, labels.to_vec()).ok();
    }
    let row_len = width as usize;
    let at_border = at_border(labels, grid.w);
    let mut out = vec![0u16; row_len * height as usize];
    bands(&mut out, row_len, |rows, lines| {
        for (y, line) in rows.zip(lines.chunks_exact_mut(row_len)) {
            let row = (y / grid.step).min(grid.h - 1) * grid.w;
            let depths = &depth.data()[y * row_len..(y + 1) * row_len];
            let mut x = 0;
            for run in labels[row..row + grid.w].chunk_by(|a, b| a == b) {
                let end = x + run.len() * grid.step;
                line[x..end].fill(run[0]);
                x = end;
            }
            // Columns that fill no cell belong to the last one.
            line[x..].fill(labels[row + grid.w - 1]);
            for cx in (0..grid.w).filter(|cx| at_border[row + cx]) {
                let end = if cx + 1 == grid.w { row_len } else { (cx + 1) * grid.step };
                for x in cx * grid.step..end {
                    line[x] = border_label(labels, grid, row + cx, depths[x]);
                }
            }
        }
    });
    LabelMask::new(width, height, out).ok()
}

/// The four neighbours of cell `i` that exist.
fn around(grid: &Grid, i: usize) -> [Option<usize>; 4] {
    let (x, y) = (i % grid.w, i / grid.w);
    [(x > 0).then(|| i - 1), (x + 1 < grid.w).then(|| i + 1), (y > 0).then(|| i - grid.w), (y + 1 < grid.h).then(|| i + grid.w)]
}

/// Cells with a neighbour of another label.
fn at_border(labels: &[u16], w: usize) -> Vec<bool> {
    let h = labels.len() / w;
    let mut out = vec![false; labels.len()];
    bands(&mut out, w, |rows, lines| {
        for (y, line) in rows.zip(lines.chunks_exact_mut(w)) {
            let row = |y: usize| &labels[y * w..(y + 1) * w];
            let (above, own, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(h - 1)));
            for (x, border) in line.iter_mut().enumerate() {
                let (left, right) = (own[x.saturating_sub(1)], own[(x + 1).min(w - 1)]);
                *border = above[x] != own[x] || below[x] != own[x] || left != own[x] || right != own[x];
            }
        }
    });
    out
}

/// The label of the neighbour of border cell `i`, or its own, that is nearest in depth to a pixel of depth `z`.
fn border_label(labels: &[u16], grid: &Grid, i: usize, z: f32) -> u16 {
    let own = labels[i];
    if z <= 0.0 || (grid.z[i] - z).abs() < 0.004 {
        return own;
    }
    around(grid, i)
        .into_iter()
        .flatten()
        .chain([i])
        .filter(|j| grid.z[*j] > 0.0)
        .min_by(|a, b| (grid.z[*a] - z).abs().total_cmp(&(grid.z[*b] - z).abs()))
        .map_or(own, |j| labels[j])
}
