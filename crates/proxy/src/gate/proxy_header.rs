//! Reads a PROXY protocol header off a socket, and not a byte more.

use std::io;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use portcullis_types::{ProxyError, Reason};
use portcullis_wire::proxy_protocol::{Parsed, ProxyAddresses, parse};

use super::serve::Addresses;

/// The addresses a header names; `None` for a header that names none (LOCAL, UNKNOWN): the socket's own hold.
///
/// # Errors
/// [`Reason::ProxyProtocolInvalid`] for bytes that are no header, and for a connection that ends in one.
pub(super) async fn read(tcp: &mut TcpStream) -> Result<Option<Addresses>, ProxyError> {
    let mut taken = Vec::with_capacity(128);
    loop {
        // What is only peeked stays in the socket, so that the bytes behind the header are TLS's or HTTP's.
        let mut peeked = [0u8; 512];
        let seen = tcp.peek(&mut peeked).await.map_err(closed)?;
        let before = taken.len();
        taken.extend_from_slice(peeked.get(..seen).unwrap_or_default());
        let invalid = |why| ProxyError::with_detail(Reason::ProxyProtocolInvalid, why);
        if seen == 0 {
            return Err(invalid("ended"));
        }
        let (keep, header) = match parse(&taken).map_err(|error| invalid(error.name()))? {
            Parsed::NeedMore => (taken.len(), None),
            Parsed::Complete { len, header } => (len, Some(addresses(&header.addresses))),
        };
        let consume = keep.saturating_sub(before).min(seen);
        tcp.read_exact(peeked.get_mut(..consume).unwrap_or_default()).await.map_err(closed)?;
        if let Some(header) = header {
            return Ok(header);
        }
    }
}

fn closed(_: io::Error) -> ProxyError {
    ProxyError::with_detail(Reason::ProxyProtocolInvalid, "ended")
}

fn addresses(said: &ProxyAddresses<'_>) -> Option<Addresses> {
    match said {
        ProxyAddresses::Inet { source, destination, .. } => Some(Addresses { peer: *source, local: *destination }),
        ProxyAddresses::Local | ProxyAddresses::Unknown | ProxyAddresses::Unix { .. } => None,
    }
}
