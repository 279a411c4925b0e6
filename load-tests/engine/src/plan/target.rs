//! Who is asked: a URL without more than a host and a port.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use crate::Failure;

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The host, without a port.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Target {
    /// The first of its addresses.
    ///
    /// # Errors
    ///
    /// When its name has none.
    pub fn resolve(&self) -> Result<SocketAddr, Failure> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut found = (host, self.port).to_socket_addrs().map_err(|error| format!("{}: {error}", self.host))?;
        found.next().ok_or_else(|| format!("{}: no address", self.host).into())
    }

    /// The value of Host.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The name that TLS asks for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(format!("the scheme `{other}` is not one of http, https, ws, wss")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err("a path stands in the requests, and credentials in their fields".to_owned());
        }
        let colon = authority.rfind(':').filter(|at| authority.rfind(']').is_none_or(|bracket| bracket < *at));
        let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
            Some((host, port)) => (host, port.trim_start_matches(':').parse().map_err(|_| "no port")?),
            None => (authority, if tls { 443 } else { 80 }),
        };
        if host.is_empty() { Err("no host".to_owned()) } else { Ok(Self { tls, host: host.to_owned(), port }) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        for (text, shown, host, port, tls) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1", 8080, false),
            ("https://a.test/", "https://a.test", "a.test", 443, true),
            ("ws://[::1]:81", "http://[::1]:81", "[::1]", 81, false),
            ("http://[::1]", "http://[::1]", "[::1]", 80, false),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.to_string().as_str(), target.host.as_str(), target.port, target.tls),
                (shown, host, port, tls)
            );
        }
        for text in ["a.test", "ftp://a", "http://", "http://a/b", "http://u@a", "http://a:x", "http://a?b"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!("http://[::1]:9".parse::<Target>().unwrap().resolve().unwrap().to_string(), "[::1]:9");
    }
}
