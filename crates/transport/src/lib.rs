//! The one crate that knows ROS: topics, services, actions, parameters and time.
//!
//! A node is written once, against [`Node`]; which of the carriers moves its messages is decided by
//! [`ContextOptions`]:
//!
//! | carrier | within the process | beyond it |
//! |---|---|---|
//! | [`Carrier::InProcess`] | `Arc`, nothing copied or serialised | nothing |
//! | [`Carrier::Dds`] | the same | CDR over `ros2-client`/`rustdds`, no ROS installation |
//! | [`Carrier::R2r`] | the same | CDR over a sourced ROS 2 (cargo feature `r2r`) |
//!
//! Within a process every carrier delivers by `Arc`; beyond it a message is CDR bytes and a type name,
//! made only when a reader in another participant is matched ([`Context::counters`] proves it).
//!
//! ```
//! use ros_interfaces::std_msgs::msg::String as RosString;
//! use transport::{Context, ContextOptions, NodeOptions, Qos};
//!
//! let context = Context::new(ContextOptions::in_process())?;
//! let node = context.node(NodeOptions::new("talker"))?;
//! let _heard = node.subscribe("chatter", Qos::event(), |message: std::sync::Arc<RosString>| {
//!     assert_eq!(message.data, "hello");
//! })?;
//! let publisher = node.publisher::<RosString>("chatter", Qos::event())?;
//! publisher.publish(RosString { data: "hello".into() })?;
//! # Ok::<(), transport::TransportError>(())
//! ```

pub mod action;
pub mod activity;
mod carriers;
pub mod clock;
pub mod context;
pub mod counters;
pub mod error;
pub mod names;
pub mod node;
pub mod parameters;
pub mod qos;
pub mod ros_args;
pub mod service;
pub mod suggest;
mod sync;
pub mod topic;

/// What the r2r carrier must be told at compile time (cargo feature `r2r`).
#[cfg(feature = "r2r")]
pub mod r2r {
    pub use crate::carriers::r2r::glue::{carry_action, carry_service};

    #[cfg(feature = "r2r-doc-only")]
    pub use crate::carriers::r2r::glue::carry_examples;
}

pub use action::{ActionClient, ActionOutcome, ActionServer, ActionServerHandle, ActiveGoal, GoalHandle, GoalId};
pub use activity::{Activity, Token};
pub use clock::Clock;
pub use context::{Carrier, Context, ContextOptions, DiscoveryRange};
pub use counters::TopicCounters;
pub use error::{ActionError, CallError, ParameterError, TransportError};
pub use names::Remap;
pub use node::{Node, NodeOptions};
pub use parameters::{ParameterServer, ParameterSpec, ParameterValue, Range};
pub use qos::{Durability, Qos, Reliability};
pub use ros_args::RosArgs;
pub use service::{Client, ServiceServer};
pub use topic::{Publisher, Subscription};
