//! `clusters:`.

use portcullis_types::Percent;
use portcullis_yaml::{Decode, OneOrMany, Spanned};
use regex::Regex;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::attempts::{RawHedge, RawRetry, RawTimeouts};
use super::endpoints::RawEndpoint;
use super::lax::Lax;
use super::limits::RawClusterLimits;
use super::tuning::{RawLoadReports, RawOutliers, RawSlowStart, RawZonePreference};
use super::words::{AuthorityWord, FactorWord, KeyWord};

/// A cluster: a group of endpoints, how one is chosen, and how the gateway speaks to it.
#[derive(Debug, Decode)]
pub(crate) struct RawCluster {
    /// The endpoints, a list or a single entry: addresses such as `10.0.0.11:8899` or `api.internal:80`, or maps. Names,
    /// files and other sources are followed in the background.
    pub(crate) endpoints: Spanned<OneOrMany<Spanned<RawEndpoint>>>,
    /// How an endpoint is chosen. Default: least_loaded.
    pub(crate) balance: Lax<Spanned<RawBalance>>,
    /// How an endpoint that is new or comes back is led up to its full share. Default: 10s, from 10%.
    pub(crate) slow_start: Lax<RawSlowStart>,
    /// Below this share of available endpoints, health is ignored and all of them take requests: for checks that may be
    /// wrong about a whole cluster. Default: 0%, which never ignores it.
    pub(crate) panic_threshold: Lax<Percent>,
    /// How much more than its part an endpoint can carry, 100% to 1000%: a priority, or the gateway's zone, hands on
    /// requests once its available endpoints times this are less than all of them. Default: 140%.
    pub(crate) overprovisioning: Lax<FactorWord>,
    /// Whether endpoints of the gateway's own zone are preferred. Default: true, where the gateway's `zone` is given.
    pub(crate) zone_preference: Lax<RawZonePreference>,
    /// Endpoints that fail or are slow, other than the rest, are taken out for a while. Default: on.
    pub(crate) outlier_detection: Lax<RawOutliers>,
    /// What endpoints say of their own load, in fields of their answers. Default: only the Retry-After of a 503.
    pub(crate) load_reports: Lax<RawLoadReports>,
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
    /// When a second attempt is made beside the first. Default: never.
    pub(crate) hedge: Lax<RawHedge>,
    /// Clusters that stand in for this one, in order, while less than half of its endpoints may be used. Requests go back
    /// to it when it has been fit for 5s. Default: none.
    pub(crate) failover: Lax<Spanned<Vec<Spanned<String>>>>,
    /// What the cluster takes at once, and what waits. Default: no bound.
    pub(crate) limits: Lax<RawClusterLimits>,
    /// How long an idle connection is kept, to be used again. Default: 60s.
    pub(crate) keepalive: Lax<Spanned<Duration>>,
}

/// How an endpoint is chosen. Every rule respects weights.
#[derive(Debug, Decode)]
pub(crate) enum RawBalance {
    /// Of a few drawn by chance, the one that would answer soonest, by its latency and its requests in flight; one that
    /// fails attracts nothing.
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
    /// `client_ip`, `path` (without the query, before a rewrite), `consumer` (whom a filter named), `header:NAME`,
    /// `cookie:NAME` or `query:NAME`. A request without it is sent by chance.
    pub(crate) by: KeyWord,
    /// How much of its fair share of the requests in flight an endpoint may hold before its keys spill over, 100% to
    /// 1000%. Default: 125%.
    pub(crate) bound: Option<FactorWord>,
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
    /// From the start of a check to the start of the next. Default: 5s; 1s for `solana`.
    pub(crate) interval: Option<Spanned<Duration>>,
    /// How long a check may take, connecting included. Default: 2s.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// Failing checks in a row that make a healthy endpoint unhealthy. Default: 3.
    pub(crate) unhealthy_after: Option<NonZeroU32>,
    /// Passing checks in a row that make an unhealthy endpoint healthy. Default: 2.
    pub(crate) healthy_after: Option<NonZeroU32>,
    /// The port to check. Default: the endpoint's own.
    pub(crate) port: Option<NonZeroU16>,
    /// Whether the check speaks plain text although the cluster speaks TLS, as a health page on a `port` of its own may.
    /// Default: false.
    pub(crate) plain_text: Option<Spanned<bool>>,
    /// What is spoken. Default: as to the cluster; HTTP/2 for `grpc`.
    pub(crate) protocol: Option<Spanned<RawUpstreamProtocol>>,
    /// Whether an `http`, `grpc` or `solana` check keeps its connection for the next one. Default: true.
    pub(crate) reuse: Option<bool>,
    /// How far an interval may be off to either side, so that gateways do not check in step. Default: 10%.
    pub(crate) jitter: Option<Percent>,
}

