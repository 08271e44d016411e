//! Messages become what an operator sees. Runs on the viewer's own thread.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use intact_msgs::msg::{CellEvent, Decision, GalleryReport, Inspection, ItemArrival, Outcome};
use node_kit::{Diagnostics, Shared};
use ros_interfaces::sensor_msgs::msg::{Image, JointState};
use ros_interfaces::std_msgs::msg::String as RosString;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use scene::{Comparison, JudgedItem, Level, Scene, SceneError};
use vision::ros::{color_from_ros, depth_from_ros, heatmap_from_ros, intrinsics_from_ros, mask_from_ros};
use vision::{ColorImage, ImageError, Rect};

use crate::convert;
use crate::items::Items;
use crate::params::ViewerParams;
use crate::store::Store;

/// Judged pictures that are kept until the gallery has compared them.
const AWAITING_COMPARISON: usize = 8;
/// How often it is checked that data reaches its file or viewer, and how long that may take.
const FLUSH_PERIOD: Duration = Duration::from_secs(5);
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// One message to show.
#[derive(Debug)]
pub(crate) enum Input {
    Live { camera: String, image: Arc<Image> },
    Arrival(Arc<ItemArrival>),
    Inspection(Arc<Inspection>),
    GalleryReport(Arc<GalleryReport>),
    Decision(Arc<Decision>),
    Outcome(Arc<Outcome>),
    Event(Arc<CellEvent>),
    RobotDescription(Arc<RosString>),
    Joints(Arc<JointState>),
    Transforms(Arc<TFMessage>),
    FixedTransforms(Arc<TFMessage>),
}

/// Why a message is not shown. The viewer says so and goes on.
enum Unshown {
    Scene(SceneError),
    Image(ImageError),
}

impl From<SceneError> for Unshown {
    fn from(error: SceneError) -> Self {
        Self::Scene(error)
    }
}

impl From<ImageError> for Unshown {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// A judged picture that the gallery may still compare.
struct Judged {
    item_id: String,
    color: Arc<ColorImage>,
    /// Of each of its instances, by number.
    regions: Vec<(u16, Rect)>,
}

/// The judged picture that a gallery report is about, and the region in it: `<item>#<k>` is one of several things in view and has
/// its own region; an item whose own id ends like that is found by its whole id.
fn compared_part<'a>(judged: &'a VecDeque<Judged>, report_id: &str) -> Option<(&'a Judged, Option<Rect>)> {
    let newest = |id: &str| judged.iter().rev().find(|judged| judged.item_id == id);
    let first = |judged: &'a Judged| (judged, judged.regions.first().map(|(_, region)| *region));
    let instance = || {
        let (id, number) = report_id.rsplit_once('#')?;
        let (judged, number) = (newest(id)?, number.parse::<u16>().ok()?);
        Some((judged, judged.regions.iter().find(|(k, _)| *k == number).map(|(_, region)| *region)))
    };
    newest(report_id).map(first).or_else(instance)
}

/// The scene and what it has to remember between messages.
pub(crate) struct Show {
    scene: Scene,
    store: Arc<Mutex<Store>>,
    params: Shared<ViewerParams>,
    diagnostics: Diagnostics,
    items: Items,
    judged: VecDeque<Judged>,
    last_pose_ns: HashMap<String, i64>,
    last_flush: Instant,
}

impl Show {
    pub(crate) fn new(scene: Scene, store: Arc<Mutex<Store>>, params: Shared<ViewerParams>, diagnostics: Diagnostics) -> Self {
        Self {
            scene,
            store,
            params,
            diagnostics,
            items: Items::default(),
            judged: VecDeque::new(),
            last_pose_ns: HashMap::new(),
            last_flush: Instant::now(),
        }
    }

