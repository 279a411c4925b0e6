//! A cluster: a group of endpoints, how one is chosen, how the gateway speaks to it.

pub mod failover;
pub mod feed;
pub mod fleet;
pub mod fleets;
pub mod health;
pub mod overrides;
pub mod reports;
pub mod retry;

use http::HeaderName;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_telemetry::metrics::ClusterMetrics;
use portcullis_types::ClusterName;

use crate::affinity::Affinity;
use crate::limits::Limits;
use crate::route::Timeouts;

pub use failover::{FailoverChain, Fitness, Way};
pub use feed::{Feed, FeedStatus, SourceKey};
pub use fleet::{Fleet, FleetPlan, Members, Mould, Part};
pub use fleets::Fleets;
pub use health::{HealthCheck, HealthProbe};
pub use overrides::{Override, OverrideError};
pub use reports::LoadReports;
pub use retry::{NotRetryable, Retries, RetryCause, RetryOn, RetryPolicy, RetryWord};

/// The place of a cluster in its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterIdx(pub u32);

/// A cluster.
pub struct Cluster {
    /// Its key in the config.
    pub name: ClusterName,
    /// Its endpoints as they are now; they change without a new generation.
    pub fleet: Arc<Fleet>,
    /// What the `hash` algorithm hashes.
    pub hash_key: Option<Affinity>,
    /// What the gateway speaks to it.
    pub protocol: UpstreamProtocol,
    /// TLS to it.
    pub tls: Option<UpstreamTls>,
    /// Its timeouts, which a route may narrow.
    pub timeouts: Timeouts,
    /// The field that carries the milliseconds that are left of the total timeout, to endpoints and from trusted
    /// callers.
    pub deadline_header: Option<HeaderName>,
    /// When a request is tried again, where that is safe.
    pub retry: Retries,
    /// The clusters that stand in for this one.
    pub failover: Option<Arc<FailoverChain>>,
    /// What it takes at once, and what waits.
    pub limits: Option<Limits>,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// Active health checks.
    pub health: Option<HealthCheck>,
    /// What its endpoints say of their own load, as far as it is believed.
    pub reports: LoadReports,
    /// Distinguishes connections that must not be shared although they go to the same address (TLS settings,
    /// protocol): a hash of those settings, equal across generations when they are.
    pub connection_group: u64,
    /// Its counters, kept across generations.
    pub metrics: Arc<ClusterMetrics>,
}

/// What the gateway speaks to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN on TLS, with prior knowledge (h2c) on plain text.
    Http2,
}

/// A client certificate: chain and key, DER.
pub type ClientPair = (Vec<Vec<u8>>, Vec<u8>);

/// TLS to a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that is asked for and verified.
    pub server_name: String,
    /// Whether the certificate is verified; only an explicit `verify: false` turns it off.
    pub verify: bool,
    /// The CAs that are trusted in place of the system's, DER.
    pub ca: Option<Arc<[Vec<u8>]>>,
    /// The client certificate: chain and key, DER.
    pub client: Option<Arc<ClientPair>>,
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("server_name", &self.server_name)
            .field("verify", &self.verify)
            .field("ca", &self.ca.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
