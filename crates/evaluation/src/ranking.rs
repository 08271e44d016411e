//! Figures of a ranking: how far scores of damaged items lie above those of whole ones.

use serde::Serialize;

/// One judged item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Larger means more damaged.
    pub score: f64,
    /// Truth: any damage.
    pub damaged: bool,
    /// Truth: major damage.
    pub major: bool,
    /// Items of one group (captures of one thing) are drawn together by the bootstrap.
    pub group: usize,
}

/// Figures that need no threshold. `None` where one of the two classes is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ranking {
    /// Area under the ROC curve, [0, 1]; 0.5 is chance.
    pub auroc: Option<f64>,
    /// Average precision of damaged against whole.
    pub ap_any: Option<f64>,
    /// Average precision of major damage against whole; slightly damaged items are left out.
    pub ap_major: Option<f64>,
    /// Largest recall with a precision of at least one half.
    pub recall_at_50p: Option<f64>,
    /// Recall with at most 1 % of the whole items above the threshold.
    pub recall_at_1fpr: Option<f64>,
    /// Recall with at most 0.1 % of the whole items above the threshold.
    pub recall_at_01fpr: Option<f64>,
}

impl Ranking {
    /// The figures of `items`.
    pub fn of(items: &[Judged]) -> Ranking {
        let all = Curve::of(items.iter().map(|i| (i.score, i.damaged)));
        let major = Curve::of(items.iter().filter(|i| i.major || !i.damaged).map(|i| (i.score, i.major)));
        Ranking {
            auroc: all.auroc(),
            ap_any: all.average_precision(),
            ap_major: major.average_precision(),
            recall_at_50p: all.recall_at_precision(0.5),
            recall_at_1fpr: all.recall_at_false_alarms(0.01),
            recall_at_01fpr: all.recall_at_false_alarms(0.001),
        }
    }
}

/// Counts above each threshold, from the highest score down; equal scores are one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// `(threshold, damaged at or above it, whole at or above it)`.
    pub steps: Vec<(f64, usize, usize)>,
    /// Damaged items.
    pub positives: usize,
    /// Whole items.
    pub negatives: usize,
}

impl Curve {
    /// The curve of `(score, is damaged)`; a score that is not a number counts as the lowest.
    pub fn of(items: impl Iterator<Item = (f64, bool)>) -> Curve {
        let mut sorted: Vec<(f64, bool)> = items.map(|(s, d)| (if s.is_nan() { f64::NEG_INFINITY } else { s }, d)).collect();
        sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut curve = Curve::default();
        for run in sorted.chunk_by(|a, b| a.0 == b.0) {
            curve.positives += run.iter().filter(|(_, d)| *d).count();
            curve.negatives += run.iter().filter(|(_, d)| !*d).count();
            curve.steps.push((run[0].0, curve.positives, curve.negatives));
        }
        curve
    }

    fn both(&self) -> bool {
        self.positives > 0 && self.negatives > 0
    }

    /// Area under the ROC curve; ties count one half (the Mann–Whitney statistic).
    pub fn auroc(&self) -> Option<f64> {
        self.both().then(|| {
            let mut area = 0.0;
            let (mut before_p, mut before_n) = (0, 0);
            for (_, p, n) in &self.steps {
                area += (n - before_n) as f64 * (p + before_p) as f64 / 2.0;
                (before_p, before_n) = (*p, *n);
            }
            area / (self.positives as f64 * self.negatives as f64)
        })
    }

    /// Sum over the steps of precision times the gain in recall (no interpolation).
    pub fn average_precision(&self) -> Option<f64> {
        self.both().then(|| {
            let mut before = 0;
            let mut sum = 0.0;
            for (_, p, n) in &self.steps {
                sum += (p - before) as f64 * *p as f64 / (p + n) as f64;
                before = *p;
            }
            sum / self.positives as f64
        })
    }

