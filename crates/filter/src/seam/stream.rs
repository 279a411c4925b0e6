//! Connections that are not HTTP, and HTTP connections that stop being it.

use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use portcullis_types::{Downstream, ProxyError};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection handed over raw: after PROXY protocol and TLS, before any HTTP, or after a CONNECT was granted.
pub struct RawStream {
    /// The bytes; what was peeked is read again from here.
    pub io: Box<dyn Io>,
    /// Facts of the connection.
    pub downstream: Arc<Downstream>,
    /// Turns `true` when the gateway drains: finish soon.
    pub drain: watch::Receiver<bool>,
}

impl fmt::Debug for RawStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawStream").field("downstream", &self.downstream).finish_non_exhaustive()
    }
}

/// Speaks whatever a listener with `handler: NAME` carries.
#[async_trait]
pub trait L4Handler: Send + Sync {
    /// Owns the connection to its end. The listener's limits on connections and handshakes held before this.
    async fn handle(&self, stream: RawStream);
}

/// What becomes of a CONNECT.
pub enum ConnectVerdict {
    /// Refused, answered with this.
    Refuse(ProxyError),
    /// Granted: 200 is sent, then this handler owns the connection.
    Tunnel(Arc<dyn L4Handler>),
}

/// Decides on CONNECT (RFC 9110 section 9.3.6) on listeners with `connect: NAME`.
#[async_trait]
pub trait ConnectHandler: Send + Sync {
    /// `authority` is the request target, `host:port`, checked for form.
    async fn connect(&self, authority: &str, downstream: &Arc<Downstream>) -> ConnectVerdict;
}
