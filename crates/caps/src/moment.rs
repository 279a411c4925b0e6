//! When something is asked: the two clocks that caps live by.
//!
//! Buckets and leases run on the monotonic clock, quotas on the wall clock, since their windows are days and months of
//! a calendar. The caller reads both once per request and hands them in.

use std::time::Duration;

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Nanoseconds of the monotonic clock since the gateway began. Threads may be a little apart; a moment that is
    /// before what another thread has written already counts as that later one.
    pub nanos: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z. May be set back; see [`crate::Quota`] for what that does.
    pub unix_millis: u64,
}

impl Moment {
    /// A moment of the time since the gateway began, and since 1970.
    #[must_use]
    pub fn new(since_start: Duration, since_1970: Duration) -> Self {
        Self { nanos: nanos(since_start), unix_millis: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.unix_millis / 1000
    }

    /// This moment and a while, by both clocks.
    #[must_use]
    pub fn plus(self, while_: Duration) -> Self {
        Self {
            nanos: self.nanos.saturating_add(nanos(while_)),
            unix_millis: self.unix_millis.saturating_add(u64::try_from(while_.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// A duration in nanoseconds, at most 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