    /// Largest recall whose precision is at least `precision`; 0 when no threshold reaches it.
    pub fn recall_at_precision(&self, precision: f64) -> Option<f64> {
        self.both().then(|| {
            let good = self.steps.iter().filter(|(_, p, n)| *p as f64 >= precision * (p + n) as f64);
            good.map(|(_, p, _)| *p).max().unwrap_or(0) as f64 / self.positives as f64
        })
    }

    /// Recall at the lowest threshold that at most the share `rate` of the whole items reaches.
    pub fn recall_at_false_alarms(&self, rate: f64) -> Option<f64> {
        self.both().then(|| {
            let good = self.steps.iter().filter(|(_, _, n)| *n as f64 <= rate * self.negatives as f64);
            good.map(|(_, p, _)| *p).max().unwrap_or(0) as f64 / self.positives as f64
        })
    }
}

/// [`Curve::auroc`] of `(score, is damaged)`.
pub fn auroc(items: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    Curve::of(items).auroc()
}

/// [`Curve::average_precision`] of `(score, is damaged)`.
pub fn average_precision(items: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    Curve::of(items).average_precision()
}

/// The lowest threshold that at most the share `rate` of whole items reaches; `None` without whole items.
pub fn threshold_at_false_alarms(whole: &[f64], rate: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = whole.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (rate * sorted.len() as f64).floor() as usize;
    // Just above the first score that may not alarm.
    sorted.get(allowed).map(|s| s.next_up())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn judged(scores: &[(f64, bool)]) -> Vec<Judged> {
        scores
            .iter()
            .enumerate()
            .map(|(group, (score, damaged))| Judged { score: *score, damaged: *damaged, major: *damaged, group })
            .collect()
    }

    #[test]
    fn known_rankings() {
        // scikit-learn's own example: AUROC 0.75, average precision 0.8333.
        let r = Ranking::of(&judged(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]));
        assert!((r.auroc.unwrap() - 0.75).abs() < 1e-12 && (r.ap_any.unwrap() - 5.0 / 6.0).abs() < 1e-12, "{r:?}");
        assert_eq!((r.recall_at_1fpr, r.recall_at_50p), (Some(0.5), Some(1.0)));
        let ties = Ranking::of(&judged(&[(0.5, false), (0.5, true)]));
        assert_eq!((ties.auroc, ties.recall_at_1fpr), (Some(0.5), Some(0.0)));
        assert_eq!(Ranking::of(&judged(&[(0.5, true)])), Ranking::default());
    }

    #[test]
    fn slight_damage_is_neither_for_the_major_figure() {
        let mut items = judged(&[(0.9, true), (0.8, true), (0.1, false)]);
        items[0].major = false;
        assert_eq!(Ranking::of(&items).ap_major, Some(1.0));
    }

    #[test]
    fn a_threshold_lets_the_allowed_share_through() {
        let whole: Vec<f64> = (0..1000).map(f64::from).collect();
        let t = threshold_at_false_alarms(&whole, 0.01).unwrap();
        assert_eq!(whole.iter().filter(|s| **s >= t).count(), 10);
        assert_eq!(threshold_at_false_alarms(&[], 0.01), None);
    }

    proptest! {
        #[test]
        fn auroc_is_the_share_of_ordered_pairs(scores in prop::collection::vec((0u8..20, any::<bool>()), 2..60)) {
            let items: Vec<(f64, bool)> = scores.iter().map(|(s, d)| (f64::from(*s), *d)).collect();
            let pairs: Vec<f64> = items
                .iter()
                .filter(|i| i.1)
                .flat_map(|a| items.iter().filter(|i| !i.1).map(move |b| if a.0 > b.0 { 1.0 } else if a.0 == b.0 { 0.5 } else { 0.0 }))
                .collect();
            let brute = (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64);
            let fast = auroc(items.iter().copied());
            prop_assert!(fast.zip(brute).is_none_or(|(a, b)| (a - b).abs() < 1e-9) && fast.is_some() == brute.is_some());
        }
    }
}
