//! Metrics: typed handles on the hot path, Prometheus families at a scrape.
//!
//! A handle ([`RouteMetrics`], [`ClusterMetrics`], …) is resolved once, when a config is loaded, and kept by the
//! generation that uses it. A request then adds to plain sharded counters; the `prometheus` crate is met only when
//! somebody scrapes. Invariants: no globals; labels come from the config and from closed enums, never from a
//! request; each kind of handle is bounded in number, the rest share the label `_other`; a name keeps its counters
//! from one generation to the next, and its series end with the last generation that uses it.

mod changes;
mod class;
mod cluster;
mod family;
mod gateway;
mod health;
mod histogram;
mod listener;
mod live;
mod process;
mod route;
mod rpc;
pub(crate) mod shard;
mod source;
mod traces;
mod websocket;

use std::sync::Arc;

use portcullis_types::{ClusterName, EndpointName, ListenerName, RouteName};
use prometheus::{Encoder, Error, Registry, TextEncoder};

pub use changes::ChangeMetrics;
pub use cluster::{ClusterMetrics, EndpointMetrics, Health, InFlight};
pub use gateway::{Build, GatewayMetrics, ReloadOutcome};
pub use health::{HealthMetrics, Report, Standing};
pub use listener::ListenerMetrics;
pub use route::RouteMetrics;
pub use rpc::{CacheEviction, CacheOutcome, RpcCacheMetrics, RpcMetrics, RpcStoreMetrics};
pub use source::SourceMetrics;
pub use traces::{SpanDrop, TraceMetrics};
pub use websocket::{GaugePart, UpstreamLeft, WebsocketEnd, WebsocketGauge, WebsocketMetrics};

use crate::bound::Bound;
use crate::record::{Kind, Record};
use crate::sink::SinkStats;
use cluster::{Clusters, Endpoints};
use gateway::Bounds;
use health::ClustersHealth;
use listener::Listeners;
use live::Live;
use process::Process;
use route::Routes;
use shard::Shards;
use source::Sources;

/// The content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The bounds on the number of series, and what is told of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Listeners with a handle of their own: 256 by default.
    pub listeners: usize,
    /// Routes with a handle of their own: 2,000 by default. A route in use has about 30 series, at most 96.
    pub routes: usize,
    /// Clusters with a handle of their own: 1,000 by default.
    pub clusters: usize,
    /// Endpoints with a handle of their own: 10,000 by default.
    pub endpoints: usize,
    /// Sources of endpoints with a handle of their own: 2,000 by default.
    pub sources: usize,
    /// Bounds with series of their own: 10,000 by default.
    pub bounds: usize,
    /// Shards of a counter; `None` for one a core.
    pub shards: Option<usize>,
    /// What binary runs.
    pub build: Build,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            listeners: 256,
            routes: 2_000,
            clusters: 1_000,
            endpoints: 10_000,
            sources: 2_000,
            bounds: 10_000,
            shards: None,
            build: Build::default(),
        }
    }
}

/// The handles that one request counts in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handles<'a> {
    /// The route; `None` when none was met.
    pub route: Option<&'a RouteMetrics>,
    /// The cluster; `None` when the request was not sent to one.
    pub cluster: Option<&'a ClusterMetrics>,
}

/// All metrics of a gateway. See the module's text.
#[derive(Debug)]
pub struct Metrics {
    gateway: Arc<GatewayMetrics>,
    changes: Arc<ChangeMetrics>,
    traces: Arc<TraceMetrics>,
    listeners: Arc<Listeners>,
    routes: Arc<Routes>,
    clusters: Arc<Clusters>,
    endpoints: Arc<Endpoints>,
    sources: Arc<Sources>,
    bounds: Arc<Bounds>,
    shards: Shards,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// When a family of one of these names is registered already.
    pub fn new(registry: &Registry, options: MetricsOptions) -> Result<Self, Error> {
        let shards = Shards::new(options.shards);
        let metrics = Self {
            gateway: Arc::new(GatewayMetrics::new(options.build)),
            changes: Arc::default(),
            traces: Arc::default(),
            listeners: Arc::new(Listeners(Live::new(options.listeners))),
            routes: Arc::new(Routes { live: Live::new(options.routes), none: RouteMetrics::new(shards) }),
            clusters: Arc::new(Clusters(Live::new(options.clusters))),
            endpoints: Arc::new(Endpoints(Live::new(options.endpoints))),
            sources: Arc::new(Sources(Live::new(options.sources))),
            bounds: Arc::new(Bounds(Live::new(options.bounds))),
            shards,
        };
        family::register(registry, &metrics.gateway)?;
        family::register(registry, &metrics.changes)?;
        family::register(registry, &metrics.traces)?;
        family::register(registry, &metrics.listeners)?;
        family::register(registry, &metrics.routes)?;
        family::register(registry, &metrics.clusters)?;
        family::register(registry, &Arc::new(ClustersHealth(metrics.clusters.clone())))?;
        family::register(registry, &metrics.endpoints)?;
        family::register(registry, &metrics.sources)?;
        family::register(registry, &metrics.bounds)?;
        family::register(registry, &Arc::new(Process::new("/proc")))?;
        metrics.attach_bound("trace_queue_spans", "tracing", metrics.traces.queue());
        Ok(metrics)
    }