    /// Shows one message.
    pub(crate) fn handle(&mut self, input: &Input) {
        let shown = match input {
            Input::Live { camera, image } => self.live(camera, image),
            Input::Arrival(arrival) => self.arrival(arrival),
            Input::Inspection(inspection) => self.inspection(inspection),
            Input::GalleryReport(report) => self.gallery_report(report),
            Input::Decision(decision) => self.decision(decision),
            Input::Outcome(outcome) => self.outcome(outcome),
            Input::Event(event) => self.event(event),
            Input::RobotDescription(urdf) => self.scene.robot(&urdf.data).map_err(Unshown::from),
            Input::Joints(joints) => self.joints(joints),
            Input::Transforms(message) => self.transforms(message),
            Input::FixedTransforms(message) => self.fixed_transforms(message),
        };
        match shown {
            Ok(()) => self.diagnostics.count("shown", 1),
            Err(Unshown::Scene(error)) => self.not_shown(&error),
            Err(Unshown::Image(error)) => self.not_shown(&error),
        }
        if self.last_flush.elapsed() >= FLUSH_PERIOD {
            self.flush(FLUSH_TIMEOUT);
        }
    }

    /// Writes out what waits; a full disk or a lost viewer shows in the diagnostics.
    pub(crate) fn flush(&mut self, timeout: Duration) {
        if let Err(error) = self.scene.flush(timeout) {
            self.diagnostics.warn(error.to_string());
        }
        self.last_flush = Instant::now();
    }

    fn not_shown(&self, error: &dyn std::fmt::Display) {
        self.diagnostics.count("not_shown", 1);
        self.diagnostics.warn(error.to_string());
    }

