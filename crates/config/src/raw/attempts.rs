//! `timeouts:`, `retry:` and `fallback:`.

use http::HeaderName;
use portcullis_types::Percent;
use portcullis_yaml::{Decode, Spanned};
use std::time::Duration;

use super::actions::RawRespond;
use super::words::{QuantileWord, RetryOnWord};

/// Timeouts towards an upstream.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawTimeouts {
    /// For the TCP connection, and for TLS on top. Default: 1s.
    pub(crate) connect: Option<Spanned<Duration>>,
    /// For one attempt, from its start to the end of the answer's head; 0 for no bound. Default: 0.
    pub(crate) per_try: Option<Spanned<Duration>>,
    /// From the end of the request to the first byte of the answer. Default: 15s.
    pub(crate) first_byte: Option<Spanned<Duration>>,
    /// Between two pieces of an answer. Default: 60s.
    pub(crate) idle: Option<Spanned<Duration>>,
    /// For the whole exchange up to the end of the answer's head; 0 for no bound. What is left of it goes upstream in
    /// `grpc-timeout` with gRPC requests; a shorter one of a caller in `trusted_networks` holds in its place. It never
    /// cuts an answer that has begun. Default: 0.
    pub(crate) total: Option<Spanned<Duration>>,
    /// A field that carries the milliseconds left of `total` upstream, and from callers in `trusted_networks`. From
    /// others it is taken out. Default: none.
    pub(crate) deadline_header: Option<Spanned<HeaderName>>,
}

/// Timeouts of a route towards the upstream. What is left out is the cluster's.
#[derive(Debug, Decode)]
pub(crate) struct RawRouteTimeouts {
    /// For the TCP connection, and for TLS on top.
    pub(crate) connect: Option<Spanned<Duration>>,
    /// For one attempt, from its start to the end of the answer's head; 0 for no bound.
    pub(crate) per_try: Option<Duration>,
    /// From the end of the request to the first byte of the answer.
    pub(crate) first_byte: Option<Spanned<Duration>>,
    /// Between two pieces of an answer.
    pub(crate) idle: Option<Spanned<Duration>>,
    /// For the whole exchange up to the end of the answer's head; 0 for no bound.
    pub(crate) total: Option<Duration>,
}

/// When a request is tried again, on another endpoint where there is one. One that may have been acted on is only tried
/// again when its method is idempotent, or its route is, and its body is at hand (up to 64KiB).
#[derive(Debug, Decode)]
pub(crate) struct RawRetry {
    /// After which failures: `connect_failure`, `reset`, `refused_stream`, `timeout`, a status such as `503`, `4xx`,
    /// `5xx`, or with `protocol: http2` `grpc_unavailable`: the gRPC status UNAVAILABLE in place of any answer. Default:
    /// the first four.
    pub(crate) on: Option<Spanned<Vec<RetryOnWord>>>,
    /// How often a request may be tried, the first time included, 1 to 10. Default: 2.
    pub(crate) attempts: Option<Spanned<u32>>,
    /// How much of the requests of the last second may be tried again; 3 a second, or 30 in ten, are besides. Default:
    /// 20%.
    pub(crate) budget: Option<Percent>,
    /// The pause before the next attempt: chance picks it, from nothing up to the bound.
    pub(crate) backoff: Option<RawBackoff>,
}

/// The pause before another attempt. There is none after a failure to connect while another endpoint is left.
#[derive(Debug, Decode)]
pub(crate) struct RawBackoff {
    /// The bound of the first pause; it doubles with each attempt. Default: 25ms.
    pub(crate) base: Option<Spanned<Duration>>,
    /// The bound of any pause, also of a Retry-After that is waited for. Default: 250ms.
    pub(crate) max: Option<Spanned<Duration>>,
}

/// A second attempt on another endpoint beside a first that takes longer than most; the answer that comes first is used.
/// Of requests whose method is idempotent, or whose route is, with a body of at most 64KiB, while nothing is overloaded.
#[derive(Debug, Decode)]
pub(crate) struct RawHedge {
    /// The quantile of the route's own times to the first byte, of the last ten seconds or so, after which it is made,
    /// p50 to p99.9. Default: p95.
    pub(crate) after: Option<Spanned<QuantileWord>>,
    /// Never sooner than this. Default: 1ms.
    pub(crate) at_least: Option<Spanned<Duration>>,
    /// How many of the route's requests may have one: the extra load. Default: 5%.
    pub(crate) at_most: Option<Spanned<Percent>>,
}

/// What is done when no endpoint can be reached: `stale`, one of the other keys, or both, the stale copy first.
#[derive(Debug, Decode)]
pub(crate) struct RawFallback {
    /// Answer with what the route's `cache` holds, though it is stale, where the cache allows that. Default: false.
    pub(crate) stale: Option<Spanned<bool>>,
    /// Answer with this.
    pub(crate) respond: Option<Spanned<RawRespond>>,
    /// Ask one more cluster, after those of the failover chain.
    pub(crate) to: Option<Spanned<String>>,
    /// Go on as another route of the host, by name, whatever that one matches: its filters and its action come in place
    /// of this one's. It has no fallback to a route itself.
    pub(crate) route: Option<Spanned<String>>,
}
