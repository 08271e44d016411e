//! What an operator sees: the one crate that knows Rerun.
//!
//! [`Scene::open`] takes where to show it ([`Sinks`]: a `.rrd` file, a running viewer, an offline web viewer on loopback) and lays
//! out the windows. Then plain values go in: pictures, scores, verdicts, poses. ROS is not known here.
//!
//! Two timelines order everything: `ros_time` (stamps) and `item` (one step an item).

mod cloud;
mod error;
mod frames;
mod layout;
mod picture;
mod robot;
mod scene;
mod sinks;
mod values;
mod words;

pub use error::SceneError;
pub use scene::{Options, Scene};
pub use sinks::{Serve, Sinks};
pub use values::{Comparison, FrameTransform, ItemBox, JudgedItem, Level, Moment, Verdict};
