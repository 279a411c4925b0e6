//! Failed authentication, by client network: who fails too often is answered at once, for longer each time.
//!
//! # What is protected, and how
//!
//! Looking a key up costs about 300 ns, a hundredth of what the request has cost already when it gets there. So keys
//! are always looked up, and **a good key passes from a throttled network, and from one that banned itself**: refusing
//! before the lookup would save next to nothing and would let anybody in a shared network (a /24 behind one address
//! translator) lock out the others. A caller with a good key never touches this module at all but for one atomic
//! load: it costs him nothing, however many others fail. What throttling saves is what costs: checking a token's
//! signature (tens of microseconds; [`Standing::may_verify`]), and all work after the answer is known.
//!
//! A ban by an operator is different: it is meant, and refuses everything from its network, good keys too. The gate
//! may ask [`Throttle::banned`] when it accepts a connection.
//!
//! # How it counts
//!
//! Every failure goes into a count-min sketch of two windows: fixed memory under any number of addresses, never too
//! low, sometimes too high. A network that the sketch says failed [`TRACKED_FROM`] times is then counted exactly, in a
//! bounded table; only that count punishes, so that a network that shares its places in the sketch with a flood is
//! never punished for it. When the table is full the least goes: who is not under a penalty and failed least. While
//! all eight entries that could go are under a penalty, a newcomer is not tracked, and counted as such.
//!
//! # How it escalates
//!
//! After `failures` within `window` (a bucket that leaks) the network is throttled for `first`; each time it goes on
//! failing after that, for twice as long; when that would pass `longest`, it is banned for `ban`. Every `window`
//! without a failure takes one doubling back.

mod bans;
mod offender;
mod rules;
mod sketch;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use ipnet::IpNet;

use crate::bounded::Bounded;
use crate::time::Timestamp;
use bans::Bans;
use offender::Offender;
use sketch::Sketch;

pub use bans::{Ban, BanError, BanKind};
pub use rules::Rules;

/// Failures within a window or the one before it, as the sketch counts them, from which a network is counted exactly.
pub const TRACKED_FROM: isize = 3;

/// How a network stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Like any other.
    Open,
    /// It failed too often.
    Throttled {
        /// Until then.
        until: Timestamp,
    },
    /// It failed too often for too long. Good keys pass.
    BannedItself {
        /// Until then.
        until: Timestamp,
    },
    /// An operator banned it. Nothing passes.
    Banned {
        /// Until then; `None` until it is lifted.
        until: Option<Timestamp>,
    },
}

impl Standing {
    /// Whether it may have a signature checked. Keys are looked up for all but the banned.
    #[must_use]
    pub const fn may_verify(self) -> bool {
        matches!(self, Self::Open)
    }
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Networks counted exactly now.
    pub tracked: u64,
    /// Networks that can be.
    pub capacity: u64,
    /// Networks that made room for others, since the start.
    pub evicted: u64,
    /// Failures of networks that could not be tracked for want of room, since the start.
    pub untracked: u64,
    /// Bans by operators now.
    pub banned: u64,
}

/// Counts failures and remembers who failed too often. Shared by all workers.
pub struct Throttle {
    rules: Rules,
    sketch: Sketch,
    offenders: Bounded<Offender>,
    bans: Arc<Bans>,
    hashing: FixedState,
    tracked: AtomicU64,
    evicted: AtomicU64,
    untracked: AtomicU64,
}

