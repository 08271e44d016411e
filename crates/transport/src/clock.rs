//! ROS time: the system clock, or `/clock` when `use_sim_time` is set.
//!
//! ROS time orders data. Work is measured with a steady clock (`std::time::Instant`), never with this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ros_interfaces::builtin_interfaces::msg::Time;

/// A node's view of ROS time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    simulated_ns: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Self { simulated_ns: None }
    }

    /// A clock that stands at `0` until it is set.
    pub(crate) fn simulated() -> (Self, Arc<AtomicI64>) {
        let now_ns = Arc::new(AtomicI64::new(0));
        (Self { simulated_ns: Some(Arc::clone(&now_ns)) }, now_ns)
    }

    /// ROS time in nanoseconds since the epoch; 0 when time is simulated and no `/clock` came yet.
    pub fn now_ns(&self) -> i64 {
        match &self.simulated_ns {
            Some(now_ns) => now_ns.load(Ordering::Acquire),
            None => system_ns(),
        }
    }

    /// ROS time as a message stamp.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.now_ns())
    }

    /// Whether `/clock` rules.
    pub fn is_simulated(&self) -> bool {
        self.simulated_ns.is_some()
    }
}

fn system_ns() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
