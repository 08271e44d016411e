//! Approximate time: sets whose stamps lie as close together as possible.
//!
//! Written from the properties that `message_filters` documents for ApproximateTime: a value is used once; sets do not
//! cross; a set is the smallest of those that are contiguous to the one before; the outcome depends on stamps alone,
//! not on the order in which streams deliver.
//!
//! How it works. With a value waiting in every stream, the stream whose oldest value is the latest holds the *pivot*:
//! each set contiguous to the last one is made worse by leaving the pivot out, so the best one contains it. All sets
//! worth considering are then `set(s)`, the first value of every stream stamped at or after `s`, where `s` runs over
//! the stamps up to the pivot's. A later one must beat the best so far even after its gain is weighed against the age
//! penalty. Values that have not come yet are bounded from below (a stream is in order, and may keep a minimal
//! distance): when even the bound cannot win, the best set so far is final and goes out.

use std::collections::VecDeque;

use crate::synchronizer::{DropReason, Dropped, Pushed, Set, Stamped, SyncError};

/// Settings of approximate synchronisation, with `message_filters`' names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproximateOptions {
    /// A later set must be better by this factor to be preferred; at least 0. 0.1 gives sets out early.
    pub age_penalty: f64,
    /// Sets that span more are not considered.
    pub max_interval_ns: Option<i64>,
    /// The least distance between two values of a stream, one a stream, or empty when nothing is known (0). A right bound
    /// does not change the sets, it gives them out earlier. Half the frame period suits a camera.
    pub inter_message_lower_bound_ns: Vec<i64>,
}

impl Default for ApproximateOptions {
    fn default() -> Self {
        Self { age_penalty: 0.1, max_interval_ns: None, inter_message_lower_bound_ns: Vec::new() }
    }
}

#[derive(Debug)]
struct Stream<T> {
    queue: VecDeque<Stamped<T>>,
    last_ns: i64,
    lower_bound_ns: i64,
    /// It lost a value to overflow, and with it perhaps a better set: it may not hold the pivot until it has been
    /// overtaken by another stream.
    lossy: bool,
}

#[derive(Debug)]
pub(crate) struct Approximate<T> {
    streams: Vec<Stream<T>>,
    queue: usize,
    age_factor: f64,
    max_interval_ns: Option<i64>,
    /// Stamp of the pivot, once there is one. The heads of the queues are then the best set so far.
    pivot_ns: Option<i64>,
}

/// Earliest and latest stamp of a set, and the streams they come from.
#[derive(Clone, Copy, Debug)]
struct Span {
    start_ns: i64,
    start_stream: usize,
    end_ns: i64,
    end_stream: usize,
}

impl<T> Approximate<T> {
    pub(crate) fn new(streams: usize, queue: usize, options: ApproximateOptions) -> Result<Self, SyncError> {
        let out_of_range = |name, problem| Err(SyncError::Option { name, problem });
        let bounds = options.inter_message_lower_bound_ns;
        if !(options.age_penalty.is_finite() && options.age_penalty >= 0.0) {
            return out_of_range("age_penalty", "it must be 0 or more");
        }
        if options.max_interval_ns.is_some_and(|ns| ns < 0) {
            return out_of_range("max_interval_ns", "it must be 0 or more");
        }
        if !bounds.is_empty() && bounds.len() != streams {
            return out_of_range("inter_message_lower_bound_ns", "give one bound per stream, or none at all");
        }
        if bounds.iter().any(|ns| *ns < 0) {
            return out_of_range("inter_message_lower_bound_ns", "every bound must be 0 or more");
        }
        let stream = |index| Stream {
            queue: VecDeque::new(),
            last_ns: i64::MIN,
            lower_bound_ns: bounds.get(index).copied().unwrap_or(0),
            lossy: false,
        };
        Ok(Self {
            streams: (0..streams).map(stream).collect(),
            queue,
            age_factor: 1.0 + options.age_penalty,
            max_interval_ns: options.max_interval_ns,
            pivot_ns: None,
        })
    }

    pub(crate) fn add(&mut self, stream: usize, message: Stamped<T>, pushed: &mut Pushed<T>) {
        let Some(into) = self.streams.get_mut(stream) else { return };
        into.last_ns = message.stamp_ns;
        into.queue.push_back(message);
        self.give_out(pushed);
        let Some(into) = self.streams.get_mut(stream) else { return };
        if into.queue.len() > self.queue {
            into.lossy = true;
            self.pivot_ns = None;
            self.drop_head(stream, DropReason::Overflow, pushed);
            self.give_out(pushed);
        }
    }

    pub(crate) fn clear(&mut self, pushed: &mut Pushed<T>) {
        self.pivot_ns = None;
        for (index, stream) in self.streams.iter_mut().enumerate() {
            stream.lossy = false;
            stream.last_ns = i64::MIN;
            let gone = |m: Stamped<T>| Dropped { stream: index, stamp_ns: m.stamp_ns, reason: DropReason::Reset };
            pushed.dropped.extend(stream.queue.drain(..).map(gone));
        }
    }

