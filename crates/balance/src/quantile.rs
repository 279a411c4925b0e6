//! The distribution of latency of late, fed by any number of threads without a lock.
//!
//! A histogram whose buckets grow by an eighth of an octave, so that a quantile is off by 9 % at most, and in which
//! old samples lose half of their weight every few seconds. Its size does not depend on what is put in.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis_types::Percent;

/// Bits of a latency that tell buckets within an octave apart.
const BITS: u32 = 3;
/// Shorter latencies share the first bucket: 64 µs.
const SHORTEST: u64 = 64;
/// Twenty-four octaves, up to 18 minutes.
const BUCKETS: usize = 24 << BITS;
/// Samples lose half of their weight in this long.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// See the module's text.
#[derive(Debug)]
pub struct LatencyQuantiles {
    buckets: [AtomicU32; BUCKETS],
    began: Instant,
    /// Half-lives since then that were applied.
    halved: AtomicU64,
}

impl LatencyQuantiles {
    /// Without samples.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU32::new(0)), began: now, halved: AtomicU64::new(0) }
    }

    /// Takes in a sample.
    pub fn record(&self, now: Instant, latency: Duration) {
        self.age(now);
        if let Some(bucket) = self.buckets.get(bucket_of(latency)) {
            // A bucket that is full stays so until it is halved.
            if bucket.load(Relaxed) < u32::MAX / 2 {
                bucket.fetch_add(1, Relaxed);
            }
        }
    }

    /// The latency that this share of samples is within; `None` with a weight of less than `least` samples.
    #[must_use]
    pub fn quantile(&self, now: Instant, share: Percent, least: u32) -> Option<Duration> {
        self.age(now);
        let counts: [u32; BUCKETS] =
            std::array::from_fn(|at| self.buckets.get(at).map_or(0, |bucket| bucket.load(Relaxed)));
        let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if all == 0 || all < u64::from(least) {
            return None;
        }
        let wanted = (all * u64::from(share.millionths())).div_ceil(1_000_000).max(1);
        let mut below = 0;
        let at = counts.iter().position(|count| {
            below += u64::from(*count);
            below >= wanted
        });
        at.map(end_of)
    }

    /// Halves the samples once for each half-life that is over. One worker does it; others go on meanwhile.
    fn age(&self, now: Instant) {
        let lives = now.saturating_duration_since(self.began).as_nanos() / HALF_LIFE.as_nanos();
        let lives = u64::try_from(lives).unwrap_or(u64::MAX);
        let before = self.halved.load(Relaxed);
        if lives <= before || self.halved.compare_exchange(before, lives, Relaxed, Relaxed).is_err() {
            return;
        }
        let shift = u32::try_from(lives - before).unwrap_or(u32::MAX).min(31);
        for bucket in &self.buckets {
            let count = bucket.load(Relaxed);
            // Samples that others add meanwhile stay.
            bucket.fetch_sub(count - (count >> shift), Relaxed);
        }
    }
}

fn bucket_of(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(SHORTEST);
    let octave = micros.ilog2();
    let within = (micros >> (octave - BITS)) & ((1 << BITS) - 1);
    let at = (u64::from(octave - SHORTEST.ilog2()) << BITS) + within;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Where a bucket ends.
fn end_of(at: usize) -> Duration {
    let at = at as u64 + 1;
    let (octave, within) = (at >> BITS, at & ((1 << BITS) - 1));
    Duration::from_micros((SHORTEST << octave) + ((SHORTEST << octave) >> BITS) * within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draws;
    use crate::tuning::percent;

    #[test]
    fn is_off_by_a_bucket_at_most() {
        let now = Instant::now();
        let quantiles = LatencyQuantiles::new(now);
        assert_eq!(quantiles.quantile(now, percent(500_000), 0), None);
        let mut draws = Draws::new(1);
        (0..10_000).for_each(|_| quantiles.record(now, Duration::from_micros(draws.next() % 100_000)));
        for share in [100_000, 500_000, 950_000, 990_000] {
            let exact = f64::from(share) / 10.0;
            let got = quantiles.quantile(now, percent(share), 50).unwrap().as_micros() as f64;
            assert!((0.97..1.16).contains(&(got / exact)), "{share}: {got} for {exact}");
        }
        assert_eq!(quantiles.quantile(now, percent(500_000), 10_001), None);
    }

    #[test]
    fn takes_any_latency() {
        for (latency, expected) in [
            (Duration::ZERO, Duration::from_micros(72)),
            (Duration::from_micros(64), Duration::from_micros(72)),
            (Duration::from_micros(1_000), Duration::from_micros(1_024)),
            (Duration::MAX, Duration::from_micros(SHORTEST << 24)),
        ] {
            let now = Instant::now();
            let quantiles = LatencyQuantiles::new(now);
            quantiles.record(now, latency);
            assert_eq!(quantiles.quantile(now, Percent::ALL, 1), Some(expected));
        }
    }

    #[test]
    fn follows_a_change_and_forgets() {
        let start = Instant::now();
        let quantiles = LatencyQuantiles::new(start);
        let (fast, slow) = (Duration::from_millis(10), Duration::from_millis(100));
        (0..1_000).for_each(|_| quantiles.record(start, fast));
        for second in 1..20 {
            (0..100).for_each(|_| quantiles.record(start + Duration::from_secs(second), slow));
        }
        let at = |second| quantiles.quantile(start + Duration::from_secs(second), percent(500_000), 1);
        assert!(at(20) > Some(slow));
        assert_eq!(at(3_600), None);
    }
}
