//! The sources, a file each.

pub(crate) mod bag;
pub(crate) mod booth;
pub(crate) mod folder;
pub(crate) mod mapping;
pub(crate) mod realsense;

pub use booth::booth_cameras;
pub use mapping::cameras_of_bag;

use std::sync::Arc;

use node_kit::NodeError;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;
use vision::RgbdFrame;

use crate::extrinsics::optical_frame;
use crate::params::CameraParams;
use crate::source::{Outgoing, Source};

/// Stamp of the first step of sources that have no time of their own: fixed, so that runs can be compared.
pub(crate) const EPOCH_NS: i64 = ::bag::IMPORT_EPOCH_NS;

/// Opens the source that `params` choose; `None` for live topics, which are not replayed.
///
/// # Errors
/// One sentence: what cannot be opened, why, and what to do.
pub(crate) fn open(params: &CameraParams) -> Result<Option<Box<dyn Source>>, NodeError> {
    Ok(match params.source.as_str() {
        "bag" => Some(Box::new(bag::BagSource::open(params)?)),
        "folder" => Some(Box::new(folder::FolderSource::open(params)?)),
        "booth" => Some(Box::new(booth::BoothSource::open(params)?)),
        "realsense" => return Err(realsense::open()),
        _ => None,
    })
}

/// Namespaces for `found` cameras: those of the parameters when there are any, which must then be as many.
pub(crate) fn named(params: &CameraParams, found: Vec<String>) -> Result<Vec<String>, NodeError> {
    match params.cameras.len() {
        0 => Ok(found),
        n if n == found.len() => Ok(params.cameras.clone()),
        n => Err(NodeError::msg(format!(
            "parameter `cameras` names {n}, but the source has {} ({}); name as many, or none",
            found.len(),
            found.join(", ")
        ))),
    }
}

/// `camera` for one camera, else `camera_0`, `camera_1`, …, as imported bags have it.
pub(crate) fn default_names(count: usize) -> Vec<String> {
    match count {
        1 => vec!["camera".to_owned()],
        n => (0..n).map(|i| format!("camera_{i}")).collect(),
    }
}

pub(crate) fn header(stamp_ns: i64, frame_id: &str) -> Header {
    Header { stamp: Time::from_nanos(stamp_ns), frame_id: frame_id.to_owned() }
}

/// A frame as messages of camera number `index`, called `camera`.
pub(crate) fn frame_messages(index: usize, camera: &str, stamp_ns: i64, frame: &RgbdFrame, depth_unit_m: f64) -> Vec<Outgoing> {
    let header = header(stamp_ns, &optical_frame(camera));
    let mut messages = vec![Outgoing::Color(index, Arc::new(vision::ros::color_to_ros(&frame.color, header.clone())))];
    if let Some(depth) = &frame.depth {
        messages.push(Outgoing::Depth(index, Arc::new(vision::ros::depth_to_ros(depth, depth_unit_m, header.clone()))));
    }
    if let Some(intrinsics) = &frame.intrinsics {
        messages.push(Outgoing::Info(index, Arc::new(vision::ros::intrinsics_to_ros(intrinsics, header))));
    }
    messages
}

/// The empty tray as messages of camera number `index`, called `camera`.
pub(crate) fn background_messages(index: usize, camera: &str, stamp_ns: i64, frame: &RgbdFrame, depth_unit_m: f64) -> Vec<Outgoing> {
    let as_background = |message| match message {
        Outgoing::Color(index, image) => Some(Outgoing::BackgroundColor(index, image)),
        Outgoing::Depth(index, image) => Some(Outgoing::BackgroundDepth(index, image)),
        _ => None,
    };
    frame_messages(index, camera, stamp_ns, frame, depth_unit_m).into_iter().filter_map(as_background).collect()
}
