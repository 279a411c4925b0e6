//! Which gateways there are, as the shared store sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::moment::nanos;

/// A gateway. Stable over restarts where its counts are, so that the pool knows what it reported before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u64);

/// How many gateways there are, and of how many the store has heard within a `ttl`. Those that it has not may be
/// cut off and serve on their own share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// All that are known.
    pub known: u32,
    /// Those heard of lately.
    pub heard: u32,
    /// After how long a silent one is forgotten.
    pub gone_after: Duration,
}

impl Present {
    /// After how long a silent gateway is forgotten when nothing else is said.
    pub const GONE_AFTER: Duration = Duration::from_secs(30);
    /// One gateway alone.
    pub const ALONE: Self = Self { known: 1, heard: 1, gone_after: Self::GONE_AFTER };
}

/// The gateways by when they were last heard of, in nanoseconds of the store's clock.
#[derive(Debug, Clone, Default)]
pub struct Members {
    heard: BTreeMap<GatewayId, u64>,
}

impl Members {
    /// A gateway said something.
    pub fn hear(&mut self, now: u64, gateway: GatewayId) {
        let heard = self.heard.entry(gateway).or_insert(now);
        *heard = now.max(*heard);
    }

    /// A gateway said that it ends.
    pub fn leave(&mut self, gateway: GatewayId) {
        self.heard.remove(&gateway);
    }

    /// Who is there. Who was not heard of for `gone_after` is forgotten: it ended without a word, and what is kept
    /// back for it goes to the others. If it was only cut off it allows its share beyond the bound from then on.
    pub fn present(&mut self, now: u64, ttl: Duration, gone_after: Duration) -> Present {
        self.heard.retain(|_, heard| now.saturating_sub(*heard) < nanos(gone_after));
        let lately = self.heard.values().filter(|heard| now.saturating_sub(**heard) < nanos(ttl)).count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Present { known: number(self.heard.len()), heard: number(lately), gone_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_known_for_a_while() {
        const SECOND: u64 = 1_000_000_000;
        let mut members = Members::default();
        members.hear(0, GatewayId(1));
        members.hear(5 * SECOND, GatewayId(2));
        members.hear(4 * SECOND, GatewayId(2));
        let present = |members: &mut Members, at: u64| {
            let present = members.present(at * SECOND, Duration::from_secs(1), Present::GONE_AFTER);
            (present.known, present.heard)
        };
        for (at, expected) in [(5, (2, 1)), (29, (2, 0)), (30, (1, 0))] {
            assert_eq!(present(&mut members, at), expected, "{at}");
        }
        members.hear(31 * SECOND, GatewayId(3));
        members.leave(GatewayId(2));
        assert_eq!(present(&mut members, 31), (1, 1));
    }
}
