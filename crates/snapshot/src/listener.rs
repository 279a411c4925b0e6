//! A listener: where the gateway accepts, what it speaks there, and what it bounds.

use ipnet::IpNet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_filter::seam::{ConnectHandler, L4Handler};
use portcullis_telemetry::metrics::ListenerMetrics;
use portcullis_types::ListenerName;

use crate::tls::TlsListener;

/// One listener, on one or several addresses.
pub struct Listener {
    /// Its key in the config.
    pub name: ListenerName,
    /// Where it accepts.
    pub bind: Vec<SocketAddr>,
    /// What it speaks.
    pub kind: ListenerKind,
    /// TLS, if it speaks it.
    pub tls: Option<Arc<TlsListener>>,
    /// Its bounds.
    pub limits: ListenerLimits,
    /// From whom a PROXY protocol header is taken.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who decides on CONNECT; without one it is refused.
    pub connect: Option<Arc<dyn ConnectHandler>>,
    /// Whether a client that shuts down its sending side still gets its answer. Off by default: a FIN before the
    /// answer then means that the client is gone.
    pub half_close: bool,
    /// Its counters, kept across generations.
    pub metrics: Arc<ListenerMetrics>,
}

/// What a listener carries.
#[derive(Clone)]
pub enum ListenerKind {
    /// HTTP, in these protocols. On TLS, ALPN chooses; on plain text the first bytes do.
    Http {
        /// HTTP/1.1 and HTTP/1.0.
        http1: bool,
        /// HTTP/2: by ALPN on TLS, with prior knowledge (h2c) on plain text.
        http2: bool,
    },
    /// Whatever the handler speaks.
    L4(Arc<dyn L4Handler>),
}

/// A listener's bounds. Each has a default that is safe on the open internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one client network (IPv4 /32, IPv6 /64).
    pub connections_per_network: usize,
    /// For the PROXY protocol header and the TLS handshake, each.
    pub handshake_timeout: Duration,
    /// For a whole request head, from its first byte.
    pub header_timeout: Duration,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub header_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Between requests of a connection; an HTTP/2 connection without streams.
    pub idle_timeout: Duration,
    /// Between two chunks of a request body.
    pub body_timeout: Duration,
    /// The least rate of a request body in bytes per second, averaged from its start after a grace of
    /// `body_timeout`; 0 for none.
    pub body_rate: u64,
    /// For the client to take what was written.
    pub write_timeout: Duration,
    /// Requests on one connection before it is closed; 0 for no limit.
    pub requests: u32,
    /// HTTP/2 bounds.
    pub http2: Http2Limits,
}

/// Bounds of an HTTP/2 connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams at once.
    pub streams: u32,
    /// RST_STREAM frames from the client within ten seconds (CVE-2023-44487).
    pub resets: u32,
    /// CONTINUATION frames of one header block (CVE-2024-27316), at most [`most_continuations`].
    pub continuations: u32,
    /// PING, SETTINGS, PRIORITY and empty frames within ten seconds, each.
    pub control_frames: u32,
    /// Bytes a stream's window holds.
    pub stream_window: u32,
    /// Bytes the connection's window holds.
    pub connection_window: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_network: 1_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            header_bytes: HEADER_BYTES,
            header_fields: 100,
            target_bytes: 8 * 1024,
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            body_rate: 240,
            write_timeout: Duration::from_secs(60),
            requests: 0,
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            resets: 200,
            continuations: most_continuations(HEADER_BYTES),
            control_frames: 1_000,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
        }
    }
}

/// Bytes of a request head where no listener says.
const HEADER_BYTES: usize = 32 * 1024;

/// How many CONTINUATION frames the HTTP/2 layer below takes of one header block, where a head may have `header_bytes`:
/// as many frames of 16 KiB as it fills and a quarter more, and 5 in any case. A limit above that would never be reached.
#[must_use]
pub fn most_continuations(header_bytes: usize) -> u32 {
    let frames = u32::try_from(header_bytes / (16 * 1024)).unwrap_or(u32::MAX);
    frames.saturating_add(frames / 4).max(5)
}

/// PROXY protocol on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// A connection from one of these networks must begin with a header, v1 or v2; any other must not.
    pub from: Vec<IpNet>,
}

impl ProxyProtocol {
    /// Whether connections from this address begin with a header.
    #[must_use]
    pub fn covers(&self, address: std::net::IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What h2 0.4 computes from its list size and frames of 16 KiB (`calc_max_continuation_frames`).
    #[test]
    fn the_http2_layer_takes_continuations_by_the_size_of_a_head() {
        let kib = [1, 32, 64, 79, 80, 128, 256, 1024];
        assert_eq!(kib.map(|kib| most_continuations(kib * 1024)), [5, 5, 5, 5, 6, 10, 20, 80]);
        assert_eq!(Http2Limits::default().continuations, 5);
    }
}
