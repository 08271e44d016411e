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
}

impl State {
    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Quarantined, Self::Retired].into_iter().find(|s| s.as_str() == text)
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
    /// Where it comes from: a path, an item id.
    pub provenance: String,
    /// Version of the product's design, from 1.
    pub version: u32,
    /// Active, or in quarantine.
    pub state: State,
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
