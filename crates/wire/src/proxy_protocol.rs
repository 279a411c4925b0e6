//! The PROXY protocol, versions 1 and 2, both read and written (haproxy.org, proxy-protocol.txt).
//!
//! [`parse`] looks at the first bytes of a connection; call it again with more when it says so. It never needs more
//! than [`MAX_V1`] or 16 + [`MAX_V2_PAYLOAD`] bytes, and refuses a longer header before waiting for it. A connection
//! from a network that must speak the protocol and does not is an error, never plain traffic.
//!
//! Version 1 is read strictly: single spaces, addresses of the family that is named, ports without leading zeros.
//! Version 2: a CRC32C is verified when present, and every TLV must fit, those inside the SSL TLV too. A LOCAL
//! header's content is thrown away, as the specification asks.

mod crc;
mod encode;
#[cfg(test)]
mod tests;
mod tlv;
mod v1;
mod v2;

use std::net::SocketAddr;

pub use encode::{EncodeError, encode_v1, encode_v2};
pub use tlv::{Ssl, Tlv, Tlvs};

/// Most bytes of a version 1 header, CRLF included.
pub const MAX_V1: usize = 107;
/// Most bytes of a version 2 header after its first 16: addresses and TLVs.
pub const MAX_V2_PAYLOAD: usize = 4096;

/// The 12 bytes a version 2 header begins with.
pub const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

const V1_SIGNATURE: &[u8] = b"PROXY ";

closed_error! {
    /// Why a PROXY header was refused.
    pub enum ProxyProtocolError {
        SignatureMissing, "proxy_signature_missing", "the connection does not begin with a PROXY header";
        V1TooLong, "proxy_v1_too_long", "a version 1 header does not end within 107 bytes";
        V1LineEnding, "proxy_v1_line_ending", "a version 1 header does not end in CRLF";
        V1Family, "proxy_v1_family", "a version 1 header names a family other than TCP4, TCP6 and UNKNOWN";
        V1Fields, "proxy_v1_fields", "a version 1 header has not two addresses and two ports";
        V1Address, "proxy_v1_address", "a version 1 header has an address that is not of its family";
        V1Port, "proxy_v1_port", "a version 1 header has a port that is not a number up to 65535";
        V2Version, "proxy_v2_version", "a header with the version 2 signature names another version";
        V2Command, "proxy_v2_command", "a version 2 header's command is neither LOCAL nor PROXY";
        V2Family, "proxy_v2_family", "a version 2 header names an unknown family or transport";
        V2TooLong, "proxy_v2_too_long", "a version 2 header announces more than 4096 bytes";
        V2AddressTruncated, "proxy_v2_address_truncated", "a version 2 header is too short for its addresses";
        V2TlvTruncated, "proxy_v2_tlv_truncated", "a TLV reaches past the end of its header";
        V2TlvInvalid, "proxy_v2_tlv_invalid", "a TLV has a length that its type does not allow";
        V2Checksum, "proxy_v2_checksum", "the CRC32C of a version 2 header is wrong";
    }
}

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The header has not ended. Call again with the same bytes and more.
    NeedMore,
    /// The header is whole; the connection's own bytes begin at `len`.
    Complete {
        /// What it says.
        header: ProxyHeader<'a>,
        /// Bytes of the header.
        len: usize,
    },
}

/// A whole PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader<'a> {
    /// 1 or 2.
    pub version: u8,
    /// Who speaks to whom.
    pub addresses: ProxyAddresses<'a>,
    /// What else version 2 says; empty in version 1.
    pub tlvs: Tlvs<'a>,
}

/// Whom the connection is from, as the sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyAddresses<'a> {
    /// The sender speaks for itself (a health check): the addresses of the connection are the real ones.
    Local,
    /// The sender does not know: use the addresses of the connection.
    Unknown,
    /// IPv4 or IPv6.
    Inet {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
        /// Whether the client came by datagrams (UDP, QUIC) and not by a stream.
        datagram: bool,
    },
    /// Unix sockets; the paths up to their first NUL, or the whole 108 bytes of an abstract name.
    Unix {
        /// The client.
        source: &'a [u8],
        /// What the client connected to.
        destination: &'a [u8],
    },
}

/// Reads the PROXY header at the start of a connection.
///
/// # Errors
/// The first rule broken. A version is told by its first bytes; the rest is judged once the header is whole.
pub fn parse(buf: &[u8]) -> Result<Parsed<'_>, ProxyProtocolError> {
    match buf.first() {
        None => Ok(Parsed::NeedMore),
        Some(b'P') => v1::parse(buf),
        Some(b'\r') => v2::parse(buf),
        Some(_) => Err(ProxyProtocolError::SignatureMissing),
    }
}

/// Compares the beginning of `buf` with `signature`: true when it is all there, false when it may still come.
fn starts(buf: &[u8], signature: &[u8]) -> Result<bool, ProxyProtocolError> {
    if buf.starts_with(signature) {
        Ok(true)
    } else if signature.starts_with(buf) {
        Ok(false)
    } else {
        Err(ProxyProtocolError::SignatureMissing)
    }
}
