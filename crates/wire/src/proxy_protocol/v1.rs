//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAX_V1, Parsed, ProxyAddresses, ProxyHeader, ProxyProtocolError as Error, Tlvs, V1_SIGNATURE, starts};

pub(super) fn parse(buf: &[u8]) -> Result<Parsed<'_>, Error> {
    if !starts(buf, V1_SIGNATURE)? {
        return Ok(Parsed::NeedMore);
    }
    let window = buf.get(..MAX_V1).unwrap_or(buf);
    let Some(lf) = memchr::memchr(b'\n', window) else {
        return if buf.len() >= MAX_V1 { Err(Error::V1TooLong) } else { Ok(Parsed::NeedMore) };
    };
    let line = window.get(..lf).and_then(|line| line.strip_suffix(b"\r")).ok_or(Error::V1LineEnding)?;
    let words = line.get(V1_SIGNATURE.len()..).unwrap_or_default();
    let header = ProxyHeader { version: 1, addresses: addresses(words)?, tlvs: Tlvs::default() };
    Ok(Parsed::Complete { header, len: lf + 1 })
}

fn addresses(words: &[u8]) -> Result<ProxyAddresses<'static>, Error> {
    if words.contains(&b'\r') {
        return Err(Error::V1LineEnding);
    }
    let text = std::str::from_utf8(words).map_err(|_| Error::V1Fields)?;
    let (family, rest) = text.split_once(' ').unwrap_or((text, ""));
    let version_6 = match family {
        "TCP4" => false,
        "TCP6" => true,
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Ok(ProxyAddresses::Unknown),
        _ => return Err(Error::V1Family),
    };
    let mut words = rest.split(' ');
    let mut word = || words.next().ok_or(Error::V1Fields);
    let (source, destination, source_port, destination_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Error::V1Fields);
    }
    Ok(ProxyAddresses::Inet {
        source: SocketAddr::new(address(source, version_6)?, port(source_port)?),
        destination: SocketAddr::new(address(destination, version_6)?, port(destination_port)?),
        datagram: false,
    })
}

fn address(text: &str, version_6: bool) -> Result<IpAddr, Error> {
    let parsed =
        if version_6 { text.parse::<Ipv6Addr>().map(IpAddr::V6) } else { text.parse::<Ipv4Addr>().map(IpAddr::V4) };
    parsed.map_err(|_| Error::V1Address)
}

fn port(text: &str) -> Result<u16, Error> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if !digits || padded { Err(Error::V1Port) } else { text.parse().map_err(|_| Error::V1Port) }
}
