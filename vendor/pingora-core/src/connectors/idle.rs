// Added by Portcullis, see vendor/README.md.
// Licensed under the Apache License, Version 2.0, as the rest of the crate.

//! The connections that wait to be reused, all of them watched over by one task.
//!
//! A connection that was closed, or that talks although nothing was asked, is never handed out: it is tested when it
//! is taken. Neither is one past its timeout. The task looks at those that nobody takes, every [`SWEEP`].

use super::{test_reusable_stream, PoolCallback};
use crate::protocols::Stream;
use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// For how long a connection that is closed or too old may keep its place.
const SWEEP: Duration = Duration::from_secs(1);

/// The most places that are made at once when the pool is full.
const MAX_HEADROOM: usize = 16;

struct Idle {
    stream: Stream,
    /// Grows with each connection put into the pool.
    order: u64,
    since: Instant,
    expires: Option<Instant>,
}

impl Idle {
    fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[derive(Default)]
struct State {
    /// By the key of their peer, the oldest first.
    by_key: HashMap<u64, Vec<Idle>, RandomState>,
    len: usize,
    puts: u64,
}

impl State {
    /// Takes the oldest out until `keep` are left.
    fn evict(&mut self, keep: usize) -> Vec<Idle> {
        let mut excess = self.len.saturating_sub(keep);
        let mut orders: Vec<u64> = self.by_key.values().flatten().map(|i| i.order).collect();
        orders.sort_unstable();
        let Some(&newest_out) = excess.checked_sub(1).and_then(|last| orders.get(last)) else {
            return Vec::new();
        };
        let mut evicted = Vec::with_capacity(excess);
        for idles in self.by_key.values_mut() {
            let old = idles.partition_point(|idle| idle.order <= newest_out);
            evicted.extend(idles.drain(..old));
            excess -= old;
            if excess == 0 {
                break;
            }
        }
        self.len -= evicted.len();
        evicted
    }
}

pub(super) struct IdlePool {
    state: Mutex<State>,
    size: usize,
    sweeping: AtomicBool,
    unexpected_data_conn_count: Arc<AtomicU64>,
    /// Told how long a connection had been idle when it had to leave because the pool was full.
    evicted: Option<PoolCallback>,
}

impl IdlePool {
    pub(super) fn new(
        size: usize,
        unexpected_data_conn_count: Arc<AtomicU64>,
        evicted: Option<PoolCallback>,
    ) -> Self {
        IdlePool {
            state: Mutex::default(),
            size,
            sweeping: AtomicBool::new(false),
            unexpected_data_conn_count,
            evicted,
        }
    }

    /// Puts a connection into the pool, where it may wait for `timeout`. When the pool is full, the connections that
    /// have been in it for longest are closed.
    pub(super) fn put(self: &Arc<Self>, key: u64, stream: Stream, timeout: Option<Duration>) {
        let since = Instant::now();
        let expires = timeout.and_then(|timeout| since.checked_add(timeout));
        let evicted = {
            let mut state = self.state.lock();
            let order = state.puts;
            state.puts += 1;
            state.len += 1;
            let idles = state.by_key.entry(key).or_default();
            idles.push(Idle { stream, order, since, expires });
            if state.len > self.size {
                state.evict(self.size - MAX_HEADROOM.min(self.size / 4))
            } else {
                Vec::new()
            }
        };
        if let Some(callback) = &self.evicted {
            evicted.iter().for_each(|idle| callback(idle.since.elapsed()));
        }
        if !self.sweeping.load(Ordering::Relaxed) && !self.sweeping.swap(true, Ordering::Relaxed) {
            let sweeper = Sweeper(Arc::downgrade(self));
            pingora_runtime::current_handle().spawn(sweeper.run());
        }
    }

    /// Takes the connection that was put last under `key`, unless its time is over. It may have been closed since.
    pub(super) fn get(&self, key: u64) -> Option<Stream> {
        loop {
            let idle = {
                let mut state = self.state.lock();
                let idle = state.by_key.get_mut(&key)?.pop()?;
                state.len -= 1;
                idle
            };
            if idle.expires.is_none() || !idle.expired(Instant::now()) {
                return Some(idle.stream);
            }
        }
    }

    /// Closes what is too old, was closed or talks. The lock is held for one key at a time.
    fn sweep(&self) {
        let keys: Vec<u64> = self.state.lock().by_key.keys().copied().collect();
        for key in keys {
            let now = Instant::now();
            let mut state = self.state.lock();
            let Some(idles) = state.by_key.get_mut(&key) else {
                continue;
            };
            let count = &self.unexpected_data_conn_count;
            let mut unusable = Vec::new();
            let mut usable = Vec::with_capacity(idles.len());
            for mut idle in idles.drain(..) {
                if !idle.expired(now) && test_reusable_stream(&mut idle.stream, count) {
                    usable.push(idle);
                } else {
                    unusable.push(idle);
                }
            }
            if usable.is_empty() {
                state.by_key.remove(&key);
            } else {
                *idles = usable;
            }
            state.len -= unusable.len();
            // Not before the lock is given back: to close a connection takes a system call.
            drop(state);
            drop(unusable);
        }
    }
}

/// Sweeps as long as the pool and the runtime live.
struct Sweeper(Weak<IdlePool>);

impl Sweeper {
    async fn run(self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let Some(pool) = self.0.upgrade() else {
                return;
            };
            pool.sweep();
        }
    }
}

impl Drop for Sweeper {
    /// The runtime may end before the pool does: the next connection that is put into it starts another sweeper.
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.sweeping.store(false, Ordering::Relaxed);
        }
    }
}
