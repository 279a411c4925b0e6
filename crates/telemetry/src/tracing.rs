//! What a config says of traces.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::Percent;

use crate::record::TraceTerms;

/// Traces: which are begun or gone on with, which are kept, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// What holds for requests.
    pub rules: TraceRules,
    /// What holds for requests as long as they have no route.
    pub unrouted: Arc<TraceTerms>,
    /// Where spans go. Two that are equal are the same exporter: a reload leaves it alone.
    pub exporter: Exporter,
}

/// What holds for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRules {
    /// Whose `traceparent` is gone on with.
    pub callers: Traces,
    /// Whether the caller's flag decides in place of the share.
    pub follow: bool,
    /// The share of traces that is kept whatever becomes of the request.
    pub sample: Percent,
}

/// Whose traces are gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traces {
    /// Those of trusted networks, as their other forwarding fields are believed.
    Trusted,
    /// Anybody's.
    Anyone,
    /// Nobody's: each request begins a trace.
    Nobody,
}

impl Traces {
    /// The word of the config.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Anyone => "anyone",
            Self::Nobody => "nobody",
        }
    }
}

/// What a route says in place of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteTracing {
    /// Its requests are not traced.
    pub off: bool,
    /// Another share, of the traces for which the caller's flag does not decide.
    pub sample: Option<Percent>,
    /// Another time.
    pub slow: Option<Duration>,
}

/// Where spans go, and what they show.
#[derive(Clone, PartialEq, Eq)]
pub struct Exporter {
    /// The URL that batches are sent to.
    pub url: String,
    /// Fields of those requests, such as a token. Their values are never shown.
    pub headers: Vec<(String, String)>,
    /// CAs of the collector as PEM; the system's when there are none.
    pub authorities: Option<String>,
    /// Whether batches are compressed.
    pub gzip: bool,
    /// The longest an answer may take.
    pub timeout: Duration,
    /// What the gateway is called (`service.name`).
    pub service: String,
    /// More of its resource.
    pub resource: Vec<(String, String)>,
    /// Spans that may wait, those on their way included.
    pub queue: usize,
    /// Spans of a batch.
    pub batch: usize,
    /// How long the first span of a batch waits for more.
    pub wait: Duration,
    /// Whether spans say who called, by name.
    pub consumer: bool,
    /// Whether spans say the client's address.
    pub client_address: bool,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("url", &self.url).field("service", &self.service).finish_non_exhaustive()
    }
}
