//! Replays the generated booth: one item a step, made when it is due. The truth stays in the booth.

use ::booth::{Booth, BoothSpec};
use intact_msgs::msg::ItemArrival;
use nalgebra::Isometry3;
use node_kit::NodeError;

use crate::params::CameraParams;
use crate::source::{Outgoing, Source, Step};
use crate::sources::{EPOCH_NS, background_messages, frame_messages, header, named};

/// The booth's depth camera counts millimetres.
const DEPTH_UNIT_M: f64 = 0.001;

/// The booth as a source.
pub(crate) struct BoothSource {
    booth: Booth,
    cameras: Vec<String>,
    next: usize,
}

impl BoothSource {
    pub(crate) fn open(params: &CameraParams) -> Result<Self, NodeError> {
        let spec = BoothSpec {
            seed: params.booth_seed.unsigned_abs(),
            width: params.booth_width,
            height: params.booth_height,
            items: params.booth_items,
            products: params.booth_products,
            damage_fraction: params.booth_damage_fraction,
            lookalike_fraction: params.booth_lookalike_fraction,
            clutter: params.clutter,
            cameras: params.booth_cameras,
            ..BoothSpec::default()
        };
        let booth = Booth::new(spec).map_err(|e| NodeError::because("the booth cannot be built", e))?;
        Ok(Self { cameras: named(params, booth_cameras(booth.cameras()))?, booth, next: 0 })
    }
}

/// Names of the booth's cameras, as `intact booth bag` gives them: `camera`, `camera_1`, ….
pub fn booth_cameras(count: usize) -> Vec<String> {
    (0..count).map(|k| if k == 0 { "camera".to_owned() } else { format!("camera_{k}") }).collect()
}

impl Source for BoothSource {
    fn cameras(&self) -> &[String] {
        &self.cameras
    }

    fn poses(&self) -> Vec<Option<Isometry3<f64>>> {
        (0..self.cameras.len()).map(|k| self.booth.cell_from_camera_of(k)).collect()
    }

    fn has_own_time(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        let spec = self.booth.spec();
        let cameras = self.cameras.len();
        format!("generated booth: seed {}, {} items, {}x{}, {cameras} camera(s)", spec.seed, spec.items, spec.width, spec.height)
    }

    fn next_step(&mut self) -> Option<Step> {
        let spec = self.booth.spec();
        if self.next >= spec.items {
            return None;
        }
        let capture = self.booth.capture(self.next);
        let stamp_ns = EPOCH_NS.saturating_add(capture.stamp_offset_ns);
        let arrival = ItemArrival {
            header: header(stamp_ns, "tray"),
            item_id: capture.item_id,
            barcode: capture.barcode,
            candidate_products: Vec::new(),
            clutter: spec.clutter,
            source: "booth".into(),
        };
        let mut messages = Vec::new();
        let frames = std::iter::once(&capture.frame).chain(capture.beside.iter().map(|view| &view.frame));
        for (index, (name, frame)) in self.cameras.iter().zip(frames).enumerate() {
            messages.extend(frame_messages(index, name, stamp_ns, frame, DEPTH_UNIT_M));
            if let Some(empty) = self.booth.background_of(index).filter(|_| self.next == 0) {
                messages.extend(background_messages(index, name, stamp_ns, &empty, DEPTH_UNIT_M));
            }
        }
        messages.push(Outgoing::Arrival(arrival));
        self.next += 1;
        Some(Step { time_ns: stamp_ns, messages, problems: Vec::new() })
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}
