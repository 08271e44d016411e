//! Threads that stop when told, are joined, and do not die in silence.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::NodeError;
use crate::health::{Health, panic_message};
use crate::inbox::{Handled, Inbox};
use crate::lock;

/// Tells a worker to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Whether the worker is to stop.
    pub fn is_set(&self) -> bool {
        *lock(&self.shared.0)
    }

    /// Sleeps for `timeout`, or until the worker is to stop: then true.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut stopped = lock(&self.shared.0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *stopped || left.is_zero() {
                return *stopped;
            }
            stopped = self.shared.1.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells the worker to stop.
    pub fn set(&self) {
        *lock(&self.shared.0) = true;
        self.shared.1.notify_all();
    }
}

/// A named thread. Dropping it stops and joins it.
pub struct Worker {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    /// Wakes the thread where `stop` alone does not.
    wake: Box<dyn Fn() + Send>,
}

impl Worker {
    /// Runs `work` on a thread until it returns, which it must do soon after `stop` is set. A panic inside is caught and
    /// becomes the node's failure.
    ///
    /// # Errors
    /// [`NodeError::Thread`] when there is no thread to have.
    pub fn spawn(name: &str, health: &Health, work: impl FnOnce(&Stop) + Send + 'static) -> Result<Self, NodeError> {
        let stop = Stop::default();
        let (inner_stop, inner_health, inner_name) = (stop.clone(), health.clone(), name.to_owned());
        let body = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&inner_stop))) {
                inner_health.fail(format!("worker `{inner_name}` panicked: {}", panic_message(panic.as_ref())));
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let thread = thread.map_err(|source| NodeError::Thread { name: name.to_owned(), source })?;
        Ok(Self { stop, thread: Some(thread), wake: Box::new(|| {}) })
    }

    /// Opens `inbox` and hands its values to `handle`, one after another, on a thread; stopping closes the inbox.
    ///
    /// # Errors
    /// As [`Worker::spawn`].
    pub fn consume<T: Send + 'static>(
        name: &str,
        health: &Health,
        inbox: &Inbox<T>,
        mut handle: impl FnMut(Handled<T>) + Send + 'static,
    ) -> Result<Self, NodeError> {
        /// Closing wakes the thread; this is only how often it looks when nothing happens.
        const IDLE: Duration = Duration::from_secs(1);
        inbox.open();
        let values = inbox.clone();
        let mut worker = Self::spawn(name, health, move |stop| {
            // A panic in `handle` ends the thread: without this, lockstep would wait for what will never be handled.
            let _close = CloseOnDrop(values.clone());
            while !stop.is_set() {
                if let Some(value) = values.recv_timeout(IDLE) {
                    handle(value);
                }
            }
        })?;
        let values = inbox.clone();
        worker.wake = Box::new(move || drop(values.close()));
        Ok(worker)
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells the thread to stop and waits until it has.
    pub fn stop(&mut self) {
        self.stop.set();
        (self.wake)();
        if let Some(thread) = self.thread.take() {
            // The thread catches its panics, so joining has nothing to report.
            let _ = thread.join();
        }
    }
}

struct CloseOnDrop<T>(Inbox<T>);

impl<T> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ports::Mode;
    use std::sync::mpsc;
    use transport::Activity;

    #[test]
    fn stops_at_once() {
        let started = Instant::now();
        let mut worker = Worker::spawn("sleeper", &Health::default(), |stop| {
            stop.wait(Duration::from_secs(600));
        })
        .unwrap();
        worker.stop();
        assert!(worker.is_finished() && started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_panic_is_the_nodes_failure_and_leaves_no_work_behind() {
        let (health, activity) = (Health::default(), Activity::default());
        let inbox = Inbox::new(10, Mode::Lockstep, &activity);
        let worker = Worker::consume("fragile", &health, &inbox, |value: Handled<u32>| assert!(*value != 2, "two is too much")).unwrap();
        for n in 1..=3 {
            inbox.push(n);
        }
        assert!(activity.wait_idle(Duration::from_secs(10)));
        drop(worker);
        let failure = health.failure().unwrap();
        assert_eq!(failure, "worker `fragile` panicked: two is too much");
        assert!(inbox.is_closed());
    }

    #[test]
    fn consuming_again_opens_the_inbox() {
        let (health, inbox) = (Health::default(), Inbox::new(10, Mode::Live, &Activity::default()));
        for round in 0..2 {
            let (send, receive) = mpsc::channel();
            let mut worker = Worker::consume("echo", &health, &inbox, move |v: Handled<i32>| send.send(*v).unwrap()).unwrap();
            inbox.push(round);
            assert_eq!(receive.recv_timeout(Duration::from_secs(10)).unwrap(), round);
            worker.stop();
            assert!(inbox.is_closed());
        }
        assert_eq!(health.failure(), None);
    }
}
