//! Reading `Forwarded`: elements by commas, parameters by semicolons, values as tokens or quoted strings.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ForwardedError as Error, MAX_HOPS};
use crate::class::{self, TOKEN};

/// One element: what one hop says of the request it got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardedElement<'a> {
    /// `for`: who asked.
    pub client: Option<Node<'a>>,
    /// `by`: the interface it was asked on.
    pub by: Option<Node<'a>>,
    /// `host`: the Host field as it came.
    pub host: Option<Cow<'a, str>>,
    /// `proto`: the scheme.
    pub proto: Option<Cow<'a, str>>,
}

/// A node of RFC 7239 section 6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name.
    pub name: NodeName<'a>,
    /// Its port, obfuscated (`_x`) or a number.
    pub port: Option<Cow<'a, str>>,
}

/// The name of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeName<'a> {
    /// An address.
    Address(IpAddr),
    /// `unknown`.
    Unknown,
    /// `_` and letters, digits, `.`, `_`, `-`.
    Obfuscated(Cow<'a, str>),
}

/// Reads the value of one `Forwarded` line. Parameters of other names are checked and left out.
///
/// # Errors
/// The first rule broken; nothing of a value that breaks one is to be used.
pub fn parse_forwarded(value: &str) -> Result<Vec<ForwardedElement<'_>>, Error> {
    let mut elements = Vec::new();
    let mut element = ForwardedElement::default();
    let mut empty = true;
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            rest = pair(rest, &mut element)?.trim_start_matches([' ', '\t']);
            empty = false;
        }
        let mut letters = rest.chars();
        match letters.next() {
            Some(';') => {}
            Some(',') | None => {
                let done = std::mem::take(&mut element);
                if !std::mem::replace(&mut empty, true) {
                    elements.push(done);
                }
                if elements.len() > MAX_HOPS {
                    return Err(Error::TooManyHops);
                }
                if rest.is_empty() {
                    return Ok(elements);
                }
            }
            Some(_) => return Err(Error::Pair),
        }
        rest = letters.as_str();
    }
}

/// Takes one `name=value` into `element`. What follows it.
fn pair<'a>(text: &'a str, element: &mut ForwardedElement<'a>) -> Result<&'a str, Error> {
    let (name, rest) = text.split_once('=').ok_or(Error::Pair)?;
    if !class::is_token(name.as_bytes()) {
        return Err(Error::Pair);
    }
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = rest.bytes().position(|byte| !class::is(byte, TOKEN)).unwrap_or(rest.len());
            let (token, rest) = rest.split_at_checked(end).ok_or(Error::Pair)?;
            (Cow::Borrowed(token), rest)
        }
    };
    if value.is_empty() {
        return Err(Error::Pair);
    }
    if name.eq_ignore_ascii_case("for") {
        put(&mut element.client, node(value)?)?;
    } else if name.eq_ignore_ascii_case("by") {
        put(&mut element.by, node(value)?)?;
    } else if name.eq_ignore_ascii_case("host") {
        put(&mut element.host, value)?;
    } else if name.eq_ignore_ascii_case("proto") {
        put(&mut element.proto, value)?;
    }
    Ok(rest)
}

fn put<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Repeated),
    }
}

/// Reads up to the closing quote. Copies only when something is escaped.
fn unquote(text: &str) -> Result<(Cow<'_, str>, &str), Error> {
    let mut escaped = false;
    let mut copy = false;
    for (at, letter) in text.char_indices() {
        if letter.is_control() && letter != '\t' {
            return Err(Error::Quoted);
        }
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
            copy = true;
        } else if letter == '"' {
            let inner = text.get(..at).unwrap_or_default();
            let rest = text.get(at + 1..).unwrap_or_default();
            return Ok((if copy { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) }, rest));
        }
    }
    Err(Error::Quoted)
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

fn node(value: Cow<'_, str>) -> Result<Node<'_>, Error> {
    match value {
        Cow::Borrowed(text) => parse_node(text),
        Cow::Owned(text) => parse_node(&text).map(Node::into_owned),
    }
}

fn parse_node(text: &str) -> Result<Node<'_>, Error> {
    if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']').ok_or(Error::Node)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Error::Node)?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(Error::Node)?) };
        return Ok(Node { name: NodeName::Address(IpAddr::V6(address)), port: port.map(parse_port).transpose()? });
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(parse_port(port)?)),
        None => (text, None),
    };
    let name = if name.eq_ignore_ascii_case("unknown") {
        NodeName::Unknown
    } else if is_obfuscated(name) {
        NodeName::Obfuscated(Cow::Borrowed(name))
    } else {
        let address: Ipv4Addr = name.parse().map_err(|_| Error::Node)?;
        NodeName::Address(IpAddr::V4(address))
    };
    Ok(Node { name, port })
}

fn parse_port(text: &str) -> Result<Cow<'_, str>, Error> {
    let number = matches!(text.len(), 1..=5) && text.bytes().all(|byte| byte.is_ascii_digit());
    if number || is_obfuscated(text) { Ok(Cow::Borrowed(text)) } else { Err(Error::Node) }
}

fn is_obfuscated(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(word))
}

impl Node<'_> {
    fn into_owned(self) -> Node<'static> {
        let name = match self.name {
            NodeName::Address(address) => NodeName::Address(address),
            NodeName::Unknown => NodeName::Unknown,
            NodeName::Obfuscated(name) => NodeName::Obfuscated(Cow::Owned(name.into_owned())),
        };
        Node { name, port: self.port.map(|port| Cow::Owned(port.into_owned())) }
    }
}
