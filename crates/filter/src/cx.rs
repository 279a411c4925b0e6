//! What a filter sees and may change, phase by phase.
//!
//! [`Facts`] are what the gateway knows by itself and no filter may change; [`Notes`] are what filters say to one
//! another, to the choice of upstream, and to the record.

use bytes::Bytes;
use http::Extensions;
use pingora_http::{RequestHeader, ResponseHeader};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{
    BodyView, ClusterName, Dialect, Downstream, EndpointName, ProxyError, Reason, RequestId, RequestView, RouteName,
};

use crate::seam::{StreamGuard, StreamGuards};

#[cfg(test)]
mod tests;

/// A site that a host source knows: which virtual host of the config serves it, and its own variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// One of the names of a virtual host in the config, whose routes and filters serve this site.
    pub like: String,
    /// The site's own values, for filters.
    pub variables: BTreeMap<String, String>,
}

/// What the gateway knows of a request by itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The request's id.
    pub id: RequestId,
    /// The connection it came on.
    pub downstream: Arc<Downstream>,
    /// The client's address, by trusted facts only.
    pub client: IpAddr,
    /// Whether the peer is in a trusted network, so that its forwarding fields were believed.
    pub trusted: bool,
    /// The host: lower-case, no port, no trailing dot.
    pub host: Box<str>,
    /// The port the authority named.
    pub port: Option<u16>,
    /// The route, once it is chosen: `None` in a virtual host's own `request_filter`.
    pub route: Option<RouteName>,
    /// What the route's path template captured, by name.
    pub params: Vec<(Arc<str>, Box<str>)>,
    /// The site, when the host came from a host source.
    pub site: Option<Arc<Site>>,
    /// What the body says, once it was read for routing or for a filter.
    pub body: Option<Arc<dyn BodyView>>,
    /// Which of the body's calls the route serves, by their places: all, unless a batch is sent in parts.
    pub calls: Option<Arc<[usize]>>,
    /// Whether an HTTP/1.1 client asks to upgrade to WebSocket (RFC 9110 section 7.8).
    pub asks_upgrade: bool,
    /// Whether a filter upgrades it, and the gateway speaks on the connection by itself. Known from admission on.
    pub is_terminated: bool,
}

impl Facts {
    /// What is known of a request before its head is looked at: the connection's side of it.
    #[must_use]
    pub fn new(id: RequestId, downstream: Arc<Downstream>) -> Self {
        Self {
            id,
            client: downstream.peer.ip().to_canonical(),
            downstream,
            trusted: false,
            host: Box::default(),
            port: None,
            route: None,
            params: Vec::new(),
            site: None,
            body: None,
            calls: None,
            asks_upgrade: false,
            is_terminated: false,
        }
    }

    /// The request as routing sees it.
    #[must_use]
    pub fn view<'a>(&'a self, request: &'a RequestHeader) -> RequestView<'a> {
        RequestView {
            method: &request.method,
            host: &self.host,
            port: self.port,
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &request.headers,
            client: self.client,
            downstream: &self.downstream,
            body: self.body.as_deref(),
        }
    }
}

/// Stands among a request's shared values when the request is only explained: nothing will be sent, so a filter says
/// what it would do, and neither waits nor takes anything from a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained;

/// How many annotations a request may carry into its record.
pub const MAX_ANNOTATIONS: usize = 16;

/// What filters say to one another, to the choice of upstream, and to the record.
#[derive(Debug, Default, Clone)]
pub struct Notes {
    /// Who is calling: an id, never a key.
    pub consumer: Option<Arc<str>>,
    /// The cluster to use in place of the route's.
    pub cluster: Option<ClusterName>,
    /// The dialect of errors in place of the route's.
    pub dialect: Option<Dialect>,
    annotations: Vec<(&'static str, String)>,
    extensions: Option<Box<Extensions>>,
}

impl Notes {
    /// Puts a name and a value into the record; past [`MAX_ANNOTATIONS`] it is dropped and `false` is said.
    pub fn annotate(&mut self, name: &'static str, value: impl Into<String>) -> bool {
        let room = self.annotations.len() < MAX_ANNOTATIONS;
        if room {
            self.annotations.push((name, value.into()));
        }
        room
    }

