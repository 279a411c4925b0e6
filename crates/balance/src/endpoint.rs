//! An endpoint: what the config or discovery says of it, and the state it shares across reloads.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use portcullis_types::EndpointName;

use crate::random::{FNV_START, fnv, mix};
use crate::state::EndpointState;

/// One endpoint as it is wanted. Its identity is name and address together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// What operators call it: the configured address.
    pub name: EndpointName,
    /// Where it is, resolved.
    pub address: SocketAddr,
    /// Its share of the traffic beside the others of its priority; 0 drains it.
    pub weight: u32,
    /// Lower numbers are used first.
    pub priority: u8,
    /// Where it stands, for zone preference.
    pub zone: Option<Arc<str>>,
    /// What routes may select subsets by.
    pub labels: BTreeMap<String, String>,
}

impl EndpointSpec {
    /// An endpoint of weight 1 and priority 0, without zone or labels.
    #[must_use]
    pub const fn new(name: EndpointName, address: SocketAddr) -> Self {
        Self { name, address, weight: 1, priority: 0, zone: None, labels: BTreeMap::new() }
    }
}

/// The place of an endpoint in its [`crate::EndpointSet`]. It means nothing to another set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointIdx(pub(crate) u32);

impl EndpointIdx {
    /// The place in the order of the specs, from 0.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for EndpointIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A spec with its state. A request holds this, not the set, once its endpoint is chosen.
#[derive(Debug)]
pub struct Endpoint {
    spec: EndpointSpec,
    state: Arc<EndpointState>,
    since: Instant,
}

impl Endpoint {
    pub(crate) const fn new(spec: EndpointSpec, state: Arc<EndpointState>, since: Instant) -> Self {
        Self { spec, state, since }
    }

    /// What was asked for.
    #[must_use]
    pub const fn spec(&self) -> &EndpointSpec {
        &self.spec
    }

    /// What is known of it.
    #[must_use]
    pub const fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }

    /// Since when the spec reads as it does.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }
}

/// A stable hash of an endpoint's identity, the same in every gateway.
pub(crate) fn identity_hash(name: &EndpointName, address: SocketAddr) -> u64 {
    let hash = match address {
        SocketAddr::V4(v4) => fnv(FNV_START, &v4.ip().octets()),
        SocketAddr::V6(v6) => fnv(FNV_START, &v6.ip().octets()),
    };
    mix(fnv(fnv(hash, &address.port().to_be_bytes()), name.as_str().as_bytes()))
}
