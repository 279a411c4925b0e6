//! The compiled generation, its handle, and read access to live state.
//!
//! A [`Snapshot`] is immutable and compiled: whatever could be parsed, looked up or formatted at load was. What lives
//! longer than a generation (endpoint health, counters, pools, limiter state) is behind an `Arc` that the next
//! generation shares. Nothing here reads YAML and nothing here does I/O.

pub mod affinity;
pub mod cluster;
pub mod explain;
pub mod generations;
pub mod limits;
pub mod listener;
pub mod replay;
pub mod request;
pub mod route;
pub mod settings;
pub mod tls;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use portcullis_filter::seam::Seams;
use portcullis_filter::{Claims, Services};
use portcullis_policy::Router;
use portcullis_types::{ClusterName, GenerationId};

pub use affinity::{Affinity, AffinityError};
pub use cluster::{
    ClientPair, Cluster, ClusterIdx, FailoverChain, Feed, Fitness, Fleet, FleetPlan, Fleets, HealthCheck, HealthProbe,
    LoadReports, Members, Mould, NotRetryable, Part, Retries, RetryCause, RetryOn, RetryPolicy, RetryWord, SourceKey,
    UpstreamProtocol, UpstreamTls, Way,
};
pub use generations::{Generations, Holders};
pub use limits::{LimitRules, Limits};
pub use listener::{Http2Limits, Listener, ListenerKind, ListenerLimits, ProxyProtocol, most_continuations};
/// Where an endpoint stands, as answers tell it.
pub use portcullis_balance::EndpointStanding;
pub use route::{Action, Another, Fallback, Forward, HostData, Mirror, Place, RouteData, Target, Then, Timeouts};
pub use settings::{Dns, Settings};

/// One generation of the config, compiled.
pub struct Snapshot {
    /// Which generation.
    pub id: GenerationId,
    /// When it was compiled.
    pub created: SystemTime,
    /// Virtual hosts and routes.
    pub router: Router<Arc<HostData>, Arc<RouteData>>,
    /// Clusters, by [`ClusterIdx`].
    pub clusters: Vec<Arc<Cluster>>,
    /// Clusters by name, for filters that name one at run time.
    pub cluster_names: HashMap<ClusterName, ClusterIdx>,
    /// Listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Fields that only the gateway may write.
    pub claims: Claims,
    /// Everything else.
    pub settings: Settings,
    /// What the binary plugged in.
    pub seams: Seams,
    /// What its filters were built with.
    pub services: Services,
    /// Where it came from.
    pub origin: Origin,
    /// Where its parts stand in the config.
    pub places: Places,
}

/// Where clusters and listeners stand in the config, for `explain`. Not a part of them: one that only moved in its file
/// is still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// By [`ClusterIdx`].
    pub clusters: Vec<Place>,
    /// In the order of [`Snapshot::listeners`].
    pub listeners: Vec<Place>,
}

/// Where a generation came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `start`, `signal`, `watch` or `api`.
    pub trigger: &'static str,
    /// A hash of all that was read for the config, 16 hex digits: texts, files that they name, variables. The ETag of
    /// `/api/config`.
    pub hash: String,
    /// The main file's text, as an operator wrote it: secrets by reference only.
    pub text: Arc<str>,
}

impl Snapshot {
    /// A cluster by index. Indices come from this snapshot's own compilation, so only a foreign index gives `None`.
    #[must_use]
    pub fn cluster(&self, index: ClusterIdx) -> Option<&Arc<Cluster>> {
        self.clusters.get(index.0 as usize)
    }

    /// A cluster by name.
    #[must_use]
    pub fn cluster_named(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.cluster_names.get(name).and_then(|&index| self.cluster(index))
    }
}
