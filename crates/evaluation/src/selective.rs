//! What is gained by deciding only where the scorer is sure, and leaving the rest to a person.

use serde::Serialize;

/// Points of a curve.
const POINTS: usize = 20;

/// Error among the surest items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RiskPoint {
    /// Share of all items that are decided, the surest first.
    pub coverage: f64,
    /// Share of these that are decided wrongly.
    pub risk: f64,
    /// Items decided.
    pub n: usize,
}

/// How far a score in [0, 1] lies from the threshold, as a share of the way there is on its side: 0 undecided, 1 as sure as can be.
pub fn certainty(score: f64, threshold: f64) -> f64 {
    let way = if score > threshold { 1.0 - threshold } else { threshold };
    if way > 0.0 { ((score - threshold).abs() / way).min(1.0) } else { 0.0 }
}

/// The risk–coverage curve (Geifman and El-Yaniv, NeurIPS 2017) of `(certainty, was wrong)`, at twentieths of the coverage. Items that
/// are equally sure are decided together, so a point may lie to the right of its twentieth.
pub fn risk_coverage(items: impl Iterator<Item = (f64, bool)>) -> Vec<RiskPoint> {
    let mut items: Vec<(f64, bool)> = items.collect();
    items.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total = items.len();
    let mut points: Vec<RiskPoint> = Vec::new();
    let (mut n, mut wrong) = (0, 0);
    for group in items.chunk_by(|a, b| a.0 == b.0) {
        n += group.len();
        wrong += group.iter().filter(|(_, wrong)| *wrong).count();
        if n * POINTS >= (points.len() + 1) * total {
            // A large group may pass several twentieths: one point stands for them.
            points.resize(n * POINTS / total - 1, RiskPoint { coverage: f64::NAN, risk: f64::NAN, n: 0 });
            points.push(RiskPoint { coverage: n as f64 / total as f64, risk: wrong as f64 / n as f64, n });
        }
    }
    points.retain(|p| p.n > 0);
    points
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_sure_ones_come_first() {
        // Of a hundred the ten least sure are wrong.
        let curve = risk_coverage((0..100).map(|i| (f64::from(i), i < 10)));
        assert_eq!(curve.len(), POINTS);
        assert_eq!((curve[17].coverage, curve[17].risk), (0.9, 0.0));
        assert_eq!(curve.last().unwrap(), &RiskPoint { coverage: 1.0, risk: 0.1, n: 100 });
    }

    #[test]
    fn equally_sure_items_are_decided_together() {
        let curve = risk_coverage((0..10).map(|i| (f64::from(u8::from(i < 5)), i == 0)));
        assert_eq!(curve.iter().map(|p| (p.n, p.risk)).collect::<Vec<_>>(), [(5, 0.2), (10, 0.1)]);
        assert!(risk_coverage(std::iter::empty()).is_empty());
    }

    #[test]
    fn certainty_is_the_share_of_the_way() {
        for (score, threshold, expected) in
            [(0.5, 0.5, 0.0), (1.0, 0.5, 1.0), (0.25, 0.5, 0.5), (0.9, 0.8, 0.5), (0.0, 0.8, 1.0), (0.0, 0.0, 0.0)]
        {
            assert!((certainty(score, threshold) - expected).abs() < 1e-9, "{score} {threshold}");
        }
    }
}
