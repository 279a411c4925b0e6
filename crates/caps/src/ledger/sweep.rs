//! Idle consumers are dropped, a few at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Ledger;
use super::account::UNCHANGED;
use super::changes::AT_ONCE;
use super::holder::SharedState;
use super::shard::Accounts;
use crate::moment::Moment;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Places looked at.
    pub looked: usize,
    /// Consumers dropped.
    pub dropped: usize,
}

/// What is left of an account after a look.
enum Left {
    Nothing,
    Something,
}

impl Ledger {
    /// Looks at the next `most` places, and drops consumers that mean nothing any more: buckets full, nothing held,
    /// nothing to be taken, and nothing spent of a quota that is not saved elsewhere. Others give up the room that they
    /// do not need. One that was used since the last look is left alone. Locks are held for 32 places at a time.
    pub fn sweep(&self, now: Moment, most: usize) -> Swept {
        let mut swept = Swept::default();
        let shards = self.shards.len();
        let mut shard_at = self.swept.load(Ordering::Relaxed) % shards;
        for _ in 0..shards {
            let Some(shard) = self.shards.get(shard_at) else { break };
            let mut from = shard.lock().swept();
            let places = shard.lock().slab.places();
            while from < places && swept.looked < most {
                let mut accounts = shard.lock();
                let until = places.min(from + AT_ONCE).min(from + most - swept.looked);
                swept.dropped += self.sweep_places(now, &mut accounts, from..until);
                swept.looked += until - from;
                accounts.set_swept(until);
                from = until;
            }
            if from < places {
                break;
            }
            shard.lock().set_swept(0);
            shard_at = (shard_at + 1) % shards;
        }
        self.swept.store(shard_at, Ordering::Relaxed);
        self.sweep_shared(now);
        swept
    }

    fn sweep_places(&self, now: Moment, accounts: &mut Accounts, places: std::ops::Range<usize>) -> usize {
        let mut dropped = 0;
        for at in places.filter_map(|place| u32::try_from(place).ok()) {
            if matches!(self.sweep_one(now, accounts, at), Some(Left::Nothing)) {
                dropped += 1;
            }
        }
        dropped
    }

    /// `None` where there is no account.
    fn sweep_one(&self, now: Moment, accounts: &mut Accounts, at: u32) -> Option<Left> {
        let account = accounts.slab.get_mut(at)?;
        if std::mem::take(&mut account.touched) || account.pins > 0 || account.next_changed != UNCHANGED {
            return Some(Left::Something);
        }
        let saved = self.saved.is_some();
        // What did not change since it was taken is saved.
        let idle = account.slots.iter().all(|slot| slot.is_idle(now) || (saved && slot.is_spent_quota()));
        if idle {
            let hash = self.hash(&account.id);
            accounts.remove(at, hash);
            return Some(Left::Nothing);
        }
        account.slots.shrink(now);
        account.usage.shrink();
        Some(Left::Something)
    }

    /// Room for one more in a shard that is full: drops the first of some that is idle.
    pub(super) fn make_room(&self, now: Moment, accounts: &mut Accounts, hash: u64) -> bool {
        let places = accounts.slab.places().max(1);
        let start = usize::try_from(hash >> 32).unwrap_or(0) % places;
        let mut near = (0..AT_ONCE).filter_map(|step| u32::try_from((start + step) % places).ok());
        near.any(|at| matches!(self.sweep_one(now, accounts, at), Some(Left::Nothing)))
    }

    /// Drops what all shared of routes and plans that are in no generation any more.
    fn sweep_shared(&self, now: Moment) {
        self.shared.lock().retain(|_, state| {
            let holder = state.lock();
            let means_something =
                holder.dirty || !holder.leases.is_empty() || holder.slots.iter().any(|slot| !slot.is_idle(now));
            drop(holder);
            means_something || Arc::strong_count(state) > 1
        });
    }

    /// What all share, of each route and plan.
    pub(super) fn shared_states(&self) -> Vec<Arc<SharedState>> {
        self.shared.lock().values().cloned().collect()
    }
}
