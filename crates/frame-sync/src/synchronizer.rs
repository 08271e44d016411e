//! The synchroniser: order checks and accounts around one of the two policies.

use crate::approximate::{Approximate, ApproximateOptions};
use crate::drift::Drift;
use crate::exact::Exact;

/// A value and when it was taken, nanoseconds of ROS time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<T> {
    /// ROS time, nanoseconds.
    pub stamp_ns: i64,
    /// What was taken then.
    pub value: T,
}

/// How values of different streams belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Stamps must be equal.
    Exact,
    /// Stamps must be as close together as possible; see [`ApproximateOptions`].
    Approximate(ApproximateOptions),
}

/// Settings of a [`Synchronizer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How values belong together.
    pub policy: Policy,
    /// Values held back a stream at most, at least 1.
    pub queue: usize,
    /// A stamp that lies at least this far before its stream's last one means that the clock was set back (a bag began
    /// anew): everything is forgotten. A smaller step back is one late message, which is dropped.
    pub jump_back_ns: i64,
}

/// Half a second: longer than a network delays a message, shorter than any bag worth looping.
const DEFAULT_JUMP_BACK_NS: i64 = 500_000_000;

impl Options {
    /// Equal stamps, `queue` values a stream.
    pub fn exact(queue: usize) -> Self {
        Self { policy: Policy::Exact, queue, jump_back_ns: DEFAULT_JUMP_BACK_NS }
    }

    /// Close stamps with `message_filters`' defaults, `queue` values a stream.
    pub fn approximate(queue: usize) -> Self {
        Self { policy: Policy::Approximate(ApproximateOptions::default()), queue, jump_back_ns: DEFAULT_JUMP_BACK_NS }
    }

    /// Sets that span more than `max_interval_ns` are not considered. No effect on exact synchronisation.
    #[must_use]
    pub fn with_max_interval_ns(mut self, max_interval_ns: i64) -> Self {
        if let Policy::Approximate(options) = &mut self.policy {
            options.max_interval_ns = Some(max_interval_ns);
        }
        self
    }
}

/// Why a synchroniser cannot be made or fed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Nothing to bring together.
    #[error("a synchroniser needs at least one stream; name at least one camera")]
    NoStreams,
    /// A queue of zero can hold nothing.
    #[error("the synchroniser's queue must hold at least 1 message per stream")]
    NoQueue,
    /// An option is out of its range.
    #[error("synchroniser option `{name}` is out of range: {problem}")]
    Option {
        /// Field of the options.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The stream does not exist.
    #[error("stream {stream} does not exist: this synchroniser has {streams}")]
    NoSuchStream {
        /// As asked for.
        stream: usize,
        /// How many there are, counted from 0.
        streams: usize,
    },
}

/// One value of each stream that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T> {
    /// One member a stream, in the order of the streams.
    pub members: Vec<Stamped<T>>,
}

impl<T> Set<T> {
    /// The members without their stamps.
    pub fn values(self) -> Vec<T> {
        self.members.into_iter().map(|m| m.value).collect()
    }

    /// The stamps, in the order of the streams.
    pub fn stamps_ns(&self) -> Vec<i64> {
        self.members.iter().map(|m| m.stamp_ns).collect()
    }

    /// Latest minus earliest stamp.
    pub fn span_ns(&self) -> i64 {
        let stamps = || self.members.iter().map(|m| m.stamp_ns);
        match (stamps().min(), stamps().max()) {
            (Some(first), Some(last)) => last.saturating_sub(first),
            _ => 0,
        }
    }
}

/// Why a value will never be part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A later set was complete or better before this value found its partners.
    Unmatched,
    /// The stream's queue was full.
    Overflow,
    /// Same stamp as the stream's previous value.
    Duplicate,
    /// A little older than the stream's previous value.
    OutOfOrder,
    /// The clock was set back while it waited.
    Reset,
}

/// A value that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its stream.
    pub stream: usize,
    /// Its stamp, nanoseconds.
    pub stamp_ns: i64,
    /// Why.
    pub reason: DropReason,
}

/// What one [`Synchronizer::push`] brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed<T> {
    /// Sets that are now complete, oldest first.
    pub sets: Vec<Set<T>>,
    /// Values that were given up.
    pub dropped: Vec<Dropped>,
    /// True when the clock was seen to have been set back.
    pub reset: bool,
}

impl<T> Default for Pushed<T> {
    fn default() -> Self {
        Self { sets: Vec::new(), dropped: Vec::new(), reset: false }
    }
}

/// Account of one stream. `received = in sets + every kind of drop + still waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Values pushed.
    pub received: u64,
    /// Values that became part of a set.
    pub in_sets: u64,
    /// See [`DropReason::Unmatched`].
    pub unmatched: u64,
    /// See [`DropReason::Overflow`].
    pub overflow: u64,
    /// See [`DropReason::Duplicate`].
    pub duplicates: u64,
    /// See [`DropReason::OutOfOrder`].
    pub out_of_order: u64,
    /// See [`DropReason::Reset`].
    pub lost_in_reset: u64,
    /// How often this stream's stamps jumped back.
    pub resets: u64,
}

