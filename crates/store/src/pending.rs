//! What was taken from the ledger and is not on disk yet.
//!
//! Invariant: what is taken is here until a commit that holds it has succeeded. Quotas are kept as they are newest,
//! usage by consumer and method, so a disk that stays full makes this as large as the ledger's active consumers, not as
//! long as the outage.

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_caps::{Amount, Changes, MethodId, SavedQuota};

use crate::index::Index;
use crate::rows::quota_key;

/// Names of methods, for people and bills.
pub type MethodNames = Arc<dyn Fn(MethodId) -> Arc<str> + Send + Sync>;

/// What a consumer used of a method.
pub(crate) type Used = ((Arc<str>, Arc<str>), Amount);

/// What waits to be committed.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) quotas: HashMap<Vec<u8>, (u32, u64)>,
    pub(crate) usage: HashMap<(Arc<str>, Arc<str>), Amount>,
}

impl Pending {
    /// Adds what was taken.
    pub(crate) fn add(&mut self, changes: Changes, names: &MethodNames, index: &Index) {
        for quota in changes.quotas {
            index.put(&quota);
            self.put(&quota);
        }
        for delta in changes.usage {
            *self.usage.entry((delta.consumer, names(delta.method))).or_default() += delta.amount;
        }
    }

    /// Adds what was used.
    pub(crate) fn add_usage(&mut self, used: impl IntoIterator<Item = Used>) {
        for (key, amount) in used {
            *self.usage.entry(key).or_default() += amount;
        }
    }

    fn put(&mut self, quota: &SavedQuota) {
        let held = self.quotas.entry(quota_key(quota)).or_default();
        *held = (*held).max((quota.window, quota.spent));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.quotas.is_empty() && self.usage.is_empty()
    }

    /// Entries that wait.
    pub(crate) fn len(&self) -> usize {
        self.quotas.len() + self.usage.len()
    }

    /// Forgets what was committed. Room that was needed once is given up.
    pub(crate) fn clear(&mut self) {
        self.quotas.clear();
        self.usage.clear();
        self.quotas.shrink_to(1 << 12);
        self.usage.shrink_to(1 << 12);
    }
}
