//! A delay that stands: one stall is no overload, a delay that never goes away for half a second is.

use std::time::{Duration, Instant};

/// How long a delay must stand.
const STANDS: Duration = Duration::from_millis(500);

/// Since when the delay is over each of four thresholds, each twice the one before.
#[derive(Debug, Default)]
pub(super) struct Standing {
    since: [Option<Instant>; 4],
}

impl Standing {
    /// How many thresholds, from this one on, the delay has been over for long enough.
    pub(super) fn level(&mut self, now: Instant, late: Duration, threshold: Duration) -> u8 {
        let mut level = 0;
        let mut bound = threshold;
        for since in &mut self.since {
            if late < bound {
                *since = None;
            } else if now.saturating_duration_since(*since.get_or_insert(now)) >= STANDS {
                level += 1;
            }
            bound = bound.saturating_mul(2);
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_no_overload_and_a_standing_delay_is_one() {
        let (start, threshold) = (Instant::now(), Duration::from_millis(50));
        let at = |millis| start + Duration::from_millis(millis);
        let mut standing = Standing::default();
        for (now, late, expected) in [
            (0, 900, 0),
            (50, 0, 0),
            (100, 60, 0),
            (400, 130, 0),
            (600, 60, 1),
            (700, 130, 1),
            (1_300, 130, 2),
            (1_350, 10, 0),
            (1_400, 60, 0),
        ] {
            assert_eq!(standing.level(at(now), Duration::from_millis(late), threshold), expected, "at {now} ms");
        }
    }
}
