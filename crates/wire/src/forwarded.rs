//! Fields that tell an upstream who asked: `Forwarded` (RFC 7239), `X-Forwarded-For`, `traceparent` and
//! `tracestate` (W3C Trace Context). Read with bounds, and written so that no value can break out of its place.
//!
//! What a client sends in these fields is a claim. [`client_address`] walks a chain of addresses from the nearest
//! hop and stops at the first one that is not trusted; use nothing further left.

mod element;
mod state;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub use element::{ForwardedElement, Node, NodeName, parse_forwarded};
pub use state::TraceState;
pub use trace::{TraceError, TraceParent};

/// Most hops read from one field; those further left are not looked at.
pub const MAX_HOPS: usize = 64;

closed_error! {
    /// Why a forwarding field could not be read.
    pub enum ForwardedError {
        Address, "forwarded_address", "a hop is not an IP address with an optional port";
        Node, "forwarded_node", "a node is not an address, `unknown` or an obfuscated identifier";
        Pair, "forwarded_pair", "a parameter is not `name=value`";
        Quoted, "forwarded_quoted", "a quoted value does not end, or holds a control byte";
        Repeated, "forwarded_repeated", "a parameter stands twice in one element";
        TooManyHops, "forwarded_too_many_hops", "there are more than 64 elements";
    }
}

/// Reads one hop of `X-Forwarded-For`: `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]`, `[::1]:5`.
///
/// # Errors
/// [`ForwardedError::Address`] for anything else, `unknown` and empty hops among them.
pub fn parse_hop(hop: &str) -> Result<IpAddr, ForwardedError> {
    let hop = hop.trim_matches([' ', '\t']);
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Ok(address);
    }
    let bracketed = hop.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    if let Some(address) = bracketed.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
        return Ok(IpAddr::V6(address));
    }
    hop.parse::<SocketAddr>().map(|socket| socket.ip()).map_err(|_| ForwardedError::Address)
}

/// The address of the client, from the values of all `X-Forwarded-For` lines in their order.
///
/// Begins with `direct`, who holds the connection. As long as the last address is `trusted`, the hop it reported is
/// taken. Ends at the first address that is not trusted, at a hop that cannot be read, or after [`MAX_HOPS`].
pub fn client_address<'a, I>(direct: IpAddr, values: I, trusted: impl Fn(IpAddr) -> bool) -> IpAddr
where
    I: IntoIterator<Item = &'a str>,
    I::IntoIter: DoubleEndedIterator,
{
    let mut client = direct;
    let hops = values.into_iter().rev().flat_map(|value| value.rsplit(','));
    for hop in hops.take(MAX_HOPS) {
        if !trusted(client) {
            break;
        }
        match parse_hop(hop) {
            Ok(address) => client = address,
            Err(_) => break,
        }
    }
    client
}

/// Appends an address to an `X-Forwarded-For` value that may be empty.
pub fn push_x_forwarded_for(value: &mut String, address: IpAddr) {
    if !value.is_empty() {
        value.push_str(", ");
    }
    push_address(value, address);
}

/// Writes an address. IPv4, on every request, is written digit by digit rather than through `fmt`.
fn push_address(value: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to a string does not fail.
        let _ = write!(value, "{address}");
        return;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            value.push('.');
        }
        for (unit, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                value.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
}

/// What one element of `Forwarded` is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop<'a> {
    /// Who asked.
    pub client: Option<IpAddr>,
    /// The interface it was asked on.
    pub by: Option<SocketAddr>,
    /// The authority it asked for.
    pub host: Option<&'a str>,
    /// `http` or `https`.
    pub proto: Option<&'a str>,
}

/// Appends an element to a `Forwarded` value that may be empty. Values that are not tokens are quoted; bytes that
/// cannot stand in a quoted string are left out, and so is an element that would say nothing.
pub fn push_forwarded(value: &mut String, hop: &Hop<'_>) {
    let mut separator = if value.is_empty() { "" } else { ", " };
    if let Some(IpAddr::V4(client)) = hop.client {
        // A token, so it needs no quotes.
        value.push_str(separator);
        value.push_str("for=");
        push_address(value, IpAddr::V4(client));
        separator = ";";
    }
    let mut pair = |name: &str, text: &str| {
        value.push_str(separator);
        separator = ";";
        value.push_str(name);
        value.push('=');
        push_value(value, text);
    };
    if let Some(IpAddr::V6(client)) = hop.client {
        pair("for", &format!("[{client}]"));
    }
    if let Some(by) = hop.by {
        pair("by", &by.to_string());
    }
    if let Some(host) = hop.host {
        pair("host", host);
    }
    if let Some(proto) = hop.proto {
        pair("proto", proto);
    }
}

fn push_value(out: &mut String, text: &str) {
    if crate::class::is_token(text.as_bytes()) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for letter in text.chars().filter(|letter| !letter.is_control() && letter.is_ascii()) {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}
