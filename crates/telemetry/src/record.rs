//! The record: what became of one request, or of one connection that never carried one.
//!
//! It is filled while the request runs and handed on once, at the end, whatever the end was. It is the access log's
//! line, the source of the metrics, and what `explain` and the dashboard show. Invariants: it holds no secret (the
//! consumer's name, never its key; queries only redacted), every list and text in it is bounded, and it keeps
//! neither the snapshot nor the connection alive.

mod attempt;
mod flags;
mod head;
mod traced;
mod why;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_types::{
    ClusterName, Downstream, EndpointName, GenerationId, Protocol, ProxyError, Reason, RequestId, RouteName,
};

use crate::redact::{REDACTED, Redaction};

pub use attempt::{Attempt, Considered, Listed, Verdict};
pub use flags::{Flag, Flags};
pub use head::{Head, RecordOptions, RequestLine};
pub use traced::{Kept, TraceTerms, Traced, share_has};
pub use why::{FailoverWhy, Hedged, NotRetried};

/// How many notes a record takes.
pub const NOTES: usize = 8;
/// How many header fields a record takes.
pub const HEADERS: usize = 16;
/// The bound on the bytes of a header field's value.
pub const HEADER_BYTES: usize = 256;

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A request, answered or not.
    Request,
    /// A connection that ended before it carried a request, or that carries none.
    Connection,
}

impl Kind {
    /// As in a log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
        }
    }
}

/// What the policy decided to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Decision {
    /// It ended before a decision.
    #[default]
    None,
    /// Send it to a cluster.
    Cluster(ClusterName),
    /// Answer with a redirect.
    Redirect,
    /// Answer with a configured response.
    Respond,
    /// A filter answered.
    Filter,
    /// Carry bytes (CONNECT, intercepted TCP).
    Tunnel,
    /// A wing's own action, by a fixed name.
    Other(&'static str),
}

impl Decision {
    /// The action, as in a log.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cluster(_) => "cluster",
            Self::Redirect => "redirect",
            Self::Respond => "respond",
            Self::Filter => "filter",
            Self::Tunnel => "tunnel",
            Self::Other(name) => name,
        }
    }

    /// The cluster that was decided on.
    #[must_use]
    pub const fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Cluster(name) => Some(name),
            Self::None | Self::Redirect | Self::Respond | Self::Filter | Self::Tunnel | Self::Other(_) => None,
        }
    }
}

/// How long each part took. `None`: the request never came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timers {
    /// Waiting for a place in the cluster's or the gateway's queue.
    pub queue: Option<Duration>,
    /// Connecting upstream, TLS included; `None` on a reused connection.
    pub connect: Option<Duration>,
    /// From arrival to the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// From arrival to the end.
    pub total: Duration,
}

/// One request, or one connection without a request. See the module's text.
#[derive(Debug, Clone)]
pub struct Record {
    /// Request or connection.
    pub kind: Kind,
    /// The id the client and the upstream saw; a connection's own id otherwise.
    pub id: RequestId,
    /// The generation it ran on.
    pub generation: GenerationId,
    /// When it arrived.
    pub at: SystemTime,
    /// The connection: listener, addresses, TLS.
    pub downstream: Arc<Downstream>,
    /// The client, by trusted facts only.
    pub client: IpAddr,
    /// How the client spoke; `None` when no request was read.
    pub protocol: Option<Protocol>,
    /// Method, host, path and, by choice, query and user agent.
    pub head: Head,
    /// The virtual host's name in the config.
    pub virtual_host: Option<Arc<str>>,
    /// The route's name in the config.
    pub route: Option<RouteName>,
    /// The route that it went on as, when no endpoint of its own route could be reached.
    pub fallback_route: Option<RouteName>,
    /// Who called, by name. Never the key.
    pub consumer: Option<Arc<str>>,
    /// What the policy decided.
    pub decision: Decision,
    /// The endpoints that were considered, and why each was passed over.
    pub considered: Listed<Considered, 4>,
    /// What was tried, in order.
    pub attempts: Listed<Attempt, 1>,
    /// Why a failure that is one to try again after was not tried again.
    pub not_retried: Option<NotRetried>,
    /// Why it went to another cluster than the decided one; the attempts say to which.
    pub failover: Option<FailoverWhy>,
    /// What became of a second attempt beside the first, if one was due.
    pub hedged: Option<Hedged>,
    /// How long each part took.
    pub timers: Timers,
    /// Bytes of the request body as received.
    pub bytes_in: u64,
    /// Bytes of the response body as sent.
    pub bytes_out: u64,
    /// The status that was sent; 0 when none could be.
    pub status: u16,
    /// The status the upstream gave, when it gave one.
    pub upstream_status: Option<u16>,
    /// Why it failed or was refused.
    pub reason: Option<Reason>,
    /// What is known of this one failure.
    pub detail: Option<Cow<'static, str>>,
    /// What else happened to it.
    pub flags: Flags,
    /// The filter that answered or refused, by name.
    pub answered_by: Option<Arc<str>>,
    /// The trace it belongs to, as in `traceparent`.
    pub trace_id: Option<u128>,
    /// Its place in that trace, where requests are traced.
    pub traced: Option<Traced>,
    notes: Vec<(&'static str, Cow<'static, str>)>,
    headers: Vec<(Arc<str>, Box<str>)>,
}

