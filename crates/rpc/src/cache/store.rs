//! Answers that are kept, bounded by their bytes.

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use portcullis_telemetry::Bound;
use portcullis_telemetry::metrics::{CacheEviction, RpcStoreMetrics};

use super::Bounds;
use super::answer::Answer;
use super::rules::Retention;

/// Each has a lock and an equal share of the bytes. Few, so that an answer of the greatest size fits into a share.
const SHARDS: usize = 4;
/// What an entry takes beside its key and its text.
const OVERHEAD: usize = 160;

/// An answer that is kept.
#[derive(Clone)]
struct Kept {
    answer: Arc<Answer>,
    since: Instant,
    /// `None` for ever.
    until: Option<Instant>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Arc<[u8]>, Kept> for Bytes {
    fn weight(&self, key: &Arc<[u8]>, kept: &Kept) -> u64 {
        (key.len() + kept.answer.len() + OVERHEAD) as u64
    }
}

/// Counts what has to go for what comes.
#[derive(Clone)]
struct Evictions(Arc<RpcStoreMetrics>);

impl Lifecycle<Arc<[u8]>, Kept> for Evictions {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, (): &mut (), _key: Arc<[u8]>, _kept: Kept) {
        self.0.evicted(CacheEviction::Room);
    }
}

type Kepts = Cache<Arc<[u8]>, Kept, Bytes, DefaultHashBuilder, Evictions>;

/// All that is kept, and how much is on its way in.
pub(super) struct Store {
    kept: Kepts,
    metrics: Arc<RpcStoreMetrics>,
    /// Held while it is told how much is kept, so that the last word is the right one.
    telling: Mutex<()>,
}

impl Store {
    pub(super) fn new(bounds: &Bounds, metrics: Arc<RpcStoreMetrics>) -> Self {
        let (items, bytes) = ((bounds.bytes / 4096).max(SHARDS), bounds.bytes as u64);
        let options =
            OptionsBuilder::new().shards(SHARDS).estimated_items_capacity(items).weight_capacity(bytes).build();
        let (hashes, evictions) = (DefaultHashBuilder::default(), Evictions(Arc::clone(&metrics)));
        let kept = match options {
            Ok(options) => Cache::with_options(options, Bytes, hashes, evictions),
            Err(_) => Cache::with(items, bytes, Bytes, hashes, evictions),
        };
        metrics.bytes.set_limit(bytes);
        metrics.incoming.set_limit(bytes);
        Self { kept, metrics, telling: Mutex::default() }
    }

    /// An answer that is kept and not over, and its age.
    pub(super) fn get(&self, key: &[u8]) -> Option<(Arc<Answer>, Duration)> {
        let kept = self.kept.get(key)?;
        let now = Instant::now();
        let is_over = |kept: &Kept| kept.until.is_some_and(|until| until <= now);
        if is_over(&kept) {
            if self.kept.remove_if(key, is_over).is_some() {
                self.metrics.evicted(CacheEviction::Expired);
                self.tell();
            }
            return None;
        }
        Some((kept.answer, now.duration_since(kept.since)))
    }

    /// Keeps an answer.
    pub(super) fn put(&self, key: Arc<[u8]>, answer: Arc<Answer>, retention: Retention) {
        let since = Instant::now();
        let until = match retention {
            Retention::Forever => None,
            Retention::For(time) => Some(since + time),
        };
        self.kept.insert(key, Kept { answer, since, until });
        self.tell();
    }

    fn tell(&self) {
        let _one = self.telling.lock();
        self.metrics.holds(self.kept.len() as u64, self.kept.weight());
    }

    /// Takes room for an answer on its way in.
    pub(super) fn incoming(&self) -> Incoming {
        Incoming { all: Arc::clone(&self.metrics.incoming), bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.kept.weight()
    }

    #[cfg(test)]
    pub(super) fn bytes_incoming(&self) -> u64 {
        self.metrics.incoming.used()
    }
}

/// Room of an answer on its way in, given back when dropped.
pub(super) struct Incoming {
    all: Arc<Bound>,
    bytes: u64,
}

impl Incoming {
    /// Takes room for more; `false` when there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.all.try_add(bytes as u64);
        if fits {
            self.bytes += bytes as u64;
        }
        fits
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.all.sub(self.bytes);
    }
}
