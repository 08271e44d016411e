//! Wall clock and steady clock, at one place.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, for the ledger.
pub(crate) fn unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Steady nanoseconds from `start` to `at`.
pub(crate) fn steady_ns(start: Instant, at: Instant) -> i64 {
    i64::try_from(at.saturating_duration_since(start).as_nanos()).unwrap_or(i64::MAX)
}
