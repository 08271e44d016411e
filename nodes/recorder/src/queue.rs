//! The queue between the callbacks and the writer: bounded in bytes, and never in the line's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use node_kit::{Handled, Inbox, Mode};
use transport::Activity;

use crate::topics::Entry;

/// Below this many bytes a message is never dropped for lack of memory: arrivals, decisions and events are what a replay
/// needs most, and cost nothing beside images.
const SMALL_BYTES: usize = 64 << 10;
/// More messages than this wait only when the writer has stopped.
const MAX_MESSAGES: usize = 200_000;

/// A queue of messages to be written. Clones share it.
#[derive(Clone)]
pub(crate) struct Queue {
    inbox: Inbox<Entry>,
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mode,
    limit_bytes: usize,
    bytes: AtomicUsize,
    is_open: AtomicBool,
    /// Dropped messages, by topic.
    dropped: Vec<AtomicU64>,
    /// Of these, those that were told, by topic: each recording tells its own.
    told: Vec<AtomicU64>,
}

impl Queue {
    /// A queue for messages of `topics` topics that holds up to `limit_bytes`.
    pub(crate) fn new(topics: usize, limit_bytes: usize, mode: Mode, activity: &Activity) -> Self {
        let shared = Shared {
            mode,
            limit_bytes,
            bytes: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            dropped: (0..topics).map(|_| AtomicU64::new(0)).collect(),
            told: (0..topics).map(|_| AtomicU64::new(0)).collect(),
        };
        Self { inbox: Inbox::new(MAX_MESSAGES, mode, activity), shared: Arc::new(shared) }
    }

    /// Puts a message in. Live and above the limit a large one is dropped and counted; in lockstep none is.
    pub(crate) fn push(&self, entry: Entry) {
        let shared = &self.shared;
        if !shared.is_open.load(Ordering::Acquire) {
            return;
        }
        let bytes = entry.bytes;
        let before = shared.bytes.fetch_add(bytes, Ordering::AcqRel);
        let is_over = shared.mode == Mode::Live && bytes > SMALL_BYTES && before + bytes > shared.limit_bytes;
        let out = if is_over { Some(entry) } else { self.inbox.push(entry) };
        if let Some(out) = out {
            shared.bytes.fetch_sub(out.bytes, Ordering::AcqRel);
            if let Some(count) = shared.dropped.get(out.topic) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The oldest message; waits up to `timeout`.
    pub(crate) fn pop(&self, timeout: Duration) -> Option<Handled<Entry>> {
        let entry = self.inbox.recv_timeout(timeout)?;
        self.shared.bytes.fetch_sub(entry.bytes, Ordering::AcqRel);
        Some(entry)
    }

    /// Counts a message that the writer could not keep.
    pub(crate) fn drop_late(&self, entry: &Entry) {
        if let Some(count) = self.shared.dropped.get(entry.topic) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether new messages are taken.
    pub(crate) fn set_open(&self, is_open: bool) {
        self.shared.is_open.store(is_open, Ordering::Release);
    }

    /// Dropped messages of a topic so far.
    pub(crate) fn dropped(&self, topic: usize) -> u64 {
        self.shared.dropped.get(topic).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Dropped messages of a topic since this was last asked.
    pub(crate) fn newly_dropped(&self, topic: usize) -> u64 {
        let now = self.dropped(topic);
        self.shared.told.get(topic).map_or(0, |told| now.saturating_sub(told.swap(now, Ordering::Relaxed)))
    }

    /// Dropped messages of all topics so far.
    pub(crate) fn dropped_in_all(&self) -> u64 {
        self.shared.dropped.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(topic: usize, bytes: usize) -> Entry {
        Entry { topic, log_time_ns: 0, bytes, encode: Box::new(|| Ok(Vec::new())) }
    }

    #[test]
    fn images_are_dropped_above_the_limit_and_events_are_not() {
        let queue = Queue::new(2, 1_000_000, Mode::Live, &Activity::default());
        (0..10).for_each(|_| queue.push(entry(0, 300_000)));
        (0..10).for_each(|_| queue.push(entry(1, 500)));
        assert_eq!((queue.dropped(0), queue.dropped(1), queue.dropped_in_all()), (7, 0, 7));
        assert_eq!([0, 0, 1].map(|topic| queue.newly_dropped(topic)), [7, 0, 0], "told once");
        let waiting: Vec<usize> = std::iter::from_fn(|| queue.pop(Duration::ZERO)).map(|e| e.topic).collect();
        assert_eq!(waiting, [[0; 3].as_slice(), &[1; 10]].concat());
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn lockstep_drops_nothing() {
        let queue = Queue::new(1, 1, Mode::Lockstep, &Activity::default());
        (0..10).for_each(|_| queue.push(entry(0, 300_000)));
        assert_eq!((queue.dropped_in_all(), queue.bytes()), (0, 3_000_000));
    }

    #[test]
    fn a_closed_queue_holds_no_work() {
        let activity = Activity::default();
        let queue = Queue::new(1, 1000, Mode::Lockstep, &activity);
        queue.set_open(false);
        queue.push(entry(0, 10));
        assert_eq!((activity.active(), queue.bytes()), (0, 0));
    }
}
