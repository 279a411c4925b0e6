//! `listeners:`.

use ipnet::IpNet;
use portcullis_types::ByteSize;
use portcullis_yaml::{Decode, OneOrMany, Spanned};
use std::net::SocketAddr;
use std::time::Duration;

use super::lax::Lax;

/// A listener: where connections are accepted, what they speak, and what bounds them.
#[derive(Debug, Decode)]
pub(crate) struct RawListener {
    /// The address, or a list of addresses, such as `0.0.0.0:8080` or `[::]:8080`.
    pub(crate) bind: OneOrMany<Spanned<SocketAddr>>,
    /// What is spoken. Default: `[http1, h2c]`, on TLS `[http1, http2]`.
    pub(crate) protocols: Lax<Spanned<Vec<Spanned<RawProtocol>>>>,
    /// TLS. Left out, the listener is plain text.
    pub(crate) tls: Lax<Spanned<RawListenerTls>>,
    /// Bounds on connections and requests.
    pub(crate) limits: Lax<RawListenerLimits>,
    /// Take client addresses from PROXY protocol headers, v1 or v2.
    pub(crate) proxy_protocol: Lax<RawProxyProtocol>,
    /// A handler of the binary that takes the connections raw, in place of HTTP.
    pub(crate) handler: Lax<Spanned<String>>,
    /// A handler of the binary that decides on CONNECT. Left out, CONNECT is refused.
    pub(crate) connect: Lax<Spanned<String>>,
    /// Whether a client that shuts down its sending side still gets its answer. Default: false.
    pub(crate) half_close: Lax<bool>,
}

/// A protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawProtocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2, by ALPN; on TLS only.
    Http2,
    /// HTTP/2 with prior knowledge; on plain text only.
    H2c,
}

/// TLS of a listener.
#[derive(Debug, Decode)]
pub(crate) struct RawListenerTls {
    /// Certificates with their keys, chosen by server name. The first answers clients that name none or an unknown one.
    pub(crate) certificates: Spanned<Vec<Spanned<RawCertificate>>>,
    /// A PEM file with the CAs that client certificates are verified against. Left out, clients are not asked.
    pub(crate) client_ca: Option<Spanned<String>>,
    /// Whether a client must have a certificate. Default: required, where there is a `client_ca`.
    pub(crate) client_auth: Option<Spanned<RawClientAuth>>,
    /// The least version of TLS. Default: "1.2".
    pub(crate) min_version: Option<RawTlsVersion>,
}

/// A certificate with its key.
#[derive(Debug, Decode)]
pub(crate) struct RawCertificate {
    /// A PEM file with the chain, leaf first, relative to the file that says so.
    pub(crate) cert: Spanned<String>,
    /// A PEM file with the private key, relative to the file that says so.
    pub(crate) key: Spanned<String>,
}

/// Whether clients must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawClientAuth {
    /// A client without a verified certificate is refused in the handshake.
    Required,
    /// A client may come without one; one that it gives is verified.
    Optional,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawTlsVersion {
    /// TLS 1.2.
    #[config(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[config(rename = "1.3")]
    Tls13,
}

/// PROXY protocol on a listener.
#[derive(Debug, Decode)]
pub(crate) struct RawProxyProtocol {
    /// Networks whose connections must begin with a header. Any other connection must not have one.
    pub(crate) from: Spanned<Vec<IpNet>>,
}

/// Bounds of a listener. Each default is safe on the open internet.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawListenerLimits {
    /// Connections at once. Default: 20000.
    pub(crate) connections: Option<Spanned<u32>>,
    /// Connections at once of one client network (IPv4 /32, IPv6 /64). Default: 1000.
    pub(crate) connections_per_network: Option<Spanned<u32>>,
    /// For the PROXY protocol header and for the TLS handshake, each. Default: 10s.
    pub(crate) handshake_timeout: Option<Spanned<Duration>>,
    /// For a whole request head, from its first byte. Default: 10s.
    pub(crate) header_timeout: Option<Spanned<Duration>>,
    /// Bytes of a request head. Default: 32KiB.
    pub(crate) header_bytes: Option<Spanned<ByteSize>>,
    /// Fields of a request head. Default: 100.
    pub(crate) header_fields: Option<Spanned<u32>>,
    /// Bytes of a request target. Default: 8KiB.
    pub(crate) target_bytes: Option<Spanned<ByteSize>>,
    /// Between two requests of a connection, and for an HTTP/2 connection without streams. Default: 75s.
    pub(crate) idle_timeout: Option<Spanned<Duration>>,
    /// Between two pieces of a request body. Default: 30s.
    pub(crate) body_timeout: Option<Spanned<Duration>>,
    /// The least a request body must bring per second, measured after the first `body_timeout`; 0 for no bound.
    /// Default: 240B.
    pub(crate) body_rate: Option<ByteSize>,
    /// For the client to take what was written. Default: 60s.
    pub(crate) write_timeout: Option<Spanned<Duration>>,
    /// Requests on one connection before it is closed; 0 for no bound. Default: 0.
    pub(crate) requests: Option<u32>,
    /// HTTP/2: streams at once. Default: 100.
    pub(crate) streams: Option<Spanned<u32>>,
    /// HTTP/2: resets by the client within ten seconds. Default: 200.
    pub(crate) resets: Option<Spanned<u32>>,
    /// HTTP/2: CONTINUATION frames of one header block. The most, and the default: 5 for each 64KiB of `header_bytes`, at
    /// least 5.
    pub(crate) continuations: Option<Spanned<u32>>,
    /// HTTP/2: PING, SETTINGS, PRIORITY and empty DATA frames within ten seconds, together. Default: 1000.
    pub(crate) control_frames: Option<Spanned<u32>>,
    /// HTTP/2: the window of a stream. Default: 64KiB.
    pub(crate) stream_window: Option<Spanned<ByteSize>>,
    /// HTTP/2: the window of a connection. Default: 1MiB.
    pub(crate) connection_window: Option<Spanned<ByteSize>>,
}
