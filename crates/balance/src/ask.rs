//! The question of which endpoint, and why there may be none.

use std::time::Instant;

use portcullis_types::{ProxyError, Reason};

use crate::endpoint::EndpointIdx;

/// Why no endpoint was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// The cluster has none: discovery found nothing so far.
    #[error("the cluster has no endpoints")]
    Empty,
    /// None may be used.
    #[error("none of the cluster's {endpoints} endpoints is available")]
    NoneAvailable {
        /// How many there are, drained ones included.
        endpoints: usize,
    },
}

impl From<NoEndpoint> for ProxyError {
    fn from(error: NoEndpoint) -> Self {
        Self::with_detail(Reason::NoHealthyUpstream, error.to_string())
    }
}

/// One question: which endpoint?
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The moment of the question.
    pub now: Instant,
    /// 64 random bits.
    pub random: u64,
    /// The request's affinity, for [`crate::Algorithm::Hash`]; see [`crate::key_of`].
    pub key: Option<u64>,
    /// Endpoints tried already. One of them is chosen again only when no other is left.
    pub skip: &'a [EndpointIdx],
    /// The least height that the answer may speak of, where the request names one: endpoints that are known to have it
    /// are preferred.
    pub least_height: Option<u64>,
}

impl Ask<'_> {
    /// The question of a first attempt without affinity.
    #[must_use]
    pub const fn new(now: Instant, random: u64) -> Self {
        Self { now, random, key: None, skip: &[], least_height: None }
    }
}
