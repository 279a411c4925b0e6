//! What a generation says about the gateway as a whole.

mod consumers;
mod store;

use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_types::Percent;

pub use consumers::{Consumers, ConsumersFile, Issuer, KeySource, KeyUrl};
pub use store::{Journal, Redis, RedisPlace, RedisPlaceError, RedisTls, Store};

/// Settings of the gateway as a whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the gateway names itself in Proxy-Status and Via-like fields.
    pub server_name: String,
    /// Networks whose forwarding fields (X-Forwarded-For, Forwarded, X-Request-Id, traceparent) are believed.
    pub trusted_networks: Vec<IpNet>,
    /// How long the gateway says that it is not ready, and serves, before it drains at the word to end.
    pub drain_delay: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long an idle connection is kept open in a drain, so that a request on its way is answered.
    pub drain_idle: Duration,
    /// Over how long the ends of streams are spread, in a drain and when their endpoint leaves.
    pub drain_streams: Duration,
    /// When the process itself refuses work.
    pub overload: Overload,
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
    /// How names of endpoints are resolved.
    pub dns: Dns,
    /// Where what callers spend and use is kept; read at start only.
    pub store: Option<Store>,
    /// Who may call; `None` when the config does not say.
    pub consumers: Option<Consumers>,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
}

/// How names of endpoints are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Who is asked; the system's resolvers, when there is none.
    pub resolvers: Vec<SocketAddr>,
    /// How long one question may take.
    pub timeout: Duration,
    /// An answer is asked for again when its time to live is over, but no sooner than this.
    pub least_refresh: Duration,
    /// And no later than this.
    pub most_refresh: Duration,
}

impl Default for Dns {
    /// The system's resolvers, 2 seconds, between 5 seconds and 5 minutes.
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            timeout: Duration::from_secs(2),
            least_refresh: Duration::from_secs(5),
            most_refresh: Duration::from_secs(300),
        }
    }
}

/// When the process itself refuses work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// Memory from which sheddable requests are refused; each priority above has a sixteenth more.
    pub memory: MemoryBound,
    /// How late the event loop may run, without a break, before sheddable requests are refused; each priority above has
    /// twice as much. `None` for no bound.
    pub event_loop_delay: Option<Duration>,
    /// Client connections of all listeners together; `None` for half of the descriptors that may be open, 0 for no
    /// bound.
    pub connections: Option<u32>,
}

/// A bound on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBound {
    /// None.
    Off,
    /// This share of what the process may have.
    Share(Percent),
    /// This many bytes.
    Bytes(u64),
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
