//! Where what callers spend and use is kept, and how gateways share it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::ByteSize;

use crate::cluster::ClientPair;

/// Where what callers spend and use is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The directory.
    pub path: PathBuf,
    /// The journal of usage.
    pub journal: Journal,
    /// How gateways share caps, if they do.
    pub redis: Option<Redis>,
    /// Whether nobody asked for it by name. Such a one keeps no gateway from starting.
    pub implied: bool,
}

/// The journal of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal {
    /// How long a window is.
    pub window: Duration,
    /// How large a file may become.
    pub rotate: ByteSize,
    /// And how old.
    pub rotate_after: Duration,
    /// Closed files that are kept.
    pub keep: usize,
}

impl Default for Journal {
    /// Windows of a minute; files of 64 MiB or a day, and thirty of them.
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { window: Duration::from_secs(60), rotate: ByteSize::mib(64), rotate_after: day, keep: 30 }
    }
}

/// How Redis is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub places: Vec<RedisPlace>,
    /// Who logs in.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// How servers at `rediss://` are verified.
    pub tls: RedisTls,
    /// What all keys begin with.
    pub prefix: String,
    /// The longest an answer may take.
    pub timeout: Duration,
    /// After how long a gateway that is not heard of is forgotten.
    pub forget_after: Duration,
}

impl Default for Redis {
    /// No place; answers within 100 ms, gateways forgotten after 30 seconds.
    fn default() -> Self {
        Self {
            places: Vec::new(),
            user: None,
            password: None,
            tls: RedisTls::default(),
            prefix: "portcullis".to_owned(),
            timeout: Duration::from_millis(100),
            forget_after: Duration::from_secs(30),
        }
    }
}

/// The password is not shown.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("places", &self.places).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// TLS to Redis.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RedisTls {
    /// The name that is asked for and verified; `None` for the host of each server.
    pub server_name: Option<String>,
    /// The CAs that are trusted in place of the system's, DER.
    pub ca: Option<Arc<[Vec<u8>]>>,
    /// The gateway's own certificate: chain and key, DER.
    pub client: Option<Arc<ClientPair>>,
}

/// Where a Redis server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPlace {
    tls: bool,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
    database: u16,
}

/// A text that says no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisPlaceError {
    /// Not understood.
    #[error("expected `redis://`, a host, and perhaps a port and the number of a database")]
    Form,
    /// A user or a password in it.
    #[error("write `user` and `password` beside the `url`, so that the password can come from a file or a variable")]
    Login,
    /// A socket, or the scheme of something else.
    #[error("only `redis://` and `rediss://` are spoken")]
    Scheme,
}

impl RedisPlace {
    /// Whether TLS is spoken there.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }
}

impl FromStr for RedisPlace {
    type Err = RedisPlaceError;

    fn from_str(text: &str) -> Result<Self, RedisPlaceError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisPlaceError::Form)?;
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            "unix" | "redis+unix" | "valkey" | "valkeys" => return Err(RedisPlaceError::Scheme),
            _ => return Err(RedisPlaceError::Form),
        };
        if rest.contains('@') {
            return Err(RedisPlaceError::Login);
        }
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if database.is_empty() { 0 } else { database.parse().map_err(|_| RedisPlaceError::Form)? };
        let port_at = place.rfind(':').filter(|at| !place.get(*at..).unwrap_or_default().contains(']'));
        let (host, port) =
            port_at.map_or((place, None), |at| (place.get(..at).unwrap_or_default(), place.get(at + 1..)));
        let port = port.map_or(Ok(6_379), str::parse).map_err(|_| RedisPlaceError::Form)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match six {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(plain),
        };
        if !fits || port == 0 {
            return Err(RedisPlaceError::Form);
        }
        Ok(Self { tls, host: host.to_owned(), port, database })
    }
}

impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port, database } = self;
        write!(f, "redis{}://{host}:{port}", if *tls { "s" } else { "" })?;
        if *database > 0 { write!(f, "/{database}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for (text, expected) in [
            ("redis://127.0.0.1", Ok("redis://127.0.0.1:6379")),
            ("redis://redis.internal:7000/0", Ok("redis://redis.internal:7000")),
            ("redis://[::1]:7000/3", Ok("redis://[::1]:7000/3")),
            ("redis://[::1]", Ok("redis://[::1]:6379")),
            ("redis://", Err(RedisPlaceError::Form)),
            ("redis://a:0", Err(RedisPlaceError::Form)),
            ("redis://a:99999", Err(RedisPlaceError::Form)),
            ("redis://a/x", Err(RedisPlaceError::Form)),
            ("redis://a b", Err(RedisPlaceError::Form)),
            ("redis://::1:6379", Err(RedisPlaceError::Form)),
            ("127.0.0.1:6379", Err(RedisPlaceError::Form)),
            ("rediss://a/1", Ok("rediss://a:6379/1")),
            ("unix:///run/redis", Err(RedisPlaceError::Scheme)),
            ("redis://user:secret@a", Err(RedisPlaceError::Login)),
        ] {
            let read = text.parse::<RedisPlace>().map(|place| place.to_string());
            assert_eq!(read.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}
