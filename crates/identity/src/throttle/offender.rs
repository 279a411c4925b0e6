//! One network that failed several times: an exact count, and its penalties.

use std::cmp::Reverse;
use std::time::Duration;

use ipnet::IpNet;

use super::bans::{Ban, BanKind};
use super::{Rules, Standing};
use crate::time::Timestamp;

/// Thousandths of a failure, so that the bucket leaks evenly.
const ONE: u64 = 1000;

#[derive(Debug)]
pub(super) struct Offender {
    network: IpNet,
    /// What is in the bucket, in thousandths.
    level: u64,
    /// When it failed last.
    last: Timestamp,
    /// Penalties so far, less those forgiven.
    penalties: u32,
    banned: bool,
    since: Timestamp,
    until: Timestamp,
    /// Failures since the penalty began.
    refused: u64,
}

impl Offender {
    pub(super) const fn new(network: IpNet, now: Timestamp) -> Self {
        Self { network, level: 0, last: now, penalties: 0, banned: false, since: now, until: now, refused: 0 }
    }

    pub(super) fn is(&self, network: &IpNet) -> bool {
        self.network == *network
    }

    pub(super) fn is_within(&self, network: &IpNet) -> bool {
        network.contains(&self.network)
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        match (now < self.until, self.banned) {
            (false, _) => Standing::Open,
            (true, false) => Standing::Throttled { until: self.until },
            (true, true) => Standing::BannedItself { until: self.until },
        }
    }

    /// What decides who makes room: the lightest does. Under a penalty weighs most, then penalties, then failures,
    /// then how lately.
    pub(super) fn weight(&self, rules: &Rules, now: Timestamp) -> impl Ord + use<> {
        let quiet = Reverse(now.since(self.last));
        (now < self.until, self.penalties_left(rules, now), self.level_left(rules, now), quiet)
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, rules: &Rules, now: Timestamp) -> Standing {
        let most = u64::from(rules.failures) * ONE;
        self.penalties = self.penalties_left(rules, now);
        self.level = (self.level_left(rules, now) + ONE).min(most + ONE);
        self.last = self.last.max(now);
        if now < self.until {
            self.refused += 1;
        } else if self.level > most {
            self.punish(rules, now);
        }
        self.standing(now)
    }

    fn punish(&mut self, rules: &Rules, now: Timestamp) {
        let length = rules.first.saturating_mul(1_u32.checked_shl(self.penalties).unwrap_or(u32::MAX));
        self.banned = length > rules.longest;
        self.since = now;
        self.until = now.plus(if self.banned { rules.ban } else { length });
        self.penalties = self.penalties.saturating_add(1).min(31);
        self.refused = 0;
    }

    /// What is left in the bucket: it leaks `failures` in a window.
    fn level_left(&self, rules: &Rules, now: Timestamp) -> u64 {
        let leaked = millis(now.since(self.last)).saturating_mul(u64::from(rules.failures) * ONE);
        self.level.saturating_sub(leaked / millis(rules.window).max(1))
    }

    /// Penalties that are not forgiven: each quiet window after the last failure, and after the penalty, takes one.
    fn penalties_left(&self, rules: &Rules, now: Timestamp) -> u32 {
        let quiet = millis(now.since(self.last.max(self.until.min(now)))) / millis(rules.window).max(1);
        self.penalties.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// What an operator is shown, while there is a penalty.
    pub(super) fn ban(&self, now: Timestamp) -> Option<Ban> {
        let kind = match self.standing(now) {
            Standing::Throttled { .. } => BanKind::Throttled,
            Standing::BannedItself { .. } => BanKind::BannedItself,
            Standing::Open | Standing::Banned { .. } => return None,
        };
        let reason = format!("failed authentication, penalty {} in a row", self.penalties).into();
        let (since, until) = (self.since, Some(self.until));
        Some(Ban { network: self.network, kind, since, until, reason, refused: self.refused })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
