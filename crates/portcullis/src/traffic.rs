//! What each route and each cluster carried in the last minutes, by their own counters.
//!
//! The counters are read every so often, by a task of its own; what was carried is the difference to the oldest reading.
//! Readings are few and hold only what carries anything.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_snapshot::Snapshot;
use portcullis_telemetry::Metrics;

/// How often counters are read.
pub(crate) const EVERY: Duration = Duration::from_secs(10);
/// How many readings are kept: five minutes of them.
const READINGS: usize = 31;

/// The readings, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<VecDeque<Reading>>);

#[derive(Debug)]
struct Reading {
    at: Instant,
    routes: HashMap<Arc<str>, u64>,
    clusters: HashMap<Box<str>, u64>,
    unrouted: u64,
}

/// What was carried in a while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) window: Duration,
    /// By `host/route`.
    pub(crate) routes: HashMap<Arc<str>, u64>,
    pub(crate) clusters: HashMap<Box<str>, u64>,
    /// All requests, those without a route too.
    pub(crate) total: u64,
}

impl Traffic {
    /// Reads the counters.
    pub(crate) fn read(&self, snapshot: &Snapshot, metrics: &Metrics, now: Instant) {
        let reading = Reading::of(snapshot, metrics, now);
        let mut readings = self.0.lock();
        while readings.len() >= READINGS {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// What was carried since the oldest reading.
    pub(crate) fn carried(&self, snapshot: &Snapshot, metrics: &Metrics, now: Instant) -> Carried {
        let latest = Reading::of(snapshot, metrics, now);
        let readings = self.0.lock();
        readings.front().map_or_else(Carried::default, |oldest| latest.since(oldest))
    }
}

impl Reading {
    fn of(snapshot: &Snapshot, metrics: &Metrics, at: Instant) -> Self {
        // Routes beyond the bound on series share a handle: what it counts is nobody's alone.
        let mut handles: HashMap<*const (), usize> = HashMap::new();
        let all = || snapshot.router.hosts().flat_map(|host| host.routes()).map(|route| route.data());
        for route in all() {
            *handles.entry(Arc::as_ptr(&route.metrics).cast()).or_default() += 1;
        }
        let own = |route: &&Arc<portcullis_snapshot::RouteData>| {
            handles.get(&Arc::as_ptr(&route.metrics).cast()).is_some_and(|users| *users == 1)
        };
        let mut shared = 0;
        for (handle, _) in handles.iter().filter(|(_, users)| **users > 1) {
            let of = all().find(|route| Arc::as_ptr(&route.metrics).cast() == *handle);
            shared += of.map_or(0, |route| route.metrics.requests());
        }
        let routes = all().filter(own).map(|route| (route.label.clone(), route.metrics.requests()));
        let clusters = snapshot.clusters.iter().map(|it| (it.name.as_str().into(), it.metrics.requests()));
        Self {
            at,
            routes: routes.filter(|(_, count)| *count > 0).collect(),
            clusters: clusters.filter(|(_, count)| *count > 0).collect(),
            unrouted: metrics.unrouted() + shared,
        }
    }

    fn since(&self, before: &Self) -> Carried {
        let routes = self.routes.iter().map(|(name, count)| {
            (name.clone(), count.saturating_sub(before.routes.get(name).copied().unwrap_or_default()))
        });
        let routes: HashMap<_, _> = routes.collect();
        let clusters = self.clusters.iter().map(|(name, count)| {
            (name.clone(), count.saturating_sub(before.clusters.get(name).copied().unwrap_or_default()))
        });
        let total = routes.values().sum::<u64>() + self.unrouted.saturating_sub(before.unrouted);
        Carried { window: self.at.saturating_duration_since(before.at), clusters: clusters.collect(), total, routes }
    }
}
