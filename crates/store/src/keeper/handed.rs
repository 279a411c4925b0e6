//! What a gateway goes on spending after it handed its store to the one that follows it.
//!
//! Its ledger knows quotas as they stand; the other one has its own, and wants differences. They are taken from what both
//! knew when the store changed hands. What was given away waits here until the other one says that it is on disk, so that
//! it can be taken back when that one dies.

use std::collections::VecDeque;

use hashbrown::HashMap;
use portcullis_caps::SavedQuota;

use crate::index::Index;
use crate::rows::quota_key;
use crate::spending::Spending;

/// A window and what was spent in it.
type Stand = (u32, u64);

/// How quotas that all of a scope share stood when they were written last: what [`Index`] does not hold.
#[derive(Default)]
pub(super) struct SharedStands(HashMap<Vec<u8>, Stand>);

impl SharedStands {
    /// Notes how a quota stands, if it is one that is shared.
    pub(super) fn note(&mut self, quota: &SavedQuota) {
        if quota.consumer.is_none() {
            let stand = self.0.entry(quota_key(quota)).or_default();
            *stand = (*stand).max((quota.window, quota.spent));
        }
    }
}

/// What was spent since the store was handed over, and what became of it.
#[derive(Default)]
pub(super) struct Handed {
    /// By key: the difference that waits to be sent.
    waits: HashMap<Vec<u8>, SavedQuota>,
    /// What was sent and is not known to be on disk, by number.
    sent: VecDeque<(u64, Spending)>,
    last: u64,
}

impl Handed {
    /// Takes the differences between quotas as they stand and as they were known; must be called before `index` and
    /// `shared` learn of them.
    pub(super) fn add(&mut self, quotas: &[SavedQuota], index: &Index, shared: &mut SharedStands) {
        for quota in quotas {
            let key = quota_key(quota);
            let before = if quota.consumer.is_some() { index.stand(quota) } else { shared.0.get(&key).copied() };
            let spent = match before {
                Some((window, _)) if window > quota.window => continue,
                Some((window, spent)) if window == quota.window => quota.spent.saturating_sub(spent),
                Some(_) | None => quota.spent,
            };
            shared.note(quota);
            if spent == 0 {
                continue;
            }
            match self.waits.get_mut(&key) {
                Some(waits) if waits.window == quota.window => waits.spent = waits.spent.saturating_add(spent),
                Some(_) | None => {
                    self.waits.insert(key, SavedQuota { spent, ..quota.clone() });
                }
            }
        }
    }

    /// Takes what is to be sent, with usage beside it, and its number.
    pub(super) fn send(&mut self, usage: impl IntoIterator<Item = crate::pending::Used>) -> Option<(u64, Spending)> {
        let quotas = self.waits.drain().map(|(_, quota)| quota).collect();
        let usage = usage.into_iter().map(|((consumer, method), amount)| (consumer, method, amount)).collect();
        let spending = Spending { usage, quotas };
        if spending.is_empty() {
            return None;
        }
        self.last += 1;
        self.sent.push_back((self.last, spending.clone()));
        Some((self.last, spending))
    }

    /// All up to a number is on disk.
    pub(super) fn kept(&mut self, number: u64) {
        self.sent.retain(|(sent, _)| *sent > number);
    }

    /// How many entries are not known to be on disk.
    pub(super) fn len(&self) -> usize {
        let sent = self.sent.iter().map(|(_, spending)| spending.usage.len() + spending.quotas.len());
        self.waits.len() + sent.sum::<usize>()
    }

    /// What was sent in vain: usage that must be counted here after all.
    pub(super) fn take_back(self) -> impl Iterator<Item = crate::pending::Used> {
        let usage = self.sent.into_iter().flat_map(|(_, spending)| spending.usage);
        usage.map(|(consumer, method, amount)| ((consumer, method), amount))
    }
}
