//! What a site wants: thresholds, lanes, and how to take each doubt.

use std::collections::BTreeMap;

use crate::verdict::Disposition;

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// A threshold outside its range.
    #[error("{name} is {value}; it must lie in [0, 1]")]
    OutOfRange {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f32,
    },
    /// A pair that is no pair.
    #[error("`{entry}` in {name} is not of the form key=value")]
    NotAPair {
        /// Which list.
        name: &'static str,
        /// The entry.
        entry: String,
    },
    /// One key with two values.
    #[error("`{key}` stands twice in {name}")]
    TwoValues {
        /// Which list.
        name: &'static str,
        /// The key.
        key: String,
    },
    /// An empty lane.
    #[error("{name} is empty; name a bin of the robot")]
    EmptyLane {
        /// Which.
        name: &'static str,
    },
}

/// What each quality flag leads to at least; [`Disposition::Sort`] ignores the flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualityPolicy {
    /// Sharpness below the floor.
    pub blurred: Disposition,
    /// Cut off by the picture's border.
    pub clipped: Disposition,
    /// Hidden in part by something nearer to the camera.
    pub occluded: Disposition,
    /// Saturated.
    pub overexposed: Disposition,
    /// Black.
    pub underexposed: Disposition,
    /// Too little depth.
    pub depth_missing: Disposition,
    /// Depth in the wrong unit: a fault of the camera's set-up that a new picture repeats.
    pub depth_unit_suspect: Disposition,
    /// No empty-tray picture: usual for foreign captures, so ignored unless a site demands it.
    pub background_missing: Disposition,
}

impl Default for QualityPolicy {
    fn default() -> Self {
        Self {
            blurred: Disposition::Reimage,
            clipped: Disposition::Reimage,
            occluded: Disposition::Reimage,
            overexposed: Disposition::Reimage,
            underexposed: Disposition::Reimage,
            depth_missing: Disposition::Reimage,
            depth_unit_suspect: Disposition::Sideline,
            background_missing: Disposition::Sort,
        }
    }
}

/// The rules of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Discrepancy from the reference above which an item is not sorted, `[0,1]`.
    pub anomaly_threshold: f32,
    /// Whether an item that perception calls damaged, and that is not when judged beside its reference, may be sorted.
    pub explain_away: bool,
    /// Least part of an item that must have been compared, `[0,1]`; below it the picture counts as poor.
    pub min_coverage: f32,
    /// Least confidence in the product, `[0,1]`; below it the product counts as unknown.
    pub min_identity_score: f32,
    /// What a product without a matching reference leads to, where the gallery has references.
    pub on_unknown_product: Disposition,
    /// What a gallery without any reference leads to: `Sort` lets perception decide alone.
    pub on_no_reference: Disposition,
    /// How each quality flag is taken.
    pub quality: QualityPolicy,
    /// Stamps of arrival, inspection and report may lie this far apart, nanoseconds.
    pub max_stamp_gap_ns: i64,
    /// Product of a barcode; see [`Policy::product_of_barcode`] for one that is not listed.
    pub barcodes: BTreeMap<String, String>,
    /// Sort lane of a product.
    pub lanes: BTreeMap<String, String>,
    /// Sort lane of every other product.
    pub default_lane: String,
    /// Bin for a person.
    pub sideline_lane: String,
    /// Bin for another picture.
    pub reimage_lane: String,
}

/// As the decision node has it where a site says nothing else.
impl Default for Policy {
    fn default() -> Self {
        Self {
            // Tape and labels raise the anomaly of good items: only what hardly fits the reference decides by itself.
            anomaly_threshold: 0.8,
            explain_away: true,
            min_coverage: 0.0,
            min_identity_score: 0.0,
            on_unknown_product: Disposition::Sort,
            on_no_reference: Disposition::Sort,
            quality: QualityPolicy::default(),
            max_stamp_gap_ns: 5_000_000_000,
            barcodes: BTreeMap::new(),
            lanes: BTreeMap::new(),
            default_lane: "sort_a".into(),
            sideline_lane: "sideline".into(),
            reimage_lane: "reimage".into(),
        }
    }
}

impl Policy {
    /// Refuses thresholds outside `[0,1]` (NaN included) and empty lanes.
    pub fn check(self) -> Result<Self, PolicyError> {
        for (name, value) in [
            ("anomaly_threshold", self.anomaly_threshold),
            ("min_coverage", self.min_coverage),
            ("min_identity_score", self.min_identity_score),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(PolicyError::OutOfRange { name, value });
            }
        }
        for (name, lane) in
            [("default_lane", &self.default_lane), ("sideline_lane", &self.sideline_lane), ("reimage_lane", &self.reimage_lane)]
        {
            if lane.is_empty() {
                return Err(PolicyError::EmptyLane { name });
            }
        }
        Ok(self)
    }

    /// Reads a list of `key=value` as ROS parameters carry it; `name` is the parameter, for the message.
    pub fn pairs(name: &'static str, entries: &[String]) -> Result<BTreeMap<String, String>, PolicyError> {
        let mut map = BTreeMap::new();
        for entry in entries.iter().filter(|e| !e.trim().is_empty()) {
            let pair = entry.split_once('=').map(|(k, v)| (k.trim(), v.trim()));
            let Some((key, value)) = pair.filter(|(k, v)| !k.is_empty() && !v.is_empty()) else {
                return Err(PolicyError::NotAPair { name, entry: entry.clone() });
            };
            if map.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(PolicyError::TwoValues { name, key: key.to_owned() });
            }
        }
        Ok(map)
    }

    /// The product that a barcode names; `None` when it was not read, or says nothing here.
    ///
    /// A code that is not listed may be the product's name itself (`ranking`: the names that the gallery considered). An
    /// unlisted code of digits alone (EAN, UPC, GTIN) that is no such name cannot be compared with anything.
    pub fn product_of_barcode<'a>(&'a self, barcode: &'a str, ranking: &[String]) -> Option<&'a str> {
        if let Some(product) = self.barcodes.get(barcode) {
            return Some(product);
        }
        let is_code = barcode.bytes().all(|b| b.is_ascii_digit()); // also true when it was not read
        (!is_code || ranking.iter().any(|name| name == barcode)).then_some(barcode)
    }

    /// The bin for a disposition of a product (empty: unknown).
    pub fn lane(&self, disposition: Disposition, product: &str) -> &str {
        match disposition {
            Disposition::Sort => self.lanes.get(product).unwrap_or(&self.default_lane),
            Disposition::Reimage => &self.reimage_lane,
            Disposition::Sideline => &self.sideline_lane,
        }
    }
}
