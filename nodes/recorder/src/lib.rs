//! Recorder node: everything the cell says, as MCAP and `metadata.yaml`, the way `ros2 bag` writes them.
//!
//! Callbacks put an `Arc` into a queue bounded in bytes and return; one thread encodes, compresses and writes. When the
//! disk cannot follow, images are dropped and counted; when it is full, recording ends and the cell goes on.

mod params;
mod queue;
mod recorder;
mod topics;
mod writing;

pub use params::RecorderParams;
pub use recorder::Recorder;
pub use topics::recordable_types;