impl Throttle {
    /// Takes all the memory it will ever take, but for bans. `seed` is random, once a process.
    #[must_use]
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            sketch: Sketch::new(rules.columns, rules.window),
            offenders: Bounded::new(rules.tracked),
            bans: Arc::default(),
            hashing: FixedState::with_seed(seed),
            rules,
            tracked: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            untracked: AtomicU64::new(0),
        }
    }

    /// One of other rules, with the bans of operators that this one has, now and later. Who failed under the old rules
    /// begins anew.
    #[must_use]
    pub fn with_rules(&self, rules: Rules, seed: u64) -> Self {
        Self { bans: Arc::clone(&self.bans), ..Self::new(rules, seed) }
    }

    /// The rules it was made with.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether an operator banned this client. One atomic load while there is no ban.
    #[must_use]
    pub fn banned(&self, client: IpAddr, now: Timestamp) -> bool {
        self.bans.find(client, now).is_some()
    }

    /// Grows with each ban by an operator: who was not banned before it grew is not banned now.
    #[must_use]
    pub fn bans_added(&self) -> u64 {
        self.bans.added()
    }

    /// How the client's network stands: to be asked before a signature is checked.
    #[must_use]
    pub fn standing(&self, client: IpAddr, now: Timestamp) -> Standing {
        if let Some(until) = self.bans.find(client, now) {
            return Standing::Banned { until };
        }
        if self.tracked.load(Ordering::Relaxed) == 0 {
            return Standing::Open;
        }
        let network = self.rules.network(client);
        self.offenders.with(self.hash(&network), |set| {
            let found = set.iter().flatten().find(|offender| offender.is(&network));
            found.map_or(Standing::Open, |offender| offender.standing(now))
        })
    }

    /// Counts a failure, and says how the network stands now.
    pub fn failed(&self, client: IpAddr, now: Timestamp) -> Standing {
        if let Some(until) = self.bans.refuse(client, now) {
            return Standing::Banned { until };
        }
        let network = self.rules.network(client);
        let hash = self.hash(&network);
        let known = self.offenders.with(hash, |set| {
            let offender = set.iter_mut().flatten().find(|offender| offender.is(&network))?;
            Some(offender.failed(&self.rules, now))
        });
        if let Some(standing) = known {
            return standing;
        }
        if self.sketch.count(&network, now) < TRACKED_FROM {
            return Standing::Open;
        }
        self.offenders.with(hash, |set| self.track(set, &network, now))
    }

    fn track(&self, set: &mut [Option<Offender>], network: &IpNet, now: Timestamp) -> Standing {
        // Another worker may have been faster.
        if let Some(offender) = set.iter_mut().flatten().find(|offender| offender.is(network)) {
            return offender.failed(&self.rules, now);
        }
        let least = |place: &&mut Option<Offender>| place.as_ref().map(|offender| offender.weight(&self.rules, now));
        let Some(place) = set.iter_mut().min_by_key(least) else { return Standing::Open };
        match place {
            Some(offender) if offender.standing(now) != Standing::Open => {
                self.untracked.fetch_add(1, Ordering::Relaxed);
                return Standing::Open;
            }
            Some(_) => self.evicted.fetch_add(1, Ordering::Relaxed),
            None => self.tracked.fetch_add(1, Ordering::Relaxed),
        };
        place.insert(Offender::new(*network, now)).failed(&self.rules, now)
    }

    /// Every network that is throttled or banned now, the longest first.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> Vec<Ban> {
        let mut bans = self.bans.list(now);
        self.offenders.for_each(|place| bans.extend(place.as_ref().and_then(|offender| offender.ban(now))));
        bans.sort_by_key(|ban| (std::cmp::Reverse(ban.until.unwrap_or(Timestamp::from_millis(u64::MAX))), ban.network));
        bans
    }

    /// Bans a network until a time, or until it is lifted.
    ///
    /// # Errors
    /// The network is everybody, or there are too many bans.
    pub fn ban(&self, network: IpNet, until: Option<Timestamp>, reason: &str, now: Timestamp) -> Result<(), BanError> {
        self.bans.add(network, until, reason, now)
    }

    /// Lifts the ban of exactly this network, and forgets what networks within it did. Says whether there was any.
    pub fn lift(&self, network: IpNet) -> bool {
        let network = network.trunc();
        let mut lifted = self.bans.remove(&network);
        self.offenders.for_each(|place| {
            if place.as_ref().is_some_and(|offender| offender.is_within(&network)) {
                *place = None;
                self.tracked.fetch_sub(1, Ordering::Relaxed);
                lifted = true;
            }
        });
        lifted
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            tracked: self.tracked.load(Ordering::Relaxed),
            capacity: self.offenders.capacity() as u64,
            evicted: self.evicted.load(Ordering::Relaxed),
            untracked: self.untracked.load(Ordering::Relaxed),
            banned: self.bans.len() as u64,
        }
    }

    fn hash(&self, network: &IpNet) -> u64 {
        self.hashing.hash_one(network)
    }
}
