//! How doubtful a scorer is of what comes anyway.

use std::collections::{BTreeMap, VecDeque};

use super::{Damage, Rules};

/// Scores remembered a scorer.
const REMEMBERED: usize = 256;
/// Fewer say nothing.
const LEAST: usize = 12;
/// Share of what comes that is no more doubtful than a proposal may be, and than a voter may be.
pub(super) const MIDDLE: f32 = 0.5;
pub(super) const COMMON: f32 = 0.75;

/// Damage scores of late, by scorer and whatever the product, in shares of the scorer's threshold.
///
/// One scorer gives whole items 0.02, another 0.2, and both part them from damaged ones: what low means is told by what comes.
#[derive(Debug, Default)]
pub(super) struct Usual {
    scorers: BTreeMap<String, VecDeque<f32>>,
}

impl Usual {
    pub fn note(&mut self, damage: &Damage) {
        let share = damage.score / damage.threshold;
        if !share.is_finite() {
            return;
        }
        let shares = self.scorers.entry(damage.model.to_owned()).or_default();
        if shares.len() >= REMEMBERED {
            shares.pop_front();
        }
        shares.push_back(share);
    }

    /// The most that a damage score may be: what `share` of what came does not exceed, within the bounds of the rules.
    pub fn most(&self, damage: &Damage, rules: &Rules, share: f32) -> f32 {
        let usual = self.scorers.get(damage.model).filter(|shares| shares.len() >= LEAST).map_or(0.0, |shares| {
            let mut sorted: Vec<f32> = shares.iter().copied().collect();
            sorted.sort_by(f32::total_cmp);
            sorted[((sorted.len() - 1) as f32 * share) as usize]
        });
        damage.threshold * usual.min(rules.usual_share).max(rules.damage_share)
    }
}