impl Record {
    /// The record of a request that has just arrived on a connection.
    #[must_use]
    pub fn request(id: RequestId, generation: GenerationId, at: SystemTime, downstream: Arc<Downstream>) -> Self {
        Self::new(Kind::Request, id, (generation, at), downstream)
    }

    /// The record of a connection that carries no request.
    #[must_use]
    pub fn connection(id: RequestId, generation: GenerationId, at: SystemTime, downstream: Arc<Downstream>) -> Self {
        Self::new(Kind::Connection, id, (generation, at), downstream)
    }

    fn new(kind: Kind, id: RequestId, from: (GenerationId, SystemTime), downstream: Arc<Downstream>) -> Self {
        let (generation, at) = from;
        Self {
            kind,
            id,
            generation,
            at,
            client: downstream.peer.ip(),
            downstream,
            protocol: None,
            head: Head::default(),
            virtual_host: None,
            route: None,
            fallback_route: None,
            consumer: None,
            decision: Decision::None,
            considered: Listed::default(),
            attempts: Listed::default(),
            not_retried: None,
            failover: None,
            hedged: None,
            timers: Timers::default(),
            bytes_in: 0,
            bytes_out: 0,
            status: 0,
            upstream_status: None,
            reason: None,
            detail: None,
            flags: Flags::default(),
            answered_by: None,
            trace_id: None,
            traced: None,
            notes: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Takes what `options` allow of the request's head, and notes when it was cut.
    pub fn set_head(&mut self, line: &RequestLine<'_>, options: &RecordOptions) {
        self.head = Head::new(line, options);
        if self.head.is_cut() {
            self.flags.set(Flag::Truncated);
        }
    }

    /// Notes why it failed. The first failure stays: what follows from it does not hide the cause.
    pub fn fail(&mut self, error: &ProxyError) {
        if self.reason.is_none() {
            self.reason = Some(error.reason);
            self.detail.clone_from(&error.detail);
        }
    }

    /// Adds a wing's own fact (`credits`, `category`) for the log and the API; never a secret, never a metric label.
    /// A key that is there is replaced; past [`NOTES`] it is dropped and [`Flag::Truncated`] set.
    pub fn note(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        if let Some((_, old)) = self.notes.iter_mut().find(|(known, _)| *known == key) {
            *old = value.into();
        } else if self.notes.len() < NOTES {
            self.notes.push((key, value.into()));
        } else {
            self.flags.set(Flag::Truncated);
        }
    }

    /// The notes, in the order they were made.
    #[must_use]
    pub fn notes(&self) -> &[(&'static str, Cow<'static, str>)] {
        &self.notes
    }

    /// Keeps a header field of the request; `name` in lower case. A value that may be a secret by the field's name is
    /// replaced before it enters, a long one is cut, and past [`HEADERS`] fields [`Flag::Truncated`] is set.
    pub fn keep_header(&mut self, name: &Arc<str>, value: &str, redaction: &Redaction) {
        if self.headers.len() >= HEADERS {
            self.flags.set(Flag::Truncated);
            return;
        }
        if redaction.is_secret_header(name) {
            self.headers.push((Arc::clone(name), REDACTED.into()));
            return;
        }
        let end = value.floor_char_boundary(HEADER_BYTES);
        if end < value.len() {
            self.flags.set(Flag::Truncated);
        }
        self.headers.push((Arc::clone(name), value.get(..end).unwrap_or_default().into()));
    }

    /// The header fields that were kept. A sink shows those that it lists.
    #[must_use]
    pub fn headers(&self) -> &[(Arc<str>, Box<str>)] {
        &self.headers
    }

    /// The endpoint that was tried last.
    #[must_use]
    pub fn endpoint(&self) -> Option<&EndpointName> {
        self.attempts.iter().last().map(|attempt| &attempt.endpoint)
    }

    /// Whether it failed, or was answered with a server error.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.reason.is_some() || self.status >= 500
    }
}

#[cfg(test)]
mod tests;
