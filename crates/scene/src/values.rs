//! The plain values that a scene takes.

use nalgebra::Isometry3;
use vision::{ColorImage, DepthImage, HeatMap, Intrinsics, LabelMask, Rect};

/// When something happened, and to which item it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// ROS time, nanoseconds since the epoch.
    pub stamp_ns: i64,
    /// Running number of the item; `None` when no item is concerned.
    pub item: Option<i64>,
}

/// One item instance in a judged picture.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemBox {
    /// Value of its pixels in the mask.
    pub instance: u16,
    /// Bounding box in pixels of the colour image.
    pub region: Rect,
    /// [0, 1].
    pub damage_score: f32,
    /// What to write on the box, for example `deformation 0.81`.
    pub label: String,
}

/// A picture that was judged, with what was found in it.
#[derive(Clone, Copy, Debug)]
pub struct JudgedItem<'a> {
    /// The judged colour image.
    pub color: &'a ColorImage,
    /// Depth aligned to it.
    pub depth: Option<&'a DepthImage>,
    /// Pinhole model of both.
    pub intrinsics: Option<Intrinsics>,
    /// Optical frame of the camera.
    pub camera_frame: &'a str,
    /// 0 background, 1.. instances.
    pub mask: Option<&'a LabelMask>,
    /// Damage, [0, 1].
    pub heatmap: Option<&'a HeatMap>,
    /// The instances.
    pub boxes: &'a [ItemBox],
    /// Above it an item is damaged.
    pub damage_threshold: f32,
    /// Suction point and outward normal (+z), in the frame named first.
    pub pick_pose: Option<(&'a str, Isometry3<f64>)>,
}

/// What the gallery compared.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The matched reference, warped into the item's view; `None` without a match.
    pub reference: Option<&'a ColorImage>,
    /// Difference from the reference, [0, 1], size of the judged colour image.
    pub discrepancy: Option<&'a HeatMap>,
    /// The judged colour image, under the difference.
    pub color: Option<&'a ColorImage>,
    /// The item in it; the pictures are cut to it.
    pub region: Option<Rect>,
}

/// The one disposition of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Item id.
    pub item_id: String,
    /// `SORT`, `SIDELINE` or `REIMAGE`.
    pub disposition: String,
    /// Bin of the robot.
    pub lane: String,
    /// Most important first.
    pub reasons: Vec<String>,
    /// NaN when there was no inspection.
    pub damage_score: f32,
    /// Damage as judged beside a pristine reference, which then decides; `None` where that was not done.
    pub damage_rejudged: Option<f32>,
    /// Above it an item is not sorted.
    pub damage_threshold: f32,
    /// NaN when nothing was compared.
    pub anomaly_score: f32,
    /// Above it an item is not sorted.
    pub anomaly_threshold: f32,
    /// Empty when unknown.
    pub product: String,
    /// What scored the damage.
    pub model: String,
    /// Last part of the frame to decision, milliseconds of a steady clock.
    pub latency_ms: f32,
    /// Work of each stage, milliseconds of a steady clock.
    pub timings_ms: Vec<(String, f32)>,
}

impl Verdict {
    /// The damage that decides: as judged beside the reference, unless perception's own was not taken back.
    pub fn deciding_damage(&self) -> f32 {
        match self.damage_rejudged {
            Some(again) if self.reasons.iter().any(|r| r == "DAMAGE") => again.max(self.damage_score),
            Some(again) => again,
            None => self.damage_score,
        }
    }

    /// Whether the item goes on without a person.
    pub fn is_sorted(&self) -> bool {
        self.disposition == "SORT"
    }
}

/// Weight of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// A person may want to look.
    Warn,
    /// Something failed.
    Error,
}

/// Pose of one frame in another: `parent_from_child`.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameTransform {
    /// The frame it is given in.
    pub parent: String,
    /// The frame that is placed.
    pub child: String,
    /// Pose, metres.
    pub parent_from_child: Isometry3<f64>,
}
