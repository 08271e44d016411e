//! The writer's thread: encodes, writes, flushes, and says what it could not keep.

use std::time::{Duration, Instant};

use bag::{BagError, BagWriter, TopicSpec};
use intact_msgs::msg::CellEvent;
use node_kit::{Ports, Stop};

use crate::queue::Queue;
use crate::topics::Entry;

/// How long the thread sleeps when there is nothing to write.
const IDLE: Duration = Duration::from_millis(50);

/// Messages from before time began that are kept, at most, …
const MAX_EARLY: usize = 10_000;
/// … and their bytes.
const MAX_EARLY_BYTES: usize = 64 << 20;

/// What the thread works with.
pub(crate) struct Writing {
    pub ports: Ports,
    pub queue: Queue,
    /// By index of the topic, with its resolved name.
    pub topics: Vec<(String, TopicSpec<'static>)>,
    pub flush_period: Duration,
    /// `None` once recording has ended before its time.
    pub writer: Option<BagWriter>,
    /// What came before simulated time began; it is logged at the first time that there is, else a bag would begin in 1970.
    pub timeless: Vec<Entry>,
}

impl Writing {
    /// Writes until told to stop, then what still waits, then ends the bag.
    pub(crate) fn run(mut self, stop: &Stop) {
        let mut flushed = Instant::now();
        loop {
            let is_last_round = stop.is_set();
            while let Some(entry) = self.queue.pop(if is_last_round { Duration::ZERO } else { IDLE }) {
                // The token that comes with the entry is held until the message is written: lockstep waits for it.
                let (entry, _token) = entry.into_parts();
                self.write(entry);
                if flushed.elapsed() >= self.flush_period || (stop.is_set() && !is_last_round) {
                    break;
                }
            }
            if is_last_round {
                break;
            }
            if flushed.elapsed() >= self.flush_period {
                self.flush();
                self.report_drops();
                flushed = Instant::now();
            }
        }
        self.report_drops();
        self.finish();
    }

    fn write(&mut self, entry: Entry) {
        if entry.log_time_ns <= 0 {
            return self.keep_early(entry);
        }
        for early in std::mem::take(&mut self.timeless) {
            self.write_at(entry.log_time_ns, early);
        }
        self.write_at(entry.log_time_ns, entry);
    }

    /// Time may never begin: what waits for it is bounded as the queue is.
    fn keep_early(&mut self, entry: Entry) {
        let waiting: usize = self.timeless.iter().map(|e| e.bytes).sum();
        if self.timeless.len() < MAX_EARLY && waiting + entry.bytes <= MAX_EARLY_BYTES {
            self.timeless.push(entry);
        } else {
            self.queue.drop_late(&entry);
        }
    }

    fn write_at(&mut self, log_time_ns: i64, entry: Entry) {
        let (Some(writer), Some((name, spec))) = (self.writer.as_mut(), self.topics.get(entry.topic)) else {
            return;
        };
        let cdr = match (entry.encode)() {
            Ok(cdr) => cdr,
            Err(reason) => {
                return self.ports.diagnostics.warn(format!("a message of {name} cannot be encoded and is not recorded: {reason}"));
            }
        };
        match writer.write_cdr(&TopicSpec { name, ..*spec }, log_time_ns, &cdr) {
            Ok(()) => self.ports.diagnostics.count("recorded", 1),
            Err(error) => self.end_early(&error),
        }
    }

    fn flush(&mut self) {
        let Some(writer) = self.writer.as_mut() else { return };
        match writer.flush() {
            Ok(()) => self.ports.diagnostics.set("bytes", writer.bytes()),
            Err(error) => self.end_early(&error),
        }
    }

    /// Recording ends, the cell goes on: what arrives from now on is not kept.
    fn end_early(&mut self, error: &BagError) {
        self.writer = None;
        self.queue.set_open(false);
        self.ports.diagnostics.error(format!("recording has stopped: {error}"));
    }

    /// New drops, one event a topic: a replay must know what is missing.
    fn report_drops(&self) {
        for (topic, (name, _)) in self.topics.iter().enumerate() {
            let lost = self.queue.newly_dropped(topic);
            if lost > 0 {
                let why = "the disk is too slow, or simulated time does not begin";
                let detail = format!("recorder: {lost} messages of {name} not recorded: {why}");
                self.ports.event(CellEvent::FRAME_DROPPED, "", self.ports.node.clock().now(), &detail);
            }
        }
    }

    fn finish(mut self) {
        for early in std::mem::take(&mut self.timeless) {
            self.write_at(0, early);
        }
        let Some(writer) = self.writer.take() else { return };
        let dir = writer.dir().display().to_string();
        match writer.finish() {
            Ok(written) => tracing::info!(dir, messages = written.messages, bytes = written.bytes, "recorded"),
            Err(error) => self.ports.diagnostics.error(format!("the recording is not complete: {error}")),
        }
    }
}
