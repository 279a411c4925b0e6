//! The parts of an explanation: plain values, ready to be written.

use portcullis_types::{Percent, Reason};

use crate::route::Place;

/// The request, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The id: what a split without a key draws by.
    pub id: String,
    /// The client's address, by trusted facts.
    pub client: String,
    /// Whether the peer is in a trusted network.
    pub trusted: bool,
}

/// A listener, and whether it would take the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTrial {
    /// Its name.
    pub name: String,
    /// Where it accepts: what is bound, where the gateway runs.
    pub bind: Vec<String>,
    /// Whether it is the one.
    pub takes: bool,
    /// Why, or why not.
    pub why: String,
    /// Its file and line.
    pub at: Option<String>,
}

/// A name that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTrial {
    /// The name, in the config's words.
    pub name: String,
    /// Whether a virtual host has it.
    pub found: bool,
}

/// The virtual host, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFinding {
    /// The host that was asked for.
    pub asked: String,
    /// The names that were tried, in order.
    pub tried: Vec<NameTrial>,
    /// What the host source said, when there is one and it was asked.
    pub source: Option<String>,
    /// The virtual host that answers, by its first name.
    pub name: Option<String>,
    /// Where it stands in the config.
    pub place: Option<Place>,
}

/// The path, before and after normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFinding {
    /// As it was sent.
    pub received: String,
    /// As it is routed on and forwarded; `None` when it was refused.
    pub routed: Option<String>,
}

/// What became of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// It let the request go on.
    Continues,
    /// It answered.
    Answers,
    /// It refused.
    Refuses,
    /// It takes no part in the request's head as it came; it acts on what is sent or answered.
    NoPart,
    /// A filter before it had stopped the request.
    NotReached,
}

impl Step {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continues => "continues",
            Self::Answers => "answers",
            Self::Refuses => "refuses",
            Self::NoPart => "no_part",
            Self::NotReached => "not_reached",
        }
    }
}

/// A filter of a chain, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterStep {
    /// Its name.
    pub filter: String,
    /// What became of it.
    pub step: Step,
    /// The same as a sentence.
    pub verdict: String,
}

/// A route that was considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTrial {
    /// Its name.
    pub name: String,
    /// Its matcher in words.
    pub matcher: String,
    /// Whether it wins.
    pub wins: bool,
    /// Why, or why not.
    pub why: String,
    /// The kind of condition that failed.
    pub failed: Option<&'static str>,
    /// Its file and line.
    pub at: String,
}

/// The route that won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFinding {
    /// Its name.
    pub name: String,
    /// Its full name, `host/route`.
    pub label: String,
    /// What its path template captured.
    pub params: Vec<(String, String)>,
    /// Where it stands in the config.
    pub place: Place,
}

/// The route that the request goes on as, since no endpoint of its own route's can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackFinding {
    /// The cluster of the route that won.
    pub left: ClusterFinding,
    /// The route of the fallback.
    pub route: RouteFinding,
    /// Its filters, in order.
    pub filters: Vec<FilterStep>,
    /// What its filters changed in the head, which they get as it was before the filters of the route that won.
    pub changes: Vec<String>,
}

/// What is done with the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// `forward`, `redirect`, `respond`, `filter`, `cache`, `fallback`, `upgrade`, `batch`, `refuse`.
    pub action: &'static str,
    /// Why, as a sentence.
    pub because: String,
    /// What the client gets, when the gateway answers by itself.
    pub answer: Option<Answer>,
}

/// An answer of the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Why, when it is a failure.
    pub reason: Option<Reason>,
    /// What is known of this one failure.
    pub detail: Option<String>,
    /// The fields, as `name: value`.
    pub fields: Vec<String>,
    /// The body, cut after 2 KiB.
    pub body: String,
}

/// Where the request would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFinding {
    /// The cluster.
    pub name: String,
    /// Why this one.
    pub because: String,
    /// How an endpoint is chosen.
    pub balance: String,
    /// What is spoken to it.
    pub protocol: String,
    /// The timeouts that hold, in words.
    pub timeouts: String,
    /// When a request is tried again, in words.
    pub retry: String,
    /// When a second attempt is made beside the first, in words.
    pub hedge: Option<String>,
    /// What is taken at once, how important the request is, in words.
    pub limits: String,
    /// What the failover chain does now, as a sentence.
    pub failover: Option<String>,
    /// What is done when no endpoint can be reached, in words.
    pub fallback: Option<String>,
    /// Its file and line.
    pub at: Option<String>,
    /// The endpoint that this very request takes, where that is no matter of chance or of the moment.
    pub endpoint: Option<String>,
    /// Who or what chooses the endpoint, as a sentence.
    pub chosen: Option<String>,
    /// The copy that is made, in words.
    pub mirror: Option<String>,
    /// Sources of endpoints that have not answered or fail, and overrides in effect, a sentence each.
    pub discovery: Vec<String>,
    /// The endpoints, in the order of the config.
    pub endpoints: Vec<EndpointFinding>,
    /// How many endpoints were left out.
    pub endpoints_left_out: usize,
}

/// An endpoint, and whether it would be passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFinding {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// Its priority.
    pub priority: u8,
    /// Its zone.
    pub zone: Option<String>,
    /// Whether requests may go there.
    pub takes: bool,
    /// Where it stands, one word.
    pub standing: &'static str,
    /// The same as a sentence.
    pub why: String,
    /// Requests in flight to it.
    pub in_flight: u32,
    /// Its share of the requests, where chance decides.
    pub share: Option<Percent>,
}

/// The head that would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFinding {
    /// The first line: `POST /v1 HTTP/1.1`, or `POST /v1 HTTP/2`.
    pub line: String,
    /// The fields, as `name: value`.
    pub fields: Vec<String>,
    /// Bytes of the body that follows.
    pub body: usize,
}
