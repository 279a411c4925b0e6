//! When bytes may pass. Pure.

use std::time::Duration;

/// A direction's place in time, at a bandwidth.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pacer {
    /// When the bytes before have passed.
    free: Duration,
}

impl Pacer {
    /// When so many bytes that are due at a moment have passed, at so many a second; at once without a bandwidth.
    pub(super) fn pass(&mut self, due: Duration, bytes: usize, bandwidth: Option<u64>) -> Duration {
        let start = self.free.max(due);
        let takes = bandwidth.map_or(Duration::ZERO, |bandwidth| {
            let nanos = (bytes as u128 * 1_000_000_000) / u128::from(bandwidth.max(1));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        });
        self.free = start.saturating_add(takes);
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_their_bandwidth_and_not_before_they_are_due() {
        let ms = Duration::from_millis;
        let mut pacer = Pacer::default();
        assert_eq!(pacer.pass(ms(10), 1000, Some(1_000_000)), ms(11));
        // The line is still busy, then it has been idle, then nothing slows it.
        assert_eq!(pacer.pass(ms(10), 4000, Some(1_000_000)), ms(15));
        assert_eq!(pacer.pass(ms(100), 1000, Some(1_000_000)), ms(101));
        assert_eq!(pacer.pass(ms(102), 1 << 30, None), ms(102));
    }
}
