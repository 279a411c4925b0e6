//! Patterns for hosts, origins and method names: exact, or open at one end.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a text is no pattern. Its `Display` says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a host.
    #[error("expected a host such as `rpc.example.com` or `*.example.com`, without a port")]
    Host,
    /// Not an origin.
    #[error("expected an origin such as `https://app.example.com`, `https://*.example.com` or `http://localhost:3000`")]
    Origin,
    /// Not the name of a method.
    #[error("expected a method such as `getBlock`, `get*` or `POST`; `*` may stand at the end only")]
    Name,
}

/// `rpc.example.com`, or `*.example.com` for one label or more before the suffix. Compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(Box<str>),
    /// Hosts that end so; held with its leading dot.
    Suffix(Box<str>),
}

impl HostPattern {
    /// Whether a host, lower-case and without a port, is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Suffix(suffix) => host.strip_suffix(&**suffix).is_some_and(|rest| !rest.is_empty()),
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        let (Self::Exact(text) | Self::Suffix(text)) = self;
        text.len()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix('*') {
            Some(suffix) => {
                let name = suffix.strip_prefix('.').filter(|name| is_host(name) && !is_address(name));
                name.map(|_| Self::Suffix(suffix.into())).ok_or(PatternError::Host)
            }
            None if is_host(&lower) => Ok(Self::Exact(lower.into())),
            None => Err(PatternError::Host),
        }
    }
}

fn is_address(text: &str) -> bool {
    text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// An origin of RFC 6454 section 6.2, or all subdomains of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// This origin; lower-case, without the scheme's own port.
    Exact(Box<str>),
    /// Origins that begin with the scheme and end with this suffix: `https://` and `.example.com`, with a port if any.
    Subdomains {
        /// The scheme with `://`.
        scheme: Box<str>,
        /// What stands after the `*`.
        suffix: Box<str>,
    },
}

impl OriginPattern {
    /// Whether the value of an `Origin` field is meant.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(text) => text.eq_ignore_ascii_case(origin),
            Self::Subdomains { scheme, suffix } => {
                let host = origin.get(scheme.len()..).filter(|_| origin.len() > scheme.len() + suffix.len());
                let Some((labels, end)) = host.and_then(|host| host.split_at_checked(host.len() - suffix.len())) else {
                    return false;
                };
                let begins = origin.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
                begins && end.eq_ignore_ascii_case(suffix) && is_host(labels)
            }
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Exact(text) => text.len(),
            Self::Subdomains { scheme, suffix } => scheme.len() + suffix.len(),
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Subdomains { scheme, suffix } => write!(f, "{scheme}*{suffix}"),
        }
    }
}

impl FromStr for OriginPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or(PatternError::Origin)?;
        let own_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => "",
        };
        let authority = authority.strip_suffix(own_port).unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let right = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(letters)
            && port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'));
        match host.parse::<HostPattern>() {
            Ok(HostPattern::Exact(_)) if right => Ok(Self::Exact(format!("{scheme}://{authority}").into())),
            Ok(HostPattern::Suffix(_)) if right => {
                let suffix = authority.strip_prefix('*').unwrap_or(authority);
                Ok(Self::Subdomains { scheme: format!("{scheme}://").into(), suffix: suffix.into() })
            }
            Ok(_) | Err(_) => Err(PatternError::Origin),
        }
    }
}

/// The name of a method, or all that begin with one. Case counts, as it does in HTTP and in JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// This name.
    Exact(Box<str>),
    /// Names that begin so; empty for all.
    Prefix(Box<str>),
}

impl NamePattern {
    /// Whether this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }

    /// Whether it is an HTTP method's name: capitals only.
    pub(super) fn is_http(&self) -> bool {
        let (Self::Exact(text) | Self::Prefix(text)) = self;
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase())
    }

    /// Whether it is `*`.
    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Prefix(prefix) if prefix.is_empty())
    }

    pub(super) fn text_bytes(&self) -> usize {
        let (Self::Exact(text) | Self::Prefix(text)) = self;
        text.len()
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (name, open) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'/');
        if name.len() > 128 || !name.bytes().all(letters) || (name.is_empty() && !open) {
            return Err(PatternError::Name);
        }
        Ok(if open { Self::Prefix(name.into()) } else { Self::Exact(name.into()) })
    }
}
