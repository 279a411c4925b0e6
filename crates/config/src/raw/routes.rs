//! `routes:` of a host.

use portcullis_types::{ByteSize, Percent};
use portcullis_yaml::{Decode, Spanned};

use super::actions::{RawAction, RawRewrite};
use super::attempts::{RawFallback, RawRouteTimeouts};
use super::filters::RawFilter;
use super::hosts::RawDialect;
use super::lax::Lax;
use super::limits::{RawPriority, RawRouteLimits};
use super::matchers::RawMatch;
use super::tracing::RouteTracingWord;

/// A route: what it matches, and one of `to`, `redirect` and `respond`.
#[derive(Debug, Decode)]
pub(crate) struct RawRoute {
    /// Its name, unique in its host: it stands in logs and metrics.
    pub(crate) name: Spanned<String>,
    /// What it matches. Left out, every request.
    #[config(rename = "match")]
    pub(crate) matches: Lax<RawMatch>,
    /// What it does.
    #[config(flatten)]
    pub(crate) action: RawAction,
    /// Change the path or the Host of what is sent upstream.
    pub(crate) rewrite: Lax<Spanned<RawRewrite>>,
    /// Send a copy to a second cluster, whose answers are thrown away.
    pub(crate) mirror: Lax<Spanned<RawMirror>>,
    /// Timeouts in place of the cluster's.
    pub(crate) timeouts: Lax<Spanned<RawRouteTimeouts>>,
    /// Whether its requests are hedged where the cluster says so. Default: true.
    pub(crate) hedge: Lax<Spanned<bool>>,
    /// What is done when no endpoint can be reached. Default: 503 with the reason `no_healthy_upstream`.
    pub(crate) fallback: Lax<Spanned<RawFallback>>,
    /// The largest request body; 0 for no bound. Default: 10MiB.
    pub(crate) body_limit: Lax<ByteSize>,
    /// Filters of its requests, after those of the host.
    pub(crate) filters: Lax<Vec<RawFilter>>,
    /// How errors are written. Default: the host's.
    pub(crate) errors: Lax<RawDialect>,
    /// A cache of the binary that stands in front of the route: `rpc`, `rpc-blockhash` or `rpc-coalesce` for answers of
    /// JSON-RPC (see `docs/json-rpc.md`), or one of a team's own binary.
    pub(crate) cache: Lax<Spanned<String>>,
    /// What the route takes at once. Default: no bound.
    pub(crate) limits: Lax<RawRouteLimits>,
    /// How important its requests are: under overload the least important are refused first. Default: normal.
    pub(crate) priority: Lax<RawPriority>,
    /// What is kept of the traces of its requests, in place of what `tracing` says, or `off`.
    pub(crate) tracing: Lax<Spanned<RouteTracingWord>>,
    /// Whether a request may be upgraded, as WebSocket does. Default: true.
    pub(crate) upgrade: Lax<Spanned<bool>>,
    /// Whether its requests may be sent twice whatever their method is: a JSON-RPC or gRPC call behind POST that only
    /// reads. Then they are tried again as a GET is. Default: false.
    pub(crate) idempotent: Lax<Spanned<bool>>,
}

/// A copy of requests to a second cluster.
#[derive(Debug, Decode)]
pub(crate) struct RawMirror {
    /// The cluster.
    pub(crate) to: Spanned<String>,
    /// The share of requests that are copied. Requests with a body over 64KiB never are. Default: 100%.
    pub(crate) share: Option<Percent>,
}
