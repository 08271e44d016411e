//! Stamps and durations as nanoseconds.

use crate::builtin_interfaces::msg::{Duration, Time};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Seconds, rounded down, and the nanoseconds above them. Values outside the range of the message (years 1901 to 2038) are
/// clamped to it.
fn split(nanos: i64) -> (i32, u32) {
    let seconds = nanos.div_euclid(NANOS_PER_SECOND);
    match i32::try_from(seconds) {
        // rem_euclid lies in 0..10⁹, so the cast keeps the value.
        Ok(seconds) => (seconds, nanos.rem_euclid(NANOS_PER_SECOND) as u32),
        Err(_) if seconds < 0 => (i32::MIN, 0),
        Err(_) => (i32::MAX, (NANOS_PER_SECOND - 1) as u32),
    }
}

fn join(seconds: i32, nanosec: u32) -> i64 {
    i64::from(seconds) * NANOS_PER_SECOND + i64::from(nanosec)
}

impl Time {
    /// The stamp `nanos` nanoseconds after the epoch.
    pub fn from_nanos(nanos: i64) -> Self {
        let (sec, nanosec) = split(nanos);
        Self { sec, nanosec }
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(&self) -> i64 {
        join(self.sec, self.nanosec)
    }
}

impl Duration {
    /// A duration of `nanos` nanoseconds.
    pub fn from_nanos(nanos: i64) -> Self {
        let (sec, nanosec) = split(nanos);
        Self { sec, nanosec }
    }

    /// Length in nanoseconds.
    pub fn nanos(&self) -> i64 {
        join(self.sec, self.nanosec)
    }
}
