//! `slos:`.

use portcullis_types::{Fault, Percent};
use portcullis_yaml::{Decode, Spanned};
use std::time::Duration;

/// An objective: what share of the requests of a host, or of one of its routes, is to go well.
#[derive(Debug, Decode)]
pub(crate) struct RawSlo {
    /// The virtual host, by one of its names.
    #[config(example = "api.example.com")]
    pub(crate) host: Spanned<String>,
    /// One of its routes. Left out, all of its requests count.
    pub(crate) route: Option<Spanned<String>>,
    /// The share that is to go well, above 0% and below 100%.
    #[config(example = "99.9%")]
    pub(crate) objective: Spanned<Percent>,
    /// Over how long, 1d to 92d. Default: 30d.
    pub(crate) window: Option<Spanned<Duration>>,
    /// What goes well is what is answered within this time. Then failed and refused requests do not count, nor do streams.
    /// Left out, what goes well is what does not fail.
    pub(crate) latency: Option<Spanned<Duration>>,
    /// By whose fault a request fails; one that fails by another's does not count. Default: gateway and upstream.
    pub(crate) faults: Option<Spanned<Vec<RawFault>>>,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawFault {
    /// The client sent something wrong, was refused, or went away.
    Client,
    /// The gateway refused or failed by itself.
    Gateway,
    /// The upstream failed, or answered with 5xx.
    Upstream,
}

impl RawFault {
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::Client => Fault::Client,
            Self::Gateway => Fault::Gateway,
            Self::Upstream => Fault::Upstream,
        }
    }
}
