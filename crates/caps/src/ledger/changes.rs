//! What lasts longer than the process: usage for the journal, quotas for the store.
//!
//! What changed is taken every second or so, by whoever writes it down. Usage comes as differences, each once; quotas as
//! they are, so that the newest is enough. What was spent since they were last written is what a crash can lose.

use std::sync::Arc;

use super::Ledger;
use super::account::Account;
use super::registry::CapKey;
use super::shard::{Accounts, Shard};
use crate::calendar::Period;
use crate::moment::Moment;
use crate::policy::{MethodId, Scope};
use crate::quota::Used;
use crate::slot::{Slot, Slots};
use crate::usage::Amount;

use super::bound::{period_of, shape_of};

/// Accounts looked at under one hold of a lock: about ten microseconds.
pub(super) const AT_ONCE: usize = 32;

/// What one consumer used of one method since it was last taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// Who.
    pub consumer: Arc<str>,
    /// Which method; see [`crate::Methods::name`].
    pub method: MethodId,
    /// How much.
    pub amount: Amount,
}

/// What was spent of a quota, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedQuota {
    /// Whose; `None` for what all of a scope share.
    pub consumer: Option<Arc<str>>,
    /// The scope of the cap.
    pub scope: Scope,
    /// The route or plan; empty for a consumer's own caps.
    pub set: Arc<str>,
    /// The cap's name.
    pub cap: Arc<str>,
    /// Whether the window is a day or a month.
    pub period: Period,
    /// The window's number.
    pub window: u32,
    /// What was spent in it.
    pub spent: u64,
}

/// What changed since the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What was used: to be added up.
    pub usage: Vec<UsageDelta>,
    /// How quotas stand now: the newest counts.
    pub quotas: Vec<SavedQuota>,
}

/// Where a consumer that was dropped is looked up. Asked on the request path when one comes that is not held, so it
/// must answer from memory.
pub trait SavedQuotas: Send + Sync {
    /// The quotas of a consumer that were saved.
    fn load(&self, consumer: &str) -> Vec<SavedQuota>;
}

/// What is taken under one hold of a lock.
#[derive(Default)]
struct Batch {
    usage: Vec<UsageDelta>,
    slots: Vec<(Arc<str>, Slot)>,
}

impl Batch {
    /// Takes from at most so many accounts; answers from how many.
    fn fill(&mut self, accounts: &mut Accounts, most: usize) -> usize {
        let spilled = accounts.take_spilled().into_iter();
        self.usage.extend(spilled.map(|(consumer, method, amount)| UsageDelta { consumer, method, amount }));
        let mut taken = 0;
        while taken < most
            && let Some(account) = accounts.pop_changed()
        {
            taken += 1;
            let id = &account.id;
            let delta = |(method, amount)| UsageDelta { consumer: Arc::clone(id), method, amount };
            self.usage.extend(account.usage.take().map(delta));
            let spent = account.slots.iter().filter(|slot| slot.is_spent_quota());
            self.slots.extend(spent.map(|slot| (Arc::clone(id), slot)));
        }
        taken
    }
}

impl Ledger {
    /// Takes what changed since it was last taken. Each use is in one answer and in no other. Locks are held for 32
    /// accounts at a time.
    #[must_use = "what is taken is not kept"]
    pub fn take_changes(&self) -> Changes {
        self.take_changes_of(0, 1)
    }

    /// The same of one of so many pieces of the ledger, counted from 0, so that somebody who shares a core with the requests can
    /// take them one after the other. All pieces together are the whole.
    #[must_use = "what is taken is not kept"]
    pub fn take_changes_of(&self, piece: usize, pieces: usize) -> Changes {
        let mut changes = Changes::default();
        for shard in self.shards.iter().skip(piece).step_by(pieces.max(1)) {
            self.take_from(shard, &mut changes);
        }
        if piece == 0 {
            for state in self.shared_states() {
                let mut holder = state.lock();
                if std::mem::take(&mut holder.dirty) {
                    let spent = holder.slots.iter().filter(|slot| slot.is_spent_quota());
                    changes.quotas.extend(spent.filter_map(|slot| self.saved_quota(None, slot)));
                }
            }
        }
        changes
    }

    fn take_from(&self, shard: &Shard, changes: &mut Changes) {
        let mut batch = Batch::default();
        // Those that change meanwhile come at the next time.
        let mut left = shard.lock().len();
        while left > 0 {
            let taken = batch.fill(&mut shard.lock(), left.min(AT_ONCE));
            // What is large grows while nobody waits.
            changes.usage.append(&mut batch.usage);
            let slots = batch.slots.drain(..);
            changes.quotas.extend(slots.filter_map(|(id, slot)| self.saved_quota(Some(id), slot)));
            left = if taken == 0 { 0 } else { left - taken };
        }
    }

    /// Gives every quota of which something was spent in a window that is not over everywhere, for a whole copy.
    /// Nothing is taken.
    pub fn export(&self, now: Moment, mut each: impl FnMut(SavedQuota)) {
        let spent = |slot: &Slot| slot.is_spent_quota() && !slot.is_idle(now);
        for shard in &self.shards {
            let places = shard.lock().slab.places();
            for from in (0..places).step_by(AT_ONCE) {
                let mut slots: Vec<(Arc<str>, Slot)> = Vec::new();
                let accounts = shard.lock();
                for at in (from..from + AT_ONCE).filter_map(|at| u32::try_from(at).ok()) {
                    let Some(account) = accounts.slab.get(at) else { continue };
                    slots.extend(account.slots.iter().filter(spent).map(|slot| (Arc::clone(&account.id), slot)));
                }
                drop(accounts);
                slots.into_iter().filter_map(|(id, slot)| self.saved_quota(Some(id), slot)).for_each(&mut each);
            }
        }
        for state in self.shared_states() {
            let slots: Vec<Slot> = state.lock().slots.iter().filter(spent).collect();
            slots.into_iter().filter_map(|slot| self.saved_quota(None, slot)).for_each(&mut each);
        }
    }

