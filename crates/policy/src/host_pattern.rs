//! The names a virtual host answers to.
//!
//! Three forms: `rpc.example.com` (exact), `*.example.com` (one label or more before the suffix, never the suffix
//! itself), and `*` (the default, for whatever no other name takes). Names are held lower-case, in A-labels
//! (RFC 5890), without port and without trailing dot: the form in which a request's host is looked up.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The most bytes of a name, RFC 1035 section 2.3.4 without the root's dot.
const MAX_NAME: usize = 253;
/// The most bytes of a label, RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;

/// A host name or an IP address literal (IPv6 in brackets), checked and lower-case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One name of a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host alone.
    Exact(HostName),
    /// Every host with at least one label before this suffix. Held without its `*.`.
    Wildcard(HostName),
    /// Every host that nothing else names, and requests without a host.
    Default,
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing there.
    #[error("expected a host such as `www.example.com`, `*.example.com` or `*`")]
    Empty,
    /// A letter outside ASCII.
    #[error("`{0}` is not ASCII; write the A-label form (`xn--...`)")]
    NotAscii(char),
    /// A character that no host has.
    #[error("`{0}` is not allowed in a host")]
    Character(char),
    /// A port.
    #[error("a virtual host has no port; listeners have")]
    Port,
    /// Two dots in a row, or one at the start.
    #[error("a label between two dots is empty")]
    EmptyLabel,
    /// A dot at the end.
    #[error("leave out the dot at the end")]
    TrailingDot,
    /// A label over 63 bytes.
    #[error("a label is longer than 63 bytes")]
    LabelTooLong,
    /// A name over 253 bytes.
    #[error("the name is longer than 253 bytes")]
    TooLong,
    /// A star anywhere but as the whole first label.
    #[error("`*` may only be the whole first label, as in `*.example.com`")]
    MisplacedStar,
    /// Ends in a number but is no IPv4 address.
    #[error("a name that ends in a number must be an IPv4 address")]
    NotIpv4,
    /// In brackets but no IPv6 address.
    #[error("expected an IPv6 address between the brackets, such as `[2001:db8::1]`")]
    NotIpv6,
    /// A wildcard over addresses.
    #[error("a wildcard cannot stand before an IP address")]
    WildcardAddress,
}

impl FromStr for HostName {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if let Some(inner) = text.strip_prefix('[') {
            return ipv6(inner);
        }
        check_characters(text)?;
        check_labels(text)?;
        let last = text.rsplit('.').next().unwrap_or(text);
        if last.bytes().all(|b| b.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_err() {
            return Err(HostPatternError::NotIpv4);
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }
}

fn ipv6(inner: &str) -> Result<HostName, HostPatternError> {
    let (address, rest) = inner.split_once(']').ok_or(HostPatternError::NotIpv6)?;
    let address: Ipv6Addr = address.parse().map_err(|_| HostPatternError::NotIpv6)?;
    match rest {
        "" => Ok(HostName(format!("[{address}]").into_boxed_str())),
        rest if rest.starts_with(':') => Err(HostPatternError::Port),
        _ => Err(HostPatternError::NotIpv6),
    }
}

fn check_characters(text: &str) -> Result<(), HostPatternError> {
    let wrong = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match text.chars().find(wrong) {
        None => Ok(()),
        Some('*') => Err(HostPatternError::MisplacedStar),
        Some(':') => Err(HostPatternError::Port),
        Some(c) if !c.is_ascii() => Err(HostPatternError::NotAscii(c)),
        Some(c) => Err(HostPatternError::Character(c)),
    }
}

fn check_labels(text: &str) -> Result<(), HostPatternError> {
    if text.is_empty() {
        return Err(HostPatternError::Empty);
    }
    if text.len() > 1 && text.ends_with('.') {
        return Err(HostPatternError::TrailingDot);
    }
    if text.len() > MAX_NAME {
        return Err(HostPatternError::TooLong);
    }
    for label in text.split('.') {
        match label.len() {
            0 => return Err(HostPatternError::EmptyLabel),
            1..=MAX_LABEL => {}
            _ => return Err(HostPatternError::LabelTooLong),
        }
    }
    Ok(())
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if text == "*" {
            return Ok(Self::Default);
        }
        let Some(suffix) = text.strip_prefix("*.") else {
            return text.parse().map(Self::Exact);
        };
        let suffix: HostName = suffix.parse()?;
        let last = suffix.as_str().rsplit('.').next().unwrap_or_default();
        if suffix.as_str().starts_with('[') || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(HostPatternError::WildcardAddress);
        }
        if suffix.as_str().len() > MAX_NAME - 2 {
            return Err(HostPatternError::TooLong);
        }
        Ok(Self::Wildcard(suffix))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Default => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_three_forms() {
        for (text, written) in [
            ("*", "*"),
            ("*.Example.COM", "*.example.com"),
            ("*.com", "*.com"),
            ("WWW.example.com", "www.example.com"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_acme.example.com", "_acme.example.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ] {
            let pattern: HostPattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), written);
            assert_eq!(written.parse(), Ok(pattern));
        }
    }

    #[test]
    fn refuses_what_no_request_could_name() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = vec!["a".repeat(60); 5].join(".");
        for (text, error) in [
            ("", HostPatternError::Empty),
            ("*.", HostPatternError::Empty),
            ("a..b", HostPatternError::EmptyLabel),
            (".a", HostPatternError::EmptyLabel),
            ("a.", HostPatternError::TrailingDot),
            ("a:80", HostPatternError::Port),
            ("[::1]:80", HostPatternError::Port),
            ("[::g]", HostPatternError::NotIpv6),
            ("[::1", HostPatternError::NotIpv6),
            ("a.*.b", HostPatternError::MisplacedStar),
            ("*a.b", HostPatternError::MisplacedStar),
            ("**", HostPatternError::MisplacedStar),
            ("a b", HostPatternError::Character(' ')),
            ("a/b", HostPatternError::Character('/')),
            ("bücher.example", HostPatternError::NotAscii('ü')),
            ("1.2.3", HostPatternError::NotIpv4),
            ("1.2.3.256", HostPatternError::NotIpv4),
            ("*.0.0.1", HostPatternError::NotIpv4),
            ("*.10.0.0.1", HostPatternError::WildcardAddress),
            ("*.[::1]", HostPatternError::WildcardAddress),
            (long_label.as_str(), HostPatternError::LabelTooLong),
            (long_name.as_str(), HostPatternError::TooLong),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
    }
}
