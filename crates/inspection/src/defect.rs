//! What may be wrong with an item.

use serde::{Deserialize, Serialize};
use vision::Rect;

/// Above it an item is not sorted.
pub const DEFAULT_DAMAGE_THRESHOLD: f32 = 0.5;

/// Defect types of Kaputt (arXiv 2510.05903).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectType {
    /// Holes, tears, punctures.
    Penetration,
    /// Crushes and dents.
    Deformation,
    /// Opened flaps, caps and seals.
    Actuation,
    /// Parts apart, contents out.
    Deconstruction,
    /// Contents leaked, on the item or beside it.
    Spillage,
    /// Scuffs, stains, soaked patches.
    Superficial,
    /// A unit of a set is not there.
    MissingUnit,
}

impl DefectType {
    /// Every type, in the order of a model's channels.
    pub const ALL: [DefectType; 7] = [
        DefectType::Penetration,
        DefectType::Deformation,
        DefectType::Actuation,
        DefectType::Deconstruction,
        DefectType::Spillage,
        DefectType::Superficial,
        DefectType::MissingUnit,
    ];

    /// Kaputt's spelling.
    pub fn name(self) -> &'static str {
        match self {
            DefectType::Penetration => "penetration",
            DefectType::Deformation => "deformation",
            DefectType::Actuation => "actuation",
            DefectType::Deconstruction => "deconstruction",
            DefectType::Spillage => "spillage",
            DefectType::Superficial => "superficial",
            DefectType::MissingUnit => "missing_unit",
        }
    }
}

/// How bad a defect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Below the threshold.
    None,
    /// Seen on a second look.
    Minor,
    /// Gross.
    Major,
}

impl Severity {
    /// Half the way from the threshold to certainty is where a defect counts as major.
    pub fn of(score: f32, threshold: f32) -> Severity {
        if score <= threshold {
            Severity::None
        } else if score <= 0.5 * (1.0 + threshold) {
            Severity::Minor
        } else {
            Severity::Major
        }
    }
}

/// Score of one defect type over one item.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Defect {
    /// Which type.
    #[serde(rename = "type")]
    pub kind: DefectType,
    /// [0, 1], higher is more likely damaged.
    pub score: f32,
    /// From score and threshold.
    pub severity: Severity,
    /// Pixels of the colour image; `None` when the type has no place.
    pub bbox: Option<Rect>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_grows_with_the_score() {
        let at = |s| Severity::of(s, 0.5);
        assert_eq!([at(0.2), at(0.5), at(0.6), at(0.9)], [Severity::None, Severity::None, Severity::Minor, Severity::Major]);
    }
}
