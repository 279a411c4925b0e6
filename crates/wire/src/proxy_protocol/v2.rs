//! Version 2: 16 bytes, addresses, TLVs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    MAX_V2_PAYLOAD, Parsed, ProxyAddresses, ProxyHeader, ProxyProtocolError as Error, Tlvs, V2_SIGNATURE, crc, starts,
};

/// Bytes before the addresses.
const PREFIX: usize = 16;
/// Bytes of one Unix socket's path.
const UNIX: usize = 108;

pub(super) fn parse(buf: &[u8]) -> Result<Parsed<'_>, Error> {
    if !starts(buf, V2_SIGNATURE)? {
        return Ok(Parsed::NeedMore);
    }
    let Some(([_, _, _, _, _, _, _, _, _, _, _, _, command, family, high, low], rest)) =
        buf.split_first_chunk::<PREFIX>()
    else {
        return Ok(Parsed::NeedMore);
    };
    if command >> 4 != 2 {
        return Err(Error::V2Version);
    }
    let local = match command & 0xf {
        0 => true,
        1 => false,
        _ => return Err(Error::V2Command),
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_V2_PAYLOAD {
        return Err(Error::V2TooLong);
    }
    let Some(payload) = rest.get(..length) else { return Ok(Parsed::NeedMore) };
    let len = PREFIX + length;
    let header = if local {
        ProxyHeader { version: 2, addresses: ProxyAddresses::Local, tlvs: Tlvs::default() }
    } else {
        let (addresses, tlvs) = addresses(*family, payload)?;
        let tlvs = Tlvs::checked(tlvs)?;
        let whole = buf.get(..len).unwrap_or_default();
        crc::verify(whole, tlvs)?;
        ProxyHeader { version: 2, addresses, tlvs }
    };
    Ok(Parsed::Complete { header, len })
}

/// Splits the payload into its addresses and the TLVs behind them.
fn addresses(family: u8, payload: &[u8]) -> Result<(ProxyAddresses<'_>, &[u8]), Error> {
    let datagram = family & 0xf == 2;
    match family {
        0x00 => Ok((ProxyAddresses::Unknown, payload)),
        0x11 | 0x12 => {
            let (bytes, tlvs) = payload.split_first_chunk::<12>().ok_or(Error::V2AddressTruncated)?;
            let [a, b, c, d, e, f, g, h, source, source_low, destination, destination_low] = *bytes;
            let source = socket(Ipv4Addr::new(a, b, c, d), [source, source_low]);
            let destination = socket(Ipv4Addr::new(e, f, g, h), [destination, destination_low]);
            Ok((ProxyAddresses::Inet { source, destination, datagram }, tlvs))
        }
        0x21 | 0x22 => {
            let (source, rest) = payload.split_first_chunk::<16>().ok_or(Error::V2AddressTruncated)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Error::V2AddressTruncated)?;
            let (source_port, rest) = rest.split_first_chunk::<2>().ok_or(Error::V2AddressTruncated)?;
            let (destination_port, tlvs) = rest.split_first_chunk::<2>().ok_or(Error::V2AddressTruncated)?;
            let source = socket(Ipv6Addr::from(*source), *source_port);
            let destination = socket(Ipv6Addr::from(*destination), *destination_port);
            Ok((ProxyAddresses::Inet { source, destination, datagram }, tlvs))
        }
        0x31 | 0x32 => {
            let (source, rest) = payload.split_at_checked(UNIX).ok_or(Error::V2AddressTruncated)?;
            let (destination, tlvs) = rest.split_at_checked(UNIX).ok_or(Error::V2AddressTruncated)?;
            Ok((ProxyAddresses::Unix { source: path(source), destination: path(destination) }, tlvs))
        }
        _ => Err(Error::V2Family),
    }
}

fn socket(address: impl Into<IpAddr>, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(address.into(), u16::from_be_bytes(port))
}

/// A path ends at its first NUL, unless that is its first byte: then it is an abstract name.
fn path(bytes: &[u8]) -> &[u8] {
    match memchr::memchr(0, bytes) {
        Some(end) if end > 0 => bytes.get(..end).unwrap_or(bytes),
        Some(_) if bytes.iter().all(|byte| *byte == 0) => &[],
        Some(_) | None => bytes,
    }
}
