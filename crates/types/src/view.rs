//! What routing and filters may know of a request: a borrowed, normalised view, free of allocation.

use bytes::Bytes;
use http::{HeaderMap, Method};
use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::ProxyError;
use crate::ids::ListenerName;

/// How the downstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// As in an access log: `HTTP/1.1`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// The scheme the client used, by what the connection was, never by what a field claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A client certificate that was verified against the listener's CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject, RFC 4514 text.
    pub subject: String,
    /// DNS, URI and e-mail names of the subject alternative name.
    pub names: Vec<String>,
    /// SHA-256 of the DER, 64 lower-case hex digits.
    pub fingerprint: String,
}

/// What TLS said about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The server name the client asked for, lower-case.
    pub sni: Option<String>,
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite's name.
    pub cipher: &'static str,
    /// The client's certificate, when it gave one.
    pub client: Option<ClientCertificate>,
    /// Whether the listener asks for client certificates at all, so that SNI and Host must agree.
    pub client_auth: bool,
}

/// Facts of the downstream connection: made once a connection, shared by its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downstream {
    /// The listener it came in by.
    pub listener: ListenerName,
    /// Who connected: the socket's address, or what a trusted PROXY protocol header says.
    pub peer: SocketAddr,
    /// The socket's own far end, PROXY protocol or not.
    pub socket_peer: SocketAddr,
    /// Our end of the socket, or the destination that a trusted PROXY protocol header names.
    pub local: SocketAddr,
    /// TLS facts; `None` on plain text.
    pub tls: Option<Arc<TlsInfo>>,
}

impl Downstream {
    /// The scheme of this connection.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

/// A request body that was read whole before its request was routed, by a crate that understands it (JSON-RPC, say).
///
/// Whoever knows the type behind it gets it back by `&dyn Any`.
pub trait BodyView: Any + fmt::Debug + Send + Sync {
    /// How many calls it makes: 1, or as many as its batch has; `None` when it is no RPC.
    fn calls(&self) -> Option<usize>;

    /// The method of a call, by its place; `None` past the last, and for a call that names none.
    fn method(&self, call: usize) -> Option<&str>;

    /// The JSON text of the id that an answer to the whole body carries; `None` for `null`.
    fn id(&self) -> Option<&str> {
        None
    }

    /// Whether the request may be sent twice; `None` leaves it to the HTTP method and the route.
    fn is_idempotent(&self) -> Option<bool> {
        None
    }

    /// The least height (slot, block number) of the state that the answer may speak of, when the caller says one.
    fn least_height(&self) -> Option<u64> {
        None
    }

    /// The calls one by one, when it is a batch that may be sent in parts.
    fn batch(&self) -> Option<&dyn Batch> {
        None
    }
}

/// A body of several calls that may be sent in parts, to different clusters, and answered as one.
pub trait Batch: Send + Sync {
    /// One call, as a body of its own.
    fn call(&self, at: usize) -> Option<Arc<dyn BodyView>>;

    /// The body of a request with these calls alone, given by their places in order.
    fn part(&self, calls: &[usize]) -> Bytes;

    /// The answer to the whole out of the answers to its parts, in the order of the calls. A part that has none, or
    /// one that is no answer to its calls, is answered for each of its calls by the error.
    fn join(&self, parts: &[BatchPart]) -> Bytes;
}

/// What came of a part of a batch.
#[derive(Debug)]
pub struct BatchPart {
    /// The calls, by their places in the whole, in order.
    pub calls: Vec<usize>,
    /// The body of the answer, or why there is none.
    pub answer: Result<Bytes, ProxyError>,
}

/// A request as routing sees it: normalised once, borrowed, read-only.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host: lower-case, no port, no trailing dot; empty when an HTTP/1.0 request named none.
    pub host: &'a str,
    /// The port the authority named.
    pub port: Option<u16>,
    /// The path after normalisation; what is routed on is what is forwarded.
    pub path: &'a str,
    /// The query, without its `?`, as received.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The client's address, by trusted facts only (socket, PROXY protocol, or X-Forwarded-For of a trusted network).
    pub client: IpAddr,
    /// The connection it came on.
    pub downstream: &'a Downstream,
    /// The peeked body, when a candidate route asked for one.
    pub body: Option<&'a dyn BodyView>,
}

impl RequestView<'_> {
    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.downstream.scheme()
    }

    /// The verified client certificate, if any.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.downstream.tls.as_ref()?.client.as_ref()
    }
}
