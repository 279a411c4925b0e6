//! A histogram of durations for the hot path: a search in a constant table and two additions.
//!
//! The bounds are the same everywhere, so that quantiles may be computed across routes and clusters.

use std::time::Duration;

use super::shard::{Count, Counts};

/// The upper bounds in nanoseconds, inclusive: 500 µs to 60 s.
pub(crate) const BOUNDS: [u64; 16] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// One bucket a bound, and one for what is above them all.
const BUCKETS: usize = BOUNDS.len() + 1;

/// One shard of a histogram.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: Counts<BUCKETS>,
    nanos: Count,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        // 584 years, and it is no longer exact.
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets.add(BOUNDS.partition_point(|bound| *bound < nanos), 1);
        self.nanos.add(nanos);
    }
}

/// A histogram, added up for a scrape.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Not cumulative.
    pub(crate) buckets: [u64; BUCKETS],
    pub(crate) nanos: u64,
}

impl Totals {
    pub(crate) fn of<'a>(shards: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut totals = Self::default();
        for shard in shards {
            for (place, total) in totals.buckets.iter_mut().enumerate() {
                *total += shard.buckets.get(place);
            }
            totals.nanos = totals.nanos.wrapping_add(shard.nanos.get());
        }
        totals
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let check = |micros: u64, expected: usize| {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(micros));
            let totals = Totals::of(std::iter::once(&histogram));
            assert_eq!(totals.buckets.iter().position(|count| *count == 1), Some(expected), "{micros}");
            assert_eq!((totals.count(), totals.nanos), (1, micros * 1000));
        };
        check(0, 0);
        check(500, 0);
        check(501, 1);
        check(1_000, 1);
        check(60_000_000, 15);
        check(60_000_001, 16);
    }

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS.is_sorted());
    }
}