impl StreamCounters {
    /// Values given up, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.unmatched + self.overflow + self.duplicates + self.out_of_order + self.lost_in_reset
    }

    fn count(&mut self, reason: DropReason) {
        *match reason {
            DropReason::Unmatched => &mut self.unmatched,
            DropReason::Overflow => &mut self.overflow,
            DropReason::Duplicate => &mut self.duplicates,
            DropReason::OutOfOrder => &mut self.out_of_order,
            DropReason::Reset => &mut self.lost_in_reset,
        } += 1;
    }
}

#[derive(Debug)]
enum Matcher<T> {
    Exact(Exact<T>),
    Approximate(Approximate<T>),
}

/// Brings values of N streams together by their stamps. See the crate's documentation.
#[derive(Debug)]
pub struct Synchronizer<T> {
    matcher: Matcher<T>,
    jump_back_ns: i64,
    last_ns: Vec<Option<i64>>,
    counters: Vec<StreamCounters>,
    drift: Drift,
}

impl<T> Synchronizer<T> {
    /// A synchroniser of `streams` streams, numbered from 0.
    ///
    /// # Errors
    /// When there is no stream, no queue, or an option is out of range.
    pub fn new(streams: usize, options: Options) -> Result<Self, SyncError> {
        if streams == 0 {
            return Err(SyncError::NoStreams);
        }
        if options.queue == 0 {
            return Err(SyncError::NoQueue);
        }
        if options.jump_back_ns <= 0 {
            return Err(SyncError::Option { name: "jump_back_ns", problem: "it must be above 0" });
        }
        let matcher = match options.policy {
            Policy::Exact => Matcher::Exact(Exact::new(streams, options.queue)),
            Policy::Approximate(approximate) => Matcher::Approximate(Approximate::new(streams, options.queue, approximate)?),
        };
        Ok(Self {
            matcher,
            jump_back_ns: options.jump_back_ns,
            last_ns: vec![None; streams],
            counters: vec![StreamCounters::default(); streams],
            drift: Drift::new(streams),
        })
    }

    /// Takes the next value of a stream.
    ///
    /// # Errors
    /// When the stream does not exist.
    pub fn push(&mut self, stream: usize, stamp_ns: i64, value: T) -> Result<Pushed<T>, SyncError> {
        let streams = self.last_ns.len();
        let (Some(last_ns), Some(counters)) = (self.last_ns.get(stream).copied(), self.counters.get_mut(stream)) else {
            return Err(SyncError::NoSuchStream { stream, streams });
        };
        counters.received += 1;
        let mut pushed = Pushed::default();
        match last_ns {
            Some(last) if stamp_ns == last => pushed.dropped.push(Dropped { stream, stamp_ns, reason: DropReason::Duplicate }),
            Some(last) if stamp_ns < last && last.saturating_sub(stamp_ns) < self.jump_back_ns => {
                pushed.dropped.push(Dropped { stream, stamp_ns, reason: DropReason::OutOfOrder });
            }
            Some(last) if stamp_ns < last => {
                counters.resets += 1;
                self.forget(&mut pushed);
                self.accept(stream, Stamped { stamp_ns, value }, &mut pushed);
            }
            _ => self.accept(stream, Stamped { stamp_ns, value }, &mut pushed),
        }
        self.account(&pushed);
        Ok(pushed)
    }

    /// Forgets what waits and the order of stamps, as after a jump of the clock. Counters stay.
    pub fn reset(&mut self) -> Vec<Dropped> {
        let mut pushed = Pushed::default();
        self.forget(&mut pushed);
        self.account(&pushed);
        pushed.dropped
    }

    /// Number of streams.
    pub fn streams(&self) -> usize {
        self.last_ns.len()
    }

    /// Accounts, in the order of the streams.
    pub fn counters(&self) -> &[StreamCounters] {
        &self.counters
    }

    /// How far the streams lie apart inside the last sets.
    pub fn drift(&self) -> &Drift {
        &self.drift
    }

    /// Values that wait, in the order of the streams.
    pub fn waiting(&self) -> Vec<usize> {
        match &self.matcher {
            Matcher::Exact(exact) => exact.waiting(),
            Matcher::Approximate(approximate) => approximate.waiting(),
        }
    }

    fn accept(&mut self, stream: usize, message: Stamped<T>, pushed: &mut Pushed<T>) {
        if let Some(last) = self.last_ns.get_mut(stream) {
            *last = Some(message.stamp_ns);
        }
        match &mut self.matcher {
            Matcher::Exact(exact) => exact.add(stream, message, pushed),
            Matcher::Approximate(approximate) => approximate.add(stream, message, pushed),
        }
    }

    fn forget(&mut self, pushed: &mut Pushed<T>) {
        pushed.reset = true;
        self.last_ns.fill(None);
        self.drift.clear();
        match &mut self.matcher {
            Matcher::Exact(exact) => exact.clear(pushed),
            Matcher::Approximate(approximate) => approximate.clear(pushed),
        }
    }

    fn account(&mut self, pushed: &Pushed<T>) {
        for dropped in &pushed.dropped {
            if let Some(counters) = self.counters.get_mut(dropped.stream) {
                counters.count(dropped.reason);
            }
        }
        for set in &pushed.sets {
            for counters in &mut self.counters {
                counters.in_sets += 1;
            }
            self.drift.add(&set.stamps_ns());
        }
    }
}
