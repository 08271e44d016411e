//! Replays a folder of captures: one arrival a capture, the item's id is the capture's name.

use std::path::Path;

use captures::{CameraCapture, CaptureRef, Options};
use intact_msgs::msg::ItemArrival;
use nalgebra::Isometry3;
use node_kit::NodeError;

use crate::params::CameraParams;
use crate::source::{Outgoing, Problem, Source, Step};
use crate::sources::{EPOCH_NS, background_messages, default_names, frame_messages, header, named};

/// Depth without a known unit is passed on as it is, in metres.
const UNKNOWN_UNIT_M: f64 = 0.0;

/// A folder as a source: a capture is a step.
pub(crate) struct FolderSource {
    folder: String,
    captures: Vec<CaptureRef>,
    cameras: Vec<String>,
    poses: Vec<Option<Isometry3<f64>>>,
    spacing_ns: i64,
    world_frame: String,
    next: usize,
}

impl FolderSource {
    pub(crate) fn open(params: &CameraParams) -> Result<Self, NodeError> {
        if params.folder.is_empty() {
            return Err(NodeError::msg("source `folder` needs the parameter `folder`: where the captures lie"));
        }
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let fx_fy_cx_cy = match params.intrinsics.as_slice() {
            [] => None,
            numbers => Some(
                <[f64; 4]>::try_from(numbers)
                    .map_err(|_| NodeError::msg(format!("parameter `intrinsics` has {} numbers; give fx, fy, cx, cy", numbers.len())))?,
            ),
        };
        let options = Options {
            color_glob: text(&params.color_glob),
            depth_glob: text(&params.depth_glob),
            depth_unit_m: (params.depth_unit_m > 0.0).then_some(params.depth_unit_m),
            fx_fy_cx_cy,
        };
        let captures = captures::discover(Path::new(&params.folder), &options)
            .map_err(|e| NodeError::because("the folder of captures cannot be used", e))?;
        if let Some((bare, backed)) = captures::mixed_backgrounds(&captures) {
            return Err(NodeError::msg(format!(
                "capture {} lacks the empty view that {} has; the empty view of one would be used for the other: put them into two folders",
                bare.name, backed.name
            )));
        }
        let count = captures.iter().map(|c| c.cameras.len()).max().unwrap_or(0);
        let pose = |c: &CaptureRef, i: usize| c.cameras.get(i).and_then(|c| c.world_from_camera);
        // A camera that moves between captures has no static pose; its poses go out with the captures.
        let standing = |i: &usize| captures.first().and_then(|f| pose(f, *i)).filter(|p| captures.iter().all(|c| pose(c, *i) == Some(*p)));
        Ok(Self {
            folder: params.folder.clone(),
            cameras: named(params, default_names(count))?,
            poses: (0..count).map(|i| standing(&i)).collect(),
            captures,
            spacing_ns: (params.spacing_s * 1e9) as i64,
            world_frame: params.world_frame.clone(),
            next: 0,
        })
    }

    fn camera_messages(&self, index: usize, name: &str, stamp_ns: i64, camera: &CameraCapture) -> Vec<Outgoing> {
        let unit_m = camera.depth_unit_m.unwrap_or(UNKNOWN_UNIT_M);
        let mut messages = frame_messages(index, name, stamp_ns, &camera.frame, unit_m);
        if let Some(empty) = &camera.background {
            messages.extend(background_messages(index, name, stamp_ns, empty, unit_m));
        }
        let stands = self.poses.get(index).is_some_and(Option::is_some);
        if let Some(pose) = camera.world_from_camera.filter(|_| !stands) {
            messages.push(Outgoing::Tf(crate::extrinsics::optical_pose(&self.world_frame, name, stamp_ns, &pose)));
        }
        messages
    }
}

impl Source for FolderSource {
    fn cameras(&self) -> &[String] {
        &self.cameras
    }

    fn poses(&self) -> Vec<Option<Isometry3<f64>>> {
        self.poses.clone()
    }

    fn has_own_time(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("replaying folder {}: {} captures, {} camera(s)", self.folder, self.captures.len(), self.cameras.len())
    }

    fn next_step(&mut self) -> Option<Step> {
        let capture = self.captures.get(self.next)?;
        let stamp_ns = EPOCH_NS.saturating_add(self.spacing_ns.saturating_mul(self.next as i64));
        // Also for a capture that does not load: the item is there, and what nobody could see is not sorted.
        let arrival = ItemArrival {
            header: header(stamp_ns, &self.world_frame),
            item_id: capture.name.clone(),
            source: "folder".into(),
            ..ItemArrival::default()
        };
        let mut step = Step { time_ns: stamp_ns, messages: vec![Outgoing::Arrival(arrival)], problems: Vec::new() };
        match capture.load() {
            Ok(cameras) => {
                for (index, (name, camera)) in self.cameras.iter().zip(&cameras).enumerate() {
                    step.messages.extend(self.camera_messages(index, name, stamp_ns, camera));
                }
            }
            Err(e) => step.problems.push(Problem { stamp_ns, item_id: capture.name.clone(), detail: e.to_string() }),
        }
        self.next += 1;
        Some(step)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}
