//! What is counted of a cluster and of each of its endpoints.
//!
//! A cluster is observed once a request, an endpoint once an attempt: a request that was retried counts once in
//! its cluster and in each endpoint that was tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use portcullis_types::{ClusterName, EndpointName, Reason};

use super::class::{CLASSES, Class};
use super::family::{Export, Family, Page};
use super::health::HealthMetrics;
use super::histogram::{Histogram, Totals};
use super::live::{Live, OTHER};
use super::route::{REASONS, reason_place};
use super::shard::{Count, Counts, Sharded, Shards};
use crate::bound::Bound;
use crate::record::{Attempt, FailoverWhy, Flag, NotRetried, Record};

#[derive(Debug, Default)]
struct ClusterShard {
    requests: Counts<CLASSES>,
    retries: Count,
    not_retried: Counts<{ NotRetried::ALL.len() }>,
    failovers: Counts<{ FailoverWhy::ALL.len() }>,
    fallbacks: Count,
    first_byte: Histogram,
    connect: Histogram,
    queued: Histogram,
}

/// The handle of a cluster.
#[derive(Debug)]
pub struct ClusterMetrics {
    shards: Sharded<ClusterShard>,
    health: HealthMetrics,
    in_flight: Arc<Bound>,
    queue: Arc<Bound>,
}

impl ClusterMetrics {
    pub(super) fn new(shards: Shards) -> Self {
        Self {
            shards: Sharded::new(shards),
            health: HealthMetrics::default(),
            in_flight: Arc::default(),
            queue: Arc::default(),
        }
    }

    /// The health of its endpoints.
    #[must_use]
    pub const fn health(&self) -> &HealthMetrics {
        &self.health
    }

    /// Requests in flight, against the cluster's limit.
    #[must_use]
    pub const fn in_flight(&self) -> &Arc<Bound> {
        &self.in_flight
    }

    /// Requests waiting for a place, against the queue's limit.
    #[must_use]
    pub const fn queue(&self) -> &Arc<Bound> {
        &self.queue
    }

    /// Requests so far that were sent to it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        Class::ALL.iter().map(|class| self.shards.sum(|shard| shard.requests.get(class.place()))).sum()
    }

    /// None of its endpoints could be reached, and a route's fallback took the request. Counted when it does: what comes
    /// after may be another cluster's.
    pub fn fell_back(&self) {
        self.shards.mine().fallbacks.add(1);
    }

    pub(super) fn observe(&self, record: &Record) {
        let shard = self.shards.mine();
        shard.requests.add(Class::of(record.upstream_status.unwrap_or(0)).place(), 1);
        let hedges = u32::from(record.flags.has(Flag::Hedged));
        let retries = record.attempts.total().saturating_sub(1 + hedges);
        if retries > 0 {
            shard.retries.add(u64::from(retries));
        }
        if let Some(why) = record.not_retried {
            shard.not_retried.add(why.place(), 1);
        }
        if let Some(why) = record.failover {
            shard.failovers.add(why.place(), 1);
        }
        if let Some(first_byte) = record.timers.first_byte {
            shard.first_byte.observe(first_byte);
        }
        if let Some(connect) = record.timers.connect {
            shard.connect.observe(connect);
        }
        if let Some(queued) = record.timers.queue.filter(|queued| !queued.is_zero()) {
            shard.queued.observe(queued);
        }
    }

    fn export(&self, name: &str, page: &mut Page) {
        for class in Class::ALL {
            let count = self.shards.sum(|shard| shard.requests.get(class.place()));
            page.count_seen(0, &[name, class.as_str()], count);
        }
        page.count(1, &[name], self.shards.sum(|shard| shard.retries.get()));
        page.histogram(2, &[name], &Totals::of(self.shards.iter().map(|shard| &shard.first_byte)));
        page.histogram(3, &[name], &Totals::of(self.shards.iter().map(|shard| &shard.connect)));
        page.histogram(4, &[name], &Totals::of(self.shards.iter().map(|shard| &shard.queued)));
        page.count(5, &[name], self.in_flight.used());
        page.count(6, &[name], self.queue.used());
        for why in NotRetried::ALL {
            let count = self.shards.sum(|shard| shard.not_retried.get(why.place()));
            page.count_seen(7, &[name, why.as_str()], count);
        }
        for why in FailoverWhy::ALL {
            let count = self.shards.sum(|shard| shard.failovers.get(why.place()));
            page.count_seen(8, &[name, why.as_str()], count);
        }
        page.count(9, &[name], self.shards.sum(|shard| shard.fallbacks.get()));
    }
}