    fn live(&mut self, camera: &str, image: &Image) -> Result<(), Unshown> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).live_done(camera);
        let color = color_from_ros(image)?;
        Ok(self.scene.live(self.items.now(image.header.stamp.nanos()), camera, &color)?)
    }

    fn arrival(&mut self, arrival: &ItemArrival) -> Result<(), Unshown> {
        let at = self.items.moment(&arrival.item_id, arrival.header.stamp.nanos());
        let barcode = if arrival.barcode.is_empty() { String::new() } else { format!(", barcode {}", arrival.barcode) };
        Ok(self.scene.text(at, Level::Info, "arrival", &format!("{} arrived ({}{barcode})", arrival.item_id, arrival.source))?)
    }

    fn inspection(&mut self, inspection: &Inspection) -> Result<(), Unshown> {
        let at = self.items.moment(&inspection.item_id, inspection.header.stamp.nanos());
        if !inspection.ok {
            let line = format!("{} was not inspected: {}", inspection.item_id, inspection.error);
            self.scene.text(at, Level::Error, "inspection", &line)?;
        }
        let frame = self.store.lock().unwrap_or_else(PoisonError::into_inner).frame(&inspection.camera, at.stamp_ns);
        let Some(frame) = frame else {
            self.diagnostics.count("judged_frames_missed", 1);
            return Ok(());
        };
        let color = Arc::new(color_from_ros(&frame.color)?);
        // What cannot be read is not shown; perception has already said what is wrong with it.
        let depth = frame.depth.as_deref().and_then(|depth| depth_from_ros(depth).ok());
        let mask = mask_from_ros(&inspection.mask).ok();
        let heatmap = heatmap_from_ros(&inspection.heatmap).ok();
        let boxes = convert::boxes(inspection);
        let regions = boxes.iter().map(|b| (b.instance, b.region)).collect();
        self.scene.judged(
            at,
            &JudgedItem {
                color: &color,
                depth: depth.as_ref(),
                intrinsics: frame.info.as_deref().and_then(|info| intrinsics_from_ros(info).ok()),
                camera_frame: &frame.color.header.frame_id,
                mask: mask.as_ref(),
                heatmap: heatmap.as_ref(),
                boxes: &boxes,
                damage_threshold: inspection.damage_threshold,
                pick_pose: convert::pick_pose(inspection),
            },
        )?;
        if self.judged.len() >= AWAITING_COMPARISON {
            self.judged.pop_front();
        }
        self.judged.push_back(Judged { item_id: inspection.item_id.clone(), color, regions });
        Ok(())
    }

    fn gallery_report(&mut self, report: &GalleryReport) -> Result<(), Unshown> {
        let at = self.items.moment(&report.item_id, report.header.stamp.nanos());
        if !report.ok {
            let line = format!("{} was not compared: {}", report.item_id, report.error);
            self.scene.text(at, Level::Error, "gallery", &line)?;
        }
        let (judged, region) = compared_part(&self.judged, &report.item_id).unzip();
        let region = region.flatten();
        let reference = color_from_ros(&report.reference_image).ok();
        let discrepancy = heatmap_from_ros(&report.discrepancy).ok();
        let comparison = Comparison {
            reference: reference.as_ref(),
            discrepancy: discrepancy.as_ref(),
            color: judged.map(|judged| judged.color.as_ref()),
            region,
        };
        Ok(self.scene.compared(at, &comparison)?)
    }

    fn decision(&mut self, decision: &Decision) -> Result<(), Unshown> {
        let at = self.items.moment(&decision.item_id, decision.header.stamp.nanos());
        Ok(self.scene.verdict(at, &convert::verdict(decision))?)
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<(), Unshown> {
        let at = self.items.moment(&outcome.item_id, outcome.header.stamp.nanos());
        let (level, line) = convert::outcome_line(outcome);
        Ok(self.scene.text(at, level, "robot", &line)?)
    }

    fn event(&mut self, event: &CellEvent) -> Result<(), Unshown> {
        let at = self.items.now(event.header.stamp.nanos());
        match convert::event_line(event) {
            Some(line) => Ok(self.scene.text(at, Level::Warn, "event", &line)?),
            None => Ok(()),
        }
    }

    fn joints(&mut self, joints: &JointState) -> Result<(), Unshown> {
        let stamp_ns = joints.header.stamp.nanos();
        if !self.pose_due("joint_states", stamp_ns) {
            return Ok(());
        }
        let positions = joints.name.iter().map(String::as_str).zip(joints.position.iter().copied());
        Ok(self.scene.joints(self.items.now(stamp_ns), positions.filter(|(_, position)| position.is_finite()))?)
    }

    fn transforms(&mut self, message: &TFMessage) -> Result<(), Unshown> {
        for stamped in &message.transforms {
            let stamp_ns = stamped.header.stamp.nanos();
            let Some(transform) = convert::frame_transform(stamped) else {
                self.diagnostics.count("transforms_refused", 1);
                continue;
            };
            if self.pose_due(&transform.child, stamp_ns) {
                self.scene.transforms(self.items.now(stamp_ns), &[transform], false)?;
            }
        }
        Ok(())
    }

    fn fixed_transforms(&mut self, message: &TFMessage) -> Result<(), Unshown> {
        let transforms: Vec<_> = message.transforms.iter().filter_map(convert::frame_transform).collect();
        self.diagnostics.count("transforms_refused", (message.transforms.len() - transforms.len()) as u64);
        Ok(self.scene.transforms(self.items.now(0), &transforms, true)?)
    }

    /// Whether a moving frame may be shown again at this stamp.
    fn pose_due(&mut self, frame: &str, stamp_ns: i64) -> bool {
        let period_ns = 1e9 / self.params.get().max_transform_hz;
        let due = match self.last_pose_ns.get(frame) {
            Some(last) => stamp_ns < *last || (stamp_ns - last) as f64 >= period_ns,
            None => true,
        };
        if due {
            self.last_pose_ns.insert(frame.to_owned(), stamp_ns);
        }
        due
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_report_in_a_clutter_is_about_its_own_region() {
        let color = Arc::new(ColorImage::new(1, 1, vec![0; 3]).unwrap());
        let rect = |x| Rect { x, y: 0, w: 1, h: 1 };
        let judged =
            |id: &str, regions: &[(u16, Rect)]| Judged { item_id: id.into(), color: Arc::clone(&color), regions: regions.to_vec() };
        // Numbers are names, not places; `c#2` is an item whose own id looks like an instance's.
        let all = VecDeque::from([
            judged("a", &[(1, rect(10))]),
            judged("c", &[(3, rect(33)), (2, rect(22))]),
            judged("c#7", &[(1, rect(70))]),
            judged("empty", &[]),
        ]);
        let region = |id: &str| compared_part(&all, id).map(|(judged, region)| (judged.item_id.as_str(), region.map(|r| r.x)));
        for (id, expected) in [
            ("a", Some(("a", Some(10)))),
            ("c#2", Some(("c", Some(22)))),
            ("c#3", Some(("c", Some(33)))),
            ("c#4", Some(("c", None))),
            ("c#7", Some(("c#7", Some(70)))),
            ("empty", Some(("empty", None))),
            ("unknown", None),
            ("unknown#1", None),
            ("a#x", None),
        ] {
            assert_eq!(region(id), expected, "{id}");
        }
    }
}
