//! What a cluster's active health checks ask, and which answers pass.

use http::{HeaderValue, StatusCode};
use std::ops::RangeInclusive;

use portcullis_balance::HealthPolicy;
use regex::Regex;

use super::{UpstreamProtocol, UpstreamTls};

/// How much of an answer's body is looked at, in bytes.
pub const HEALTH_BODY: usize = 64 * 1024;

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Interval, timeout and thresholds.
    pub policy: HealthPolicy,
    /// What is asked.
    pub probe: HealthProbe,
    /// The port, where it is not the endpoint's own.
    pub port: Option<u16>,
    /// TLS of the check's connection; that of the cluster unless the check says otherwise.
    pub tls: Option<UpstreamTls>,
    /// What is spoken on it; that of the cluster unless the check says otherwise.
    pub protocol: UpstreamProtocol,
    /// Whether a connection serves the next check too.
    pub reuse: bool,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// A GET.
    Http(HttpProbe),
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc(GrpcProbe),
    /// Calls of Solana's JSON-RPC: whether the node is well, and how far it is.
    Solana(SolanaProbe),
}

/// A GET and the answers that pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// The path and query.
    pub path: String,
    /// The Host.
    pub host: HeaderValue,
    /// The statuses that pass.
    pub statuses: Box<[RangeInclusive<u16>]>,
    /// What the first [`HEALTH_BODY`] bytes of the body must hold.
    pub body: Option<BodyMatch>,
}

/// A gRPC health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcProbe {
    /// The service that is asked about; empty for the server as a whole.
    pub service: String,
    /// The authority.
    pub host: HeaderValue,
}

/// What a Solana node is asked, and when it is behind by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SolanaProbe {
    /// The path and query.
    pub path: String,
    /// The Host.
    pub host: HeaderValue,
    /// How many slots it may have received beyond the one it has processed.
    pub max_unprocessed: u64,
    /// Whether the calls go as one batch.
    pub batch: bool,
}

/// What a body must hold.
#[derive(Debug, Clone)]
pub enum BodyMatch {
    /// This text.
    Contains(String),
    /// Something that this expression finds.
    Regex(Regex),
}

impl PartialEq for BodyMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Contains(one), Self::Contains(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            (Self::Contains(_), Self::Regex(_)) | (Self::Regex(_), Self::Contains(_)) => false,
        }
    }
}

impl Eq for BodyMatch {}

impl BodyMatch {
    /// Whether a body holds it.
    #[must_use]
    pub fn matches(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(text) if text.is_empty() => true,
            Self::Contains(text) => body.windows(text.len()).any(|window| window == text.as_bytes()),
            Self::Regex(regex) => regex.is_match(&String::from_utf8_lossy(body)),
        }
    }
}

impl HttpProbe {
    /// Whether a status passes.
    #[must_use]
    pub fn accepts(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| range.contains(&status.as_u16()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_holds_what_it_must() {
        let regex = |text| BodyMatch::Regex(Regex::new(text).unwrap());
        for (wanted, body, expected) in [
            (BodyMatch::Contains("ok".to_owned()), "it is ok", true),
            (BodyMatch::Contains("ok".to_owned()), "o k", false),
            (BodyMatch::Contains("ok".to_owned()), "", false),
            (BodyMatch::Contains(String::new()), "", true),
            (regex("^up [0-9]+$"), "up 12", true),
            (regex("^up [0-9]+$"), "up", false),
        ] {
            assert_eq!(wanted.matches(body.as_bytes()), expected, "{wanted:?} in {body:?}");
        }
    }
}
