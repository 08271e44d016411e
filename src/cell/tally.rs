//! What became of every item of a run: arrivals, decisions, outcomes, and whether anything is missing.

use std::collections::{BTreeMap, BTreeSet};

use intact_msgs::msg::{Decision, Outcome};

/// Accounts of one run. Ids of instances (`<arrival>#<k>`) belong to their arrival.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each id was announced.
    arrivals: BTreeMap<String, usize>,
    decided: BTreeMap<String, u8>,
    /// Dispositions as they came: SORT, SIDELINE, REIMAGE.
    by_disposition: [usize; 3],
    /// How often each id was decided.
    decisions: BTreeMap<String, usize>,
    outcomes: BTreeMap<String, u8>,
    reasons: BTreeMap<String, usize>,
    latencies_ms: Vec<f32>,
}

/// Counts for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Items that arrived.
    pub arrivals: usize,
    /// Dispositions given.
    pub decisions: usize,
    /// Of them SORT, SIDELINE, REIMAGE.
    pub by_disposition: [usize; 3],
    /// How often each reason was named, most frequent first.
    pub reasons: Vec<(String, usize)>,
    /// Items that the robot laid down where they belong.
    pub diverted: usize,
    /// Latency of the decision in milliseconds: median, 99th percentile; `None` without a decision.
    pub latency_ms: Option<(f32, f32)>,
}

impl Tally {
    /// An item was born.
    pub fn arrival(&mut self, item_id: &str) {
        *self.arrivals.entry(item_id.to_owned()).or_default() += 1;
    }

    /// An item, or an instance of it, was decided.
    pub fn decision(&mut self, decision: &Decision) {
        self.decided.insert(decision.item_id.clone(), decision.disposition);
        let known = [Decision::SORT, Decision::SIDELINE, Decision::REIMAGE].into_iter().zip(&mut self.by_disposition);
        known.filter(|(d, _)| *d == decision.disposition).for_each(|(_, n)| *n += 1);
        *self.decisions.entry(decision.item_id.clone()).or_default() += 1;
        for reason in &decision.reasons {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        }
        if decision.latency_ms.is_finite() {
            self.latencies_ms.push(decision.latency_ms);
        }
    }

    /// The robot has finished with an item.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.outcomes.insert(outcome.item_id.clone(), outcome.result);
    }

    /// Arrivals without any disposition.
    pub fn undecided(&self) -> Vec<&str> {
        let instances: BTreeSet<&str> = self.decided.keys().map(|id| arrival_of(id)).collect();
        self.arrivals.keys().map(String::as_str).filter(|id| !instances.contains(id) && !self.decided.contains_key(*id)).collect()
    }

    /// Decided items of which nobody has heard since.
    pub fn without_outcome(&self) -> Vec<&str> {
        self.decided.keys().map(String::as_str).filter(|id| !self.outcomes.contains_key(*id)).collect()
    }

    /// Items with more dispositions than announcements: must stay empty. An id that was announced twice stands for two items.
    pub fn decided_twice(&self) -> Vec<&str> {
        let announced = |id: &str| self.arrivals.get(id).or_else(|| self.arrivals.get(arrival_of(id))).copied().unwrap_or(1);
        self.decisions.iter().filter(|(id, times)| **times > announced(id)).map(|(id, _)| id.as_str()).collect()
    }

    /// True when every arrival has its disposition.
    pub fn is_complete(&self) -> bool {
        self.undecided().is_empty()
    }

    /// Counts for people.
    pub fn summary(&self) -> Summary {
        let mut reasons: Vec<_> = self.reasons.iter().map(|(r, n)| (r.clone(), *n)).collect();
        reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Summary {
            arrivals: self.arrivals.values().sum(),
            decisions: self.decisions.values().sum(),
            by_disposition: self.by_disposition,
            reasons,
            diverted: self.outcomes.values().filter(|r| **r == Outcome::DIVERTED).count(),
            latency_ms: percentile(&self.latencies_ms, 0.5).zip(percentile(&self.latencies_ms, 0.99)),
        }
    }
}

/// The arrival that an item or instance id belongs to.
pub fn arrival_of(id: &str) -> &str {
    match id.rsplit_once('#') {
        Some((arrival, k)) if !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()) => arrival,
        _ => id,
    }
}

/// The value that a share `p` of the values does not exceed (nearest rank).
pub fn percentile(values: &[f32], p: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let rank = ((p * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(id: &str, disposition: u8) -> Decision {
        Decision { item_id: id.into(), disposition, reasons: vec!["OK".into()], latency_ms: 10.0, ..Decision::default() }
    }

    #[test]
    fn an_arrival_is_decided_by_itself_or_by_its_instances() {
        let mut tally = Tally::default();
        for id in ["a", "b#2", "c"] {
            tally.arrival(id);
        }
        tally.decision(&decided("a#1", Decision::SORT));
        tally.decision(&decided("b#2", Decision::SORT));
        assert_eq!(tally.undecided(), ["c"], "also an arrival whose own id looks like that of an instance is decided by itself");
    }

    #[test]
    fn second_dispositions_show() {
        let mut tally = Tally::default();
        tally.arrival("a");
        tally.decision(&decided("a", Decision::SORT));
        assert!(tally.decided_twice().is_empty());
        tally.decision(&decided("a", Decision::SIDELINE));
        assert_eq!(tally.decided_twice(), ["a"]);
        tally.arrival("a");
        assert!(tally.decided_twice().is_empty(), "two items of one id, each with its disposition");
        let summary = tally.summary();
        assert_eq!((summary.arrivals, summary.decisions, summary.by_disposition), (2, 2, [1, 1, 0]));
        tally.arrival("b");
        for _ in 0..2 {
            tally.decision(&decided("b#1", Decision::SIDELINE));
        }
        assert_eq!(tally.decided_twice(), ["b#1"], "of a clutter's instance too");
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values = [4.0, 1.0, 3.0, 2.0];
        for (p, expected) in [(0.0, 1.0), (0.25, 1.0), (0.5, 2.0), (0.99, 4.0), (1.0, 4.0)] {
            assert_eq!(percentile(&values, p), Some(expected), "p = {p}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }
}
