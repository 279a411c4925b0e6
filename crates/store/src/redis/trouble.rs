//! What can be wrong with Redis, as few words as metrics need.

use redis::{RedisError, ServerError};

/// How the link to Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LinkState {
    /// All is answered.
    Up,
    /// Nothing was heard yet.
    #[default]
    Connecting,
    /// A word met a server that has not its slot any more.
    Moved,
    /// The server has not read its data yet.
    Loading,
    /// A script runs too long.
    Busy,
    /// The server has no memory for writes.
    OutOfMemory,
    /// The server is a replica, or may not write.
    ReadOnly,
    /// The cluster has slots without a server.
    ClusterDown,
    /// The server takes no more clients.
    TooManyClients,
    /// The password, the user or what it may do.
    Denied,
    /// The server is not who it should be, does not take the gateway's certificate, or speaks no TLS.
    Tls,
    /// An answer took longer than the timeout.
    Slow,
    /// No connection.
    Unreachable,
    /// Something else; see the last error.
    Failed,
}

impl LinkState {
    /// All, in their order.
    pub const ALL: [Self; 14] = [
        Self::Up,
        Self::Connecting,
        Self::Moved,
        Self::Loading,
        Self::Busy,
        Self::OutOfMemory,
        Self::ReadOnly,
        Self::ClusterDown,
        Self::TooManyClients,
        Self::Denied,
        Self::Tls,
        Self::Slow,
        Self::Unreachable,
        Self::Failed,
    ];

    /// The word of metrics and of the admin API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Connecting => "connecting",
            Self::Moved => "moved",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::OutOfMemory => "out_of_memory",
            Self::ReadOnly => "read_only",
            Self::ClusterDown => "cluster_down",
            Self::TooManyClients => "too_many_clients",
            Self::Denied => "denied",
            Self::Tls => "tls",
            Self::Slow => "slow",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }
}

/// A failure: its kind, and what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) state: LinkState,
    pub(crate) says: String,
}

impl Trouble {
    pub(crate) fn new(state: LinkState, says: impl Into<String>) -> Self {
        Self { state, says: says.into() }
    }

    /// What a server said, by its code.
    pub(crate) fn said(code: &str, detail: &str) -> Self {
        Self::new(state_of(code, detail), format!("{code} {detail}"))
    }

    /// An answer that did not come.
    pub(crate) fn slow() -> Self {
        Self::new(LinkState::Slow, "no answer within the timeout")
    }

    /// An answer that is not what was asked for.
    pub(crate) fn strange() -> Self {
        Self::new(LinkState::Failed, "an answer that was not understood")
    }

    /// Whether the connection is of no use any more.
    pub(crate) const fn breaks(&self) -> bool {
        match self.state {
            LinkState::Slow
            | LinkState::Unreachable
            | LinkState::Failed
            | LinkState::Denied
            | LinkState::Tls
            | LinkState::TooManyClients
            | LinkState::Loading => true,
            LinkState::Up
            | LinkState::Connecting
            | LinkState::Moved
            | LinkState::Busy
            | LinkState::OutOfMemory
            | LinkState::ReadOnly
            | LinkState::ClusterDown => false,
        }
    }
}

/// The kind of an error that a server answered, by its code.
fn state_of(code: &str, detail: &str) -> LinkState {
    match code {
        "MOVED" | "ASK" | "TRYAGAIN" => LinkState::Moved,
        "LOADING" | "MASTERDOWN" => LinkState::Loading,
        "BUSY" => LinkState::Busy,
        "OOM" => LinkState::OutOfMemory,
        // Its disk is full, or its replicas are too few: it takes no writes.
        "READONLY" | "MISCONF" | "NOREPLICAS" => LinkState::ReadOnly,
        "CLUSTERDOWN" => LinkState::ClusterDown,
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => LinkState::Denied,
        _ if detail.contains("max number of clients") => LinkState::TooManyClients,
        _ => LinkState::Failed,
    }
}

impl From<&ServerError> for Trouble {
    fn from(error: &ServerError) -> Self {
        Self::said(error.code(), error.details().unwrap_or_default())
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        let state = match error.code() {
            _ if error.is_timeout() => LinkState::Slow,
            // A server of TLS 1.3 refuses a client's certificate when the client's part of the handshake is over.
            None if error.is_io_error() && text.contains("received fatal alert") => LinkState::Tls,
            Some(code) => state_of(code, error.detail().unwrap_or_default()),
            None if error.is_io_error() => LinkState::Unreachable,
            None if error.kind() == redis::ErrorKind::AuthenticationFailed => LinkState::Denied,
            None => LinkState::Failed,
        };
        Self::new(state, text)
    }
}
