//! What everybody has spent: the state of all caps of a gateway, and the one place where it changes.
//!
//! Who is concerned by a request has a *holder* of state: one for all requests of the gateway, one for each route and
//! each plan that shares caps, and an *account* for each active consumer. [`Ledger::decide`] locks those concerned in
//! one order (gateway, route, plan, consumer), asks all their caps, and only when all allow it spends of all. So a
//! request that is refused spends nothing anywhere, and nobody ever sees what is spent and taken back.
//!
//! Accounts lie in shards, each under one lock, so that workers that serve different consumers seldom meet. The state
//! belongs to names, not to generations: a cap that is edited, and a plan that is loaded anew, find what was spent.
//!
//! Invariants:
//! - Of what a guard ([`Admission`]) holds, all is given back when it drops, once.
//! - What was admitted is in the usage once, and comes out of [`Ledger::take_changes`] once.
//! - An account that anything of depends on is not dropped: what is held, what is not taken yet, a bucket that is not
//!   full, a quota of which something was spent.
//! - Deciding allocates nothing for a consumer that is active.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashMap;

use super::sync;
use crate::moment::Moment;
use crate::overrides::{Override, Overrides, Target};
use crate::policy::Scope;
use crate::slot::CapId;

// Paths are written out since the tests compile this file from another place.
#[path = "ledger/account.rs"]
mod account;
#[path = "ledger/admission.rs"]
mod admission;
#[path = "ledger/bound.rs"]
mod bound;
#[path = "ledger/changes.rs"]
mod changes;
#[path = "ledger/decide.rs"]
mod decide;
#[path = "ledger/demand.rs"]
mod demand;
#[path = "ledger/holder.rs"]
mod holder;
#[path = "ledger/leases.rs"]
mod leases;
#[path = "ledger/locked.rs"]
mod locked;
#[path = "ledger/registry.rs"]
mod registry;
#[path = "ledger/shard.rs"]
mod shard;
#[path = "ledger/step.rs"]
mod step;
#[path = "ledger/sweep.rs"]
mod sweep;

pub use admission::Admission;
pub use bound::{BindError, BoundSet};
pub use changes::{Changes, SavedQuota, SavedQuotas, UsageDelta};
pub use demand::{Request, RoutePart, Scopes};
pub use leases::{LeaseAsk, LeaseKey};
pub use registry::CapCount;
pub use sweep::Swept;

use holder::SharedState;
use registry::Registry;
use shard::Shard;

/// How large a ledger may become, and what it works with.
pub struct LedgerOptions {
    /// The most consumers that are held at once. A new one finds no room when none of the others is idle.
    pub most_consumers: usize,
    /// Shards, each under a lock; rounded up to a power of two.
    pub shards: usize,
    /// Against chosen collisions; random, but for tests.
    pub seed: u64,
    /// Whether usage is counted by consumer and method. Then somebody must take it.
    pub usage: bool,
    /// Where quotas are saved, if dropped consumers may be looked up there. Without it a consumer that has spent of a
    /// quota is held to the end of the window.
    pub saved: Option<Arc<dyn SavedQuotas>>,
}

impl Default for LedgerOptions {
    /// Four million consumers, 256 shards, usage counted. The seed is fixed: give one.
    fn default() -> Self {
        Self { most_consumers: 1 << 22, shards: 256, seed: 0, usage: true, saved: None }
    }
}

/// What all share, by route and plan.
type SharedStates = HashMap<(Scope, Arc<str>), Arc<SharedState>>;

/// The state of all caps of a gateway.
pub struct Ledger {
    shards: Box<[Arc<Shard>]>,
    /// Consumers that a shard holds at most.
    most: usize,
    seed: SeedableRandomState,
    usage: bool,
    saved: Option<Arc<dyn SavedQuotas>>,
    registry: Registry,
    shared: sync::Mutex<SharedStates>,
    /// Whether there are overrides: asked on every request, written seldom.
    overriding: AtomicBool,
    overrides: ArcSwap<Overrides>,
    /// One writer at a time reads and replaces the overrides.
    setting: sync::Mutex<()>,
    /// The next account to look at: shard and place.
    swept: AtomicUsize,
    link_up_until: AtomicU64,
    gateways: AtomicU32,
}

