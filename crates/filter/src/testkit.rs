//! Runs a chain without sockets: one request in, what the client and the upstream would see out.
//!
//! ```
//! use portcullis_filter::{Chain, testkit::Exchange};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let chain = Chain::default();
//! let seen = Exchange::get("http://example.com/").run(&chain).await;
//! assert_eq!(seen.status, 200);
//! # });
//! ```
//!
//! The upstream's answer may come in several chunks, with trailers, break off in the middle, or not come at all:
//!
//! ```
//! use portcullis_filter::{Chain, testkit::Exchange};
//! use portcullis_types::Reason;
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let exchange = Exchange::get("http://example.com/").answer_chunk("a").answer_chunk("b");
//! let seen = exchange.answer_trailer("x-sum", "ab").run(&Chain::default()).await;
//! assert_eq!((&seen.body[..], seen.chunks.len(), seen.complete), (&b"ab"[..], 2, true));
//! assert_eq!(seen.trailers["x-sum"], "ab");
//!
//! let seen = Exchange::get("http://example.com/").fails(Reason::UpstreamReset).run(&Chain::default()).await;
//! assert_eq!((seen.status, seen.reason), (502, Some(Reason::UpstreamReset)));
//! # });
//! ```

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora_http::RequestHeader;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use portcullis_types::{BodyView, ClientCertificate, Downstream, ProxyError, Reason, RequestId, RouteName, TlsInfo};

use crate::chain::Chain;
use crate::cx::{Facts, Notes, Site};
use crate::response::Response;
use crate::seam::Upgrade;

mod run;

#[cfg(test)]
mod tests;

/// A request, and the upstream's answer to it should it get that far.
pub struct Exchange {
    request: RequestHeader,
    facts: Facts,
    notes: Notes,
    body: Vec<Bytes>,
    upstream: Upstream,
}

/// What the upstream would do.
struct Upstream {
    answer: Response,
    chunks: Vec<Bytes>,
    trailers: HeaderMap,
    /// Its answer breaks off after the last chunk.
    disconnects: bool,
    /// It gives no answer.
    failure: Option<ProxyError>,
}

/// What came of an exchange.
#[derive(Debug)]
pub struct Seen {
    /// The status the client gets.
    pub status: u16,
    /// The phrase of an HTTP/1.1 status line: the upstream's own, else the one of the status.
    pub phrase: Option<String>,
    /// The fields the client gets.
    pub headers: HeaderMap,
    /// The body the client gets.
    pub body: Bytes,
    /// The same body as it was sent: a chunk for each call of the body phase that let something pass.
    pub chunks: Vec<Bytes>,
    /// The trailers the client gets.
    pub trailers: HeaderMap,
    /// Whether the answer came to its end.
    pub complete: bool,
    /// The head the upstream gets; `None` when it was not asked.
    pub upstream: Option<RequestHeader>,
    /// The body the upstream gets.
    pub upstream_body: Bytes,
    /// Why, when the chain refused or the upstream failed.
    pub reason: Option<Reason>,
    /// The filter that answered or refused.
    pub stopped_by: Option<Arc<str>>,
    /// What the filters said.
    pub notes: Notes,
    /// The upgrade that a filter granted; the status is 101 then.
    pub upgrade: Option<Box<Upgrade>>,
}

impl Exchange {
    /// A request by method and absolute URL. A URL that is none becomes `http://localhost/`.
    #[must_use]
    pub fn new(method: Method, url: &str) -> Self {
        let uri: http::Uri = url.parse().unwrap_or_else(|_| http::Uri::from_static("http://localhost/"));
        let host = uri.host().unwrap_or("localhost").to_ascii_lowercase();
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut parts = http::Request::new(()).into_parts().0;
        parts.method = method;
        parts.uri = path.parse().unwrap_or_default();
        let exchange = Self {
            request: parts.into(),
            facts: facts(&uri, &host),
            notes: Notes::default(),
            body: Vec::new(),
            upstream: Upstream {
                answer: Response::new(StatusCode::OK),
                chunks: Vec::new(),
                trailers: HeaderMap::new(),
                disconnects: false,
                failure: None,
            },
        };
        exchange.field("host", &host)
    }

