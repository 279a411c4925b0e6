//! How the link to Redis is, for metrics and the admin API.

use super::trouble::{LinkState, Trouble};

/// How the link to Redis is. Counts are since the gateway began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkStatus {
    /// The worst of what the servers say.
    pub state: LinkState,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The last error, in words; it stays when all is good again.
    pub last_error: Option<String>,
    /// When every server answered last, in milliseconds since 1970; 0 before the first time. A second after that
    /// (`ttl`) plans decide by their policy for outages.
    pub heard_at: u64,
    /// Whether it is a cluster.
    pub cluster: bool,
    /// Gateways that the store knows, this one too, and of how many it has heard lately.
    pub gateways: (u32, u32),
    /// Commands sent.
    pub commands: u64,
    /// Words of shares carried to pools.
    pub asks: u64,
    /// And of those, answered with a grant.
    pub grants: u64,
    /// Words that met no server, or were not answered. Each is said again.
    pub lost: u64,
    /// Answers that did not come in time.
    pub timeouts: u64,
    /// Connections made.
    pub connections: u64,
    /// How long the last answer took, in microseconds.
    pub round_trip: u64,
    /// The servers.
    pub nodes: Vec<NodeStatus>,
}

/// How one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its address.
    pub address: String,
    /// How it is.
    pub state: LinkState,
    /// Whether it is the one, or one of those, that pools are kept at.
    pub used: bool,
}

impl LinkStatus {
    pub(crate) fn new(unix_millis: u64) -> Self {
        Self { since: unix_millis, ..Self::default() }
    }

    /// Notes how it is now; says so when it changed.
    pub(crate) fn note(&mut self, trouble: Option<&Trouble>, unix_millis: u64) {
        let state = trouble.map_or(LinkState::Up, |trouble| trouble.state);
        match trouble {
            None => self.heard_at = unix_millis,
            // Not to be there yet is no error.
            Some(trouble) if state != LinkState::Connecting => self.last_error = Some(trouble.says.clone()),
            Some(_) => {}
        }
        if state == self.state {
            return;
        }
        (self.state, self.since) = (state, unix_millis);
        match trouble {
            Some(trouble) => log::warn!("redis: {}: {}", state.as_str(), trouble.says),
            None => log::info!("redis: up"),
        }
    }
}
