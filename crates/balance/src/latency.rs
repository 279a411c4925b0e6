//! An exponentially weighted mean of latency that any number of threads feed without a lock.

use std::time::Duration;

use crate::atomics::{AtomicU64, Ordering::Relaxed};
use crate::number::single;

/// How long the estimate remembers: after this much time a change of level has come through by 63 %, after three
/// times as much by 95 %, so that it follows within a second.
const MEMORY_SECONDS: f64 = 0.3;

/// The estimate. Times are offsets from the owner's birth.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Seconds, as the bits of an `f64`; 0.0 before the first sample.
    mean: AtomicU64,
    /// Nanoseconds from birth to the newest sample.
    at: AtomicU64,
}

impl Latency {
    /// Takes a sample in. The time since the sample before weighs it, so that a thousand samples of one moment count
    /// as much as one: the estimate follows time, not the request rate.
    pub(crate) fn record(&self, age: Duration, sample: Duration) {
        let nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        // Each stretch of time is handed to exactly one of the racing samples.
        let before = self.at.fetch_max(nanos, Relaxed);
        let elapsed = Duration::from_nanos(nanos.saturating_sub(before)).as_secs_f64();
        let share = -(-elapsed / MEMORY_SECONDS).exp_m1();
        let sample = sample.as_secs_f64().max(f64::MIN_POSITIVE);
        let fold = |bits| {
            let mean = f64::from_bits(bits);
            Some(if mean == 0.0 { sample } else { mean + (sample - mean) * share }.to_bits())
        };
        // The closure always answers, so the update cannot fail.
        let _ = self.mean.fetch_update(Relaxed, Relaxed, fold);
    }

    /// The estimate in seconds; 0.0 before the first sample.
    pub(crate) fn seconds(&self) -> f32 {
        // Seven digits are more than an estimate has.
        single(f64::from_bits(self.mean.load(Relaxed)))
    }

    /// The estimate; `None` before the first sample.
    pub(crate) fn mean(&self) -> Option<Duration> {
        let mean = f64::from_bits(self.mean.load(Relaxed));
        if mean == 0.0 { None } else { Duration::try_from_secs_f64(mean).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn knows_nothing_before_the_first_sample_and_all_after_it() {
        let latency = Latency::default();
        assert_eq!(latency.mean(), None);
        latency.record(Duration::ZERO, MS);
        assert_eq!(latency.mean(), Some(MS));
    }

    #[test]
    fn follows_a_change_within_a_second_at_any_rate() {
        for per_second in [2_u32, 100, 100_000] {
            let latency = Latency::default();
            latency.record(Duration::ZERO, MS);
            for i in 1..=per_second {
                latency.record(Duration::from_secs(1) * i / per_second, 10 * MS);
            }
            let mean = latency.mean().unwrap();
            assert!(mean > 9 * MS && mean <= 10 * MS, "{per_second}/s: {mean:?}");
        }
    }

    #[test]
    fn a_burst_of_one_moment_moves_nothing() {
        let latency = Latency::default();
        latency.record(Duration::ZERO, MS);
        for _ in 0..1000 {
            latency.record(Duration::ZERO, 100 * MS);
        }
        assert_eq!(latency.mean(), Some(MS));
    }
}
