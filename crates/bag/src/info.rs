//! What a bag holds, at a glance.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::{Bag, BagError, QosProfile};

/// Summary of a bag, as `intact bag info` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// Where it lies.
    pub path: String,
    /// `mcap` or `sqlite3`.
    pub format: &'static str,
    /// Files read.
    pub files: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// Messages in all.
    pub messages: u64,
    /// First log time, nanoseconds since the epoch; `None` for an empty bag.
    pub start_ns: Option<i64>,
    /// Last log time.
    pub end_ns: Option<i64>,
    /// Between the two, seconds.
    pub duration_s: f64,
    /// By name.
    pub topics: Vec<TopicSummary>,
    /// Free entries of `metadata.yaml`.
    pub custom_data: BTreeMap<String, String>,
    /// What is missing or damaged, a sentence each.
    pub problems: Vec<String>,
}

/// One topic of a bag.
#[derive(Debug, Clone, Serialize)]
pub struct TopicSummary {
    /// Absolute name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Messages.
    pub messages: u64,
    /// What its publishers offered.
    pub offered_qos: Vec<QosProfile>,
    /// `RIHS01_…`, empty when the bag does not say.
    pub type_hash: String,
}

/// Summarises the bag at `path` without reading its messages (a file without its end is walked through once).
///
/// # Errors
/// As [`Bag::open`].
pub fn info(path: &Path) -> Result<Info, BagError> {
    let bag = Bag::open(path)?;
    let span_ns = bag.span_ns();
    let topics = bag.topics().iter().map(|t| TopicSummary {
        name: t.name.clone(),
        type_name: t.type_name.clone(),
        messages: t.messages,
        offered_qos: t.offered_qos.clone(),
        type_hash: t.type_hash.clone(),
    });
    Ok(Info {
        path: path.display().to_string(),
        format: bag.format(),
        files: bag.file_count(),
        bytes: bag.bytes(),
        messages: bag.message_count(),
        start_ns: span_ns.map(|s| s.0),
        end_ns: span_ns.map(|s| s.1),
        duration_s: span_ns.map_or(0.0, |(start, end)| end.saturating_sub(start) as f64 * 1e-9),
        topics: topics.collect(),
        custom_data: bag.custom_data(),
        problems: bag.problems(),
    })
}
