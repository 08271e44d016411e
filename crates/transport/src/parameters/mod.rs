//! Parameters: typed, ranged, described; the same for every carrier.
//!
//! [`ParameterServer`] is a node's store and serves the six `rcl_interfaces` services under the node's name
//! and `/parameter_events`. Files in ROS's own format are read by [`crate::ros_args`].

mod server;
mod services;
mod value;

pub use server::ParameterServer;
pub use value::{ParameterSpec, ParameterValue, Range};
