//! Endpoints that are neither in the config nor in DNS nor in a file: a registry, an orchestrator, a cloud.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_types::EndpointName;

/// An endpoint that a source found. What it leaves out is taken from the cluster's entry for the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEndpoint {
    /// Where it is.
    pub address: SocketAddr,
    /// What operators call it; the address, when there is no name.
    pub name: Option<EndpointName>,
    /// Its share beside the others of its priority; 0 takes no requests.
    pub weight: Option<u32>,
    /// Lower numbers are used first.
    pub priority: Option<u8>,
    /// Where it stands.
    pub zone: Option<Arc<str>>,
    /// What routes may select subsets by; added to those of the entry.
    pub labels: BTreeMap<String, String>,
}

impl FoundEndpoint {
    /// An address, all else left to the entry.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, name: None, weight: None, priority: None, zone: None, labels: BTreeMap::new() }
    }
}

/// Where a source puts what it finds.
pub trait EndpointSink: Send + Sync {
    /// These are the endpoints from now on, all of them. They serve new requests before this returns.
    fn found(&self, endpoints: Vec<FoundEndpoint>);

    /// Nothing could be found out; the endpoints stay what they were, and the sentence is shown to operators.
    fn failed(&self, why: String);
}

/// A source of endpoints, named by an entry of a cluster's `endpoints`: `{ source: NAME, of: ARGUMENT }`.
#[async_trait]
pub trait EndpointSource: Send + Sync {
    /// Follows the endpoints of `of` for as long as it is polled: it is dropped when no cluster asks for them any more,
    /// and asked again some seconds after it has ended.
    ///
    /// # Errors
    /// A sentence for operators, as with [`EndpointSink::failed`].
    async fn follow(&self, of: &str, sink: &dyn EndpointSink) -> Result<(), String>;
}
