//! The interfaces of the ROS package `intact_msgs` as Rust types.
//!
//! The definitions stand in `msg/`, `srv/` and `action/` beside this crate; their comments are the documentation here.

include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
