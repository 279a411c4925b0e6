//! The seams of a wing: what enters the gateway other than as a filter of an HTTP request.

pub mod body;
pub mod cache;
pub mod certificate;
pub mod ending;
pub mod endpoints;
pub mod guard;
pub mod host;
pub mod stream;
pub mod upgrade;
pub mod upstream;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use body::{BodyPeek, PEEK_LIMIT};
pub use cache::{Cache, CacheFill, CachedResponse, StaleResponse};
pub use certificate::{CertificatePem, CertificateSource};
pub use ending::{EndStream, Ending};
pub use endpoints::{EndpointSink, EndpointSource, FoundEndpoint};
pub use guard::{StreamGuard, StreamGuards};
pub use host::HostSource;
pub use stream::{ConnectHandler, ConnectVerdict, Io, L4Handler, RawStream};
pub use upgrade::{StreamEnd, Upgrade, UpgradeHandler, UpgradedStream};
pub use upstream::{Caller, UpstreamRequest, UpstreamResponse, UpstreamStream, Upstreams};

/// What a binary plugs in, by the names the config uses.
#[derive(Default, Clone)]
pub struct Seams {
    /// L4 handlers, named by a listener's `handler`.
    pub l4: BTreeMap<&'static str, Arc<dyn L4Handler>>,
    /// CONNECT handlers, named by a listener's `connect`.
    pub connect: BTreeMap<&'static str, Arc<dyn ConnectHandler>>,
    /// Where hosts that are not in the config come from.
    pub hosts: Option<Arc<dyn HostSource>>,
    /// Where certificates that are not in the config come from.
    pub certificates: Option<Arc<dyn CertificateSource>>,
    /// Who reads bodies for body matchers.
    pub body: Option<Arc<dyn BodyPeek>>,
    /// Sources of endpoints, named by a `source` in a cluster's `endpoints`.
    pub endpoints: BTreeMap<&'static str, Arc<dyn EndpointSource>>,
    /// Caches, named by a route's `cache`.
    pub caches: BTreeMap<&'static str, Arc<dyn Cache>>,
}
