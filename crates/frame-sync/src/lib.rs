//! Time synchronisation of N stamped streams, after the semantics that ROS's `message_filters` documents.
//!
//! A [`Synchronizer`] takes values with stamps, a stream at a time, and gives back sets of one value a stream:
//! [`Policy::Exact`] when all stamps are equal, [`Policy::Approximate`] when they are as close together as they will
//! ever be. [`FrameAssembler`] is the same for colour, depth and camera_info of several cameras.
//!
//! Everything is values in, values out: no clock, no ROS, no threads. Memory is bounded by `queue` values a stream.
//! What is not part of a set is reported and counted, never lost silently; [`Drift`] says how far the streams lie
//! apart inside the sets, and where that is going.
//!
//! ```
//! use frame_sync::{Options, Synchronizer};
//! let mut sync = Synchronizer::new(2, Options::exact(10))?;
//! assert!(sync.push(0, 100, "colour")?.sets.is_empty());
//! let set = sync.push(1, 100, "depth")?.sets.remove(0);
//! assert_eq!(set.values(), ["colour", "depth"]);
//! # Ok::<(), frame_sync::SyncError>(())
//! ```

mod approximate;
mod drift;
mod exact;
mod frames;
mod synchronizer;

pub use approximate::ApproximateOptions;
pub use drift::{DRIFT_WINDOW_SETS, Drift, StreamDrift};
pub use frames::{AssemblerOptions, CameraFrame, FrameAssembler, FrameStream, FramesPushed};
pub use synchronizer::{DropReason, Dropped, Options, Policy, Pushed, Set, Stamped, StreamCounters, SyncError, Synchronizer};
