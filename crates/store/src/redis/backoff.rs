//! When something that failed is tried again: full jitter, so that gateways do not come back in step.

use std::time::Duration;

/// The longest pause.
pub(crate) const MOST: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_millis(50);

/// How often it failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff(u32);

impl Backoff {
    /// It worked.
    pub(crate) const fn reset(&mut self) {
        self.0 = 0;
    }

    /// It failed: how long to wait, of a random fraction.
    pub(crate) fn failed(&mut self, fraction: f64) -> Duration {
        let most = FIRST.saturating_mul(1 << self.0.min(16)).min(MOST);
        self.0 = self.0.saturating_add(1);
        most.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..8).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(backoff.failed(0.25), Duration::from_millis(500));
        backoff.reset();
        assert_eq!(backoff.failed(0.5), Duration::from_millis(25));
    }
}
