//! Exact time: a set is one value of every stream with the same stamp.
//!
//! As `message_filters` documents ExactTime: a complete set is given out at once, and everything older is given up,
//! because the streams are in order; at most `queue` incomplete sets wait, the oldest goes first.

use std::collections::BTreeMap;

use crate::synchronizer::{DropReason, Dropped, Pushed, Set, Stamped};

#[derive(Debug)]
pub(crate) struct Exact<T> {
    streams: usize,
    queue: usize,
    /// Incomplete sets by stamp: one slot a stream.
    open: BTreeMap<i64, Vec<Option<T>>>,
}

impl<T> Exact<T> {
    pub(crate) fn new(streams: usize, queue: usize) -> Self {
        Self { streams, queue, open: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, stream: usize, message: Stamped<T>, pushed: &mut Pushed<T>) {
        let stamp_ns = message.stamp_ns;
        let streams = self.streams;
        let slots = self.open.entry(stamp_ns).or_insert_with(|| std::iter::repeat_with(|| None).take(streams).collect());
        if let Some(slot) = slots.get_mut(stream) {
            *slot = Some(message.value);
        }
        if slots.iter().all(Option::is_some) {
            let later = self.open.split_off(&stamp_ns);
            let older = std::mem::replace(&mut self.open, later);
            for (old_ns, slots) in older {
                give_up(old_ns, &slots, DropReason::Unmatched, pushed);
            }
            if let Some(slots) = self.open.remove(&stamp_ns) {
                let members = slots.into_iter().flatten().map(|value| Stamped { stamp_ns, value }).collect();
                pushed.sets.push(Set { members });
            }
        }
        while self.open.len() > self.queue {
            if let Some((old_ns, slots)) = self.open.pop_first() {
                give_up(old_ns, &slots, DropReason::Overflow, pushed);
            }
        }
    }

    pub(crate) fn clear(&mut self, pushed: &mut Pushed<T>) {
        for (stamp_ns, slots) in std::mem::take(&mut self.open) {
            give_up(stamp_ns, &slots, DropReason::Reset, pushed);
        }
    }

    pub(crate) fn waiting(&self) -> Vec<usize> {
        let holds = |stream: usize| move |slots: &&Vec<Option<T>>| slots.get(stream).is_some_and(Option::is_some);
        (0..self.streams).map(|stream| self.open.values().filter(holds(stream)).count()).collect()
    }
}

fn give_up<T>(stamp_ns: i64, slots: &[Option<T>], reason: DropReason, pushed: &mut Pushed<T>) {
    for (stream, _) in slots.iter().enumerate().filter(|(_, slot)| slot.is_some()) {
        pushed.dropped.push(Dropped { stream, stamp_ns, reason });
    }
}
