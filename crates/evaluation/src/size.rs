//! Recall against the size of what is to be found.

use serde::Serialize;

use crate::interval::{Interval, wilson};

/// Damaged items of one range of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SizeBin {
    /// Smallest size, included.
    pub from: f64,
    /// Largest size, excluded; `None`: any.
    pub to: Option<f64>,
    /// Damaged items.
    pub n: usize,
    /// Above the threshold in force.
    pub found: usize,
    /// Share of them, 95 %.
    pub recall: Interval,
    /// At or above the threshold that one in a hundred whole items reaches; `None` without whole items.
    pub found_at_1fpr: Option<usize>,
}

/// `damaged` as `(size, score)`, in ranges that double from `first` on, the last open; empty ranges are left out. `threshold` is the one
/// in force, `at_1fpr` that of one per cent of false alarms.
pub fn recall_by_size(damaged: &[(f64, f64)], first: f64, ranges: usize, threshold: f64, at_1fpr: Option<f64>) -> Vec<SizeBin> {
    let edge = |k: usize| if k == 0 { 0.0 } else { first * 2f64.powi(k as i32 - 1) };
    (0..=ranges)
        .filter_map(|k| {
            let (from, to) = (edge(k), (k < ranges).then(|| edge(k + 1)));
            let inside: Vec<f64> =
                damaged.iter().filter(|(s, _)| *s >= from && to.is_none_or(|t| *s < t)).map(|(_, score)| *score).collect();
            let found = inside.iter().filter(|s| **s > threshold).count();
            (!inside.is_empty()).then(|| SizeBin {
                from,
                to,
                n: inside.len(),
                found,
                recall: wilson(found, inside.len()),
                found_at_1fpr: at_1fpr.map(|t| inside.iter().filter(|s| **s >= t).count()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_counted_in_its_range() {
        let damaged = [(0.0, 0.9), (9.9, 0.1), (10.0, 0.6), (25.0, 0.7), (39.9, 0.2), (40.0, 0.9), (4000.0, 0.9)];
        let bins = recall_by_size(&damaged, 10.0, 3, 0.5, Some(0.2));
        let seen: Vec<_> = bins.iter().map(|b| (b.from, b.to, b.n, b.found, b.found_at_1fpr)).collect();
        assert_eq!(
            seen,
            [
                (0.0, Some(10.0), 2, 1, Some(1)),
                (10.0, Some(20.0), 1, 1, Some(1)),
                (20.0, Some(40.0), 2, 1, Some(2)),
                (40.0, None, 2, 2, Some(2))
            ]
        );
        assert!(bins[0].recall.low > 0.0 && bins[0].recall.high < 1.0);
        assert!(recall_by_size(&[], 10.0, 3, 0.5, None).is_empty());
    }
}