impl Ledger {
    /// A ledger in which nobody has spent anything.
    #[must_use]
    pub fn new(options: LedgerOptions) -> Self {
        let shards = options.shards.clamp(1, 1 << 16).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Arc::default()).collect(),
            most: options.most_consumers.div_ceil(shards).max(1),
            seed: SeedableRandomState::with_seed(options.seed, SharedSeed::global_fixed()),
            usage: options.usage,
            saved: options.saved,
            registry: Registry::default(),
            shared: sync::Mutex::new(HashMap::default()),
            overriding: AtomicBool::new(false),
            overrides: ArcSwap::default(),
            setting: sync::Mutex::new(()),
            swept: AtomicUsize::new(0),
            link_up_until: AtomicU64::new(0),
            gateways: AtomicU32::new(1),
        }
    }

    /// Sets an override, in the place of one for the same caps. `unix` is now, in seconds since 1970.
    pub fn set_override(&self, one: Override, unix: u64) {
        self.replace(|overrides| overrides.with(one, unix));
    }

    /// Takes an override back.
    pub fn lift_override(&self, target: &Target, cap: Option<&str>, unix: u64) {
        self.replace(|overrides| overrides.without(target, cap, unix));
    }

    /// The overrides that are not over.
    #[must_use]
    pub fn overrides(&self, unix: u64) -> Vec<Override> {
        self.overrides.load().live(unix).cloned().collect()
    }

    fn replace(&self, change: impl FnOnce(&Overrides) -> Overrides) {
        let _one_at_a_time = self.setting.lock();
        let changed = change(&self.overrides.load());
        self.overriding.store(!changed.is_empty(), Ordering::Release);
        self.overrides.store(Arc::new(changed));
    }

    /// What each cap refused, and would have refused in shadow, since the gateway began.
    #[must_use]
    pub fn counts(&self) -> Vec<CapCount> {
        self.registry.counts()
    }

    /// Consumers that are held.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Places for consumers, vacant ones too: what [`Self::sweep`] counts.
    #[must_use]
    pub fn places(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().slab.places()).sum()
    }

    /// Under which sets' caps a consumer has spent anything that still counts; `None` for one that has spent nothing.
    #[must_use]
    pub fn sets_of(&self, now: Moment, consumer: &str) -> Option<Vec<(Scope, Arc<str>)>> {
        let caps = self.held_caps(consumer).or_else(|| {
            let saved = self.recall(now, consumer);
            let caps: Vec<_> = saved.iter().filter(|slot| !slot.is_idle(now)).map(|slot| slot.cap()).collect();
            (!caps.is_empty()).then_some(caps)
        })?;
        let mut sets: Vec<_> =
            caps.into_iter().filter_map(|cap| self.registry.key(cap)).map(|key| (key.scope, key.set)).collect();
        sets.sort();
        sets.dedup();
        Some(sets)
    }

    /// The caps of a consumer that is held.
    fn held_caps(&self, consumer: &str) -> Option<Vec<CapId>> {
        let hash = self.hash(consumer);
        let accounts = self.shard(hash)?.lock();
        let account = accounts.slab.get(accounts.find(hash, consumer)?)?;
        Some(account.slots.iter().map(|slot| slot.cap()).collect())
    }

    fn hash(&self, consumer: &str) -> u64 {
        hash(&self.seed, consumer)
    }

    fn shard(&self, hash: u64) -> Option<&Arc<Shard>> {
        // The table within the shard uses the other end of the hash.
        let at = usize::try_from(hash >> 40).unwrap_or(0) & (self.shards.len() - 1);
        self.shards.get(at)
    }
}

fn hash(seed: &SeedableRandomState, consumer: &str) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(consumer.as_bytes());
    hasher.finish()
}
