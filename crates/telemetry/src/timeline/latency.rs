//! Durations in buckets, four to an octave: a quantile is known to a fifth of itself.

use std::time::Duration;

/// The lowest bucket takes what is below 64 µs; the highest what is above 67 s.
const FIRST_OCTAVE: u32 = 6;
/// Buckets.
pub(super) const BUCKETS: usize = 84;

/// How many took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies(Box<[u64; BUCKETS]>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

/// The bucket of a duration.
pub(super) fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if micros >> FIRST_OCTAVE == 0 {
        return 0;
    }
    let octave = micros.ilog2();
    let quarter = (micros >> (octave - 2)) & 3;
    let place = u64::from(octave - FIRST_OCTAVE) * 4 + quarter;
    usize::try_from(place + 1).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The upper bound of a bucket, exclusive.
fn bound(bucket: usize) -> Duration {
    let quarters = u64::try_from(bucket).unwrap_or(0) + 4 * u64::from(FIRST_OCTAVE);
    Duration::from_micros(((quarters % 4) + 4) << (quarters / 4) >> 2)
}

impl Latencies {
    pub(super) fn set(&mut self, bucket: usize, count: u64) {
        if let Some(place) = self.0.get_mut(bucket) {
            *place = count;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *ours += theirs;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The duration that a share of them stays below, rounded up to a bucket's bound; `None` where there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all = self.count();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among far less than 2^52"
        )]
        let rank = ((share.clamp(0.0, 1.0) * all as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let place = self.0.iter().position(|count| {
            passed += count;
            passed >= rank
        });
        place.filter(|_| all > 0).map(bound)
    }

    /// How many took at least so long: exact where that is a bound that [`Self::quantile`] gave.
    #[must_use]
    pub fn at_least(&self, limit: Duration) -> u64 {
        let whole = self.0.iter().enumerate().skip(1);
        whole.filter(|(bucket, _)| bound(bucket - 1) >= limit).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_below_its_buckets_bound_and_not_below_the_one_before() {
        for micros in (0..70_000_000_u64).step_by(977).chain([63, 64, 65, 79, 80, 127, 128]) {
            let took = Duration::from_micros(micros);
            let bucket = bucket(took);
            assert!(took < bound(bucket) || bucket == BUCKETS - 1, "{micros}: {bucket}");
            assert!(bucket == 0 || took >= bound(bucket - 1), "{micros}: {bucket}");
        }
    }

    #[test]
    fn bounds_are_at_most_a_quarter_apart() {
        for bucket in 1..BUCKETS {
            let (low, high) = (bound(bucket - 1), bound(bucket));
            assert!(low < high && high <= low * 5 / 4, "{bucket}: {low:?} {high:?}");
        }
    }

    #[test]
    fn what_is_at_least_a_quantile_is_the_rest() {
        let mut latencies = Latencies::default();
        for millis in 1..=1000 {
            let place = bucket(Duration::from_millis(millis));
            let before = latencies.0.get(place).copied().unwrap();
            latencies.set(place, before + 1);
        }
        let p90 = latencies.quantile(0.9).unwrap();
        assert!((900..=1125).contains(&p90.as_millis()), "{p90:?}");
        let beyond = latencies.at_least(p90);
        assert!(beyond <= 100, "{beyond}");
        assert_eq!(latencies.at_least(Duration::ZERO), 1000);
        assert_eq!(Latencies::default().quantile(0.5), None);
    }
}
