//! Folders of captures as bags: one arrival a capture, the item's id is the capture's name.

use std::path::Path;

use captures::{CameraCapture, CaptureRef, Options, mixed_backgrounds};
use intact_msgs::msg::ItemArrival;
use nalgebra::Isometry3;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::geometry_msgs::msg::TransformStamped;
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use vision::RgbdFrame;

use crate::{BagError, BagWriter, QosProfile, WriterOptions, Written};

/// Stamp of the first capture of every imported bag: fixed, so that the same folder gives the same bag.
pub const IMPORT_EPOCH_NS: i64 = 1_700_000_000_000_000_000;

/// What must be known before an item arrives (empty tray, pose) is stamped with it but logged this much earlier.
const LEAD_NS: i64 = 100_000_000;

/// How captures become a bag.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Stamp of the first capture, nanoseconds.
    pub epoch_ns: i64,
    /// From one capture to the next, nanoseconds.
    pub spacing_ns: i64,
    /// Frame of captured poses, and of arrivals.
    pub world_frame: String,
    /// How the bag is written.
    pub writer: WriterOptions,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { epoch_ns: IMPORT_EPOCH_NS, spacing_ns: 1_000_000_000, world_frame: "cell".into(), writer: WriterOptions::default() }
    }
}

/// What an import has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Captures, and thus arrivals.
    pub captures: usize,
    /// Namespaces of the cameras.
    pub cameras: Vec<String>,
    /// The bag.
    pub written: Written,
}

/// Discovers the captures in `folder` and imports them into the new bag `out`. `on_capture` is told each name.
///
/// # Errors
/// As [`captures::discover`] and [`import`].
pub fn import_folder(
    folder: &Path,
    find: &Options,
    out: &Path,
    options: &ImportOptions,
    on_capture: impl FnMut(&str),
) -> Result<Imported, BagError> {
    import(&captures::discover(folder, find)?, out, options, on_capture)
}

/// Writes `captures` into the new bag `out`: per capture an `item_arrival`, colour (`rgb8`), aligned depth (`16UC1`
/// millimetres where that is exact, else `32FC1` metres), `camera_info`, the empty view and the pose where there are any.
/// Half a bag is removed again when something fails.
///
/// # Errors
/// When a capture does not load, some captures have an empty view and others do not, or the bag cannot be written.
pub fn import(
    captures: &[CaptureRef],
    out: &Path,
    options: &ImportOptions,
    mut on_capture: impl FnMut(&str),
) -> Result<Imported, BagError> {
    let plan = Plan::of(captures)?;
    let writer = BagWriter::create(out, options.writer.clone())?;
    let outcome = write_all(captures, &plan, writer, options, &mut on_capture);
    if outcome.is_err() {
        // Only what this call has made; a failed removal adds nothing to the error that is reported.
        let _ = std::fs::remove_dir_all(out);
    }
    Ok(Imported { captures: captures.len(), cameras: plan.cameras, written: outcome? })
}

fn write_all(
    captures: &[CaptureRef],
    plan: &Plan,
    writer: BagWriter,
    options: &ImportOptions,
    on_capture: &mut dyn FnMut(&str),
) -> Result<Written, BagError> {
    let mut session = Session { writer, plan, options };
    for (index, capture) in captures.iter().enumerate() {
        on_capture(&capture.name);
        let stamp_ns = options.epoch_ns.saturating_add(options.spacing_ns.saturating_mul(index as i64));
        session.capture(capture, stamp_ns, index == 0)?;
    }
    session.writer.finish()
}

/// What holds for all captures together.
struct Plan {
    cameras: Vec<String>,
    /// Each camera stands in one place through all captures: its pose is static.
    is_static: bool,
}

impl Plan {
    fn of(captures: &[CaptureRef]) -> Result<Self, BagError> {
        if let Some((bare, backed)) = mixed_backgrounds(captures) {
            return Err(BagError::Import(format!(
                "capture {} lacks the empty view that {} has; the empty view of one would be used for the other: import them into two bags",
                bare.name, backed.name
            )));
        }
        let count = captures.iter().map(|c| c.cameras.len()).max().unwrap_or(0);
        let cameras = match count {
            1 => vec!["camera".to_string()],
            n => (0..n).map(|i| format!("camera_{i}")).collect(),
        };
        let pose = |c: &CaptureRef, i: usize| c.cameras.get(i).and_then(|c| c.world_from_camera);
        let first = captures.first();
        let is_static = captures.iter().all(|c| (0..count).all(|i| pose(c, i) == first.and_then(|f| pose(f, i))));
        Ok(Self { cameras, is_static })
    }
}