    /// A GET.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST with a body, given in one chunk.
    #[must_use]
    pub fn post(url: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, url).chunk(body)
    }

    /// Adds a request field; a name or value that is none is left out.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            drop(self.request.append_header(name, value));
        }
        self
    }

    /// Adds a chunk of the request body.
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Bytes>) -> Self {
        self.body.push(chunk.into());
        self
    }

    /// Says who the client is.
    #[must_use]
    pub fn client(mut self, client: IpAddr) -> Self {
        self.facts.client = client;
        self
    }

    /// Says which certificate the client gave; the connection is TLS then.
    #[must_use]
    pub fn certificate(mut self, certificate: ClientCertificate) -> Self {
        let tls = TlsInfo { client: Some(certificate), client_auth: true, ..tls(&self.facts.host) };
        Arc::make_mut(&mut self.facts.downstream).tls = Some(Arc::new(tls));
        self
    }

    /// Says which route was chosen; `None` before one is.
    #[must_use]
    pub fn route(mut self, route: Option<&str>) -> Self {
        self.facts.route = route.map(RouteName::from);
        self
    }

    /// Adds what the route's path template captured.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.facts.params.push((name.into(), value.into()));
        self
    }

    /// Says which site of a host source this is.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.facts.site = Some(Arc::new(site));
        self
    }

    /// Says what the body holds, as a reader of bodies would have found.
    #[must_use]
    pub fn peeked(mut self, body: Arc<dyn BodyView>) -> Self {
        self.facts.body = Some(body);
        self
    }

    /// Says which of the body's calls the route serves.
    #[must_use]
    pub fn calls(mut self, places: &[usize]) -> Self {
        self.facts.calls = Some(places.into());
        self
    }

    /// Says that a filter upgrades the connection.
    #[must_use]
    pub const fn is_terminated(mut self) -> Self {
        self.facts.is_terminated = true;
        self
    }

    /// Says that the client asks to upgrade to WebSocket.
    #[must_use]
    pub fn asks_upgrade(mut self) -> Self {
        self.facts.asks_upgrade = true;
        self
    }

    /// Adds a value that a filter before the chain would share.
    #[must_use]
    pub fn shared<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.notes.extensions_mut().insert(value);
        self
    }

    /// Says who is calling, as a filter before the chain would.
    #[must_use]
    pub fn consumer(mut self, consumer: &str) -> Self {
        self.notes.consumer = Some(consumer.into());
        self
    }

    /// Says what the upstream would answer.
    #[must_use]
    pub fn answer(mut self, answer: Response) -> Self {
        self.upstream.answer = answer;
        self
    }

    /// Adds a chunk to the upstream's answer, after the body of [`Exchange::answer`].
    #[must_use]
    pub fn answer_chunk(mut self, chunk: impl Into<Bytes>) -> Self {
        self.upstream.chunks.push(chunk.into());
        self
    }

    /// Adds a trailer to the upstream's answer; a name or value that is none is left out.
    #[must_use]
    pub fn answer_trailer(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.upstream.trailers.append(name, value);
        }
        self
    }

    /// Says that the upstream's answer breaks off after its last chunk.
    #[must_use]
    pub fn disconnects(mut self) -> Self {
        self.upstream.disconnects = true;
        self
    }

    /// Says that the upstream gives no answer, and why.
    #[must_use]
    pub fn fails(mut self, error: impl Into<ProxyError>) -> Self {
        self.upstream.failure = Some(error.into());
        self
    }

    /// Runs the chain through every phase.
    pub async fn run(self, chain: &Chain) -> Seen {
        run::run(self, chain).await
    }
}

fn facts(uri: &http::Uri, host: &str) -> Facts {
    let client = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 40_000));
    let downstream = Downstream {
        listener: "test".into(),
        peer: client,
        socket_peer: client,
        local: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        tls: (uri.scheme_str() == Some("https")).then(|| Arc::new(tls(host))),
    };
    Facts {
        id: RequestId(1),
        downstream: Arc::new(downstream),
        client: client.ip(),
        trusted: false,
        host: host.into(),
        port: uri.port_u16(),
        route: Some(RouteName::from("test")),
        params: Vec::new(),
        site: None,
        body: None,
        calls: None,
        asks_upgrade: false,
        is_terminated: false,
    }
}

fn tls(host: &str) -> TlsInfo {
    TlsInfo {
        sni: Some(host.to_owned()),
        version: "TLSv1.3",
        cipher: "TLS13_AES_128_GCM_SHA256",
        client: None,
        client_auth: false,
    }
}
