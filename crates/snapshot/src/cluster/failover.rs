//! The clusters that stand in for one that is not fit.
//!
//! A chain names clusters and not places, since clusters are shared by generations in which they have other places.
//! Invariant: while a cluster is fit and requests never left it, asking costs no lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_balance::{Failover, Resort};
use portcullis_types::ClusterName;

use super::{Cluster, ClusterIdx};
use crate::Snapshot;

/// How long a cluster must be fit before requests go back to it.
pub const HOLD: Duration = Duration::from_secs(5);

/// The chain of a cluster. Kept across reloads while it names the same clusters.
pub struct FailoverChain {
    /// The clusters, in order.
    pub to: Box<[ClusterName]>,
    /// Whether requests go elsewhere now, or did and something is still to be forgotten.
    away: AtomicBool,
    state: Mutex<Failover>,
}

/// How much of a cluster may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// No endpoint.
    Down,
    /// Less than half of the endpoints.
    Weak,
    /// Half of the endpoints or more.
    Fit,
}

impl Fitness {
    /// Of a cluster as it is now.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let members = cluster.fleet.members();
        let (available, all) = (members.endpoints.available(), members.endpoints.endpoints().len());
        // What is used for want of any that passes its checks is not fit to stand in for another.
        if available == 0 || members.endpoints.resort() == Resort::Last {
            return Self::Down;
        }
        // Panic ignores health; what it chooses from is not fit.
        if members.endpoints.is_panicking() {
            return Self::Weak;
        }
        if available * 2 >= all {
            return Self::Fit;
        }
        let drained = members.endpoints.endpoints().iter().filter(|endpoint| endpoint.spec().weight == 0).count();
        if available * 2 >= all - drained.min(all) { Self::Fit } else { Self::Weak }
    }
}

impl FailoverChain {
    /// A chain. The state of the generation before goes on if it names the same.
    #[must_use]
    pub fn new(to: Box<[ClusterName]>, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        if to.is_empty() {
            return None;
        }
        let same = before.filter(|before| before.to == to).cloned();
        let new = || Arc::new(Self { to, away: AtomicBool::new(false), state: Mutex::new(Failover::new(HOLD)) });
        Some(same.unwrap_or_else(new))
    }

    /// The place that a request to `cluster` begins at: 0 for itself, 1 for the first of the chain. When none is fit
    /// it is the first that has an endpoint at all, or 0.
    #[must_use]
    pub fn place(&self, cluster: &Cluster, snapshot: &Snapshot, now: Instant) -> usize {
        if !self.away.load(Relaxed) && Fitness::of(cluster) == Fitness::Fit {
            return 0;
        }
        let mut state = self.state.lock();
        let turn = state.look(now, self.to.len() + 1, |place| self.fitness(cluster, snapshot, place) == Fitness::Fit);
        let Some(turn) = turn else {
            let weak = |place: &usize| self.fitness(cluster, snapshot, *place) == Fitness::Weak;
            return (0..=self.to.len()).find(weak).unwrap_or(0);
        };
        self.away.store(turn.place != 0, Relaxed);
        if turn.moved {
            log::warn!("failover: requests to {} go to {} now", cluster.name, self.name(cluster, turn.place));
        }
        turn.place
    }

    /// As [`Self::place`], but changes nothing: for people who ask.
    #[must_use]
    pub fn peek(&self, cluster: &Cluster, snapshot: &Snapshot, now: Instant) -> usize {
        let mut state = self.state.lock().clone();
        let turn = state.look(now, self.to.len() + 1, |place| self.fitness(cluster, snapshot, place) == Fitness::Fit);
        let weak = |place: &usize| self.fitness(cluster, snapshot, *place) == Fitness::Weak;
        turn.map_or_else(|| (0..=self.to.len()).find(weak).unwrap_or(0), |turn| turn.place)
    }