/// The clusters of all living generations.
#[derive(Debug)]
pub(super) struct Clusters(pub(super) Live<ClusterName, ClusterMetrics>);

impl Export for Clusters {
    const FAMILIES: &'static [Family] = &[
        Family::counter(
            "portcullis_cluster_requests_total",
            "Requests sent to a cluster, by the class of the upstream's status; none: it gave none.",
            &["cluster", "class"],
        ),
        Family::counter("portcullis_cluster_retries_total", "Attempts beyond each request's first.", &["cluster"]),
        Family::histogram(
            "portcullis_cluster_first_byte_seconds",
            "Time from a request's arrival to the first byte of the upstream's answer.",
            &["cluster"],
        ),
        Family::histogram(
            "portcullis_cluster_connect_seconds",
            "Time to connect upstream, TLS included; reused connections are not counted.",
            &["cluster"],
        ),
        Family::histogram(
            "portcullis_cluster_queue_seconds",
            "Time that requests waited for a place; those that did not wait are not counted.",
            &["cluster"],
        ),
        Family::gauge("portcullis_cluster_in_flight", "Requests in flight.", &["cluster"]),
        Family::gauge("portcullis_cluster_queued", "Requests waiting for a place.", &["cluster"]),
        Family::counter(
            "portcullis_cluster_not_retried_total",
            "Requests whose last failure is one to try again after, and that were not tried again, by the reason.",
            &["cluster", "why"],
        ),
        Family::counter(
            "portcullis_cluster_failovers_total",
            "Requests that this cluster took in the place of another, by the reason.",
            &["cluster", "why"],
        ),
        Family::counter(
            "portcullis_cluster_fallbacks_total",
            "Requests that a route's fallback took, since no endpoint could be reached.",
            &["cluster"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|name, cluster| cluster.export(name.map_or(OTHER, ClusterName::as_str), page));
    }
}

/// What is known of an endpoint's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Health {
    /// No check has ended yet.
    #[default]
    Unknown,
    /// It takes requests.
    Healthy,
    /// Its health checks fail.
    Unhealthy,
    /// Outlier detection keeps it out for a while.
    Ejected,
    /// It is leaving the configuration.
    Draining,
}

impl Health {
    const ALL: [Self; 5] = [Self::Unknown, Self::Healthy, Self::Unhealthy, Self::Ejected, Self::Draining];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }

    const fn code(self) -> u8 {
        self as u8
    }
}

#[derive(Debug, Default)]
struct EndpointShard {
    attempts: Count,
    connections: Count,
    /// Up when an attempt begins, down when it ends, perhaps in another shard: only the sum means something.
    in_flight: Count,
}

/// The handle of an endpoint of one cluster.
#[derive(Debug)]
pub struct EndpointMetrics {
    shards: Sharded<EndpointShard>,
    failures: Counts<REASONS>,
    health: AtomicU8,
    /// In thousandths.
    utilisation: AtomicU32,
    /// Plus one; 0 while none is known.
    height: AtomicU64,
    lag: AtomicU64,
}

impl EndpointMetrics {
    pub(super) fn new(shards: Shards) -> Self {
        Self {
            shards: Sharded::new(shards),
            failures: Counts::default(),
            health: AtomicU8::default(),
            utilisation: AtomicU32::default(),
            height: AtomicU64::default(),
            lag: AtomicU64::default(),
        }
    }

