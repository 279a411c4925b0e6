//! `clusters:`.

use portcullis_yaml::{Decode, Named, Spanned};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::lax::Lax;
use super::words::{AuthorityWord, KeyWord};

/// A cluster: a group of endpoints, how one is chosen, and how the gateway speaks to it.
#[derive(Debug, Decode)]
pub(crate) struct RawCluster {
    /// The endpoints: addresses such as `10.0.0.11:8899` or `api.internal:80`, or maps. A name is resolved when the
    /// configuration is loaded.
    pub(crate) endpoints: Spanned<Vec<Spanned<RawEndpoint>>>,
    /// How an endpoint is chosen. Default: least_loaded.
    pub(crate) balance: Lax<Spanned<RawBalance>>,
    /// What is spoken. Default: http1.
    pub(crate) protocol: Lax<RawUpstreamProtocol>,
    /// TLS to the endpoints: `true`, or a map. Default: plain text.
    pub(crate) tls: Lax<Spanned<RawUpstreamTls>>,
    /// Active health checks. Left out, every endpoint is taken to be healthy.
    pub(crate) health_check: Lax<Spanned<RawHealthCheck>>,
    /// Timeouts towards the endpoints, which a route may change.
    pub(crate) timeouts: Lax<RawTimeouts>,
    /// When a request is tried again.
    pub(crate) retry: Lax<RawRetry>,
    /// How long an idle connection is kept, to be used again. Default: 60s.
    pub(crate) keepalive: Lax<Spanned<Duration>>,
}

/// An endpoint: an address, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawEndpoint {
    /// The address, such as `10.0.0.11:8899` or `api.internal:80`.
    #[config(scalar)]
    Address(Spanned<String>),
    /// An address with more settings.
    #[config(map)]
    Map(RawEndpointMap),
}

/// An endpoint.
#[derive(Debug, Decode)]
pub(crate) struct RawEndpointMap {
    /// The address, such as `10.0.0.11:8899` or `api.internal:80`.
    pub(crate) address: Spanned<String>,
    /// Where it stands, such as `us-east-1a`.
    pub(crate) zone: Option<String>,
    /// Its share beside the other endpoints of its priority; 0 takes no requests. Default: 1.
    pub(crate) weight: Option<u32>,
    /// Lower numbers are used first. Default: 0.
    pub(crate) priority: Option<u8>,
    /// Words that say more about it, for people and for filters.
    #[config(default)]
    pub(crate) labels: Named<String>,
}

impl RawEndpointMap {
    /// An address with all defaults.
    pub(crate) fn new(address: Spanned<String>) -> Self {
        Self { address, zone: None, weight: None, priority: None, labels: Named::default() }
    }
}

/// How an endpoint is chosen. Every rule respects weights.
#[derive(Debug, Decode)]
pub(crate) enum RawBalance {
    /// Of two drawn by chance, the one with fewer requests in flight for its weight.
    LeastLoaded,
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// By a value of the request, so that equal values meet on one endpoint.
    Hash(RawHash),
}

/// What is hashed.
#[derive(Debug, Decode)]
pub(crate) struct RawHash {
    /// `client_ip`, `header:NAME`, `cookie:NAME` or `query:NAME`. A request without it is sent by chance.
    pub(crate) by: KeyWord,
}

/// What the gateway speaks to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawUpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN on TLS, with prior knowledge on plain text.
    Http2,
}

/// TLS to a cluster: `true`, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawUpstreamTls {
    /// Whether TLS is spoken, with all defaults.
    #[config(scalar)]
    Switch(bool),
    /// TLS with settings.
    #[config(map)]
    Map(RawUpstreamTlsMap),
}

/// TLS to a cluster.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawUpstreamTlsMap {
    /// The name that is asked for and verified. Default: the host of the first endpoint, when that is a name.
    pub(crate) server_name: Option<Spanned<String>>,
    /// A PEM file with the CAs that are trusted in place of the system's.
    pub(crate) ca: Option<Spanned<String>>,
    /// A PEM file with the gateway's own certificate chain, for endpoints that ask for one.
    pub(crate) cert: Option<Spanned<String>>,
    /// A PEM file with the key of `cert`.
    pub(crate) key: Option<Spanned<String>>,
    /// Whether the endpoint's certificate is verified. Default: true.
    pub(crate) verify: Option<bool>,
}

/// Active health checks of a cluster.
#[derive(Debug, Decode)]
pub(crate) struct RawHealthCheck {
    /// What is done. Default: `tcp: {}`.
    #[config(flatten)]
    pub(crate) probe: Option<RawProbe>,
    /// From the start of a check to the start of the next. Default: 5s.
    pub(crate) interval: Option<Spanned<Duration>>,
    /// How long a check may take, connecting included. Default: 2s.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// Failing checks in a row that make a healthy endpoint unhealthy. Default: 3.
    pub(crate) unhealthy_after: Option<NonZeroU32>,
    /// Passing checks in a row that make an unhealthy endpoint healthy. Default: 2.
    pub(crate) healthy_after: Option<NonZeroU32>,
    /// The port to check. Default: the endpoint's own.
    pub(crate) port: Option<NonZeroU16>,
}

/// What a health check does: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawProbe {
    /// Send a GET over HTTP/1.1.
    Http(RawHttpProbe),
    /// Open a TCP connection.
    Tcp(RawTcpProbe),
}

/// A health check over HTTP.
#[derive(Debug, Decode)]
pub(crate) struct RawHttpProbe {
    /// The path, with a query if need be. Default: `/`.
    pub(crate) path: Option<Spanned<String>>,
    /// The Host. Default: the cluster's name.
    pub(crate) host: Option<AuthorityWord>,
    /// The statuses that pass: one, or a range such as `200-299`. Default: 200-299.
    pub(crate) statuses: Option<Spanned<String>>,
}

/// A health check by connecting. It has no settings.
#[derive(Debug, Decode)]
pub(crate) struct RawTcpProbe {}

/// Timeouts towards an upstream.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawTimeouts {
    /// For the TCP connection, and for TLS on top. Default: 1s.
    pub(crate) connect: Option<Spanned<Duration>>,
    /// From the end of the request to the first byte of the answer. Default: 15s.
    pub(crate) first_byte: Option<Spanned<Duration>>,
    /// Between two pieces of an answer. Default: 60s.
    pub(crate) idle: Option<Spanned<Duration>>,
    /// For the whole exchange up to the end of the answer's head; 0 for no bound. Default: 0.
    pub(crate) total: Option<Spanned<Duration>>,
}

/// When a request is tried again.
#[derive(Debug, Decode)]
pub(crate) struct RawRetry {
    /// How often a request may be tried, the first time included, 1 to 10. A request that may have been acted on is
    /// only tried again when its method is idempotent. Default: 2.
    pub(crate) attempts: Option<Spanned<u32>>,
}
