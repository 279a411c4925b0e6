//! What a generation says about the gateway as a whole.

use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the gateway as a whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the gateway names itself in Proxy-Status and Via-like fields.
    pub server_name: String,
    /// Networks whose forwarding fields (X-Forwarded-For, Forwarded, X-Request-Id, traceparent) are believed.
    pub trusted_networks: Vec<IpNet>,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long an idle connection is kept open in a drain, so that a request on its way is answered.
    pub drain_idle: Duration,
    /// Generations that may live at once; the oldest is drained beyond it.
    pub generations: usize,
    /// Worker threads; read at start only.
    pub threads: usize,
    /// The access log.
    pub access_log: Option<AccessLog>,
    /// Records kept for `/api/requests`.
    pub recent_requests: usize,
    /// Whether records and metrics are made at all; off only to measure.
    pub observe: bool,
    /// The admin listener.
    pub admin: Option<Admin>,
}

/// The admin listener.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it accepts.
    pub bind: SocketAddr,
    /// The bearer token; without one, only a loopback address may be bound.
    pub token: Option<String>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("bind", &self.bind).field("token", &self.token.is_some()).finish()
    }
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file; `None` for standard output.
    pub path: Option<PathBuf>,
    /// How a line is written.
    pub format: AccessLogFormat,
    /// Bytes that may wait to be written; more are dropped and counted.
    pub buffer: usize,
    /// Whether the query is logged, with secret keys redacted.
    pub query: bool,
}

/// How a line of the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A JSON object.
    Json,
    /// A compact line of text.
    Text,
}
