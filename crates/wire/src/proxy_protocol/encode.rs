//! Writing PROXY headers: for upstreams that ask for them, and for tests.

use std::net::{IpAddr, SocketAddr};

use super::crc::Crc;
use super::tlv::kind;
use super::{MAX_V2_PAYLOAD, ProxyAddresses, V2_SIGNATURE};

closed_error! {
    /// Why a PROXY header could not be written.
    pub enum EncodeError {
        TooLong, "proxy_encode_too_long", "the addresses and TLVs are longer than 4096 bytes";
        PathTooLong, "proxy_encode_path_too_long", "a Unix socket's path is longer than 108 bytes";
    }
}

/// Appends a version 1 header. `None` writes UNKNOWN; so do addresses of two families.
pub fn encode_v1(addresses: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    let known = addresses.and_then(|(source, destination)| {
        let family = match (source.ip(), destination.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
            (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let (from, to) = (source.ip(), destination.ip());
        Some(format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()))
    });
    out.extend_from_slice(known.as_deref().unwrap_or("PROXY UNKNOWN\r\n").as_bytes());
}

/// Appends a version 2 header with these TLVs (type, value), and with a CRC32C if `checksum`. Addresses of two
/// families are both written as IPv6.
///
/// # Errors
/// Nothing is appended when the header would be longer than a reader must accept.
pub fn encode_v2(
    addresses: &ProxyAddresses<'_>,
    tlvs: &[(u8, &[u8])],
    checksum: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut payload = Vec::new();
    let (command, family) = put_addresses(addresses, &mut payload)?;
    for (kind, value) in tlvs {
        put_tlv(*kind, value, &mut payload)?;
    }
    if checksum {
        put_tlv(kind::CRC32C, &[0; 4], &mut payload)?;
    }
    let length = u16::try_from(payload.len()).map_err(|_| EncodeError::TooLong)?;
    if payload.len() > MAX_V2_PAYLOAD {
        return Err(EncodeError::TooLong);
    }
    let mut header = V2_SIGNATURE.to_vec();
    header.extend_from_slice(&[0x20 | command, family]);
    header.extend_from_slice(&length.to_be_bytes());
    header.append(&mut payload);
    if checksum {
        // The checksum is the last thing in the header, and zero so far.
        let value = Crc::new().update(&header).value();
        header.truncate(header.len() - 4);
        header.extend_from_slice(&value.to_be_bytes());
    }
    out.append(&mut header);
    Ok(())
}

fn put_tlv(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = u16::try_from(value.len()).map_err(|_| EncodeError::TooLong)?;
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// Appends the addresses. The command and the family byte that go with them.
fn put_addresses(addresses: &ProxyAddresses<'_>, out: &mut Vec<u8>) -> Result<(u8, u8), EncodeError> {
    match addresses {
        ProxyAddresses::Local => Ok((0, 0x00)),
        ProxyAddresses::Unknown => Ok((1, 0x00)),
        ProxyAddresses::Inet { source, destination, datagram } => {
            let family = match (source.ip(), destination.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    out.extend_from_slice(&from.octets());
                    out.extend_from_slice(&to.octets());
                    0x10
                }
                (from, to) => {
                    out.extend_from_slice(&as_v6(from));
                    out.extend_from_slice(&as_v6(to));
                    0x20
                }
            };
            out.extend_from_slice(&source.port().to_be_bytes());
            out.extend_from_slice(&destination.port().to_be_bytes());
            Ok((1, family | if *datagram { 2 } else { 1 }))
        }
        ProxyAddresses::Unix { source, destination } => {
            put_path(source, out)?;
            put_path(destination, out)?;
            Ok((1, 0x31))
        }
    }
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn put_path(path: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let padding = 108_usize.checked_sub(path.len()).ok_or(EncodeError::PathTooLong)?;
    out.extend_from_slice(path);
    out.extend(std::iter::repeat_n(0, padding));
    Ok(())
}