struct Session<'a> {
    writer: BagWriter,
    plan: &'a Plan,
    options: &'a ImportOptions,
}

impl Session<'_> {
    fn capture(&mut self, capture: &CaptureRef, stamp_ns: i64, is_first: bool) -> Result<(), BagError> {
        let cameras = capture.load()?;
        self.poses(&cameras, stamp_ns, is_first)?;
        for (namespace, camera) in self.plan.cameras.iter().zip(&cameras) {
            if let Some(empty) = &camera.background {
                let header = header(stamp_ns - LEAD_NS, &optical_frame(namespace));
                self.images(
                    &format!("{namespace}/background"),
                    empty,
                    camera.depth_unit_m,
                    QosProfile::LATCHED,
                    stamp_ns - LEAD_NS,
                    &header,
                )?;
            }
        }
        let arrival = ItemArrival {
            header: header(stamp_ns, &self.options.world_frame),
            item_id: capture.name.clone(),
            source: "bag".into(),
            ..ItemArrival::default()
        };
        self.writer.write("/item_arrival", QosProfile::EVENT, stamp_ns, &arrival)?;
        for (namespace, camera) in self.plan.cameras.iter().zip(&cameras) {
            let header = header(stamp_ns, &optical_frame(namespace));
            if let Some(intrinsics) = &camera.frame.intrinsics {
                let info = vision::ros::intrinsics_to_ros(intrinsics, header.clone());
                self.writer.write(&format!("/{namespace}/color/camera_info"), QosProfile::SENSOR, stamp_ns, &info)?;
            }
            self.images(namespace, &camera.frame, camera.depth_unit_m, QosProfile::SENSOR, stamp_ns, &header)?;
        }
        Ok(())
    }

    fn poses(&mut self, cameras: &[CameraCapture], stamp_ns: i64, is_first: bool) -> Result<(), BagError> {
        if self.plan.is_static && !is_first {
            return Ok(());
        }
        let (topic, qos, stamp_ns, log_time_ns) = if self.plan.is_static {
            ("/tf_static", QosProfile::LATCHED, stamp_ns - LEAD_NS, stamp_ns - LEAD_NS)
        } else {
            ("/tf", QosProfile::EVENT, stamp_ns, stamp_ns - LEAD_NS)
        };
        let known = self.plan.cameras.iter().zip(cameras).filter_map(|(namespace, c)| Some((namespace, c.world_from_camera?)));
        let transforms: Vec<_> = known.map(|(namespace, pose)| self.transform(&pose, namespace, stamp_ns)).collect();
        if transforms.is_empty() {
            return Ok(());
        }
        self.writer.write(topic, qos, log_time_ns, &TFMessage { transforms })
    }

    fn transform(&self, world_from_camera: &Isometry3<f64>, namespace: &str, stamp_ns: i64) -> TransformStamped {
        vision::pose::transform_to_ros(header(stamp_ns, &self.options.world_frame), &optical_frame(namespace), world_from_camera)
    }

    fn images(
        &mut self,
        namespace: &str,
        frame: &RgbdFrame,
        depth_unit_m: Option<f64>,
        qos: QosProfile,
        log_time_ns: i64,
        header: &Header,
    ) -> Result<(), BagError> {
        let color = vision::ros::color_to_ros(&frame.color, header.clone());
        self.writer.write(&format!("/{namespace}/color/image_raw"), qos, log_time_ns, &color)?;
        if let (Some(depth), Some(unit_m)) = (&frame.depth, depth_unit_m) {
            let depth = vision::ros::depth_to_ros(depth, unit_m, header.clone());
            self.writer.write(&format!("/{namespace}/aligned_depth_to_color/image_raw"), qos, log_time_ns, &depth)?;
        }
        Ok(())
    }
}

fn header(stamp_ns: i64, frame_id: &str) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: frame_id.to_string() }
}

fn optical_frame(namespace: &str) -> String {
    format!("{namespace}_color_optical_frame")
}
