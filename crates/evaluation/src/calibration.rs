//! How far a score is a probability.

use serde::Serialize;

/// Scores of one tenth of [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Mean score.
    pub score: f64,
    /// Share of damaged items.
    pub damaged: f64,
    /// Items.
    pub n: usize,
}

/// The reliability diagram: ten bins of `(score in [0, 1], is damaged)`, empty ones left out.
pub fn reliability(items: impl Iterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0.0f64, 0usize, 0usize); 10];
    for (score, damaged) in items {
        let bin = &mut sums[((score * 10.0).max(0.0) as usize).min(9)];
        *bin = (bin.0 + score, bin.1 + usize::from(damaged), bin.2 + 1);
    }
    let filled = sums.into_iter().filter(|(_, _, n)| *n > 0);
    filled.map(|(score, damaged, n)| Bin { score: score / n as f64, damaged: damaged as f64 / n as f64, n }).collect()
}

/// Mean distance between score and share of damaged items over the bins, weighted by their items.
pub fn expected_calibration_error(bins: &[Bin]) -> Option<f64> {
    let n: usize = bins.iter().map(|b| b.n).sum();
    (n > 0).then(|| bins.iter().map(|b| (b.score - b.damaged).abs() * b.n as f64).sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_true_probability_has_no_error() {
        let honest = reliability((0..1000).map(|i| (0.25, i % 4 == 0)).chain((0..100).map(|_| (1.0, true))));
        assert_eq!(honest.len(), 2);
        assert!(expected_calibration_error(&honest).unwrap() < 1e-12);
        let boastful = reliability((0..100).map(|i| (0.95, i % 2 == 0)));
        assert!((expected_calibration_error(&boastful).unwrap() - 0.45).abs() < 1e-9);
        assert_eq!(expected_calibration_error(&[]), None);
    }
}
