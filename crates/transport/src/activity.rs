//! Quiescence: whether anything in the process still has work.
//!
//! Lockstep replay publishes one step of a bag and waits until all of its consequences are done. Whoever has
//! work holds a [`Token`]: an inbox from push until handled, a service from request until response, an action
//! from goal until result.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Counts the work in progress of one process.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    active: Mutex<usize>,
    idle: Condvar,
}

impl Activity {
    /// Work has begun; it ends when the token is dropped.
    pub fn begin(&self) -> Token {
        *lock(&self.shared.active) += 1;
        Token { shared: Arc::clone(&self.shared) }
    }

    /// How many tokens are held now.
    pub fn active(&self) -> usize {
        *lock(&self.shared.active)
    }

    /// Waits until no token is held; `false` when `timeout` passed first.
    ///
    /// The caller must not hold a token itself.
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut active = lock(&self.shared.active);
        while *active > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            active = self.shared.idle.wait_timeout(active, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Work in progress; dropping it ends the work.
#[derive(Debug)]
#[must_use = "the work ends when the token is dropped"]
pub struct Token {
    shared: Arc<Shared>,
}

impl Drop for Token {
    fn drop(&mut self) {
        let mut active = lock(&self.shared.active);
        *active -= 1;
        if *active == 0 {
            self.shared.idle.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_last_token() {
        let activity = Activity::default();
        assert!(activity.wait_idle(Duration::ZERO));
        let first = activity.begin();
        let second = activity.begin();
        assert_eq!(activity.active(), 2);
        drop(first);
        assert!(!activity.wait_idle(Duration::from_millis(5)));
        let waiter = std::thread::spawn({
            let activity = activity.clone();
            move || activity.wait_idle(Duration::from_secs(10))
        });
        drop(second);
        assert!(waiter.join().is_ok_and(|idle| idle));
    }
}