    /// What the chain does now, as a sentence.
    #[must_use]
    pub fn explain(&self, cluster: &Cluster, snapshot: &Snapshot, now: Instant) -> String {
        let place = self.peek(cluster, snapshot, now);
        let words = |place: usize| {
            let name = self.name(cluster, place);
            match self.fitness(cluster, snapshot, place) {
                Fitness::Down => format!("{name} has no endpoint to use"),
                Fitness::Weak => format!("{name} has less than half of its endpoints"),
                Fitness::Fit => format!("{name} is fit"),
            }
        };
        let all: Vec<String> = (0..=self.to.len()).map(words).collect();
        let state = self.state.lock();
        let held = match state.better_since() {
            Some(since) if place != 0 => {
                let left = state.wait().saturating_sub(now.saturating_duration_since(since)).as_secs();
                format!("; back in {left}s if that lasts")
            }
            Some(_) | None => String::new(),
        };
        format!("failover: {}; requests go to {}{held}", all.join(", "), self.name(cluster, place))
    }

    fn name<'a>(&'a self, cluster: &'a Cluster, place: usize) -> &'a ClusterName {
        place.checked_sub(1).and_then(|at| self.to.get(at)).unwrap_or(&cluster.name)
    }

    fn fitness(&self, cluster: &Cluster, snapshot: &Snapshot, place: usize) -> Fitness {
        let Some(at) = place.checked_sub(1) else { return Fitness::of(cluster) };
        let other = self.to.get(at).and_then(|name| snapshot.cluster_named(name.as_str()));
        other.map_or(Fitness::Down, |other| Fitness::of(other))
    }
}

/// All clusters that one request may go through: the decided one, the chain, the route's fallback.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The decided cluster's place in the snapshot.
    pub index: ClusterIdx,
    /// The decided cluster.
    pub cluster: &'a Cluster,
    /// The cluster that the route's fallback names.
    pub fallback: Option<ClusterIdx>,
    /// The request's generation.
    pub snapshot: &'a Snapshot,
}

impl Way<'_> {
    /// How many clusters there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the decided cluster is always there")]
    pub fn len(&self) -> usize {
        1 + self.chain().len() + usize::from(self.fallback.is_some())
    }

    /// The cluster at a place; 0 is the decided one.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<ClusterIdx> {
        let Some(at) = place.checked_sub(1) else { return Some(self.index) };
        match self.chain().get(at) {
            Some(name) => self.snapshot.cluster_names.get(name).copied(),
            None => self.fallback.filter(|_| at == self.chain().len()),
        }
    }

    /// Whether a place is that of the route's fallback, behind the chain.
    #[must_use]
    pub fn is_fallback(&self, place: usize) -> bool {
        place > self.chain().len()
    }

    /// How much of the cluster at a place may be used.
    #[must_use]
    pub fn fitness(&self, place: usize) -> Fitness {
        let cluster = self.at(place).and_then(|index| self.snapshot.cluster(index));
        cluster.map_or(Fitness::Down, |cluster| Fitness::of(cluster))
    }

    /// The first cluster from a place on that has an endpoint, and room for a request.
    #[must_use]
    pub fn from(&self, place: usize) -> Option<usize> {
        (place..self.len()).find(|place| self.fitness(*place) != Fitness::Down && !self.is_full(*place))
    }

    /// Whether the cluster at a place holds as many requests as it may.
    #[must_use]
    pub fn is_full(&self, place: usize) -> bool {
        let cluster = self.at(place).and_then(|index| self.snapshot.cluster(index));
        let limits = cluster.and_then(|cluster| cluster.limits.as_ref());
        limits.is_some_and(|limits| limits.rules.bound_requests() && limits.gate.in_flight() >= limits.gate.limit())
    }

    fn chain(&self) -> &[ClusterName] {
        self.cluster.failover.as_ref().map_or(&[], |chain| &*chain.to)
    }
}

impl fmt::Debug for FailoverChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverChain").field("to", &self.to).finish_non_exhaustive()
    }
}
