//! The endpoints of a cluster as they are now. They change without a new generation.
//!
//! A [`Fleet`] belongs to a cluster and is shared by all generations in which that cluster says the same. A reload that
//! changes the cluster makes a new fleet that takes over the endpoints' states from the one before. What a request works
//! with is a [`Members`]: immutable, taken once, kept for all its attempts, since an index belongs to the set that gave
//! it.
//!
//! Invariants:
//! - A request takes no lock here: [`Fleet::members`] is one atomic load.
//! - An endpoint whose name and address stay keeps its state and its counters, whatever else changes.
//! - Members that cannot be made leave those before in place.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_balance::{Endpoint, EndpointIdx, EndpointSet, EndpointSpec, Health, SetError, SetOptions, Tuning};
use portcullis_filter::Candidate;
use portcullis_telemetry::Metrics;
use portcullis_telemetry::metrics::EndpointMetrics;
use portcullis_types::ClusterName;
use tokio::sync::watch;

/// The endpoints of a cluster at one moment. Immutable but for their states.
pub struct Members {
    /// The endpoints with their states, which later members share, and the algorithm that chooses.
    pub endpoints: Arc<EndpointSet>,
    /// Their counters, in the order of [`EndpointSet::endpoints`].
    pub metrics: Box<[Arc<EndpointMetrics>]>,
}

impl Members {
    /// The endpoints as a filter sees them, in their order. `tried` are those that earlier attempts of the same request
    /// used.
    #[must_use]
    pub fn candidates(&self, tried: &[EndpointIdx]) -> Vec<Candidate> {
        let candidate = |(at, endpoint): (usize, &Arc<Endpoint>)| {
            let (spec, state) = (endpoint.spec(), endpoint.state());
            Candidate {
                name: spec.name.clone(),
                address: spec.address,
                weight: spec.weight,
                priority: spec.priority,
                zone: spec.zone.clone(),
                healthy: state.health() != Health::Unhealthy,
                in_flight: state.in_flight(),
                tried: tried.iter().any(|index| index.get() == at),
            }
        };
        self.endpoints.endpoints().iter().enumerate().map(candidate).collect()
    }

    /// The endpoints, each with its counters.
    pub fn each(&self) -> impl Iterator<Item = (&Arc<Endpoint>, &Arc<EndpointMetrics>)> {
        self.endpoints.endpoints().iter().zip(&self.metrics)
    }
}

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// The endpoints of the config.
    pub specs: Vec<EndpointSpec>,
    /// How one is chosen.
    pub options: SetOptions,
    /// What tunes the choice.
    pub tuning: Tuning,
}

/// The endpoints of a cluster. See the module's text.
pub struct Fleet {
    plan: FleetPlan,
    hub: Arc<Fleets>,
    members: ArcSwap<Members>,
}

impl Fleet {
    /// The endpoints as they are now. A request takes them once and keeps them for all its attempts.
    #[must_use]
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// What it is made of.
    #[must_use]
    pub const fn plan(&self) -> &FleetPlan {
        &self.plan
    }

    /// Changes by one, at the least, after the endpoints of any fleet of this gateway changed: whoever keeps something
    /// for each endpoint (checks, streams) compares then.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.hub.changed()
    }
}

/// All fleets of a gateway: what lives longer than a generation.
pub struct Fleets {
    metrics: Arc<Metrics>,
    changes: watch::Sender<u64>,
    /// Fleets are made one after the other: each takes over from the newest.
    making: Mutex<()>,
}

impl Fleets {
    /// No fleets so far.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, changes: watch::Sender::new(0), making: Mutex::default() })
    }

    /// A fleet, which takes over the states of the one before.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn fleet(
        self: &Arc<Self>,
        cluster: &ClusterName,
        plan: FleetPlan,
        before: Option<&Fleet>,
        now: Instant,
    ) -> Result<Arc<Fleet>, SetError> {
        let making = self.making.lock();
        let (specs, options) = (plan.specs.clone(), plan.options.clone().tuned(plan.tuning.clone()));
        let endpoints = match before {
            Some(before) => before.members().endpoints.rebuild(specs, options, now)?,
            None => EndpointSet::build(specs, options, now)?,
        };
        let members = ArcSwap::from_pointee(self.members(cluster, endpoints));
        drop(making);
        Ok(Arc::new(Fleet { plan, hub: self.clone(), members }))
    }

    /// See [`Fleet::changed`].
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn members(&self, cluster: &ClusterName, endpoints: Arc<EndpointSet>) -> Members {
        let counters = |endpoint: &Arc<Endpoint>| self.metrics.endpoint(cluster, &endpoint.spec().name);
        Members { metrics: endpoints.endpoints().iter().map(counters).collect(), endpoints }
    }
}
