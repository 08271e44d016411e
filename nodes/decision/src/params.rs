//! The node's parameters, and the policy that they make.

use std::{env, path::PathBuf};

use disposition::{DeskConfig, Disposition, Policy, PolicyError, QualityPolicy};

const MS: i64 = 1_000_000;

node_kit::parameters! {
    /// Parameters of the decision node.
    pub struct DecisionParams {
        /// Name of this run in the ledger; an item id is unique in it. Empty: made from the time and the process id.
        run_id: String = String::new();
        /// File of the ledger (SQLite), made with its folder. Empty: `intact/ledger.db` in `$XDG_STATE_HOME`, else in `~/.local/state`.
        ledger_path: String = String::new();
        /// From an inspection to the decision at the latest, milliseconds. Live by a steady clock, in lockstep by ROS time.
        deadline_ms: i64 = 1000, range 1..=600_000, dynamic;
        /// How long the frame of an arrival may take, milliseconds; without an inspection the deadline begins after it.
        frame_wait_ms: i64 = 2000, range 0..=600_000, dynamic;
        /// Whether a gallery report is waited for. False: the cell has no gallery and perception decides alone.
        require_gallery: bool = true;
        /// Discrepancy from the reference above which an item is not sorted.
        anomaly_threshold: f64 = 0.8, range 0.0..=1.0, dynamic;
        /// Whether an item that perception calls damaged, and that the gallery does not beside its reference, may be sorted (`EXPLAINED_AWAY`).
        explain_away: bool = true, dynamic;
        /// Least part of an item that must have been compared with its reference; below it the item is imaged again.
        min_coverage: f64 = 0.0, range 0.0..=1.0, dynamic;
        /// Least identity score; below it the product counts as unknown.
        min_identity_score: f64 = 0.0, range 0.0..=1.0, dynamic;
        /// What a product without a matching reference leads to, where the gallery has references.
        on_unknown_product: String = "sort".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What a gallery without any reference leads to; `sort` lets perception decide alone.
        on_no_reference: String = "sort".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What a blurred item leads to.
        on_blurred: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What an item that the picture's border cuts leads to.
        on_clipped: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What an item that something nearer to the camera hides in part leads to.
        on_occluded: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What a saturated item leads to.
        on_overexposed: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What a black item leads to.
        on_underexposed: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What an item without enough depth leads to.
        on_depth_missing: String = "reimage".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What depth that looks like another unit leads to.
        on_depth_unit_suspect: String = "sideline".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// What a missing picture of the empty tray leads to.
        on_background_missing: String = "sort".into(), choices ["sort", "reimage", "sideline"], dynamic;
        /// How far the stamps of an item's arrival, inspection and report may lie apart, seconds.
        max_stamp_gap_s: f64 = 5.0, range 0.0..=3600.0, dynamic;
        /// Products of barcodes, `barcode=product` each. One that is not listed is read as the product's name, unless it is of digits alone and no product has that name.
        barcodes: Vec<String> = Vec::new();
        /// Sort lanes of products, `product=lane` each.
        lanes: Vec<String> = Vec::new();
        /// Sort lane of every other product.
        default_lane: String = "sort_a".into();
        /// Bin of items for a person.
        sideline_lane: String = "sideline".into();
        /// Bin of items that are imaged again.
        reimage_lane: String = "reimage".into();
        /// Frame that the robot plans in; a pick pose that is not connected to it is never commanded.
        world_frame: String = "cell".into();
        /// Whether decisions are carried out. False: the items are left for a person.
        command_robot: bool = true;
        /// How long the robot's action server may take to appear, seconds.
        robot_wait_s: f64 = 2.0, range 0.0..=600.0;
        /// How long a divert may take before it is cancelled, seconds.
        robot_timeout_s: f64 = 60.0, range 0.1..=3600.0;
        /// Diverts that may wait for the robot (live); the oldest is then left for a person.
        robot_queue: usize = 64, range 1..=10_000;
    }
}

impl DecisionParams {
    /// The policy that these parameters describe.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        let quality = QualityPolicy {
            blurred: reaction(&self.on_blurred),
            clipped: reaction(&self.on_clipped),
            occluded: reaction(&self.on_occluded),
            overexposed: reaction(&self.on_overexposed),
            underexposed: reaction(&self.on_underexposed),
            depth_missing: reaction(&self.on_depth_missing),
            depth_unit_suspect: reaction(&self.on_depth_unit_suspect),
            background_missing: reaction(&self.on_background_missing),
        };
        Policy {
            anomaly_threshold: self.anomaly_threshold as f32,
            explain_away: self.explain_away,
            min_coverage: self.min_coverage as f32,
            min_identity_score: self.min_identity_score as f32,
            on_unknown_product: reaction(&self.on_unknown_product),
            on_no_reference: reaction(&self.on_no_reference),
            quality,
            max_stamp_gap_ns: (self.max_stamp_gap_s * 1e9) as i64,
            barcodes: Policy::pairs("barcodes", &self.barcodes)?,
            lanes: Policy::pairs("lanes", &self.lanes)?,
            default_lane: self.default_lane.clone(),
            sideline_lane: self.sideline_lane.clone(),
            reimage_lane: self.reimage_lane.clone(),
        }
        .check()
    }

    /// The waiting times that these parameters describe.
    pub(crate) fn desk(&self) -> DeskConfig {
        DeskConfig {
            deadline_ns: self.deadline_ms.saturating_mul(MS),
            frame_wait_ns: self.frame_wait_ms.saturating_mul(MS),
            require_gallery: self.require_gallery,
            ..DeskConfig::default()
        }
    }

    /// Where the ledger is.
    pub(crate) fn ledger_file(&self) -> PathBuf {
        if !self.ledger_path.is_empty() {
            return PathBuf::from(&self.ledger_path);
        }
        let state = env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || env::var_os("HOME").filter(|v| !v.is_empty()).map(|home| PathBuf::from(home).join(".local/state"));
        state.or_else(home).unwrap_or_default().join("intact/ledger.db")
    }
}

/// The parameter's choices leave nothing else; what is unknown is the most cautious.
fn reaction(text: &str) -> Disposition {
    match text {
        "sort" => Disposition::Sort,
        "reimage" => Disposition::Reimage,
        _ => Disposition::Sideline,
    }
}
