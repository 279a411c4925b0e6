//! Authorities and host names: `uri-host [ ":" port ]` of RFC 9110 section 7.2, parsed once and the same way for the
//! Host field, the absolute-form target, CONNECT, SNI and the names in the config.
//!
//! Narrower than RFC 3986 on purpose. A registered name is made of letters, digits, `-`, `.`, `_` and `~`: no
//! percent-encoding and no sub-delims, which no DNS name has and which two parsers read in two ways. Names outside
//! ASCII must come as A-labels (`xn--`). A name whose last label is a number must be a whole IPv4 address, so that
//! `127.1` and `0x7f.1` do not reach a resolver that reads them as one. An IPv6 literal stands in brackets, without
//! a zone; IPvFuture is refused. A port is 1 to 65535 without leading zeros; an empty port is refused.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::class::{self, HOST};

#[cfg(test)]
mod tests;

/// Longest name in bytes, without the trailing dot (RFC 1035 section 2.3.4, in text form).
pub const MAX_NAME: usize = 253;
/// Longest label in bytes.
pub const MAX_LABEL: usize = 63;

closed_error! {
    /// Why an authority or a host name was refused.
    pub enum HostError {
        Empty, "host_empty", "the host is empty";
        Userinfo, "host_userinfo", "the authority holds userinfo";
        Byte, "host_byte", "the host holds a byte that is not a letter, a digit, `-`, `.`, `_` or `~`";
        NotAscii, "host_not_ascii", "the host is not ASCII; write it as A-labels (xn--)";
        EmptyLabel, "host_empty_label", "the host has an empty label";
        LabelTooLong, "host_label_too_long", "a label of the host is longer than 63 bytes";
        TooLong, "host_too_long", "the host is longer than 253 bytes";
        Ipv4, "host_ipv4", "the host ends in a number but is not an IPv4 address";
        Ipv6, "host_ipv6", "the host is not an IPv6 address in brackets";
        Port, "host_port", "the port is not a number from 1 to 65535";
    }
}

/// What kind of host an authority names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// A registered name.
    Name,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address in brackets.
    Ipv6,
}

/// An authority as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host, brackets of an IPv6 literal included, case as sent.
    pub host: &'a str,
    /// The port, if one was written.
    pub port: Option<u16>,
    /// What the host is.
    pub kind: HostKind,
}

/// A host in the one form that names are compared in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalHost<'a> {
    /// Lower case, no trailing dot; an IPv6 literal in brackets and in the form of RFC 5952.
    pub host: Cow<'a, str>,
    /// The port, if one was written.
    pub port: Option<u16>,
}

/// Parses `host [":" port]`.
///
/// # Errors
/// The first rule of the module's text that the bytes break.
pub fn parse_authority(bytes: &[u8]) -> Result<Authority<'_>, HostError> {
    if let [b'[', ..] = bytes {
        return parse_ipv6(bytes);
    }
    let (host, port) = match memchr::memchr(b':', bytes) {
        Some(colon) => split(bytes, colon).ok_or(HostError::Port)?,
        None => (bytes, None),
    };
    let kind = check_name(host).map_err(|error| explain(bytes, error))?;
    let port = port.map(parse_port).transpose().map_err(|error| explain(bytes, error))?;
    Ok(Authority { host: ascii(host)?, port, kind })
}

/// Parses an authority and brings its host to normal form. Borrows when it is in that form already.
///
/// # Errors
/// As [`parse_authority`].
pub fn normalize_host(text: &str) -> Result<NormalHost<'_>, HostError> {
    let authority = parse_authority(text.as_bytes())?;
    let host = match authority.kind {
        HostKind::Ipv6 => normal_ipv6(authority.host)?,
        HostKind::Name | HostKind::Ipv4 => normal_name(authority.host),
    };
    Ok(NormalHost { host, port: authority.port })
}

impl Authority<'_> {
    /// Whether both name the same host and port. Hosts compare without case; a missing port is `default_port`.
    #[must_use]
    pub fn agrees(&self, other: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && self.port.or(default_port) == other.port.or(default_port)
    }
}

