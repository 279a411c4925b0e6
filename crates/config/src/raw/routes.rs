//! `routes:` of a host.

use portcullis_types::{ByteSize, Percent};
use portcullis_yaml::{Decode, Spanned};
use std::time::Duration;

use super::actions::{RawAction, RawRewrite};
use super::filters::RawFilter;
use super::hosts::RawDialect;
use super::lax::Lax;
use super::matchers::RawMatch;

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
    /// The largest request body; 0 for no bound. Default: 10MiB.
    pub(crate) body_limit: Lax<ByteSize>,
    /// Filters of its requests, after those of the host.
    pub(crate) filters: Lax<Vec<RawFilter>>,
    /// How errors are written. Default: the host's.
    pub(crate) errors: Lax<RawDialect>,
    /// A cache of the binary that stands in front of the route.
    pub(crate) cache: Lax<Spanned<String>>,
    /// Whether a request may be upgraded, as WebSocket does. Default: true.
    pub(crate) upgrade: Lax<Spanned<bool>>,
}

/// A copy of requests to a second cluster.
#[derive(Debug, Decode)]
pub(crate) struct RawMirror {
    /// The cluster.
    pub(crate) to: Spanned<String>,
    /// The share of requests that are copied. Requests with a body over 64KiB never are. Default: 100%.
    pub(crate) share: Option<Percent>,
}

/// Timeouts towards the upstream. What is left out is the cluster's.
#[derive(Debug, Decode)]
pub(crate) struct RawRouteTimeouts {
    /// For the TCP connection, and for TLS on top.
    pub(crate) connect: Option<Spanned<Duration>>,
    /// From the end of the request to the first byte of the answer.
    pub(crate) first_byte: Option<Spanned<Duration>>,
    /// Between two pieces of an answer.
    pub(crate) idle: Option<Spanned<Duration>>,
    /// For the whole exchange up to the end of the answer's head; 0 for no bound.
    pub(crate) total: Option<Duration>,
}
