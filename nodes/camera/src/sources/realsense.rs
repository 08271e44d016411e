//! The door for RealSense cameras: [`open`] is where their [`crate::source::Source`] will come from.

use node_kit::NodeError;

/// Says that there is no driver inside, and what works today.
pub(crate) fn open() -> NodeError {
    let build = if cfg!(feature = "realsense") {
        "the RealSense driver is not part of this version"
    } else {
        "this build has no RealSense support (cargo feature `realsense`)"
    };
    NodeError::msg(format!("source `realsense`: {build}; run the realsense2_camera node and set source to `topics`"))
}