/// What a health check does: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawProbe {
    /// Send a GET.
    Http(RawHttpProbe),
    /// Open a TCP connection.
    Tcp(RawTcpProbe),
    /// Open a TCP connection and shake hands in TLS.
    Tls(RawTlsProbe),
    /// Call `grpc.health.v1.Health/Check`; SERVING passes.
    Grpc(RawGrpcProbe),
    /// Ask a Solana node whether it is well and which slot it has processed; endpoints that are behind the others take no
    /// requests while any is not.
    Solana(RawSolanaProbe),
}

/// A health check over HTTP.
#[derive(Debug, Decode)]
pub(crate) struct RawHttpProbe {
    /// The path, with a query if need be. Default: `/`.
    pub(crate) path: Option<Spanned<String>>,
    /// The Host. Default: the cluster's name.
    pub(crate) host: Option<AuthorityWord>,
    /// The statuses that pass: numbers and ranges such as `200-299`, one or a list. Default: 200-299.
    pub(crate) statuses: Option<OneOrMany<Spanned<String>>>,
    /// What the body must hold, in its first 64 KiB. Default: anything.
    pub(crate) body: Option<RawBodyMatch>,
}

/// What a body must hold: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawBodyMatch {
    /// This text.
    Contains(String),
    /// Something that this regular expression finds.
    Regex(Regex),
}

/// A health check by connecting. It has no settings.
#[derive(Debug, Decode)]
pub(crate) struct RawTcpProbe {}

/// A health check by a TLS handshake, with the cluster's TLS settings. It has no settings of its own.
#[derive(Debug, Decode)]
pub(crate) struct RawTlsProbe {}

/// A health check over gRPC.
#[derive(Debug, Decode)]
pub(crate) struct RawGrpcProbe {
    /// The service that is asked about. Default: empty, the server as a whole.
    pub(crate) service: Option<String>,
    /// The authority. Default: the cluster's name.
    pub(crate) host: Option<AuthorityWord>,
}

/// A health check of a Solana node: `getHealth`, `getSlot` at `processed`, and `getMaxShredInsertSlot`.
#[derive(Debug, Decode)]
pub(crate) struct RawSolanaProbe {
    /// The path, with a query if need be. Default: `/`.
    pub(crate) path: Option<Spanned<String>>,
    /// The Host. Default: the cluster's name.
    pub(crate) host: Option<AuthorityWord>,
    /// An endpoint that is more slots behind the others takes no requests, until it is behind by half of this at most; 1
    /// to 1000000. Default: 50.
    pub(crate) max_lag: Option<Spanned<u64>>,
    /// So does one that has received more slots than this beyond the one it has processed. Default: 100.
    pub(crate) max_unprocessed: Option<u64>,
    /// How long a slot takes, 1ms to 1m. Default: 400ms.
    pub(crate) slot_time: Option<Spanned<Duration>>,
    /// Whether the three calls go as one batch; `false` for nodes that take none. Default: true.
    pub(crate) batch: Option<bool>,
}
