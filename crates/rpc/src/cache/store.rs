//! Answers that are kept, bounded by their bytes.

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

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

/// All that is kept, and how much is on its way in.
pub(super) struct Store {
    kept: Cache<Arc<[u8]>, Kept, Bytes>,
    incoming: Arc<AtomicUsize>,
    most_incoming: usize,
}

impl Store {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity((bounds.bytes / 4096).max(SHARDS))
            .weight_capacity(bounds.bytes as u64)
            .build();
        let kept = options.map_or_else(
            |_| Cache::with_weighter(SHARDS, bounds.bytes as u64, Bytes),
            |options| Cache::with_options(options, Bytes, DefaultHashBuilder::default(), Default::default()),
        );
        Self { kept, incoming: Arc::default(), most_incoming: bounds.bytes }
    }

    /// An answer that is kept and not over, and its age.
    pub(super) fn get(&self, key: &[u8]) -> Option<(Arc<Answer>, Duration)> {
        let kept = self.kept.get(key)?;
        let now = Instant::now();
        if kept.until.is_some_and(|until| until <= now) {
            self.kept.remove_if(key, |kept| kept.until.is_some_and(|until| until <= now));
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
    }

    /// Takes room for an answer on its way in.
    pub(super) fn incoming(&self) -> Incoming {
        Incoming { all: self.incoming.clone(), most: self.most_incoming, bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.kept.weight()
    }

    #[cfg(test)]
    pub(super) fn bytes_incoming(&self) -> usize {
        self.incoming.load(Ordering::Relaxed)
    }
}

/// Room of an answer on its way in, given back when dropped.
pub(super) struct Incoming {
    all: Arc<AtomicUsize>,
    most: usize,
    bytes: usize,
}

impl Incoming {
    /// Takes room for more; `false` when there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
