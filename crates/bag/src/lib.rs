//! ROS 2 bags: MCAP and SQLite read, MCAP written, described, checked, and made from folders of captures.
//!
//! Reading: [`Bag::open`] takes a bag's folder or one of its files; [`Bag::messages`] streams in log-time order.
//! Writing: [`BagWriter`] writes what `ros2 bag record --storage mcap` of Jazzy writes.
//! Nothing here needs ROS, a clock or a thread.

mod check;
mod check_camera;
mod counting_file;
mod error;
mod header;
mod import;
mod info;
mod locate;
mod mcap_file;
mod metadata;
mod qos;
mod reader;
mod sqlite_file;
mod storage;
mod streams;
mod writer;

pub use check::{Finding, Report, Severity, TopicReport, check};
pub use check_camera::CameraReport;
pub use error::BagError;
pub use import::{IMPORT_EPOCH_NS, ImportOptions, Imported, import, import_folder};
pub use info::{Info, TopicSummary, info};
pub use qos::{Durability, QosProfile, Reliability};
pub use reader::{Bag, BagMessage, Messages, ReadOptions, TopicInfo};
pub use streams::{Form, Stream, form_of, recognise};
pub use writer::{BagWriter, Compression, TopicSpec, WriterOptions, Written};