    /// What was annotated, in order.
    #[must_use]
    pub fn annotations(&self) -> &[(&'static str, String)] {
        &self.annotations
    }

    /// Takes the annotations out, for the record.
    pub fn take_annotations(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.annotations)
    }

    /// Typed values that filters share.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions.get_or_insert_default()
    }

    /// Has what the request may turn into, a WebSocket or an event stream, judged as long as it is open.
    pub fn guard_stream(&mut self, guard: Arc<dyn StreamGuard>) {
        self.extensions_mut().get_or_insert_default::<StreamGuards>().add(guard);
    }

    /// Whether the request is only explained; see [`Explained`].
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.get::<Explained>().is_some()
    }

    /// A shared value, if some filter put one there.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.extensions.as_ref()?.get()
    }
}

/// `request_filter`.
pub struct RequestCx<'a> {
    /// The head: its URI is what will be routed on and forwarded.
    pub request: &'a mut RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters say.
    pub notes: &'a mut Notes,
}

impl RequestCx<'_> {
    /// The request as routing sees it.
    #[must_use]
    pub fn view(&self) -> RequestView<'_> {
        self.facts.view(self.request)
    }
}

/// `request_body_filter`, `response_body_filter` and `response_trailer_filter`.
pub struct BodyCx<'a> {
    /// The head as it was when the request phases ended.
    pub request: &'a RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters say.
    pub notes: &'a mut Notes,
}

/// An endpoint that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name in the config.
    pub name: EndpointName,
    /// Its address.
    pub address: SocketAddr,
    /// Its weight.
    pub weight: u32,
    /// Its priority; 0 comes first.
    pub priority: u8,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Whether health checks hold it to be healthy.
    pub healthy: bool,
    /// Requests in flight to it from this gateway.
    pub in_flight: u32,
    /// Whether an earlier attempt of this request used it.
    pub tried: bool,
}

/// `upstream_peer`.
pub struct SelectCx<'a> {
    /// The head.
    pub request: &'a RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters say.
    pub notes: &'a mut Notes,
    /// The cluster that was chosen.
    pub cluster: &'a ClusterName,
    /// Its endpoints, in the order of the config.
    pub candidates: &'a [Candidate],
    /// 0 for the first attempt.
    pub attempt: u32,
}

/// Whose answer a response filter sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The upstream's, from it or as a cache kept it.
    Upstream,
    /// The gateway's own: an error, a redirect, a filter's answer.
    Gateway,
}

/// `response_filter`.
pub struct ResponseCx<'a> {
    /// The head of the answer.
    pub response: &'a mut ResponseHeader,
    /// The request's head as it was when the request phases ended.
    pub request: &'a RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters say.
    pub notes: &'a mut Notes,
    /// Whose answer it is.
    pub source: Source,
}

/// `fail_to_proxy`.
pub struct ErrorCx<'a> {
    /// The failure.
    pub error: &'a ProxyError,
    /// The request's head.
    pub request: &'a RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters say.
    pub notes: &'a mut Notes,
}

/// `logging`: how a request ended.
#[derive(Debug, Clone)]
pub struct Completed<'a> {
    /// What the gateway knew.
    pub facts: &'a Facts,
    /// What filters said.
    pub notes: &'a Notes,
    /// The status that was sent, 0 when none could be.
    pub status: u16,
    /// Why, when it did not go well.
    pub reason: Option<Reason>,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// From the arrival of the head to the end.
    pub total: Duration,
}

/// A chunk of a body.
pub type Chunk = Option<Bytes>;
