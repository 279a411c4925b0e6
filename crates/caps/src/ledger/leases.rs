//! The shares of caps that gateways share, beside the slots of their holder, and their words to the pools.
//!
//! A shared cap is asked twice: its own slot holds this gateway to the whole limit, its share to what the pool granted.
//! The slot refuses nothing that the limit allows, since others' spending only makes it less.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;

use super::Ledger;
use super::bound::{BoundCap, period_of};
use super::holder::SharedState;
use crate::calendar::Period;
use crate::lease::{Ask, Budget, GatewayId, Grant, Link, Share, Terms};
use crate::moment::Moment;
use crate::policy::{Limit, Outage, Scope};
use crate::short::Short;
use crate::slot::CapId;

/// Shares looked at under one hold of a lock.
const AT_ONCE: usize = 32;

/// Which share of a holder: whose account (0 where there is one holder), which cap, which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LeaseSlot {
    pub(super) account: u32,
    pub(super) cap: CapId,
    /// The number of a quota's window; 0 of a rate.
    pub(super) window: u32,
}

/// What a cap shares, and on which terms; held once for all shares of the cap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deal {
    pub(super) budget: Budget,
    pub(super) terms: Terms,
}

struct Lease {
    share: Share,
    deal: Arc<Deal>,
    /// Whether it is in the queue of those to be looked at.
    queued: bool,
}

/// The shares of one holder.
#[derive(Default)]
pub(super) struct Leases {
    by_slot: HashMap<LeaseSlot, Lease>,
    due: VecDeque<LeaseSlot>,
}

/// What a share is asked with.
pub(super) struct LeaseQuery<'a> {
    pub(super) slot: LeaseSlot,
    pub(super) deal: &'a Arc<Deal>,
    pub(super) link: Link,
    /// What was spent of a quota before there was a share.
    pub(super) before: u64,
    pub(super) cost: u64,
}

impl Leases {
    /// Whether the share allows a cost, and whether it is new.
    pub(super) fn check(&mut self, query: &LeaseQuery<'_>, now: Moment) -> (Result<(), Short>, bool) {
        let new = !self.by_slot.contains_key(&query.slot);
        let lease = self.by_slot.entry(query.slot).or_insert_with(|| Lease {
            share: Share::new(now, &query.deal.terms, query.before),
            deal: Arc::clone(query.deal),
            queued: false,
        });
        if !Arc::ptr_eq(&lease.deal, query.deal) {
            lease.deal = Arc::clone(query.deal);
        }
        if !lease.queued {
            lease.queued = true;
            self.due.push_back(query.slot);
        }
        (lease.share.check(now.nanos, query.cost, &query.deal.budget, &query.link), new)
    }

    /// Spends what was checked.
    pub(super) fn spend(&mut self, slot: LeaseSlot, now: Moment, cost: u64, link: &Link) {
        if let Some(lease) = self.by_slot.get_mut(&slot) {
            lease.share.spend(now.nanos, cost, &lease.deal.budget, link);
        }
    }

    /// What a share allows now, if there is one.
    pub(super) fn room(&self, slot: LeaseSlot, now: Moment, link: &Link) -> Option<u64> {
        let lease = self.by_slot.get(&slot)?;
        Some(lease.share.room(now.nanos, &lease.deal.budget, link))
    }

    /// What some of the shares have to say, at most `most` of them; how many were looked at, and whose went away.
    fn look(&mut self, now: Moment, gateway: GatewayId, most: usize, found: &mut Found) -> usize {
        let looked = most.min(self.due.len());
        for _ in 0..looked {
            let Some(slot) = self.due.pop_front() else { break };
            let Some(lease) = self.by_slot.get_mut(&slot) else { continue };
            if let Some(ask) = lease.share.ask(now.nanos, gateway, &lease.deal.terms) {
                found.asks.push((slot, ask, Arc::clone(&lease.deal)));
            } else if lease.share.is_idle(now.nanos, &lease.deal.terms) {
                self.by_slot.remove(&slot);
                found.gone.push(slot);
                continue;
            }
            self.due.push_back(slot);
        }
        looked
    }

