//! What the sets of one cluster share from reload to reload.
//!
//! A lineage starts with a set built from nothing and goes on through every set rebuilt from it. It holds what must
//! not start anew at a reload, and it knows the sets alive, so that an edge of health reaches all generations.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::set::EndpointSet;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Lineage {
    sets: Mutex<Vec<Weak<EndpointSet>>>,
    /// The counter of round robin.
    turn: AtomicU64,
    in_flight: AtomicU64,
}

impl Lineage {
    /// The seed decides where round robin starts, so that gateways started together do not walk in step.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { sets: Mutex::default(), turn: AtomicU64::new(seed), in_flight: AtomicU64::new(0) })
    }

    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Relaxed)
    }

    /// Requests in flight to any endpoint of the cluster, in all generations.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Lets a set hear of changes from now on, and compiles its first rotation.
    pub(crate) fn join(&self, set: &Arc<EndpointSet>, now: Instant) {
        let mut sets = self.sets.lock();
        sets.retain(|set| set.strong_count() > 0);
        sets.push(Arc::downgrade(set));
        // Under the lock, as in `refresh`: no edge can fall between the compilation and the joining.
        set.compile(now);
    }

    /// Compiles the rotation of every set alive anew. The lock also orders compilations, so that the last one stored
    /// has seen every edge before it.
    pub(crate) fn refresh(&self, now: Instant) {
        for set in self.sets.lock().iter().filter_map(Weak::upgrade) {
            set.compile(now);
        }
    }
}
