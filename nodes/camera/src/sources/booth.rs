//! Replays the generated booth: one item a step, made when it is due. The truth stays in the booth.

use ::booth::{Booth, BoothSpec};
use intact_msgs::msg::ItemArrival;
use nalgebra::Isometry3;
use node_kit::NodeError;

use crate::params::CameraParams;
use crate::source::{Outgoing, Source, Step};
use crate::sources::{EPOCH_NS, background_messages, default_names, frame_messages, header, named};

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
            ..BoothSpec::default()
        };
        let booth = Booth::new(spec).map_err(|e| NodeError::because("the booth cannot be built", e))?;
        Ok(Self { booth, cameras: named(params, default_names(1))?, next: 0 })
    }

    fn name(&self) -> &str {
        self.cameras.first().map_or("camera", String::as_str)
    }
}

impl Source for BoothSource {
    fn cameras(&self) -> &[String] {
        &self.cameras
    }

    fn poses(&self) -> Vec<Option<Isometry3<f64>>> {
        vec![Some(self.booth.cell_from_camera())]
    }

    fn has_own_time(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        let spec = self.booth.spec();
        format!("generated booth: seed {}, {} items, {}x{}", spec.seed, spec.items, spec.width, spec.height)
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
        let mut messages = frame_messages(0, self.name(), stamp_ns, &capture.frame, DEPTH_UNIT_M);
        if self.next == 0 {
            messages.extend(background_messages(0, self.name(), stamp_ns, &self.booth.background(), DEPTH_UNIT_M));
        }
        messages.push(Outgoing::Arrival(arrival));
        self.next += 1;
        Some(Step { time_ns: stamp_ns, messages, problems: Vec::new() })
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}