    /// Takes out the names that no generation uses any more, so that a config that begins to load finds their places
    /// free. Costs as much as there are names; whoever loads configs calls it once for each.
    pub fn prune(&self) {
        self.listeners.0.prune();
        self.routes.live.prune();
        self.clusters.0.prune();
        self.endpoints.0.prune();
        self.sources.0.prune();
        self.bounds.0.prune();
    }

    /// The gateway's own numbers.
    #[must_use]
    pub fn gateway(&self) -> &GatewayMetrics {
        &self.gateway
    }

    /// How the config that serves stands to the file and to the history.
    #[must_use]
    pub fn changes(&self) -> &Arc<ChangeMetrics> {
        &self.changes
    }

    /// What became of spans.
    #[must_use]
    pub const fn traces(&self) -> &Arc<TraceMetrics> {
        &self.traces
    }

    /// Requests so far that met no route.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.routes.none.requests()
    }

    /// The handle of a listener.
    #[must_use]
    pub fn listener(&self, name: &ListenerName) -> Arc<ListenerMetrics> {
        self.listeners.0.get(name.clone(), |own| {
            let handle = ListenerMetrics::new(self.shards);
            // The shared handle's bounds are of many listeners, so they say nothing of any.
            if let Some(name) = own {
                self.attach_bound("listener_connections", name.as_str(), handle.connections());
            }
            handle
        })
    }

    /// The handle of a route of a virtual host.
    #[must_use]
    pub fn route(&self, virtual_host: &str, name: &RouteName) -> Arc<RouteMetrics> {
        self.routes.live.get((virtual_host.into(), name.clone()), |_| RouteMetrics::new(self.shards))
    }

    /// The handle of a cluster.
    #[must_use]
    pub fn cluster(&self, name: &ClusterName) -> Arc<ClusterMetrics> {
        self.clusters.0.get(name.clone(), |own| {
            let handle = ClusterMetrics::new(self.shards);
            if let Some(name) = own {
                self.attach_bound("cluster_requests", name.as_str(), handle.in_flight());
                self.attach_bound("cluster_queue", name.as_str(), handle.queue());
            }
            handle
        })
    }

    /// The handle of an endpoint of a cluster.
    #[must_use]
    pub fn endpoint(&self, cluster: &ClusterName, name: &EndpointName) -> Arc<EndpointMetrics> {
        self.endpoints.0.get((cluster.clone(), name.clone()), |_| EndpointMetrics::new(self.shards))
    }

    /// The handle of a source of endpoints.
    #[must_use]
    pub fn source(&self, name: &str) -> Arc<SourceMetrics> {
        self.sources.0.get(name.into(), |_| SourceMetrics::default())
    }

    /// A bound to count in: `what` is a fixed word with its unit (`filter_buffer_bytes`), `of` a name of the config.
    #[must_use]
    pub fn bound(&self, what: &'static str, of: &str) -> Arc<Bound> {
        self.bounds.0.get((what, of.into()), |_| Bound::default())
    }

    /// Exports a bound that somebody else counts, for as long as it is kept there and while there is room.
    pub fn attach_bound(&self, what: &'static str, of: &str, bound: &Arc<Bound>) {
        self.bounds.0.attach((what, of.into()), bound);
    }

    /// Exports a sink's numbers, its queue among the bounds. A sink of the same name is replaced.
    pub fn attach_sink(&self, name: &str, stats: Arc<dyn SinkStats>) {
        if let Some(queue) = stats.queue() {
            self.attach_bound("sink_queue_bytes", name, &queue);
        }
        self.gateway.attach_sink(name, stats);
    }

    /// A sink is no more: its numbers leave the export.
    pub fn detach_sink(&self, name: &str) {
        self.gateway.detach_sink(name);
    }

    /// Exports the metrics of JSON-RPC, their bounds among the others.
    ///
    /// # Errors
    /// They are exported already.
    pub fn attach_rpc(&self, registry: &Registry, rpc: &RpcMetrics) -> Result<(), Error> {
        rpc.register(registry, self)
    }

    /// Counts one finished record. Attempts are counted by [`EndpointMetrics::observe`], when they end; connections by
    /// [`ListenerMetrics`].
    pub fn observe(&self, record: &Record, handles: &Handles<'_>) {
        if let Some(reason) = record.reason {
            self.gateway.failure(reason);
        }
        match record.kind {
            Kind::Connection => {}
            Kind::Request => {
                handles.route.unwrap_or(&self.routes.none).observe(record);
                if let Some(cluster) = handles.cluster {
                    cluster.observe(record);
                }
            }
        }
    }
}

/// Everything in a registry in the Prometheus text format, of type [`CONTENT_TYPE`].
///
/// # Errors
/// When a collector that somebody else registered gives samples that cannot be written.
pub fn render(registry: &Registry) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
