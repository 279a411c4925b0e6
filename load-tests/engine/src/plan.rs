//! A plan: what is sent where, when, and what counts as success. Read from YAML, all errors at once with their places.
//!
//! Invariants: unknown keys are refused; what could be read and cannot be meant is refused too; a plan that was read
//! can be run.

mod compile;
mod target;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use portcullis_types::{Percent, Rate};
use portcullis_yaml::{Decode, Json, Loader, Spanned, load, render_text};

use crate::Failure;
use crate::request::{Mix, Refusal, Request, Wire};
use crate::schedule::{Arrivals, Schedule, Segment};
use crate::tls::Trust;

pub use target::Target;

/// A load, as it stands in the file.
#[derive(Debug, Clone, Decode)]
struct File {
    /// The version of the format: 1.
    version: Spanned<u8>,
    /// What is drawn at random follows from it.
    #[config(default = 1)]
    seed: u64,
    /// Who is asked: a URL of `http`, `https`, `ws` or `wss`. `--to` takes its place.
    #[config(example = "http://127.0.0.1:8080")]
    to: Option<Spanned<String>>,
    /// What is spoken.
    #[config(default = Protocol::Http1)]
    protocol: Protocol,
    /// Whom TLS trusts, and the name it asks for.
    tls: Option<TlsSettings>,
    /// The target of a WebSocket's handshake.
    #[config(default = "/")]
    websocket: String,
    /// Connections that HTTP/2 and gRPC are spread over. Default: 4.
    connections: Option<Spanned<u32>>,
    /// What is sent when: parts that follow each other, or one closed loop.
    load: Spanned<Vec<Spanned<Part>>>,
    /// What is sent at first and not counted. Default: nothing.
    warm_up: Option<Spanned<Duration>>,
    /// Requests in flight at most. Default: 4,000.
    in_flight: Option<Spanned<u32>>,
    /// How long after its planned moment an answer may come. Default: 5 s.
    timeout: Option<Spanned<Duration>>,
    /// A request that takes longer, or fails, is beyond the objective.
    #[config(default = Duration::from_millis(50))]
    objective: Duration,
    /// Answers that are refusals and no failures. Default: 429, and 503 with the field `proxy-status` or `retry-after`.
    refused: Option<Vec<RefusalSpec>>,
    /// Codes of JSON-RPC errors that are refusals, and statuses of gRPC.
    #[config(default)]
    refused_codes: Vec<i64>,
    /// Lists that `@{pick:NAME}` chooses from.
    #[config(default)]
    values: BTreeMap<String, Vec<String>>,
    /// The requests.
    requests: Spanned<Vec<Spanned<RequestSpec>>>,
    /// When the run has passed.
    #[config(default)]
    pass: Criteria,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub enum Protocol {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2, in plain text with prior knowledge, or by ALPN.
    Http2,
    /// A message on a WebSocket, answered by a message.
    Websocket,
    /// gRPC: unary calls over HTTP/2.
    Grpc,
}

/// Whom TLS trusts, and the name it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
struct TlsSettings {
    /// The name that is asked for, when it is not the URL's host.
    name: Option<String>,
    /// CAs in PEM. Default: the system's.
    ca: Option<String>,
    /// Trusts everybody.
    #[config(default)]
    insecure: bool,
}

/// A part of a load.
#[derive(Debug, Clone, Decode)]
enum Part {
    /// Requests the same time apart.
    Constant {
        /// How many.
        rate: Rate,
        /// For how long.
        #[config(rename = "for")]
        length: Duration,
    },
    /// Requests independent of each other.
    Poisson {
        /// How many on average.
        rate: Rate,
        /// For how long.
        #[config(rename = "for")]
        length: Duration,
    },
    /// From one rate to another in a straight line.
    Ramp {
        /// At the beginning.
        from: Rate,
        /// At the end.
        to: Rate,
        /// For how long.
        #[config(rename = "for")]
        length: Duration,
        /// Whether requests are independent of each other.
        #[config(default)]
        poisson: bool,
    },
    /// From one rate to another in steps of equal height and length.
    Steps {
        /// The first step.
        from: Rate,
        /// The last step.
        to: Rate,
        /// How many.
        steps: u32,
        /// How long each is.
        each: Duration,
        /// Whether requests are independent of each other.
        #[config(default)]
        poisson: bool,
    },
    /// Callers that ask again when they are answered.
    Closed {
        /// How many.
        connections: u32,
        /// For how long.
        #[config(rename = "for")]
        length: Duration,
    },
}

/// An answer that is a refusal.
#[derive(Debug, Clone, Decode)]
enum RefusalSpec {
    /// Its status.
    #[config(scalar)]
    Status(u16),
    /// Its status, and a field that it must have.
    #[config(map)]
    With(RefusalWith),
}

/// A status, and a field that an answer must have.
#[derive(Debug, Clone, Decode)]
struct RefusalWith {
    /// The status.
    status: u16,
    /// The field.
    field: String,
}

/// A request.
#[derive(Debug, Clone, Decode)]
struct RequestSpec {
    /// Its name in results.
    name: String,
    /// How often it comes, beside the others.
    #[config(default = 1)]
    weight: u32,
    /// The method of HTTP. Default: GET, and POST with a body.
    method: Option<Spanned<String>>,
    /// The target.
    #[config(default = "/")]
    path: String,
    /// Further fields.
    #[config(default)]
    headers: BTreeMap<String, String>,
    /// The body, or the message.
    body: Option<String>,
    /// A call of JSON-RPC in place of a body. Its id is the request's number, which the answer must have.
    jsonrpc: Option<Call>,
    /// Statuses that are a success. Default: 200 to 299.
    #[config(default)]
    expect: Vec<u16>,
}

/// A call of JSON-RPC.
#[derive(Debug, Clone, Decode)]
struct Call {
    /// The method.
    method: String,
    /// The params; places in strings are filled in.
    params: Option<Json>,
}

/// When a run has passed; what is left out is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Decode)]
pub struct Criteria {
    /// The share of requests that may fail.
    pub failed: Option<Percent>,
    /// The share of requests that may be refused.
    pub refused: Option<Percent>,
    /// The share of requests that may be beyond the objective.
    pub beyond: Option<Percent>,
    /// The median at most.
    pub p50: Option<Duration>,
    /// Of a hundred requests one may take longer.
    pub p99: Option<Duration>,
    /// Of a thousand requests one may take longer.
    pub p999: Option<Duration>,
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// By a schedule of these.
    Open(Vec<Segment>),
    /// By callers that ask again when they are answered.
    Closed {
        /// Callers.
        connections: usize,
        /// For how long.
        length: Duration,
    },
}

/// A plan that can be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Who is asked, if the plan says so.
    pub to: Option<Target>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Whom TLS trusts.
    pub trust: Trust,
    /// The name that TLS asks for, when it is not the URL's host.
    pub tls_name: Option<String>,
    /// The target of a WebSocket's handshake.
    pub websocket: String,
    /// Connections of HTTP/2.
    pub connections: usize,
    /// When requests are sent.
    pub when: When,
    /// What is sent at first and not counted.
    pub warm_up: Duration,
    /// Requests in flight at most.
    pub in_flight: usize,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The objective.
    pub objective: Duration,
    /// The requests.
    pub requests: Vec<Request>,
    /// What is a refusal.
    pub refusals: Vec<Refusal>,
    /// Codes that are refusals.
    pub refused_codes: Vec<i64>,
    /// When the run has passed.
    pub pass: Criteria,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with places, as text.
    pub fn read(path: &Path, loader: &dyn Loader) -> Result<Self, Failure> {
        let mut loaded = load(path, loader);
        let file: Option<File> = loaded.decode(loader, None);
        let plan = file.map(|file| compile::compile(&file, &mut loaded.diagnostics));
        match plan {
            Some(plan) if !loaded.diagnostics.has_errors() => Ok(plan),
            _ => Err(render_text(&loaded.diagnostics, &loaded.sources).into()),
        }
    }