    pub(crate) fn waiting(&self) -> Vec<usize> {
        self.streams.iter().map(|s| s.queue.len()).collect()
    }

    /// Gives out every set that is final.
    fn give_out(&mut self, pushed: &mut Pushed<T>) {
        while let Some(heads) = self.heads() {
            if self.pivot_ns.is_none() && !self.may_start_from(heads) {
                self.drop_head(heads.start_stream, DropReason::Unmatched, pushed);
                continue;
            }
            let pivot_ns = *self.pivot_ns.get_or_insert(heads.end_ns);
            let (best_start_ns, is_final) = self.best_start(heads, pivot_ns);
            self.drop_before(best_start_ns, pushed);
            if !is_final {
                return;
            }
            self.pivot_ns = None;
            let members = self.streams.iter_mut().filter_map(|s| s.queue.pop_front()).collect();
            pushed.sets.push(Set { members });
        }
    }

    /// The set of the oldest values; `None` while a stream has none.
    fn heads(&self) -> Option<Span> {
        let mut span: Option<Span> = None;
        for (index, stream) in self.streams.iter().enumerate() {
            let stamp_ns = stream.queue.front()?.stamp_ns;
            let span = span.get_or_insert(Span { start_ns: stamp_ns, start_stream: index, end_ns: stamp_ns, end_stream: index });
            if stamp_ns < span.start_ns {
                (span.start_ns, span.start_stream) = (stamp_ns, index);
            }
            if stamp_ns > span.end_ns {
                (span.end_ns, span.end_stream) = (stamp_ns, index);
            }
        }
        span
    }

    /// Whether a search may begin with the oldest values: they lie close enough, and the pivot's stream has not just
    /// lost a value that could have made a better set.
    fn may_start_from(&mut self, heads: Span) -> bool {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            if index != heads.end_stream {
                stream.lossy = false;
            }
        }
        let too_wide = self.max_interval_ns.is_some_and(|max| heads.end_ns.saturating_sub(heads.start_ns) > max);
        let pivot_lossy = self.streams.get(heads.end_stream).is_some_and(|s| s.lossy);
        !too_wide && !pivot_lossy
    }

    /// The start `s` of the best `set(s)` up to the pivot, and whether nothing that is still to come can beat it.
    fn best_start(&self, heads: Span, pivot_ns: i64) -> (i64, bool) {
        let (mut best_start_ns, mut best_end_ns) = (heads.start_ns, heads.end_ns);
        let mut starts: Vec<i64> = self.streams.iter().flat_map(|s| s.queue.iter().map(|m| m.stamp_ns)).collect();
        starts.retain(|s| *s > best_start_ns && *s <= pivot_ns);
        starts.sort_unstable();
        starts.dedup();
        for start_ns in starts {
            let (end_ns, complete) = self.end_of_set(start_ns, pivot_ns);
            let wins = difference(end_ns, best_end_ns) * self.age_factor < difference(start_ns, best_start_ns);
            match (wins, complete) {
                (true, true) => (best_start_ns, best_end_ns) = (start_ns, end_ns),
                (true, false) => return (best_start_ns, false),
                (false, _) => {}
            }
        }
        (best_start_ns, true)
    }

    /// Latest stamp of `set(start_ns)`, and whether all its values are there; where one is missing, the earliest stamp
    /// that it can have counts.
    fn end_of_set(&self, start_ns: i64, pivot_ns: i64) -> (i64, bool) {
        let mut end_ns = pivot_ns;
        let mut complete = true;
        for stream in &self.streams {
            let stamp_ns = match stream.queue.iter().find(|m| m.stamp_ns >= start_ns) {
                Some(message) => message.stamp_ns,
                None => {
                    complete = false;
                    stream.last_ns.saturating_add(stream.lower_bound_ns)
                }
            };
            end_ns = end_ns.max(stamp_ns);
        }
        (end_ns, complete)
    }

    fn drop_before(&mut self, start_ns: i64, pushed: &mut Pushed<T>) {
        for index in 0..self.streams.len() {
            while self.streams.get(index).and_then(|s| s.queue.front()).is_some_and(|m| m.stamp_ns < start_ns) {
                self.drop_head(index, DropReason::Unmatched, pushed);
            }
        }
    }

    fn drop_head(&mut self, index: usize, reason: DropReason, pushed: &mut Pushed<T>) {
        if let Some(message) = self.streams.get_mut(index).and_then(|s| s.queue.pop_front()) {
            pushed.dropped.push(Dropped { stream: index, stamp_ns: message.stamp_ns, reason });
        }
    }
}

/// `a - b` as a real number; i64 stamps may lie further apart than an i64 holds.
fn difference(a_ns: i64, b_ns: i64) -> f64 {
    (i128::from(a_ns) - i128::from(b_ns)) as f64
}
