//! `tracing:`, of the gateway and of a route.

use portcullis_types::Percent;
use portcullis_yaml::{Decode, Named, Secret, Spanned};
use std::time::Duration;

use super::words::TraceUrlWord;

/// Traces of requests, and the collector of OTLP that they go to. A trace is kept when its request failed or was slow, else
/// by a share.
#[derive(Debug, Decode)]
pub(crate) struct RawTracing {
    /// Where the collector is: `http` or `https`, host and port. `/v1/traces` is added where there is no path.
    pub(crate) endpoint: Spanned<TraceUrlWord>,
    /// How it is spoken to. Default: http_protobuf.
    pub(crate) protocol: Option<RawTraceProtocol>,
    /// Fields of the requests to it, such as a token.
    pub(crate) headers: Option<Named<Spanned<Secret>>>,
    /// CAs of the collector, a file of PEM relative to the file that says so. Default: the system's.
    pub(crate) ca: Option<Spanned<String>>,
    /// Whether batches are compressed. Default: true.
    pub(crate) gzip: Option<bool>,
    /// The longest an answer may take. Default: 10s.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// Whose `traceparent` is gone on with. Default: trusted.
    pub(crate) callers: Option<RawTraceCallers>,
    /// What the caller's flag `sampled` means for a trace that is gone on with. Default: follow.
    pub(crate) sampled: Option<RawSampled>,
    /// The share of traces that is kept whatever becomes of the request, by the trace's id. Default: 1%.
    pub(crate) sample: Option<Percent>,
    /// What takes longer is kept; of an upgraded connection its beginning counts. Default: 1s.
    pub(crate) slow: Option<Spanned<Duration>>,
    /// The `service.name` of the spans, 1 to 255 characters. Default: portcullis.
    pub(crate) service: Option<Spanned<String>>,
    /// More attributes of the gateway as a resource, by name, at most 32.
    pub(crate) resource: Option<Spanned<Named<String>>>,
    /// Whether spans say who called, by the consumer's name. Default: false.
    pub(crate) consumer: Option<bool>,
    /// Whether spans say the client's address. Default: false.
    pub(crate) client_address: Option<bool>,
    /// Spans that may wait in memory, 64 to 1000000; those beyond it are dropped and counted. Default: 4096.
    pub(crate) queue: Option<Spanned<u32>>,
    /// When spans are sent: what comes first.
    pub(crate) batch: Option<RawTraceBatch>,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawTraceProtocol {
    /// Protobuf over HTTP/1.1.
    HttpProtobuf,
}

/// Whose traces are gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawTraceCallers {
    /// Those of `trusted_networks`.
    Trusted,
    /// Anybody's.
    Anyone,
    /// Nobody's: each request begins a trace.
    Nobody,
}

/// What the caller's flag means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawSampled {
    /// It decides in place of the share. Failures and slow requests are kept all the same.
    Follow,
    /// Nothing: the share decides.
    Ignore,
}

/// When spans are sent: what comes first.
#[derive(Debug, Decode)]
pub(crate) struct RawTraceBatch {
    /// So many wait, 1 to 10000. Default: 512, or all that may wait.
    pub(crate) spans: Option<Spanned<u32>>,
    /// The first of them waits so long, 10ms to 1m. Default: 1s.
    pub(crate) wait: Option<Spanned<Duration>>,
}

/// What a route says of the traces of its requests.
#[derive(Debug, Decode)]
pub(crate) enum RouteTracingWord {
    /// They are not traced.
    Off,
    /// They are traced by another measure.
    #[config(map)]
    Traced(RawRouteTracing),
}

/// By another measure than the gateway's.
#[derive(Debug, Decode)]
#[config(deny_empty)]
pub(crate) struct RawRouteTracing {
    /// The share that is kept, where the caller's flag does not decide.
    pub(crate) sample: Option<Percent>,
    /// What takes longer is kept.
    pub(crate) slow: Option<Spanned<Duration>>,
}
