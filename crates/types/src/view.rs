//! What routing and filters may know of a request: a borrowed, normalised view, free of allocation.

use http::{HeaderMap, Method};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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

/// What a body matcher may ask of a peeked body. A crate that understands a body (JSON-RPC, say) fills it.
pub trait BodyView: Send + Sync {
    /// The methods a JSON-RPC body calls, in order; `None` when it is not JSON-RPC.
    fn jsonrpc_methods(&self) -> Option<&[String]>;
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
