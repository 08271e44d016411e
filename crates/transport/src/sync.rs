//! Locks that outlive a panic of another thread: the state behind them is valid at every step.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lock, whether or not a thread panicked while it held the lock.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
