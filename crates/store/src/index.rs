//! What was saved of quotas, in memory: a consumer that comes back is looked up here, on the request path.
//!
//! It holds what was taken from the ledger, written to disk or not yet, so that no lookup waits for a disk and a full one
//! makes nobody forget. A consumer is held by a hash of 128 bits with a random seed; about 100 bytes each.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use portcullis_caps::{Period, SavedQuota, SavedQuotas, Scope};

/// Locks that consumers are spread over.
const SHARDS: usize = 64;

/// One quota of one consumer.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Which cap, by its place in the names.
    cap: u32,
    window: u32,
    spent: u64,
}

/// Which cap, for all consumers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    scope: Scope,
    set: Arc<str>,
    cap: Arc<str>,
    period: Period,
}

type Shard = HashMap<u128, Box<[Row]>>;

/// The saved quotas of consumers.
pub(crate) struct Index {
    seeds: [RandomState; 2],
    shards: Box<[Mutex<Shard>]>,
    names: RwLock<Names>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Name, u32>,
    names: Vec<Name>,
}

impl Default for Index {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { seeds: [RandomState::default(), RandomState::default()], shards, names: RwLock::default() }
    }
}

impl Index {
    /// Notes a quota. Of two words on one window the greater holds. What all of a scope share is not looked up, and not
    /// held here.
    pub(crate) fn put(&self, quota: &SavedQuota) {
        let Some(consumer) = &quota.consumer else { return };
        let row = Row { cap: self.name(quota), window: quota.window, spent: quota.spent };
        let key = self.key(consumer);
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        let rows = shard.entry(key).or_default();
        match rows.iter_mut().find(|old| old.cap == row.cap) {
            Some(old) if (old.window, old.spent) < (row.window, row.spent) => *old = row,
            Some(_) => {}
            None => *rows = rows.iter().copied().chain([row]).collect(),
        }
    }

    /// How a consumer's quota was noted: its window, and what was spent in it.
    pub(crate) fn stand(&self, quota: &SavedQuota) -> Option<(u32, u64)> {
        let (cap, key) = (self.name(quota), self.key(quota.consumer.as_ref()?));
        let shard = self.shard(key)?.lock();
        shard.get(&key)?.iter().find(|row| row.cap == cap).map(|row| (row.window, row.spent))
    }

    /// Drops windows that are over: days before the first number, months before the second.
    pub(crate) fn purge(&self, (day, month): (u32, u32)) {
        let by_day: Vec<bool> = self.names.read().names.iter().map(|name| name.period == Period::Day).collect();
        let is_over = |row: &Row| {
            let first =
                if usize::try_from(row.cap).ok().and_then(|at| by_day.get(at)) == Some(&true) { day } else { month };
            row.window < first
        };
        for shard in &self.shards {
            shard.lock().retain(|_, rows| {
                if rows.iter().any(is_over) {
                    *rows = rows.iter().copied().filter(|row| !is_over(row)).collect();
                }
                !rows.is_empty()
            });
        }
    }

    /// Consumers that are held.
    pub(crate) fn consumers(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn key(&self, consumer: &str) -> u128 {
        let [high, low] = &self.seeds;
        u128::from(high.hash_one(consumer)) << 64 | u128::from(low.hash_one(consumer))
    }

    fn shard(&self, key: u128) -> Option<&Mutex<Shard>> {
        self.shards.get(usize::try_from(key >> 96).ok()? % SHARDS)
    }

    fn name(&self, quota: &SavedQuota) -> u32 {
        let name =
            Name { scope: quota.scope, set: Arc::clone(&quota.set), cap: Arc::clone(&quota.cap), period: quota.period };
        if let Some(at) = self.names.read().by_name.get(&name) {
            return *at;
        }
        let mut names = self.names.write();
        let next = u32::try_from(names.names.len()).unwrap_or(u32::MAX);
        let at = *names.by_name.entry(name.clone()).or_insert(next);
        if at == next {
            names.names.push(name);
        }
        at
    }
}

impl SavedQuotas for Index {
    fn load(&self, consumer: &str) -> Vec<SavedQuota> {
        let key = self.key(consumer);
        let rows: Vec<Row> =
            self.shard(key).and_then(|shard| shard.lock().get(&key).map(|rows| rows.to_vec())).unwrap_or_default();
        if rows.is_empty() {
            return Vec::new();
        }
        let (id, names) = (Arc::<str>::from(consumer), self.names.read());
        let quota = |row: &Row| {
            let Name { scope, set, cap, period } = names.names.get(usize::try_from(row.cap).ok()?)?.clone();
            let Row { window, spent, .. } = *row;
            Some(SavedQuota { consumer: Some(Arc::clone(&id)), scope, set, cap, period, window, spent })
        };
        rows.iter().filter_map(quota).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(consumer: Option<&str>, cap: &str, period: Period, window: u32, spent: u64) -> SavedQuota {
        let consumer = consumer.map(Arc::from);
        SavedQuota { consumer, scope: Scope::Plan, set: "free".into(), cap: cap.into(), period, window, spent }
    }

    #[test]
    fn the_greatest_word_on_the_newest_window_is_found() {
        let index = Index::default();
        let day = |window, spent| quota(Some("acme"), "quota.day", Period::Day, window, spent);
        for one in [day(5, 9), day(5, 7), day(4, 99), quota(None, "quota.day", Period::Day, 5, 1)] {
            index.put(&one);
        }
        assert_eq!(index.load("acme"), [day(5, 9)]);
        index.put(&day(6, 1));
        index.put(&quota(Some("acme"), "quota.month", Period::Month, 674, 10));
        assert_eq!(index.load("acme"), [day(6, 1), quota(Some("acme"), "quota.month", Period::Month, 674, 10)]);
        assert_eq!((index.load("other"), index.consumers()), (Vec::new(), 1));
    }

    #[test]
    fn what_is_over_is_dropped() {
        let index = Index::default();
        index.put(&quota(Some("a"), "quota.day", Period::Day, 5, 9));
        index.put(&quota(Some("b"), "quota.day", Period::Day, 6, 9));
        index.put(&quota(Some("b"), "quota.month", Period::Month, 3, 9));
        index.purge((6, 4));
        assert_eq!((index.consumers(), index.load("a").len(), index.load("b").len()), (1, 0, 1));
    }
}
