//! The receiving side of a topic within the process.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::carriers::NodeId;
use crate::qos::Qos;
use crate::sync::lock;

/// One subscription of this process.
pub(super) struct Subscriber<M> {
    pub(super) node: NodeId,
    pub(super) qos: Qos,
    callback: Box<dyn Fn(Arc<M>) + Send + Sync>,
    alive: AtomicBool,
    /// `Some` while kept messages are handed over: newer ones queue up behind them.
    backlog: Mutex<Option<VecDeque<Arc<M>>>>,
}

impl<M> Subscriber<M> {
    /// A subscription that queues until [`Self::drain_backlog`].
    pub(super) fn new(node: NodeId, qos: Qos, callback: Box<dyn Fn(Arc<M>) + Send + Sync>) -> Self {
        Self { node, qos, callback, alive: AtomicBool::new(true), backlog: Mutex::new(Some(VecDeque::new())) }
    }

    /// Queues kept messages, before anybody else can.
    pub(super) fn queue(&self, kept: impl IntoIterator<Item = Arc<M>>) {
        lock(&self.backlog).get_or_insert_default().extend(kept);
    }

    /// Nothing is handed over from now on.
    pub(super) fn end(&self) {
        self.alive.store(false, Ordering::Release);
    }

    /// Hands the message over now, or queues it behind the backlog; whether it was handed over here.
    pub(super) fn deliver(&self, message: &Arc<M>) -> bool {
        if let Some(backlog) = lock(&self.backlog).as_mut() {
            backlog.push_back(Arc::clone(message));
            return false;
        }
        let alive = self.alive.load(Ordering::Acquire);
        if alive {
            (self.callback)(Arc::clone(message));
        }
        alive
    }

    /// Hands over what is queued, then switches to direct delivery; how many were handed over.
    pub(super) fn drain_backlog(&self) -> u64 {
        let mut delivered = 0;
        loop {
            let next = {
                let mut backlog = lock(&self.backlog);
                match backlog.as_mut().and_then(VecDeque::pop_front) {
                    Some(message) => message,
                    None => {
                        *backlog = None;
                        return delivered;
                    }
                }
            };
            (self.callback)(next);
            delivered += 1;
        }
    }
}

/// A subscription; dropping it unsubscribes. A callback that runs at that moment on another thread ends
/// normally.
#[must_use = "dropping a subscription unsubscribes"]
pub struct Subscription {
    leave: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    pub(super) fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { leave: Some(Box::new(leave)) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            leave();
        }
    }
}
