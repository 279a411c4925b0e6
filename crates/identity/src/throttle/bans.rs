//! Bans by operators: of any network, until a time or until lifted.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ipnet::IpNet;
use parking_lot::RwLock;

use crate::time::Timestamp;

/// The most bans by operators at a time.
const MOST: usize = 10_000;
/// The most bytes of a reason.
const MOST_REASON: usize = 256;

/// What kind a ban is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanKind {
    /// A penalty of seconds for failing too often.
    Throttled,
    /// A penalty of minutes for going on.
    BannedItself,
    /// By an operator.
    Operator,
}

/// A network that is not served as others are, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The network.
    pub network: IpNet,
    /// Of what kind.
    pub kind: BanKind,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` until it is lifted.
    pub until: Option<Timestamp>,
    /// Why, in words.
    pub reason: Box<str>,
    /// Requests that failed under it.
    pub refused: u64,
}

/// Why a ban is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// A network of prefix length 0.
    #[error("this network is everybody")]
    Everybody,
    /// As many as there may be.
    #[error("there are {MOST} bans already; lift some")]
    TooMany,
    /// A reason that cannot be shown in a line.
    #[error("a reason has at most {MOST_REASON} bytes and no control characters")]
    Reason,
}

#[derive(Default)]
pub(super) struct Bans {
    all: RwLock<All>,
    /// How many there are, so that nobody takes the lock while there are none.
    count: AtomicUsize,
    /// How often one was added.
    added: AtomicU64,
}

#[derive(Default)]
struct All {
    bans: HashMap<IpNet, Entry>,
    /// The prefix lengths there are, and of how many bans: a client is looked up once for each.
    lengths: BTreeMap<u8, usize>,
}

struct Entry {
    since: Timestamp,
    until: Option<Timestamp>,
    reason: Box<str>,
    refused: AtomicU64,
}

impl Entry {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl All {
    fn find(&self, client: IpAddr, now: Timestamp) -> Option<&Entry> {
        let client = client.to_canonical();
        let mut networks = self.lengths.keys().filter_map(|length| IpNet::new(client, *length).ok());
        networks.find_map(|network| self.bans.get(&network.trunc()).filter(|entry| !entry.is_over(now)))
    }

    fn insert(&mut self, network: IpNet, entry: Entry) {
        if self.bans.insert(network, entry).is_none() {
            *self.lengths.entry(network.prefix_len()).or_default() += 1;
        }
    }

    fn remove(&mut self, network: &IpNet) -> bool {
        let removed = self.bans.remove(network).is_some();
        if let Some(count) = self.lengths.get_mut(&network.prefix_len()).filter(|_| removed) {
            *count -= 1;
            self.lengths.retain(|_, count| *count > 0);
        }
        removed
    }

    fn prune(&mut self, now: Timestamp) {
        self.bans.retain(|_, entry| !entry.is_over(now));
        self.lengths.clear();
        for network in self.bans.keys() {
            *self.lengths.entry(network.prefix_len()).or_default() += 1;
        }
    }
}

impl Bans {
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Until when a client is banned, if it is.
    pub(super) fn find(&self, client: IpAddr, now: Timestamp) -> Option<Option<Timestamp>> {
        if self.len() == 0 { None } else { self.all.read().find(client, now).map(|entry| entry.until) }
    }

    /// The same, and counts the refusal.
    pub(super) fn refuse(&self, client: IpAddr, now: Timestamp) -> Option<Option<Timestamp>> {
        if self.len() == 0 {
            return None;
        }
        let all = self.all.read();
        let entry = all.find(client, now)?;
        entry.refused.fetch_add(1, Ordering::Relaxed);
        Some(entry.until)
    }

    pub(super) fn add(
        &self,
        network: IpNet,
        until: Option<Timestamp>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), BanError> {
        let network = network.trunc();
        if network.prefix_len() == 0 {
            return Err(BanError::Everybody);
        }
        if reason.len() > MOST_REASON || reason.contains(char::is_control) {
            return Err(BanError::Reason);
        }
        let added = self.change(|all| {
            if all.bans.len() >= MOST {
                all.prune(now);
            }
            if all.bans.len() >= MOST && !all.bans.contains_key(&network) {
                return Err(BanError::TooMany);
            }
            all.insert(network, Entry { since: now, until, reason: reason.into(), refused: AtomicU64::new(0) });
            Ok(())
        });
        self.added.fetch_add(1, Ordering::Release);
        added
    }

    /// Grows with each ban that is added.
    pub(super) fn added(&self) -> u64 {
        self.added.load(Ordering::Acquire)
    }

    pub(super) fn remove(&self, network: &IpNet) -> bool {
        self.change(|all| all.remove(network))
    }

    pub(super) fn list(&self, now: Timestamp) -> Vec<Ban> {
        self.change(|all| all.prune(now));
        let ban = |(network, entry): (&IpNet, &Entry)| Ban {
            network: *network,
            kind: BanKind::Operator,
            since: entry.since,
            until: entry.until,
            reason: entry.reason.clone(),
            refused: entry.refused.load(Ordering::Relaxed),
        };
        self.all.read().bans.iter().map(ban).collect()
    }

    fn change<R>(&self, change: impl FnOnce(&mut All) -> R) -> R {
        let mut all = self.all.write();
        let changed = change(&mut all);
        self.count.store(all.bans.len(), Ordering::Relaxed);
        changed
    }
}