    /// The mix of its requests, to a host.
    #[must_use]
    pub fn mix(&self, host: &str) -> Mix {
        let wire = match self.protocol {
            Protocol::Http1 => Wire::Http1,
            Protocol::Websocket => Wire::Message,
            Protocol::Http2 | Protocol::Grpc => Wire::Parts,
        };
        let mix = Mix::new(self.requests.clone(), host, wire, self.seed);
        mix.refusing(self.refusals.clone(), self.refused_codes.clone())
    }

    /// When its requests are sent.
    #[must_use]
    pub fn pace(&self) -> crate::drive::Pace {
        match &self.when {
            When::Open(segments) => crate::drive::Pace::Open(Schedule::of(segments.clone(), self.seed)),
            When::Closed { connections, length } => {
                crate::drive::Pace::Closed { connections: *connections, length: *length }
            }
        }
    }

    /// How long requests are sent.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.pace().length()
    }
}

impl Part {
    fn length(&self) -> Duration {
        match self {
            Self::Constant { length, .. } | Self::Poisson { length, .. } | Self::Ramp { length, .. } => *length,
            Self::Steps { steps, each, .. } => each.saturating_mul(*steps),
            Self::Closed { length, .. } => *length,
        }
    }

    fn segments(&self) -> Vec<Segment> {
        let arrivals = |poisson| if poisson { Arrivals::Poisson } else { Arrivals::Constant };
        match self {
            Self::Constant { rate, length } => vec![Segment::flat(Arrivals::Constant, per_second(*rate), *length)],
            Self::Poisson { rate, length } => vec![Segment::flat(Arrivals::Poisson, per_second(*rate), *length)],
            Self::Ramp { from, to, length, poisson } => vec![Segment {
                arrivals: arrivals(*poisson),
                from: per_second(*from),
                to: per_second(*to),
                length: *length,
            }],
            Self::Steps { from, to, steps, each, poisson } => {
                let (from, to) = (per_second(*from), per_second(*to));
                let last = f64::from(steps.saturating_sub(1).max(1));
                let rate = |step: u32| from + (to - from) * f64::from(step) / last;
                (0..*steps).map(|step| Segment::flat(arrivals(*poisson), rate(step), *each)).collect()
            }
            Self::Closed { .. } => Vec::new(),
        }
    }
}

/// Requests a second. A month has thirty days here: nobody sends a load for one.
#[expect(clippy::cast_precision_loss, reason = "a rate beyond 2^52 is none")]
fn per_second(rate: Rate) -> f64 {
    use portcullis_types::quantity::Period;
    let seconds = match rate.per {
        Period::Second => 1.0,
        Period::Minute => 60.0,
        Period::Hour => 3600.0,
        Period::Day => 86_400.0,
        Period::Month => 2_592_000.0,
    };
    rate.count as f64 / seconds
}

#[cfg(test)]
mod tests;
