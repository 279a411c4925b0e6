//! What a generation says about the gateway as a whole.

mod admin;
mod consumers;
mod history;
mod slos;
mod store;

use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_telemetry::{LogSettings, RecordOptions, TraceSettings};
use portcullis_types::Percent;

pub use admin::{Admin, AdminSocket, AdminTls, AdminToken, Role, SocketMode};
pub use consumers::{Consumers, ConsumersFile, Issuer, KeySource, KeyUrl};
pub use history::History;
pub use slos::{Good, MOST_SLOS, Slo};
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
    /// The sinks of records, `access_log` among them.
    pub logs: Vec<LogSettings>,
    /// Which requests are traced, and where spans go; `None` where none is.
    pub tracing: Option<TraceSettings>,
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
    /// Where the generations that were tried are kept.
    pub history: Option<History>,
    /// Who may call; `None` when the config does not say.
    pub consumers: Option<Consumers>,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Objectives of service levels.
    pub slos: Vec<Slo>,
    /// The file that keeps what was counted for them; `None` where there are none.
    pub slos_file: Option<PathBuf>,
}

impl Settings {
    /// The folder for what lasts; `None` where nothing is to be kept.
    #[must_use]
    pub fn data(&self) -> Option<&Path> {
        self.store.as_ref().map(|store| store.path.as_path())
    }

    /// What records may hold: what their sinks show between them, and no more.
    #[must_use]
    pub fn record_options(&self) -> RecordOptions {
        let headers: BTreeSet<&str> = self.logs.iter().flat_map(|log| &log.view.headers).map(String::as_str).collect();
        RecordOptions {
            query: self.logs.iter().any(|log| log.view.query),
            headers: headers.into_iter().map(Arc::from).collect(),
            ..RecordOptions::default()
        }
    }
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
