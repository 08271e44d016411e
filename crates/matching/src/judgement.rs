//! Is it as it should be? Comparison and count of units together, the same wherever it is asked: in the cell, on the command line,
//! when measuring.

use vision::HeatMap;

use crate::findings::{Finding, FindingKind};
use crate::{ANOMALY_THRESHOLD, Discrepancy, Gallery, Item, MatchError, UnitCount};

/// Part of its box that is kept around an item when it is cut out, so that its outline is inside.
pub const CUTOUT_MARGIN: f32 = 0.04;

/// What an item of a known product differs in.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// `None`: no reference could be laid over it.
    pub discrepancy: Option<Discrepancy>,
    /// `None`: the product has no countable units, or the item shows none.
    pub units: Option<UnitCount>,
}

impl Gallery {
    /// Compares an item with the references of `product`, and counts its units.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn judge(&self, item: &Item, product: &str) -> Result<Judgement, MatchError> {
        Ok(Judgement { discrepancy: self.compare(item, product)?, units: self.count_units(item, product)? })
    }
}

/// What perception says of the item that is compared.
#[derive(Clone, Debug)]
pub struct Perceived {
    /// Damage, [0, 1].
    pub score: f32,
    /// Above it the item is not sorted.
    pub threshold: f32,
    /// Damage a pixel of the item's cutout, [0, 1]; `None` where perception brought no map.
    pub map: Option<HeatMap>,
}

impl Perceived {
    /// The score as a network that sees the pair is told it: `None` where it would not see what the score is about.
    pub fn told(&self) -> Option<f32> {
        self.map.as_ref().map(|_| self.score)
    }

    /// Whether an alarm may be taken back: only where its place is known, and enough of it stands beside the reference. What was not compared
    /// is unknown, and perception's score stands.
    fn may_be_taken_back(&self, differs: &Discrepancy) -> bool {
        let Some(map) = &self.map else { return false };
        let worst = map.data().iter().copied().fold(0.0, f32::max);
        let has_place = worst >= PLACE * self.score;
        self.score <= self.threshold || (has_place && differs.beside_reference(map) >= PLACE_COMPARED)
    }
}

/// A map that shows no more than this part of the score does not show what the score is about.
const PLACE: f32 = 0.5;
/// At least this share of where perception sees most damage must stand beside the reference for its alarm to be taken back.
const PLACE_COMPARED: f32 = 0.25;

impl Judgement {
    /// The item beside its reference, for a network to judge (see [`crate::Pair::bytes`]); `None` where none was laid over it.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn pair(&self, perceived: &Perceived) -> Result<Option<Vec<u8>>, MatchError> {
        self.discrepancy.as_ref().map(|differs| differs.pair.bytes(perceived.map.as_ref())).transpose()
    }

    /// Damage judged again, [0, 1], from what the network said of [`Judgement::pair`]: its score, and its map of the pair. Changes in which it
    /// sees no damage become additions. What perception said stands where a unit is missing, and where it may not be taken back: the network
    /// did not see perception's map, or the place of the alarm was not compared.
    pub fn settle(&mut self, perceived: &Perceived, score: f32, map: &HeatMap) -> f32 {
        let is_incomplete = self.incomplete().is_some();
        let Some(differs) = &mut self.discrepancy else { return score.max(perceived.score) };
        differs.settle(map);
        // The network saw colours only: what the heights say stands beside it.
        let is_misshapen = differs.shape_score.is_some_and(|s| s > ANOMALY_THRESHOLD);
        if is_incomplete || is_misshapen || !perceived.may_be_taken_back(differs) { score.max(perceived.score) } else { score }
    }

    /// How far it is from as it should be, [0, 1]. A missing unit is a change like any other, also where nothing could be registered;
    /// `None`: nothing is known, which is not fine.
    pub fn anomaly_score(&self) -> Option<f32> {
        let missing = self.incomplete().map(|units| units.score);
        let differs = self.discrepancy.as_ref().map(|d| d.score);
        differs.into_iter().chain(missing).reduce(f32::max)
    }

    /// Part of the item that was compared, [0, 1].
    pub fn coverage(&self) -> f32 {
        let compared = self.discrepancy.as_ref().map_or(0.0, |d| d.coverage);
        compared.max(self.incomplete().map_or(0.0, UnitCount::coverage))
    }

    /// Places where it differs, and where units are missing; boxes in pixels of the cutout.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let differs = self.discrepancy.iter().flat_map(|d| d.findings.iter().copied());
        let missing = self.units.iter().flat_map(|units| {
            let finding = |bbox: &vision::Rect| Finding { kind: FindingKind::MissingUnit, bbox: *bbox, score: units.score };
            units.missing.iter().map(finding)
        });
        differs.chain(missing)
    }

    /// The count, when a unit is missing.
    fn incomplete(&self) -> Option<&UnitCount> {
        self.units.as_ref().filter(|units| !units.missing.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vision::Rect;

    #[test]
    fn a_missing_unit_counts_also_where_nothing_was_compared() {
        let place = Rect { x: 1, y: 2, w: 3, h: 4 };
        let count = |missing: Vec<Rect>| UnitCount { expected: 4, seen: 2, hidden: 1, missing, score: 0.9 };
        let short = Judgement { discrepancy: None, units: Some(count(vec![place])) };
        assert_eq!((short.anomaly_score(), short.coverage()), (Some(0.9), 0.75));
        assert!(short.findings().all(|f| f.kind == FindingKind::MissingUnit && f.bbox == place));
        let whole = Judgement { discrepancy: None, units: Some(count(vec![])) };
        assert_eq!((whole.anomaly_score(), whole.coverage()), (None, 0.0), "units that are there say nothing of the rest");
    }
}
