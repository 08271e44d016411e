//! Bounded queues between a callback, which must return fast, and a worker.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use transport::{Activity, Token};

use crate::lock;
use crate::ports::Mode;

/// A bounded queue. Live it drops the oldest and counts; in lockstep it never drops, because the replay waits for it.
/// Whatever lies in it counts as work in progress ([`Activity`]) until it is handled. Clones share the queue.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    capacity: usize,
    mode: Mode,
    activity: Activity,
}

struct State<T> {
    queue: VecDeque<Handled<T>>,
    dropped: u64,
    closed: bool,
}

/// A value from an inbox. It counts as work in progress until this is dropped: hold it as long as its consequences are
/// not published.
#[derive(Debug)]
pub struct Handled<T> {
    value: T,
    token: Token,
}

impl<T> Handled<T> {
    /// The value, and the token that says that work on it goes on.
    pub fn into_parts(self) -> (T, Token) {
        (self.value, self.token)
    }
}

impl<T> Deref for Handled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Handled<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("len", &self.len()).field("dropped", &self.dropped()).finish()
    }
}

impl<T> Inbox<T> {
    /// An inbox of `capacity` values (at least 1). [`crate::Ports::inbox`] makes one that reports its drops.
    pub fn new(capacity: usize, mode: Mode, activity: &Activity) -> Self {
        let state = State { queue: VecDeque::new(), dropped: 0, closed: false };
        let shared =
            Shared { state: Mutex::new(state), filled: Condvar::new(), capacity: capacity.max(1), mode, activity: activity.clone() };
        Self { shared: Arc::new(shared) }
    }

    /// Puts a value in. Live and full, the oldest value goes out and comes back, counted. A closed inbox takes nothing:
    /// the value itself comes back, not counted.
    pub fn push(&self, value: T) -> Option<T> {
        let token = self.shared.activity.begin();
        let mut state = lock(&self.shared.state);
        if state.closed {
            return Some(value);
        }
        let full = self.shared.mode == Mode::Live && state.queue.len() >= self.shared.capacity;
        let oldest = if full { state.queue.pop_front() } else { None };
        state.dropped += u64::from(oldest.is_some());
        state.queue.push_back(Handled { value, token });
        drop(state);
        self.shared.filled.notify_one();
        oldest.map(|handled| handled.value)
    }

    /// The oldest value; waits up to `timeout`. `None` when the time is over, or at once when the inbox is closed and
    /// empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Handled<T>> {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(handled) = state.queue.pop_front() {
                return Some(handled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = self.shared.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Values that wait.
    pub fn len(&self) -> usize {
        lock(&self.shared.state).queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values dropped so far because the inbox was full.
    pub fn dropped(&self) -> u64 {
        lock(&self.shared.state).dropped
    }

    /// Takes no more values, wakes whoever waits, and gives those that wait back: dropped, they are given up.
    pub fn close(&self) -> Vec<Handled<T>> {
        let waiting = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.filled.notify_all();
        waiting.into()
    }

    /// Takes values again after [`Inbox::close`].
    pub fn open(&self) {
        lock(&self.shared.state).closed = false;
    }

    /// Whether the inbox takes no values.
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.state).closed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn live_drops_the_oldest_and_counts() {
        let inbox = Inbox::new(2, Mode::Live, &Activity::default());
        assert_eq!((inbox.push(1), inbox.push(2), inbox.push(3)), (None, None, Some(1)));
        assert_eq!((inbox.dropped(), inbox.len()), (1, 2));
        assert_eq!(*inbox.recv_timeout(Duration::ZERO).unwrap(), 2);
    }

    #[test]
    fn lockstep_drops_nothing() {
        let inbox = Inbox::new(2, Mode::Lockstep, &Activity::default());
        assert!((0..100).all(|n| inbox.push(n).is_none()));
        let all: Vec<i32> = std::iter::from_fn(|| inbox.recv_timeout(Duration::ZERO)).map(|h| h.into_parts().0).collect();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn work_goes_on_until_it_is_handled() {
        let activity = Activity::default();
        let inbox = Inbox::new(1, Mode::Live, &activity);
        inbox.push('a');
        assert_eq!(activity.active(), 1);
        let handled = inbox.recv_timeout(Duration::ZERO).unwrap();
        assert_eq!(activity.active(), 1, "taken is not handled");
        drop(handled);
        assert_eq!(activity.active(), 0);
        inbox.push('b');
        inbox.push('c');
        assert_eq!(activity.active(), 1, "what is dropped is no work");
        inbox.close();
        assert_eq!(activity.active(), 0, "what is given up is no work");
        assert_eq!(inbox.push('d'), Some('d'));
        assert_eq!((activity.active(), inbox.dropped()), (0, 1));
    }

    #[test]
    fn closing_wakes_the_receiver() {
        let inbox = Inbox::<u8>::new(1, Mode::Live, &Activity::default());
        let receiver = std::thread::spawn({
            let inbox = inbox.clone();
            move || inbox.recv_timeout(Duration::from_secs(60)).is_none()
        });
        inbox.close();
        assert!(receiver.join().unwrap());
        inbox.open();
        inbox.push(1);
        assert_eq!(inbox.len(), 1);
    }
}
