//! `admin:`.

use portcullis_yaml::{Decode, Secret, Spanned};
use std::net::SocketAddr;

/// The admin listener: health, metrics, status, the configuration and the last requests.
#[derive(Debug, Decode)]
pub(crate) struct RawAdmin {
    /// The address to accept on, such as `127.0.0.1:9901`.
    pub(crate) bind: Spanned<SocketAddr>,
    /// The bearer token that requests must carry. Needed on any address but a loopback one.
    pub(crate) token: Option<Secret>,
}
