//! What happened on each topic: the proof that nothing is copied or serialised without need.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one topic in this process since it was first used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicCounters {
    /// Fully qualified name, e.g. `/camera/color/image_raw`.
    pub topic: String,
    /// ROS type name, e.g. `sensor_msgs/msg/Image`.
    pub type_name: String,
    /// Messages given to publishers of this process.
    pub published: u64,
    /// Callbacks of this process that were handed a message published in this process (an `Arc`, no copy).
    pub delivered_in_process: u64,
    /// Messages turned into CDR because a reader in another participant was matched.
    pub serialised: u64,
    /// CDR bytes handed to the carrier.
    pub sent_bytes: u64,
    /// Messages that arrived from other participants, well formed or not.
    pub received: u64,
    /// Messages from other participants that were not valid CDR of the type; they are dropped.
    pub decode_errors: u64,
}

/// The counters of one topic while it is in use.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: AtomicU64,
    pub(crate) delivered_in_process: AtomicU64,
    pub(crate) serialised: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) decode_errors: AtomicU64,
}

impl Tally {
    /// Adds `n` to a counter.
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// The counts now.
    pub(crate) fn snapshot(&self, topic: &str, type_name: &str) -> TopicCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TopicCounters {
            topic: topic.to_owned(),
            type_name: type_name.to_owned(),
            published: read(&self.published),
            delivered_in_process: read(&self.delivered_in_process),
            serialised: read(&self.serialised),
            sent_bytes: read(&self.sent_bytes),
            received: read(&self.received),
            decode_errors: read(&self.decode_errors),
        }
    }
}