    fn granted(&mut self, slot: LeaseSlot, grant: Option<&Grant>) {
        let Some(lease) = self.by_slot.get_mut(&slot) else { return };
        match grant {
            Some(grant) => lease.share.granted(grant, &lease.deal.terms),
            None => lease.share.lost(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }
}

#[derive(Default)]
struct Found {
    asks: Vec<(LeaseSlot, Ask, Arc<Deal>)>,
    gone: Vec<LeaseSlot>,
}

/// Which pool a word is for.
#[derive(Clone)]
pub struct LeaseKey {
    /// Whose cap; `None` for one that all share.
    pub consumer: Option<Arc<str>>,
    /// The scope of the cap.
    pub scope: Scope,
    /// The route or plan; empty for a consumer's own caps.
    pub set: Arc<str>,
    /// The cap's name.
    pub cap: Arc<str>,
    /// The number of a quota's window; 0 of a rate.
    pub window: u32,
    slot: LeaseSlot,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Shared(Arc<SharedState>),
    Shard(usize),
}

/// A word that is to be carried to a pool.
pub struct LeaseAsk {
    /// Which pool.
    pub key: LeaseKey,
    /// The word.
    pub ask: Ask,
    /// The cap's limit as it is now, with what an override does to it.
    pub budget: Budget,
    /// The terms of the cap.
    pub terms: Terms,
    /// What a quota is counted by, so that its pool can be forgotten when the window is over; `None` of a rate.
    pub period: Option<Period>,
}

impl Ledger {
    /// Notes that the shared store answered words that were sent then, in nanoseconds of the monotonic clock, and how
    /// many gateways it knows. Until a `ttl` after that it counts as reachable.
    pub fn link_heard(&self, sent: u64, ttl: std::time::Duration, gateways: u32) {
        portcullis_mutants::when!(WaitsForRedis => portcullis_mutants::spoke());
        self.link_up_until.fetch_max(sent.saturating_add(crate::moment::nanos(ttl)), Ordering::Relaxed);
        self.gateways.store(gateways.max(1), Ordering::Relaxed);
    }

    /// The way to the shared store, for a plan with this policy for outages.
    #[must_use]
    pub fn link(&self, outage: Outage) -> Link {
        let up_until = self.link_up_until.load(Ordering::Relaxed);
        Link { up_until, gateways: self.gateways.load(Ordering::Relaxed), outage }
    }

    /// What there is to say to the pools now. To be called every tick, a third of [`Terms::ahead`] or less; each word is
    /// to be answered by [`Self::lease_answer`]. Locks are held for 32 shares at a time.
    #[must_use]
    pub fn lease_asks(&self, now: Moment, gateway: GatewayId) -> Vec<LeaseAsk> {
        let mut out = Vec::new();
        for (at, shard) in self.shards.iter().enumerate() {
            let mut left = shard.lock().leases.due.len();
            while left > 0 {
                let mut found = Found::default();
                let mut accounts = shard.lock();
                let looked = accounts.leases.look(now, gateway, left.min(AT_ONCE), &mut found);
                for slot in &found.gone {
                    if let Some(account) = accounts.slab.get_mut(slot.account) {
                        account.pins = account.pins.saturating_sub(1);
                    }
                }
                let id = |slot: &LeaseSlot| accounts.slab.get(slot.account).map(|account| Arc::clone(&account.id));
                let ids: Vec<Option<Arc<str>>> = found.asks.iter().map(|(slot, ..)| id(slot)).collect();
                drop(accounts);
                let asks = ids.into_iter().zip(found.asks);
                out.extend(asks.filter_map(|(id, ask)| self.lease_ask(Place::Shard(at), id, ask)));
                left = if looked == 0 { 0 } else { left.saturating_sub(looked) };
            }
        }
        for state in self.shared_states() {
            let mut found = Found::default();
            state.lock().leases.look(now, gateway, usize::MAX, &mut found);
            let asks = found.asks.into_iter();
            out.extend(asks.filter_map(|ask| self.lease_ask(Place::Shared(Arc::clone(&state)), None, ask)));
        }
        out
    }

    fn lease_ask(
        &self,
        place: Place,
        consumer: Option<Arc<str>>,
        (slot, ask, deal): (LeaseSlot, Ask, Arc<Deal>),
    ) -> Option<LeaseAsk> {
        let names = self.registry.key(slot.cap)?;
        let (scope, set, cap, window) = (names.scope, names.set, names.cap, slot.window);
        let key = LeaseKey { consumer, scope, set, cap, window, slot, place };
        let period = period_of(names.shape);
        Some(LeaseAsk { key, ask, budget: deal.budget, terms: deal.terms, period })
    }

    /// The pool's answer to a word, or `None` when there will be none.
    pub fn lease_answer(&self, key: &LeaseKey, grant: Option<&Grant>) {
        match &key.place {
            Place::Shared(state) => state.lock().leases.granted(key.slot, grant),
            Place::Shard(at) => {
                if let Some(shard) = self.shards.get(*at) {
                    shard.lock().leases.granted(key.slot, grant);
                }
            }
        }
    }
}

/// The slot of a cap's share at a moment.
pub(super) fn lease_slot(account: u32, cap: &BoundCap, now: Moment) -> LeaseSlot {
    let window = match &cap.limit {
        Limit::Quota(_, quota) => quota.window(now).number,
        Limit::Rate(..) | Limit::AtOnce(..) => 0,
    };
    LeaseSlot { account, cap: cap.id, window }
}
