//! Which origins are allowed: exact ones, all subdomains of a domain, or all.
//!
//! An origin is compared byte by byte, as browsers serialise it (RFC 6454 section 6.2): lower case, no default port,
//! no path. So the config is held to that form too.

/// An origin of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `*`.
    Any,
    /// `https://app.example.com`.
    Exact(Box<str>),
    /// `https://*.example.com`: any depth of subdomains, not the domain itself.
    Subdomains {
        /// Up to the subdomain: `https://`.
        prefix: Box<str>,
        /// From the dot on: `.example.com`, with the port if there is one.
        suffix: Box<str>,
    },
}

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// A sentence for the operator, with the right form where it can be guessed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "null" {
            return Err("the origin `null` is what any sandboxed page has: it cannot be told from others".to_owned());
        }
        let canonical = canonical(text)?;
        if canonical != text {
            return Err(format!("a browser never sends this form: write `{canonical}`"));
        }
        let subdomains = canonical
            .split_once("://*")
            .map(|(scheme, suffix)| Self::Subdomains { prefix: format!("{scheme}://").into(), suffix: suffix.into() });
        Ok(subdomains.unwrap_or_else(|| Self::Exact(canonical.into())))
    }

    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *origin,
            Self::Subdomains { prefix, suffix } => {
                let sub = origin.strip_prefix(&**prefix).and_then(|rest| rest.strip_suffix(&**suffix));
                sub.is_some_and(|sub| !sub.is_empty() && sub.split('.').all(is_label))
            }
        }
    }
}

/// A label of a host name, as a browser writes it.
fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// The form a browser would send.
fn canonical(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected `*`, an origin such as `https://app.example.com`, or `https://*.example.com`";
    let Some((scheme, rest)) = text.split_once("://") else {
        let host = text.trim_end_matches('/');
        let hint = is_authority(host).then(|| format!("; did you mean `https://{host}`?"));
        return Err(format!("{EXPECTED}{}", hint.unwrap_or_default()));
    };
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let authority = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    if !is_scheme || !is_authority(&authority) {
        return Err(EXPECTED.to_owned());
    }
    let default_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => ":",
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    Ok(format!("{scheme}://{authority}"))
}

/// A host with an optional port; `*.` may stand before the host.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let name = host.strip_prefix("*.").unwrap_or(host).to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_fits = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_label),
    };
    port_fits && host_fits
}

/// The origins of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Box<[Origin]>);

impl Origins {
    /// A list of origins.
    #[must_use]
    pub fn new(origins: Vec<Origin>) -> Self {
        Self(origins.into())
    }

    /// Whether every origin is allowed, so that answers do not depend on it.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.contains(&Origin::Any)
    }

    /// Whether an origin is allowed.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known.allows(origin))
    }
}