fn split(bytes: &[u8], colon: usize) -> Option<(&[u8], Option<&[u8]>)> {
    let (host, rest) = bytes.split_at_checked(colon)?;
    Some((host, rest.get(1..)))
}

/// Userinfo breaks several rules at once, depending on what it holds; say what it is.
#[cold]
fn explain(bytes: &[u8], error: HostError) -> HostError {
    if bytes.contains(&b'@') { HostError::Userinfo } else { error }
}

#[inline]
fn ascii(bytes: &[u8]) -> Result<&str, HostError> {
    std::str::from_utf8(bytes).map_err(|_| HostError::NotAscii)
}

fn parse_ipv6(bytes: &[u8]) -> Result<Authority<'_>, HostError> {
    let close = memchr::memchr(b']', bytes).ok_or(HostError::Ipv6)?;
    let (host, rest) = bytes.split_at_checked(close + 1).ok_or(HostError::Ipv6)?;
    let host = std::str::from_utf8(host).map_err(|_| HostError::Ipv6)?;
    ipv6_address(host)?;
    let port = match rest {
        [] => None,
        [b':', digits @ ..] => Some(parse_port(digits)?),
        _ => return Err(HostError::Port),
    };
    Ok(Authority { host, port, kind: HostKind::Ipv6 })
}

fn ipv6_address(bracketed: &str) -> Result<Ipv6Addr, HostError> {
    let inner = bracketed.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.and_then(|text| text.parse().ok()).ok_or(HostError::Ipv6)
}

fn parse_port(digits: &[u8]) -> Result<u16, HostError> {
    if digits.len() > 5 || matches!(digits, [] | [b'0', ..]) {
        return Err(HostError::Port);
    }
    let mut port = 0_u32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(HostError::Port);
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    u16::try_from(port).map_err(|_| HostError::Port)
}

#[inline]
fn check_name(host: &[u8]) -> Result<HostKind, HostError> {
    let name = host.strip_suffix(b".").unwrap_or(host);
    if name.is_empty() {
        return Err(if host.is_empty() { HostError::Empty } else { HostError::EmptyLabel });
    }
    let mut label = 0_usize;
    let mut last = 0_usize;
    for (at, byte) in name.iter().enumerate() {
        if *byte == b'.' {
            check_label(label)?;
            label = 0;
            last = at + 1;
        } else if class::is(*byte, HOST) {
            label += 1;
        } else {
            return Err(if byte.is_ascii() { HostError::Byte } else { HostError::NotAscii });
        }
    }
    check_label(label)?;
    if name.len() > MAX_NAME {
        return Err(HostError::TooLong);
    }
    match name.get(last) {
        Some(b'0'..=b'9') => check_number(name, name.get(last..).unwrap_or_default()),
        _ => Ok(HostKind::Name),
    }
}

#[inline]
fn check_label(length: usize) -> Result<(), HostError> {
    match length {
        0 => Err(HostError::EmptyLabel),
        1..=MAX_LABEL => Ok(()),
        _ => Err(HostError::LabelTooLong),
    }
}

/// A last label that URL parsers read as a number makes the whole host an IPv4 address, or nothing.
fn check_number(name: &[u8], last: &[u8]) -> Result<HostKind, HostError> {
    let hexadecimal = match last {
        [b'0', b'x' | b'X', rest @ ..] => rest.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    };
    if !hexadecimal && !last.iter().all(u8::is_ascii_digit) {
        return Ok(HostKind::Name);
    }
    let address: Result<Ipv4Addr, _> = ascii(name)?.parse();
    address.map(|_| HostKind::Ipv4).map_err(|_| HostError::Ipv4)
}

fn normal_name(host: &str) -> Cow<'_, str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn normal_ipv6(host: &str) -> Result<Cow<'_, str>, HostError> {
    let normal = format!("[{}]", ipv6_address(host)?);
    Ok(if normal == host { Cow::Borrowed(host) } else { Cow::Owned(normal) })
}
