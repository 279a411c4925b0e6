//! `endpoints:` of a cluster, and `dns:`.

use portcullis_yaml::{Decode, Named, Spanned};
use std::net::SocketAddr;
use std::time::Duration;

/// An endpoint, or a source of endpoints: an address, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawEndpoint {
    /// The address, such as `10.0.0.11:8899` or `api.internal:80`.
    #[config(scalar)]
    Address(Spanned<String>),
    /// An address or a source, with more settings.
    #[config(map)]
    Map(Box<RawEndpointMap>),
}

/// An endpoint, or a source of endpoints.
#[derive(Debug, Decode)]
pub(crate) struct RawEndpointMap {
    /// Where the endpoints are.
    #[config(flatten)]
    pub(crate) place: RawPlace,
    /// What the `source` is asked for.
    pub(crate) of: Option<Spanned<String>>,
    /// Where they stand, such as `us-east-1a`.
    pub(crate) zone: Option<String>,
    /// The share of each beside the other endpoints of its priority; 0 takes no requests. The records of `srv` say it
    /// themselves. Default: 1.
    pub(crate) weight: Option<Spanned<u32>>,
    /// Lower numbers are used first. The records of `srv` say it themselves. Default: 0.
    pub(crate) priority: Option<Spanned<u8>>,
    /// Words that say more about them, for people and for filters.
    #[config(default)]
    pub(crate) labels: Named<String>,
}

/// Where endpoints are: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawPlace {
    /// An address, such as `10.0.0.11:8899`, or a name with a port, such as `api.internal:80`: then each of its
    /// addresses (A, else AAAA) is an endpoint. A name is resolved in the background, again and again; while it does not
    /// resolve, its last answer is kept.
    Address(Spanned<String>),
    /// The name of a DNS service (SRV), such as `_http._tcp.api.internal`: each target is an endpoint, with the port,
    /// the weight and the priority of its record. The lowest priority there is becomes 0, the next one 1.
    Srv(Spanned<String>),
    /// A file with a list in YAML or JSON: IP addresses with ports, or maps with `address`, `name`, `zone`, `weight`,
    /// `priority` and `labels`. It is read again whenever it changes, without a new generation; one that cannot be read
    /// leaves the endpoints as they are.
    File(Spanned<String>),
    /// A source that the binary was built with, by its name.
    Source(Spanned<String>),
}

/// How names of endpoints are resolved.
#[derive(Debug, Decode)]
pub(crate) struct RawDns {
    /// Who is asked, such as `10.0.0.2:53`, over UDP, and over TCP where an answer is too long. Default: the system's
    /// resolvers (`/etc/resolv.conf`); `/etc/hosts` is asked first in any case.
    #[config(default)]
    pub(crate) resolvers: Vec<SocketAddr>,
    /// How long a resolver may take. Default: 2s.
    pub(crate) timeout: Option<Spanned<Duration>>,
    /// A name is resolved again when its time to live is over, but no sooner than this, 100ms to 1d. One that failed is
    /// tried again after this, then after longer and longer. Default: 5s.
    pub(crate) least_refresh: Option<Spanned<Duration>>,
    /// And no later than this. Default: 5m.
    pub(crate) most_refresh: Option<Spanned<Duration>>,
}
