//! Work over the rows of a grid on several cores, with the same result on any number of them.

use std::ops::Range;

use rayon::prelude::*;

/// Rows below which a second thread costs more than it gives.
const MIN_ROWS: usize = 32;

/// Runs `work` over bands of rows of `values` (`a_row` values each), side by side; each is given its rows and their
/// values.
///
/// Bands share nothing that is written, so the result does not depend on how many there are.
pub(crate) fn bands<T: Send>(values: &mut [T], a_row: usize, work: impl Fn(Range<usize>, &mut [T]) + Sync) {
    let a_row = a_row.max(1);
    let rows = values.len() / a_row;
    // Twice as many bands as threads: items fill some rows and not others.
    let band = rows.div_ceil(2 * rayon::current_num_threads()).max(MIN_ROWS);
    values.par_chunks_mut(band * a_row).enumerate().for_each(|(k, part)| work(k * band..((k + 1) * band).min(rows), part));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_done_once_by_its_own_band() {
        for rows in [0, 1, 31, 64, 65, 1000] {
            let mut numbers = vec![0usize; rows * 3];
            bands(&mut numbers, 3, |own, out| {
                for (y, row) in own.zip(out.chunks_exact_mut(3)) {
                    row.iter_mut().for_each(|v| *v += y + 1);
                }
            });
            assert!(numbers.iter().enumerate().all(|(i, v)| *v == i / 3 + 1), "{rows} rows");
        }
    }
}
