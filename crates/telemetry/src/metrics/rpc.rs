//! What is counted of JSON-RPC: the caches of its answers, and its WebSockets.
//!
//! It stands apart from [`super::Metrics`], since caches are plugged in before a gateway has any: whoever plugs them in makes
//! it, and has it exported by [`super::Metrics::attach_rpc`].

use parking_lot::Mutex;
use prometheus::{Error, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcullis_types::ClusterName;

use super::Metrics;
use super::family::{self, Export, Family, Page};
use super::shard::Counts;
use super::websocket::{WebsocketMetrics, Websockets};
use crate::bound::Bound;

/// What a cache made of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheOutcome {
    /// It was answered by what was kept.
    Hit,
    /// It was answered by what another call was answered.
    Coalesced,
    /// It goes upstream.
    Miss,
}

impl CacheOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Coalesced, Self::Miss];

    /// The word of metrics, records and `X-Cache`; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// Why an answer is kept no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheEviction {
    /// There was no room for it.
    Room,
    /// Its time was over when it was asked for.
    Expired,
}

impl CacheEviction {
    const ALL: [Self; 2] = [Self::Room, Self::Expired];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Expired => "expired",
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// The handle of a cache: what it made of the calls that it was asked for.
#[derive(Debug, Default)]
pub struct RpcCacheMetrics(Counts<{ CacheOutcome::ALL.len() }>);

impl RpcCacheMetrics {
    /// A call has passed.
    pub fn passed(&self, outcome: CacheOutcome) {
        self.0.add(outcome.place(), 1);
    }
}

/// The handle of what all caches keep between them.
#[derive(Debug, Default)]
pub struct RpcStoreMetrics {
    entries: AtomicU64,
    evictions: Counts<{ CacheEviction::ALL.len() }>,
    /// Bytes that are kept.
    pub bytes: Arc<Bound>,
    /// Bytes of answers on their way in.
    pub incoming: Arc<Bound>,
    /// Calls in flight that others may wait for.
    pub flights: Arc<Bound>,
}

impl RpcStoreMetrics {
    /// States how much is kept.
    pub fn holds(&self, entries: u64, bytes: u64) {
        self.entries.store(entries, Relaxed);
        self.bytes.set_used(bytes);
    }

    /// An answer is kept no more.
    pub fn evicted(&self, why: CacheEviction) {
        self.evictions.add(why.place(), 1);
    }
}

/// The caches of a binary.
#[derive(Debug, Default)]
struct RpcCaches {
    /// By the names that routes use, which are the binary's own.
    named: Mutex<Vec<(&'static str, Arc<RpcCacheMetrics>)>>,
    store: Arc<RpcStoreMetrics>,
}

/// The metrics of JSON-RPC. See the module's text.
#[derive(Debug, Default)]
pub struct RpcMetrics {
    caches: Arc<RpcCaches>,
    websockets: Arc<Websockets>,
}

impl RpcMetrics {
    /// The handle of a cache.
    #[must_use]
    pub fn cache(&self, name: &'static str) -> Arc<RpcCacheMetrics> {
        let mut named = self.caches.named.lock();
        if let Some((_, known)) = named.iter().find(|(known, _)| *known == name) {
            return Arc::clone(known);
        }
        let handle = Arc::<RpcCacheMetrics>::default();
        named.push((name, Arc::clone(&handle)));
        handle
    }

    /// The handle of what all caches keep.
    #[must_use]
    pub fn store(&self) -> Arc<RpcStoreMetrics> {
        Arc::clone(&self.caches.store)
    }

    /// The handle of the WebSockets whose subscriptions are at a cluster. It counts on for as long as somebody holds it.
    #[must_use]
    pub fn websockets(&self, cluster: &ClusterName) -> Arc<WebsocketMetrics> {
        self.websockets.0.get(cluster.clone(), |_| WebsocketMetrics::default())
    }

    /// Registers the families, and lists the bounds among the gateway's.
    pub(super) fn register(&self, registry: &Registry, metrics: &Metrics) -> Result<(), Error> {
        family::register(registry, &self.caches)?;
        family::register(registry, &self.websockets)?;
        let RpcStoreMetrics { bytes, incoming, flights, .. } = &*self.caches.store;
        metrics.attach_bound("rpc_cache_bytes", "gateway", bytes);
        metrics.attach_bound("rpc_cache_incoming_bytes", "gateway", incoming);
        metrics.attach_bound("rpc_cache_flights", "gateway", flights);
        Ok(())
    }
}

impl Export for RpcCaches {
    const FAMILIES: &'static [Family] = &[
        Family::counter(
            "portcullis_rpc_cache_requests_total",
            "Calls that a cache was asked for, by what it made of them.",
            &["cache", "outcome"],
        ),
        Family::gauge("portcullis_rpc_cache_entries", "Answers that are kept.", &[]),
        Family::counter("portcullis_rpc_cache_evictions_total", "Answers that are kept no more, by cause.", &["cause"]),
    ];

    fn export(&self, page: &mut Page) {
        for (name, cache) in self.named.lock().iter() {
            for outcome in CacheOutcome::ALL {
                page.count(0, &[name, outcome.as_str()], cache.0.get(outcome.place()));
            }
        }
        page.count(1, &[], self.store.entries.load(Relaxed));
        for why in CacheEviction::ALL {
            page.count(2, &[why.as_str()], self.store.evictions.get(why.place()));
        }
    }
}
