//! A part of all consumers under one lock.
//!
//! Invariants: the index has exactly the places of the slab's accounts; the list of those that changed has each that
//! has usage or quotas to be taken, once.

use std::sync::Arc;

use hashbrown::HashTable;

use super::account::{Account, NOWHERE, Slab, UNCHANGED};
use super::leases::Leases;
use super::sync::{Mutex, MutexGuard};
use crate::policy::MethodId;
use crate::usage::Amount;

/// A shard under its lock. On its own cache lines, so that its neighbour's lock is not slowed down.
#[repr(align(128))]
pub(super) struct Shard(Mutex<Accounts>);

impl Default for Shard {
    fn default() -> Self {
        Self(Mutex::new(Accounts::default()))
    }
}

impl Shard {
    pub(super) fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock()
    }
}

/// What a shard holds.
pub(super) struct Accounts {
    index: HashTable<u32>,
    pub(super) slab: Slab,
    pub(super) leases: Leases,
    /// The first of those that changed.
    changed: u32,
    /// The place that a sweep looks at next.
    swept: usize,
    /// Usage that did not fit into an account.
    spilled: Vec<(Arc<str>, MethodId, Amount)>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            slab: Slab::default(),
            leases: Leases::default(),
            changed: NOWHERE,
            swept: 0,
            spilled: Vec::new(),
        }
    }
}

impl Accounts {
    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) const fn swept(&self) -> usize {
        self.swept
    }

    pub(super) const fn set_swept(&mut self, place: usize) {
        self.swept = place;
    }

    /// The place of a consumer.
    #[inline]
    pub(super) fn find(&self, hash: u64, id: &str) -> Option<u32> {
        let is_it = |at: &u32| self.slab.get(*at).is_some_and(|account| &*account.id == id);
        self.index.find(hash, is_it).copied()
    }

    /// A place for a consumer that has none.
    pub(super) fn insert(&mut self, hash: u64, id: &Arc<str>, rehash: impl Fn(&str) -> u64) -> Option<u32> {
        let at = self.slab.insert(Arc::clone(id))?;
        let slab = &self.slab;
        self.index.insert_unique(hash, at, |at| slab.get(*at).map_or(0, |account| rehash(&account.id)));
        Some(at)
    }

    /// Drops an account on which nothing depends.
    pub(super) fn remove(&mut self, at: u32, hash: u64) {
        if let Ok(entry) = self.index.find_entry(hash, |found| *found == at) {
            entry.remove();
        }
        self.slab.remove(at);
        // A table that was large once would stay so.
        if self.index.is_empty() {
            self.index = HashTable::new();
        }
    }

    /// Notes that an account has something to be taken.
    #[inline]
    pub(super) fn change(&mut self, at: u32) {
        if let Some(account) = self.slab.get_mut(at).filter(|account| account.next_changed == UNCHANGED) {
            account.next_changed = self.changed;
            self.changed = at;
        }
    }

    /// Takes one from the list of those that changed.
    pub(super) fn pop_changed(&mut self) -> Option<&mut Account> {
        let account = self.slab.get_mut(self.changed)?;
        self.changed = account.next_changed;
        account.next_changed = UNCHANGED;
        Some(account)
    }

    /// Adds to what a consumer used.
    #[inline]
    pub(super) fn used(&mut self, at: u32, method: MethodId, amount: Amount) {
        let Some(account) = self.slab.get_mut(at) else { return };
        if let Some(rest) = account.usage.add(method, amount) {
            self.spilled.push((Arc::clone(&account.id), method, rest));
        }
        self.change(at);
    }

    /// What did not fit.
    pub(super) fn take_spilled(&mut self) -> Vec<(Arc<str>, MethodId, Amount)> {
        std::mem::take(&mut self.spilled)
    }
}
