//! What comes out: disposition, lane, reasons.

use serde::{Deserialize, Serialize};

/// What happens to an item. Ordered by caution: a later variant outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Disposition {
    /// Goes to its lane without a person.
    Sort,
    /// A new picture may settle it.
    Reimage,
    /// A person decides.
    Sideline,
}

impl Disposition {
    /// The name used in ledgers and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sort => "SORT",
            Self::Reimage => "REIMAGE",
            Self::Sideline => "SIDELINE",
        }
    }

    /// Reads [`Disposition::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sort, Self::Reimage, Self::Sideline].into_iter().find(|d| d.as_str() == text)
    }
}

/// Why: the string constants of `intact_msgs/msg/Decision`. The order is that of importance in a list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing speaks against sorting.
    Ok,
    /// The id was seen before in this run.
    DuplicateItem,
    /// The decision could not be written down.
    LedgerFailed,
    /// Several items in a tray that should hold one.
    MultipleItems,
    /// The damage score is above the threshold.
    Damage,
    /// The discrepancy from the reference is above the threshold.
    Anomaly,
    /// Barcode or manifest and pictures name different products.
    IdentityMismatch,
    /// Two inputs cannot both be true, or a value is impossible (NaN, outside its range).
    ContradictoryInput,
    /// Perception could not judge.
    InspectionFailed,
    /// The gallery could not compare.
    GalleryFailed,
    /// Nothing in the tray.
    NoItem,
    /// The picture is too poor to trust.
    LowQuality,
    /// Time ran out.
    Deadline,
    /// An input never came.
    MissingInput,
    /// References exist, but none of this product.
    UnknownProduct,
    /// Nothing to compare with: perception decides alone.
    NoReference,
    /// It differs from the reference, but a new packaging design of its product is suspected: held, a note.
    DesignChange,
    /// Perception called it damaged, and beside its pristine reference it is not: a note.
    ExplainedAway,
    /// No point at which the item can be picked up.
    NoPickPose,
    /// The frame of the pick pose is not connected to the cell.
    NoTransform,
}

impl Reason {
    /// Every reason, in order of importance.
    pub const ALL: [Self; 20] = [
        Self::Ok,
        Self::DuplicateItem,
        Self::LedgerFailed,
        Self::MultipleItems,
        Self::Damage,
        Self::Anomaly,
        Self::IdentityMismatch,
        Self::ContradictoryInput,
        Self::InspectionFailed,
        Self::GalleryFailed,
        Self::NoItem,
        Self::LowQuality,
        Self::Deadline,
        Self::MissingInput,
        Self::UnknownProduct,
        Self::NoReference,
        Self::DesignChange,
        Self::ExplainedAway,
        Self::NoPickPose,
        Self::NoTransform,
    ];

    /// The constant of `intact_msgs/msg/Decision`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::DuplicateItem => "DUPLICATE_ITEM",
            Self::LedgerFailed => "LEDGER_FAILED",
            Self::MultipleItems => "MULTIPLE_ITEMS",
            Self::Damage => "DAMAGE",
            Self::Anomaly => "ANOMALY",
            Self::IdentityMismatch => "IDENTITY_MISMATCH",
            Self::ContradictoryInput => "CONTRADICTORY_INPUT",
            Self::InspectionFailed => "INSPECTION_FAILED",
            Self::GalleryFailed => "GALLERY_FAILED",
            Self::NoItem => "NO_ITEM",
            Self::LowQuality => "LOW_QUALITY",
            Self::Deadline => "DEADLINE",
            Self::MissingInput => "MISSING_INPUT",
            Self::UnknownProduct => "UNKNOWN_PRODUCT",
            Self::NoReference => "NO_REFERENCE",
            Self::DesignChange => "DESIGN_CHANGE",
            Self::ExplainedAway => "EXPLAINED_AWAY",
            Self::NoPickPose => "NO_PICK_POSE",
            Self::NoTransform => "NO_TRANSFORM",
        }
    }
}

/// The one disposition of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What happens to the item.
    pub disposition: Disposition,
    /// The bin it goes to.
    pub lane: String,
    /// Why, most important first; never empty.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The same item when the ledger refused the entry: to a person, and the new reason first.
    pub fn overruled(mut self, reason: Reason, sideline_lane: &str) -> Self {
        self.reasons.retain(|r| *r != Reason::Ok && *r != reason);
        self.reasons.insert(0, reason);
        self.disposition = Disposition::Sideline;
        self.lane = sideline_lane.to_owned();
        self
    }
}
