//! Who asks, and what they may do.

use std::net::SocketAddr;
use std::sync::Arc;

pub use portcullis_snapshot::settings::Role;

use crate::control::By;

/// How somebody was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By a bearer token.
    Token,
    /// By a client certificate.
    Certificate,
    /// By the user id at the other end of the Unix socket.
    Socket,
    /// Not at all: the listener is for whoever is on this machine.
    Loopback,
}

impl Via {
    /// The word in answers and in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Socket => "socket",
            Self::Loopback => "loopback",
        }
    }
}

/// Somebody who may use the API. In the extensions of every request that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of the token, the subject of the certificate, `uid:1000`, or `loopback`.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// How they were known.
    pub via: Via,
}

impl Actor {
    /// The same as the author of a change.
    #[must_use]
    pub fn by(&self, note: Option<String>) -> By {
        By { who: self.name.to_string(), note }
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// On the address.
    Tcp {
        /// From where.
        address: SocketAddr,
        /// What its handshake said.
        tls: Option<Handshake>,
    },
    /// On the Unix socket.
    Socket {
        /// The user's id.
        uid: u32,
        /// Whether that is root or the gateway's own.
        trusted: bool,
    },
}

/// What is known of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The subject of a certificate that was verified.
    pub(crate) subject: Option<Arc<str>>,
    /// Which CAs it was verified against.
    pub(crate) clients: u64,
}

impl Peer {
    pub(crate) fn says(&self) -> String {
        match self {
            Self::Tcp { address, .. } => address.to_string(),
            Self::Socket { uid, .. } => format!("uid:{uid}"),
        }
    }
}
