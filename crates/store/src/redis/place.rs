//! How one server is reached: where it is, who logs in, and TLS, if that is spoken.
//!
//! The connection is made here and not by redis-rs, which would verify no other name than the host's, and read the system's
//! CAs anew for each connection.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::RedisOptions;
use super::tls::Tls;
use super::trouble::{LinkState, Trouble};

/// The scheme of servers that speak TLS.
const SECURE: &str = "rediss://";

/// A server.
#[derive(Clone)]
pub(crate) struct Place {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
    tls: Option<Arc<Tls>>,
}

/// A connection, and what carries it. It ends when this is dropped.
pub(crate) struct Line {
    pub(crate) connection: MultiplexedConnection,
    /// One task, which is aborted with the set.
    _driver: JoinSet<()>,
}

/// Whether any of the servers speaks TLS.
pub(crate) fn speaks_tls(options: &RedisOptions) -> bool {
    options.urls.iter().any(|url| url.starts_with(SECURE))
}

impl Place {
    /// A server of the options; `None` for a URL that is none.
    pub(crate) fn read(url: &str, options: &RedisOptions, tls: Option<&Arc<Tls>>) -> Option<Self> {
        let (plain, tls) = match url.strip_prefix(SECURE) {
            // Without anything to verify by there is no connection, rather than one in plain text.
            Some(rest) => (format!("redis://{rest}"), Some(tls?)),
            None => (url.to_owned(), None),
        };
        let info = plain.into_connection_info().ok()?;
        let ConnectionAddr::Tcp(host, port) = info.addr().clone() else { return None };
        // What names the client needs a right of its own.
        let mut login = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some(user) = &options.user {
            login = login.set_username(user);
        }
        if let Some(password) = &options.password {
            login = login.set_password(password);
        }
        Some(Self { host, port, login, tls: tls.cloned() })
    }

    /// Another server of the same cluster, by the address that the cluster has for it.
    pub(crate) fn other(&self, address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: port.parse().ok()?, ..self.clone() })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    pub(crate) const fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// The bare connection.
    pub(crate) async fn tcp(&self) -> Result<TcpStream, Trouble> {
        let unreachable = |error: std::io::Error| Trouble::new(LinkState::Unreachable, error.to_string());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(stream)
    }

    /// Connects and logs in. Answers are waited for no longer than the timeout.
    pub(crate) async fn connect(&self, timeout: Duration) -> Result<Line, Trouble> {
        let stream = self.tcp().await?;
        match &self.tls {
            Some(tls) => self.log_in(tls.handshake(&self.host, stream).await?, timeout).await,
            None => self.log_in(stream, timeout).await,
        }
    }

    async fn log_in<S>(&self, stream: S, timeout: Duration) -> Result<Line, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(timeout));
        let (connection, carry) = MultiplexedConnection::new_with_config(&self.login, stream, config).await?;
        let mut driver = JoinSet::new();
        driver.spawn(carry);
        Ok(Line { connection, _driver: driver })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_urls_and_from_what_a_cluster_says() {
        let options = RedisOptions::at("");
        let place = |url: &str| Place::read(url, &options, None);
        for (url, address) in [
            ("redis://127.0.0.1:7000/3", "127.0.0.1:7000"),
            ("redis://redis.internal", "redis.internal:6379"),
            ("redis://[::1]:7000", "[::1]:7000"),
        ] {
            let place = place(url).unwrap();
            assert_eq!((place.address().as_str(), place.is_plain()), (address, true), "{url}");
            for other in ["10.0.0.1:6380", "[2001:db8::1]:6380", "redis-2.internal:6379"] {
                assert_eq!(place.other(other).unwrap().address(), other);
            }
        }
        assert!(place("rediss://127.0.0.1").is_none(), "it is never spoken to in plain text");
        assert!(place("redis+unix:///run/redis").is_none() && place("nothing").is_none());
    }
}
