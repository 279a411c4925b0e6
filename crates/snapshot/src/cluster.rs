//! A cluster: a group of endpoints, how one is chosen, how the gateway speaks to it.

pub mod fleet;

use http::{HeaderValue, StatusCode};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use portcullis_balance::HealthPolicy;
use portcullis_policy::HashKey;
use portcullis_telemetry::metrics::ClusterMetrics;
use portcullis_types::ClusterName;

use crate::route::Timeouts;

pub use fleet::{Fleet, FleetPlan, Fleets, Members};

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
    pub hash_key: Option<HashKey>,
    /// What the gateway speaks to it.
    pub protocol: UpstreamProtocol,
    /// TLS to it.
    pub tls: Option<UpstreamTls>,
    /// Its timeouts, which a route may narrow.
    pub timeouts: Timeouts,
    /// How often one request may be tried, the first time included, where trying again is safe.
    pub attempts: u32,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// Active health checks.
    pub health: Option<HealthCheck>,
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

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Interval, timeout and thresholds.
    pub policy: HealthPolicy,
    /// What is asked.
    pub probe: HealthProbe,
    /// The port, where it is not the endpoint's own.
    pub port: Option<u16>,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// A TCP connection.
    Tcp,
    /// A GET over HTTP/1.1.
    Http {
        /// The path and query.
        path: String,
        /// The Host.
        host: HeaderValue,
        /// The statuses that are healthy.
        statuses: RangeInclusive<u16>,
    },
}

impl HealthProbe {
    /// Whether a status is healthy; a TCP probe has none.
    #[must_use]
    pub fn accepts(&self, status: StatusCode) -> bool {
        match self {
            Self::Tcp => true,
            Self::Http { statuses, .. } => statuses.contains(&status.as_u16()),
        }
    }
}