    /// An attempt begins; it is in flight until the guard is dropped, also when the request's future is.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.shards.mine().in_flight.add(1);
        InFlight(Arc::clone(self))
    }

    /// Counts an attempt that has ended.
    pub fn observe(&self, attempt: &Attempt) {
        let shard = self.shards.mine();
        shard.attempts.add(1);
        if !attempt.reused && attempt.connect.is_some() {
            shard.connections.add(1);
        }
        if let (Err(reason), false) = (attempt.outcome, attempt.outrun)
            && !reason.is_own_lack()
        {
            self.failures.add(reason_place(reason), 1);
        }
    }

    /// States its health.
    pub fn set_health(&self, health: Health) {
        self.health.store(health.code(), Relaxed);
    }

    /// States how full it says that it is, in thousandths, as far as that is still believed.
    pub fn set_utilisation(&self, thousandths: u32) {
        self.utilisation.store(thousandths, Relaxed);
    }

    /// States how far it is, and how far behind the others; `None` while nothing is known of it.
    pub fn set_height(&self, known: Option<(u64, u64)>) {
        self.height.store(known.map_or(0, |(height, _)| height.saturating_add(1)), Relaxed);
        self.lag.store(known.map_or(0, |(_, lag)| lag), Relaxed);
    }

    /// Attempts that are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shards.sum(|shard| shard.in_flight.get())
    }

    fn export(&self, names: [&str; 2], page: &mut Page) {
        let [cluster, endpoint] = names;
        page.count(0, &names, self.shards.sum(|shard| shard.attempts.get()));
        page.count(1, &names, self.shards.sum(|shard| shard.connections.get()));
        page.count(2, &names, self.in_flight());
        let code = self.health.load(Relaxed);
        for health in Health::ALL {
            page.count(3, &[cluster, endpoint, health.as_str()], u64::from(health.code() == code));
        }
        for &reason in Reason::ALL {
            let count = self.failures.get(reason_place(reason));
            page.count_seen(4, &[cluster, endpoint, reason.name()], count);
        }
        let utilisation = self.utilisation.load(Relaxed);
        if utilisation > 0 {
            page.add(5, &names, f64::from(utilisation) / 1000.0);
        }
        if let Some(height) = self.height.load(Relaxed).checked_sub(1) {
            page.count(6, &names, height);
            page.count(7, &names, self.lag.load(Relaxed));
        }
    }
}

/// An attempt in flight. Dropped on whatever thread, it takes the attempt out of the count.
#[derive(Debug)]
pub struct InFlight(Arc<EndpointMetrics>);

impl InFlight {
    /// The endpoint's handle.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<EndpointMetrics> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.shards.mine().in_flight.sub(1);
    }
}

/// The endpoints of all living generations.
#[derive(Debug)]
pub(super) struct Endpoints(pub(super) Live<(ClusterName, EndpointName), EndpointMetrics>);

impl Export for Endpoints {
    const FAMILIES: &'static [Family] = &[
        Family::counter("portcullis_endpoint_attempts_total", "Attempts that have ended.", &["cluster", "endpoint"]),
        Family::counter(
            "portcullis_endpoint_connections_total",
            "Connections opened for an attempt.",
            &["cluster", "endpoint"],
        ),
        Family::gauge("portcullis_endpoint_in_flight", "Attempts in flight.", &["cluster", "endpoint"]),
        Family::gauge(
            "portcullis_endpoint_health",
            "1 for the state the endpoint is in, 0 for the others.",
            &["cluster", "endpoint", "state"],
        ),
        Family::counter(
            "portcullis_endpoint_failures_total",
            "Attempts that failed, by reason.",
            &["cluster", "endpoint", "reason"],
        ),
        Family::gauge(
            "portcullis_endpoint_utilisation",
            "How full the endpoint says that it is, as far as that is still believed; none while it says nothing.",
            &["cluster", "endpoint"],
        ),
        Family::gauge(
            "portcullis_endpoint_height",
            "How far the endpoint is (its slot), where heights are followed; none while nothing is known.",
            &["cluster", "endpoint"],
        ),
        Family::gauge(
            "portcullis_endpoint_lag",
            "How far the endpoint is behind the reference, where heights are followed.",
            &["cluster", "endpoint"],
        ),
    ];

    fn export(&self, page: &mut Page) {
        self.0.each(|key, endpoint| {
            let names = key.map_or([OTHER, OTHER], |(cluster, endpoint)| [cluster.as_str(), endpoint.as_str()]);
            endpoint.export(names, page);
        });
    }
}
