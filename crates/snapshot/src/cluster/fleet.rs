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
//! - Endpoints that cannot be put together leave those before in place, and the fleet says why.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_balance::{Endpoint, EndpointIdx, EndpointSet, EndpointSpec, Health, SetError, SetOptions, Tuning};
use portcullis_filter::Candidate;
use portcullis_filter::seam::FoundEndpoint;
use portcullis_telemetry::metrics::EndpointMetrics;
use portcullis_types::{ClusterName, EndpointName};
use tokio::sync::watch;

use super::feed::Feed;
use super::fleets::Fleets;
use super::overrides::{Override, OverrideError};

/// The endpoints of a cluster at one moment. Immutable but for their states.
pub struct Members {
    /// The endpoints with their states, which later members share, and the algorithm that chooses.
    pub endpoints: Arc<EndpointSet>,
    /// The subsets that routes select, in the order of [`FleetPlan::subsets`]. They share states and indices with the
    /// whole.
    pub subsets: Box<[Arc<EndpointSet>]>,
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

    /// What a request chooses from: a subset, or the whole.
    #[must_use]
    pub fn set(&self, subset: Option<usize>) -> &Arc<EndpointSet> {
        subset.and_then(|subset| self.subsets.get(subset)).unwrap_or(&self.endpoints)
    }

    /// The endpoints, each with its counters.
    pub fn each(&self) -> impl Iterator<Item = (&Arc<Endpoint>, &Arc<EndpointMetrics>)> {
        self.endpoints.endpoints().iter().zip(&self.metrics)
    }
}

/// One entry of a cluster's endpoints.
#[derive(Debug, Clone)]
pub enum Part {
    /// An endpoint.
    Fixed(EndpointSpec),
    /// As many as a source finds.
    Fed {
        /// The source.
        feed: Arc<Feed>,
        /// What the entry says of them.
        mould: Mould,
    },
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(other)) => one == other,
            (Self::Fed { feed, mould }, Self::Fed { feed: other, mould: beside }) => {
                Arc::ptr_eq(feed, other) && mould == beside
            }
            (Self::Fixed(_), Self::Fed { .. }) | (Self::Fed { .. }, Self::Fixed(_)) => false,
        }
    }
}

/// What an entry says of the endpoints that its source finds, as far as the source does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mould {
    /// Their name; each one's address, when there is none.
    pub name: Option<EndpointName>,
    /// Their weight.
    pub weight: Option<u32>,
    /// Their priority.
    pub priority: Option<u8>,
    /// Their zone.
    pub zone: Option<Arc<str>>,
    /// Labels, below those of the source.
    pub labels: BTreeMap<String, String>,
}

impl Mould {
    fn cast(&self, found: &FoundEndpoint) -> EndpointSpec {
        let name = found.name.clone().or_else(|| self.name.clone());
        let mut labels = self.labels.clone();
        labels.extend(found.labels.clone());
        EndpointSpec {
            name: name.unwrap_or_else(|| EndpointName::from(found.address.to_string().as_str())),
            address: found.address,
            weight: found.weight.or(self.weight).unwrap_or(1),
            priority: found.priority.or(self.priority).unwrap_or(0),
            zone: found.zone.clone().or_else(|| self.zone.clone()),
            labels,
        }
    }
}

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// The entries of the config.
    pub parts: Vec<Part>,
    /// How an endpoint is chosen.
    pub options: SetOptions,
    /// What tunes the choice.
    pub tuning: Tuning,
    /// The labels of each subset that a route selects.
    pub subsets: Vec<BTreeMap<String, String>>,
}

impl FleetPlan {
    /// The sources.
    pub fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fixed(_) => None,
            Part::Fed { feed, .. } => Some(feed),
        })
    }

    /// All endpoints as config and sources have them now, each once.
    pub(super) fn specs(&self) -> Vec<EndpointSpec> {
        let mut specs = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Fixed(spec) => specs.push(spec.clone()),
                Part::Fed { feed, mould } => specs.extend(feed.found().iter().map(|found| mould.cast(found))),
            }
        }
        if self.feeds().next().is_some() {
            let mut seen: HashSet<(SocketAddr, EndpointName)> = HashSet::with_capacity(specs.len());
            specs.retain(|spec| seen.insert((spec.address, spec.name.clone())));
        }
        specs
    }

    fn set(
        &self,
        specs: Vec<EndpointSpec>,
        before: Option<&EndpointSet>,
        now: Instant,
    ) -> Result<Arc<EndpointSet>, SetError> {
        let options = self.options.clone().tuned(self.tuning.clone());
        match before {
            Some(before) => before.rebuild(specs, options, now),
            None => EndpointSet::build(specs, options, now),
        }
    }

    /// The endpoints with the overrides. Where none of them may take a request there are none: a set must have one that
    /// may, and what is drained has nothing to choose.
    pub(super) fn overridden(
        &self,
        overrides: &[Override],
        before: Option<&EndpointSet>,
        now: Instant,
    ) -> Result<Arc<EndpointSet>, SetError> {
        let mut specs = self.specs();
        overrides.iter().for_each(|one| one.apply(&mut specs));
        let may_change = !overrides.is_empty() || self.feeds().next().is_some();
        if may_change && specs.iter().all(|spec| spec.weight == 0) {
            specs.clear();
        }
        self.set(specs, before, now)
    }
}

/// The endpoints of a cluster. See the module's text.
pub struct Fleet {
    pub(super) cluster: ClusterName,
    pub(super) plan: FleetPlan,
    pub(super) hub: Arc<Fleets>,
    pub(super) members: ArcSwap<Members>,
    /// Why the members are not what sources and overrides say.
    pub(super) trouble: Mutex<Option<String>>,
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

    /// Puts the endpoints together anew from config, sources and overrides.
    pub fn refresh(&self, now: Instant) {
        self.hub.refresh(self, now);
    }

    /// Why the endpoints are not what sources and overrides say; `None` when they are.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// The overrides in effect, in the order in which they were made.
    #[must_use]
    pub fn overrides(&self) -> Vec<Override> {
        self.hub.overrides(&self.cluster)
    }

    /// Takes an override, in the place of one that the same endpoint may have.
    ///
    /// # Errors
    /// See [`OverrideError`]; nothing has changed then.
    pub fn change(&self, one: Override, now: Instant) -> Result<(), OverrideError> {
        self.hub.change(self, one, now)
    }

    /// Ends an endpoint's override before its time; `false` when there is none.
    #[must_use]
    pub fn restore(&self, endpoint: &str, now: Instant) -> bool {
        self.hub.restore(&self.cluster, endpoint, now)
    }
}
