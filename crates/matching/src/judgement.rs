//! Is it as it should be? Comparison and count of units together, the same wherever it is asked: in the cell, on the command line,
//! when measuring.

use crate::findings::{Finding, FindingKind};
use crate::{Discrepancy, Gallery, Item, MatchError, UnitCount};

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

impl Judgement {
    /// How far it is from as it should be, [0, 1]. A missing unit is a change like any other, also where nothing could be registered;
    /// `None`: nothing is known, which is not fine.
    pub fn anomaly_score(&self) -> Option<f32> {
        let missing = self.incomplete().map(|units| units.score);
        let differs = self.discrepancy.as_ref().map(|d| d.score);
        differs.into_iter().chain(missing).reduce(f32::max)
    }

    /// Damage judged again beside the reference, [0, 1]: where a unit is missing, what perception said of it is not taken back.
    pub fn rejudged(&self, beside_reference: f32, perceived: f32) -> f32 {
        if self.incomplete().is_some() { beside_reference.max(perceived) } else { beside_reference }
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
        assert_eq!((short.rejudged(0.2, 0.7), whole.rejudged(0.2, 0.7)), (0.7, 0.2), "what is missing is not explained away");
    }
}
