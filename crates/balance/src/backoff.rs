//! How long to wait before an attempt is made again.

use std::time::Duration;

use crate::random::fraction;

/// Exponential growth with full jitter: uniform between nothing and `base` doubled `repetition` times, `most` at most.
/// `repetition` is 0 for the first. All of the range is used, since waits that are alike bring clients back together.
#[must_use]
pub fn backoff(base: Duration, most: Duration, repetition: u32, random: u64) -> Duration {
    let doubled = 1_u32.checked_shl(repetition).unwrap_or(u32::MAX);
    fraction(base.saturating_mul(doubled).min(most), random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound_and_uses_the_whole_range() {
        let (base, most) = (Duration::from_millis(25), Duration::from_millis(250));
        for (repetition, expected) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (40, 250), (u32::MAX, 250)] {
            assert_eq!(backoff(base, most, repetition, 0), Duration::ZERO);
            let longest = backoff(base, most, repetition, u64::MAX);
            assert_eq!(longest.as_micros().div_ceil(1000), expected, "{repetition}");
            let middle = backoff(base, most, repetition, 1 << 63);
            assert_eq!(middle, Duration::from_millis(u64::try_from(expected).unwrap()) / 2);
        }
    }
}