    /// Takes what was saved, before the first request. Of two words on one window the greater one holds. Answers how
    /// many found no room.
    pub fn import(&self, now: Moment, saved: impl IntoIterator<Item = SavedQuota>) -> usize {
        let mut lost = 0;
        for quota in saved {
            let Some(slot) = self.slot_of(&quota) else {
                lost += 1;
                continue;
            };
            let Some(id) = &quota.consumer else {
                put_greater(&mut self.shared_state(quota.scope, &quota.set).lock().slots, slot, now);
                continue;
            };
            let hash = self.hash(id);
            let Some(shard) = self.shard(hash) else { continue };
            let mut accounts = shard.lock();
            let at = accounts.find(hash, id).or_else(|| self.enter(now, &mut accounts, (hash, id), &[]));
            match at.and_then(|at| accounts.slab.get_mut(at)) {
                Some(account) => put_greater(&mut account.slots, slot, now),
                None => lost += 1,
            }
        }
        lost
    }

    /// Adds what another process spent of the same quotas since both knew the same: `spent` is a difference. It comes out
    /// of [`Ledger::take_changes`] like what was spent here. Answers how many found no room.
    pub fn add_spent(&self, now: Moment, spent: impl IntoIterator<Item = SavedQuota>) -> usize {
        let mut lost = 0;
        for quota in spent {
            let Some(slot) = self.slot_of(&quota) else {
                lost += 1;
                continue;
            };
            let Some(id) = &quota.consumer else {
                let state = self.shared_state(quota.scope, &quota.set);
                let mut holder = state.lock();
                put_sum(&mut holder.slots, slot, now);
                holder.dirty = true;
                continue;
            };
            let hash = self.hash(id);
            let Some(shard) = self.shard(hash) else { continue };
            let saved = self.saved.as_ref().map(|saved| saved.load(id)).unwrap_or_default();
            let mut accounts = shard.lock();
            let at = accounts.find(hash, id).or_else(|| self.enter(now, &mut accounts, (hash, id), &saved));
            match at.and_then(|at| Some((at, accounts.slab.get_mut(at)?))) {
                Some((at, account)) => {
                    put_sum(&mut account.slots, slot, now);
                    accounts.change(at);
                }
                None => lost += 1,
            }
        }
        lost
    }

    /// Makes an account, with what is saved of it; `None` when there is no room and nobody near is idle.
    pub(super) fn enter(
        &self,
        now: Moment,
        accounts: &mut Accounts,
        (hash, id): (u64, &Arc<str>),
        saved: &[SavedQuota],
    ) -> Option<u32> {
        if accounts.len() >= self.most && !self.make_room(now, accounts, hash) {
            return None;
        }
        let at = accounts.insert(hash, id, |id| self.hash(id))?;
        let account: &mut Account = accounts.slab.get_mut(at)?;
        self.put_saved(&mut account.slots, saved, now);
        Some(at)
    }

    /// What was saved of a consumer that is not held.
    pub(super) fn recall(&self, now: Moment, id: &str) -> Slots {
        let mut slots = Slots::default();
        if let Some(saved) = &self.saved {
            self.put_saved(&mut slots, &saved.load(id), now);
        }
        slots
    }

    fn put_saved(&self, slots: &mut Slots, saved: &[SavedQuota], now: Moment) {
        for slot in saved.iter().filter_map(|quota| self.slot_of(quota)) {
            put_greater(slots, slot, now);
        }
    }

    fn saved_quota(&self, consumer: Option<Arc<str>>, slot: Slot) -> Option<SavedQuota> {
        let CapKey { scope, set, cap, shape, .. } = self.registry.key(slot.cap())?;
        let period = period_of(shape)?;
        let Used { window, spent } = slot.used();
        Some(SavedQuota { consumer, scope, set, cap, period, window, spent })
    }

    fn slot_of(&self, quota: &SavedQuota) -> Option<Slot> {
        let key = CapKey {
            scope: quota.scope,
            shared: quota.consumer.is_none(),
            set: Arc::clone(&quota.set),
            cap: Arc::clone(&quota.cap),
            shape: shape_of(quota.period),
        };
        let (id, _) = self.registry.cap(key)?;
        Some(Slot::quota(id, Used { window: quota.window, spent: quota.spent }))
    }
}

fn put_greater(slots: &mut Slots, slot: Slot, now: Moment) {
    let at = slots.find(slot.cap());
    let before = at.and_then(|at| slots.get(at)).map(Slot::used).unwrap_or_default();
    let after = slot.used();
    if (after.window, after.spent) > (before.window, before.spent) {
        slots.put(at, slot, now);
    }
}

/// Adds to what was spent in the same window; a later window begins anew, an earlier one is over.
fn put_sum(slots: &mut Slots, slot: Slot, now: Moment) {
    let at = slots.find(slot.cap());
    let before = at.and_then(|at| slots.get(at)).map(Slot::used).unwrap_or_default();
    let more = slot.used();
    let sum = match more.window.cmp(&before.window) {
        std::cmp::Ordering::Less => return,
        std::cmp::Ordering::Equal => Used { window: before.window, spent: before.spent.saturating_add(more.spent) },
        std::cmp::Ordering::Greater => more,
    };
    slots.put(at, Slot::quota(slot.cap(), sum), now);
}
