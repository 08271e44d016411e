//! What goes in: the facts about one item, free of ROS types.

use std::sync::Arc;

/// The birth of an item, as the line announced it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival {
    /// Unique in a run.
    pub item_id: String,
    /// ROS time of the trigger, nanoseconds; 0 = unknown.
    pub stamp_ns: i64,
    /// As read by the scanner; empty when unread.
    pub barcode: String,
    /// Manifest; empty means any product.
    pub candidate_products: Vec<String>,
    /// Several items are expected and each one is decided.
    pub clutter: bool,
}

/// What limits trust in the picture of one item (`intact_msgs/QualityFlags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Sharpness below the floor.
    pub blurred: bool,
    /// The item touches the picture's border.
    pub clipped: bool,
    /// Hidden in part by something nearer to the camera.
    pub occluded: bool,
    /// A large part of the item is saturated.
    pub overexposed: bool,
    /// A large part of the item is black.
    pub underexposed: bool,
    /// No depth image, or too little of it valid.
    pub depth_missing: bool,
    /// Depth magnitudes do not fit the camera's range.
    pub depth_unit_suspect: bool,
    /// No empty-tray background.
    pub background_missing: bool,
}

/// Where and how to suck the item up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pick {
    /// Frame of the pose.
    pub frame_id: String,
    /// ROS time of the pose, nanoseconds.
    pub stamp_ns: i64,
    /// Metres.
    pub position_m: [f64; 3],
    /// Unit quaternion x, y, z, w; its z axis is the outward surface normal.
    pub orientation_xyzw: [f64; 4],
}

impl Pick {
    /// All numbers finite and the quaternion of unit length (within 1 %).
    pub fn is_sound(&self) -> bool {
        let norm = self.orientation_xyzw.iter().map(|v| v * v).sum::<f64>().sqrt();
        self.position_m.iter().all(|v| v.is_finite()) && norm.is_finite() && (norm - 1.0).abs() < 0.01
    }
}

/// One item found in the frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// Its value in the mask, 1 and up.
    pub instance_id: u16,
    /// `[0,1]`.
    pub damage_score: f32,
    /// Doubts about the picture.
    pub quality: Quality,
    /// Absent when depth gave no pick point.
    pub pick: Option<Pick>,
}

/// What perception saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// Item (not instance) id.
    pub item_id: String,
    /// ROS time of the judged colour image, nanoseconds; 0 = unknown.
    pub stamp_ns: i64,
    /// Frame of the judged colour image.
    pub frame_id: String,
    /// False: `error` says why it failed.
    pub ok: bool,
    /// One sentence.
    pub error: String,
    /// Items in the frame.
    pub instances: Vec<Instance>,
    /// Maximum over the instances, `[0,1]`.
    pub damage_score: f32,
    /// Above it an item is not sorted.
    pub damage_threshold: f32,
    /// Which scorer judged.
    pub model: String,
    /// Stage and milliseconds.
    pub timings: Vec<(String, f32)>,
}

/// What the gallery says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    /// Item id, or `<item>#<instance>` in clutter.
    pub item_id: String,
    /// ROS time of the compared colour image, nanoseconds; 0 = unknown.
    pub stamp_ns: i64,
    /// False: `error` says why it failed.
    pub ok: bool,
    /// One sentence.
    pub error: String,
    /// False: there was nothing to compare with.
    pub has_reference: bool,
    /// Best match; empty when unknown.
    pub product: String,
    /// Names of the products that were considered, best first.
    pub ranking: Vec<String>,
    /// `[0,1]`.
    pub identity_score: f32,
    /// Discrepancy from the reference, `[0,1]`.
    pub anomaly_score: f32,
    /// Part of the item that could be compared, `[0,1]`.
    pub coverage: f32,
    /// Perception's damage judged again beside the reference, `[0,1]`; `None` where it was not.
    pub damage_rejudged: Option<f32>,
    /// The network that judged it again; empty where none did.
    pub model: String,
    /// A new packaging design of the product is suspected and not settled.
    pub design_change: bool,
    /// Which gallery answered.
    pub version: String,
    /// Stage and milliseconds.
    pub timings: Vec<(String, f32)>,
}

/// The gallery's side of the evidence.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum GalleryInput {
    /// The cell has no gallery, or there was nothing that it could compare.
    NotNeeded,
    /// It should have come and did not.
    #[default]
    Missing,
    /// It came.
    Report(Arc<Gallery>),
}

/// Everything that is known about one item (or one instance of a clutter) when it is decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The id to be decided; `<item>#<instance>` in clutter.
    pub item_id: String,
    /// Missing when only reports came.
    pub arrival: Option<Arc<Arrival>>,
    /// Missing when perception was silent.
    pub inspection: Option<Arc<Inspection>>,
    /// The instance to be decided; `None`: the frame as a whole, which must hold one item.
    pub instance_id: Option<u16>,
    /// What the gallery said.
    pub gallery: GalleryInput,
    /// The time to decide was over.
    pub deadline_expired: bool,
    /// The id was seen before.
    pub duplicate: bool,
    /// Two different reports for one input, or the clock jumped.
    pub contradictory: bool,
    /// The frame of the pick pose is not connected to the cell.
    pub transform_missing: bool,
}

impl Evidence {
    /// The instance that is decided: the named one, or the only one of the frame.
    pub fn subject(&self) -> Option<&Instance> {
        let inspection = self.inspection.as_deref().filter(|i| i.ok)?;
        match (self.instance_id, inspection.instances.as_slice()) {
            (Some(id), instances) => instances.iter().find(|i| i.instance_id == id),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The gallery's answer when it came and is usable.
    pub fn gallery_report(&self) -> Option<&Gallery> {
        match &self.gallery {
            GalleryInput::Report(report) => Some(report),
            GalleryInput::NotNeeded | GalleryInput::Missing => None,
        }
    }

    /// The score that decides: of the instance, else of the frame; NaN when there was no inspection.
    pub fn damage_score(&self) -> f32 {
        match (self.subject(), self.inspection.as_deref()) {
            (Some(instance), _) => instance.damage_score,
            (None, Some(inspection)) if inspection.ok => inspection.damage_score,
            _ => f32::NAN,
        }
    }

    /// Damage as judged beside the reference of a recognised product; `None` where that was not done.
    pub fn damage_rejudged(&self) -> Option<f32> {
        let report = self.gallery_report().filter(|r| r.ok && r.has_reference && !r.product.is_empty() && r.coverage > 0.0)?;
        report.damage_rejudged
    }

    /// The discrepancy from the reference; NaN when nothing was compared.
    pub fn anomaly_score(&self) -> f32 {
        match self.gallery_report() {
            Some(report) if report.ok && report.has_reference && report.coverage != 0.0 => report.anomaly_score,
            _ => f32::NAN,
        }
    }
}
