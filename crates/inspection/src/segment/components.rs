//! Masks of cells: connected parts, cleaning, holes.

/// A mask of cells, row after row, `w` columns wide.
pub(crate) struct Parts {
    /// Part of each cell, 0 = none.
    pub of: Vec<u32>,
    /// Cells of each part; index 0 is unused.
    pub sizes: Vec<u32>,
}

/// Connected parts (4-neighbourhood) of the cells for which `mask` holds; `joined` may refuse a pair of neighbours.
pub(crate) fn parts(mask: &[bool], w: usize, joined: impl Fn(usize, usize) -> bool) -> Parts {
    let mut of = vec![0u32; mask.len()];
    let mut sizes = vec![0u32];
    let mut stack = Vec::new();
    for start in 0..mask.len() {
        if !mask[start] || of[start] != 0 {
            continue;
        }
        let id = sizes.len() as u32;
        let mut size = 0;
        of[start] = id;
        stack.push(start);
        while let Some(i) = stack.pop() {
            size += 1;
            let x = i % w;
            let mut visit = |j: usize| {
                if mask[j] && of[j] == 0 && joined(i, j) {
                    of[j] = id;
                    stack.push(j);
                }
            };
            if x > 0 {
                visit(i - 1);
            }
            if x + 1 < w {
                visit(i + 1);
            }
            if i >= w {
                visit(i - w);
            }
            if i + w < mask.len() {
                visit(i + w);
            }
        }
        sizes.push(size);
    }
    Parts { of, sizes }
}

/// Sums over a (2r+1)² window, clipped at the border: for counts and means in constant time a cell.
fn box_sum(values: &[u8], w: usize, r: usize) -> Vec<u16> {
    let h = values.len() / w;
    let mut rows = vec![0u16; values.len()];
    for y in 0..h {
        let row = &values[y * w..(y + 1) * w];
        let out = &mut rows[y * w..(y + 1) * w];
        let mut sum: u16 = row.iter().take(r).map(|v| u16::from(*v)).sum();
        for x in 0..w {
            if x + r < w {
                sum += u16::from(row[x + r]);
            }
            if x > r {
                sum -= u16::from(row[x - r - 1]);
            }
            out[x] = sum;
        }
    }
    let mut out = vec![0u16; values.len()];
    let mut column = vec![0u16; w];
    for y in 0..h + r {
        if y < h {
            for x in 0..w {
                column[x] += rows[y * w + x];
            }
        }
        if y > 2 * r {
            for x in 0..w {
                column[x] -= rows[(y - 2 * r - 1) * w + x];
            }
        }
        if y >= r {
            out[(y - r) * w..(y - r + 1) * w].copy_from_slice(&column);
        }
    }
    out
}

/// How many of the (2r+1)² cells around each cell are set.
pub(crate) fn count_around(mask: &[bool], w: usize, r: usize) -> Vec<u16> {
    let bytes: Vec<u8> = mask.iter().map(|m| u8::from(*m)).collect();
    box_sum(&bytes, w, r)
}

/// Majority filter over 3 × 3 cells: removes speckle, keeps straight borders in place.
pub(crate) fn smooth(mask: &mut [bool], w: usize) {
    // Threes of a row, with an empty row above and below.
    let mut threes = vec![0u8; mask.len() + 2 * w];
    for (row, out) in mask.chunks_exact(w).zip(threes[w..].chunks_exact_mut(w)) {
        out.iter_mut().zip(row).for_each(|(o, m)| *o = u8::from(*m));
        out.iter_mut().zip(&row[1..]).for_each(|(o, m)| *o += u8::from(*m));
        out[1..].iter_mut().zip(row).for_each(|(o, m)| *o += u8::from(*m));
    }
    for (y, row) in mask.chunks_exact_mut(w).enumerate() {
        let line = |k: usize| &threes[(y + k) * w..(y + k + 1) * w];
        for (m, ((a, b), c)) in row.iter_mut().zip(line(0).iter().zip(line(1)).zip(line(2))) {
            *m = a + b + c >= 5;
        }
    }
}

/// Grows the mask by `r` cells (square).
pub(crate) fn dilate(mask: &[bool], w: usize, r: usize) -> Vec<bool> {
    count_around(mask, w, r).into_iter().map(|n| n > 0).collect()
}

/// Shrinks the mask by `r` cells (square); beyond the picture counts as set.
pub(crate) fn erode(mask: &[bool], w: usize, r: usize) -> Vec<bool> {
    let inverse: Vec<bool> = mask.iter().map(|m| !m).collect();
    dilate(&inverse, w, r).into_iter().map(|m| !m).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_and_refusals_split() {
        let mask: Vec<bool> = "##.#\n##.#\n...#".chars().filter(|c| *c != '\n').map(|c| c == '#').collect();
        let two = parts(&mask, 4, |_, _| true);
        assert_eq!(&two.sizes[1..], &[4, 3]);
        let three = parts(&mask, 4, |i, j| i.max(j) != 11);
        assert_eq!(three.sizes.len(), 4);
    }

    #[test]
    fn the_majority_is_that_of_the_counts() {
        for (w, h) in [(1usize, 1usize), (1, 5), (5, 1), (13, 9), (40, 31)] {
            let mask: Vec<bool> = (0..w * h).map(|i| (i * 7919) % 5 < 3).collect();
            let counted: Vec<bool> = count_around(&mask, w, 1).into_iter().map(|n| n >= 5).collect();
            let mut smoothed = mask.clone();
            smooth(&mut smoothed, w);
            assert_eq!(smoothed, counted, "{w} x {h}");
        }
    }

    #[test]
    fn windows_count_like_brute_force() {
        let (w, h, r) = (13usize, 9usize, 2usize);
        let mask: Vec<bool> = (0..w * h).map(|i| (i * 7919) % 5 < 2).collect();
        let fast = count_around(&mask, w, r);
        for y in 0..h {
            for x in 0..w {
                let mut n = 0;
                for yy in y.saturating_sub(r)..(y + r + 1).min(h) {
                    for xx in x.saturating_sub(r)..(x + r + 1).min(w) {
                        n += u16::from(mask[yy * w + xx]);
                    }
                }
                assert_eq!(fast[y * w + x], n, "{x},{y}");
            }
        }
    }

    #[test]
    fn opening_removes_specks_and_keeps_blocks() {
        let (w, h) = (20, 20);
        let mut mask = vec![false; w * h];
        mask[3 * w + 3] = true;
        for y in 8..16 {
            for x in 8..16 {
                mask[y * w + x] = true;
            }
        }
        let opened = dilate(&erode(&mask, w, 1), w, 1);
        assert!(!opened[3 * w + 3]);
        assert_eq!(opened.iter().filter(|m| **m).count(), 64);
    }
}
