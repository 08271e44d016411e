//! What the store holds, as values.

use std::fmt;

use matching::Cutout;
use serde::{Deserialize, Serialize};

/// Whether a reference takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Compared with.
    Active,
    /// Proposed, waiting for confirmation.
    Quarantined,
    /// No longer compared with; kept.
    Retired,
    /// Proposed, and refused for good; kept with its reason.
    Rejected,
}

/// How a reference came into the gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// By a person.
    Enrolled,
    /// From an item that passed by.
    Learned,
}

impl Origin {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Learned => "learned",
        }
    }
}

impl State {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
            Self::Rejected => "rejected",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Quarantined, Self::Retired, Self::Rejected].into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A picture to be enrolled.
#[derive(Clone, Debug)]
pub struct NewReference {
    /// The product it shows.
    pub product: String,
    /// Its name within the product; `None`: the next free number.
    pub name: Option<String>,
    /// The picture, and what of it is the product.
    pub cutout: Cutout,
    /// Which camera took it; empty when unknown.
    pub camera: String,
    /// In which light, in the user's words; empty when unknown.
    pub light: String,
    /// Where it comes from: a path, an item id.
    pub provenance: String,
    /// Version of the product's design, from 1.
    pub version: u32,
    /// Active, or in quarantine.
    pub state: State,
    /// How it came.
    pub origin: Origin,
    /// Who or what adds it.
    pub added_by: String,
    /// When, nanoseconds since 1970.
    pub added_ns: i64,
}

/// One reference without its picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReferenceRecord {
    /// The product it shows.
    pub product: String,
    /// Its name within the product.
    pub name: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Features; a reference without any is told apart by colour alone.
    pub features: u32,
    /// Which camera took it; empty when unknown.
    pub camera: String,
    /// In which light, in the user's words; empty when unknown.
    pub light: String,
    /// The product's sides in millimetres, longest first, `203.1x101.0x54.9`; `None` where nobody measured them.
    pub size_mm: Option<String>,
    /// Where it comes from.
    pub provenance: String,
    /// Version of the product's design.
    pub version: u32,
    /// Whether it takes part.
    pub state: State,
    /// When it was added, nanoseconds since 1970.
    pub added_ns: i64,
    /// Who or what added it.
    pub added_by: String,
    /// How it came.
    pub origin: Origin,
    /// True when a person enrolled or confirmed it, or when it came with a new design that was adopted. Only such references decide what may be learned.
    pub pristine: bool,
}

/// A proposal: a learned reference that waits, with what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proposal {
    /// The reference.
    #[serde(flatten)]
    pub reference: ReferenceRecord,
    /// Items that agree with it.
    pub agreeing: Vec<String>,
    /// What was last said of it.
    pub reason: String,
}

/// A suspected new design of a product: opened, or settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DesignChange {
    /// When, nanoseconds since 1970.
    pub at_ns: i64,
    /// Who or what.
    pub actor: String,
    /// The product.
    pub product: String,
    /// The new version.
    pub version: u32,
    /// True when opened, false when settled.
    pub open: bool,
    /// One sentence.
    pub detail: String,
}

/// Who did what when, and why.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Who or what.
    pub actor: &'a str,
    /// `retire`, `confirm`, …
    pub action: &'a str,
    /// When, nanoseconds since 1970.
    pub at_ns: i64,
    /// One sentence, may be empty.
    pub detail: &'a str,
}

/// One product with the number of its references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProductSummary {
    /// The product.
    pub product: String,
    /// References that are compared with.
    pub active: u32,
    /// References that wait for confirmation.
    pub quarantined: u32,
    /// References that are kept only.
    pub retired: u32,
    /// Proposals that were refused.
    pub rejected: u32,
    /// Newest version of the design.
    pub version: u32,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Rises by one with every change.
    pub sequence: i64,
    /// When, nanoseconds since 1970.
    pub at_ns: i64,
    /// Who or what.
    pub actor: String,
    /// `enrol`, `retire`, `rollback`, …
    pub action: String,
    /// The product.
    pub product: String,
    /// The reference within it.
    pub reference: String,
    /// Its state after the change.
    pub state: State,
    /// One sentence, often empty.
    pub detail: String,
}
