//! The standard ROS 2 interfaces that intact speaks, as plain Rust types with their CDR form.
//!
//! The definitions stand in `interfaces/<package>/{msg,srv,action}`; `build.rs` turns them into the modules below:
//! `ros_interfaces::sensor_msgs::msg::Image`, `ros_interfaces::std_srvs::srv::Trigger`.

pub mod cdr;
mod time;
mod traits;

pub use cdr::CdrError;
pub use traits::{Action, Message, Service};

include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
