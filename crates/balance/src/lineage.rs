//! What the sets of one cluster share from reload to reload.
//!
//! A lineage starts with a set built from nothing and goes on through every set rebuilt from it. It holds what must
//! not start anew at a reload, and it knows the sets alive, so that an edge of health reaches all generations.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::atomics::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering::Relaxed};
use crate::heat::Heat;
use crate::height::Heights;
use crate::outlier::OutlierEvent;
use crate::rotation::Resort;
use crate::set::EndpointSet;
use crate::signals::Stamp;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Lineage {
    epoch: Instant,
    inner: Mutex<Inner>,
    /// The counter of round robin.
    turn: AtomicU64,
    in_flight: AtomicU64,
    heat: Heat,
    /// Failures in a row that take an endpoint out; 0 when none do.
    streak_limit: AtomicU32,
    /// The reference height again, for readers that must not wait.
    reference: AtomicU64,
}

/// What only edges touch: reloads, checks that change health, ejections.
#[derive(Debug)]
pub(crate) struct Inner {
    /// All sets alive, subsets too.
    sets: Vec<Weak<EndpointSet>>,
    /// The whole set of the newest generation, which says what may be ejected.
    pub(crate) newest: Weak<EndpointSet>,
    pub(crate) events: VecDeque<OutlierEvent>,
    pub(crate) window_began: Instant,
    /// When most endpoints were last seen to fail at once.
    pub(crate) most_failed: Option<Instant>,
    pub(crate) heights: Heights,
}

impl Lineage {
    /// The seed decides where round robin starts, so that gateways started together do not walk in step.
    pub(crate) fn new(seed: u64, epoch: Instant) -> Arc<Self> {
        let inner = Inner {
            sets: Vec::new(),
            newest: Weak::new(),
            events: VecDeque::new(),
            window_began: epoch,
            most_failed: None,
            heights: Heights::default(),
        };
        Arc::new(Self {
            epoch,
            inner: Mutex::new(inner),
            turn: AtomicU64::new(seed),
            in_flight: AtomicU64::new(0),
            heat: Heat::default(),
            streak_limit: AtomicU32::new(0),
            reference: AtomicU64::new(0),
        })
    }

    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Relaxed)
    }

    /// A moment on the clock that endpoints' signals use. One before the lineage began is its beginning.
    pub(crate) fn stamp(&self, now: Instant) -> Stamp {
        let nanos = now.saturating_duration_since(self.epoch).as_nanos();
        Stamp(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// The moment of a stamp.
    pub(crate) fn instant(&self, stamp: Stamp) -> Instant {
        self.epoch + stamp.age()
    }

    /// The height that endpoints are measured by; 0 when there is none.
    pub(crate) fn reference(&self) -> u64 {
        self.reference.load(Relaxed)
    }

    pub(crate) fn set_reference(&self, height: u64) {
        self.reference.store(height, Relaxed);
    }

    pub(crate) fn forget_heights(&self) {
        self.lock().heights = Heights::default();
        self.set_reference(0);
    }

    pub(crate) const fn heat(&self) -> &Heat {
        &self.heat
    }

    /// Whether a streak of so many failures calls for ejection. It does once in as many as the limit, so that a
    /// cluster whose cap is reached is not looked over at each failure.
    pub(crate) fn is_streak(&self, failures: u32) -> bool {
        let limit = self.streak_limit.load(Relaxed);
        limit != 0 && failures.is_multiple_of(limit)
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Makes a set the newest generation: it hears of changes from now on, and gets its first rotation.
    pub(crate) fn join(&self, set: &Arc<EndpointSet>, now: Instant) {
        let mut inner = self.lock();
        inner.add(set, now);
        inner.newest = Arc::downgrade(set);
        let limit = set.tuning().outliers.map_or(0, |policy| policy.consecutive_failures.get());
        self.streak_limit.store(limit, Relaxed);
        if inner.bring_back(set, now) {
            inner.refresh(now);
        }
    }

    /// Lets a subset hear of changes, and compiles its first rotation.
    pub(crate) fn join_subset(&self, set: &Arc<EndpointSet>, now: Instant) {
        self.lock().add(set, now);
    }

    /// Compiles the rotation of every set alive anew.
    pub(crate) fn refresh(&self, now: Instant) {
        self.lock().refresh(now);
    }
}

impl Inner {
    fn add(&mut self, set: &Arc<EndpointSet>, now: Instant) {
        self.sets.retain(|set| set.strong_count() > 0);
        self.sets.push(Arc::downgrade(set));
        // Under the lock, as in `refresh`: no edge can fall between the compilation and the joining.
        set.compile(now);
    }

    /// Whether any set uses endpoints that are behind: which of them are the highest changes all the time.
    pub(crate) fn any_behind(&self) -> bool {
        self.sets.iter().filter_map(Weak::upgrade).any(|set| set.resort() == Resort::Behind)
    }

    /// Compiles every rotation. The lock orders compilations, so that the last one stored has seen every edge.
    pub(crate) fn refresh(&self, now: Instant) {
        for set in self.sets.iter().filter_map(Weak::upgrade) {
            set.compile(now);
        }
    }
}
