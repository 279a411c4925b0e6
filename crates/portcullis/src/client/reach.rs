//! Where the admin API of a gateway is: an address, one with TLS, or a Unix socket; and how it is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use portcullis_snapshot::settings::Admin;

use crate::cli::Reach;

/// What a connection is read from and written to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where the admin API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminPlace {
    /// `HOST:PORT`.
    Plain(String),
    /// `https://HOST:PORT`.
    Tls(String),
    /// `unix:PATH`.
    Socket(PathBuf),
}

impl FromStr for AdminPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Socket(path.into()));
        }
        let (authority, tls) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) => (rest, false),
            (None, None) => (text, false),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let port = split(authority).filter(|(host, _)| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match inner {
                Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && !host.contains([':', '/', '?', '#', '@', ' ']),
            }
        });
        match port {
            None => Err("expected HOST:PORT, https://HOST:PORT or unix:PATH".to_owned()),
            Some((_, 0)) => Err("the port is 0, which is chosen at each start".to_owned()),
            Some(_) => Ok(if tls { Self::Tls(authority.to_owned()) } else { Self::Plain(authority.to_owned()) }),
        }
    }
}

impl fmt::Display for AdminPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(authority) => f.write_str(authority),
            Self::Tls(authority) => write!(f, "https://{authority}"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A host, in brackets where it is IPv6, and a port.
fn split(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    Some((host, port.parse().ok().filter(|_| digits)?))
}

impl AdminPlace {
    /// Where a config says it is: the socket, when there is one to connect to, else the address.
    ///
    /// # Errors
    /// What to say in place of it.
    pub(crate) fn of(admin: Option<&Admin>) -> Result<Self, String> {
        let admin = admin.ok_or("the config has no `admin`; say where it is with --admin ADDRESS")?;
        let is_socket = |path: &&Path| path.metadata().is_ok_and(|found| found.file_type().is_socket());
        let socket = admin.socket.as_ref().map(|socket| socket.path.as_path());
        if let Some(path) = socket.filter(is_socket) {
            return Ok(Self::Socket(path.to_owned()));
        }
        match (admin.bind, socket) {
            (Some(bind), _) if bind.port() == 0 => {
                Err("the config's admin port is 0, chosen at each start; say which with --admin ADDRESS".to_owned())
            }
            (Some(bind), _) if admin.tls.is_some() => Ok(Self::Tls(reachable(bind).to_string())),
            (Some(bind), _) => Ok(Self::Plain(reachable(bind).to_string())),
            (None, Some(path)) => Err(format!("there is no socket at {}. Does the gateway run?", path.display())),
            (None, None) => Err("the config's `admin` says nowhere; say where it is with --admin ADDRESS".to_owned()),
        }
    }

    /// What stands in `Host`.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Plain(authority) | Self::Tls(authority) => authority,
            Self::Socket(_) => "localhost",
        }
    }

    /// Whether who connects is known without a token.
    pub(crate) const fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    pub(crate) async fn connect(&self, reach: &Reach) -> Result<Box<dyn Stream>, String> {
        let gone = |error: std::io::Error| format!("cannot connect: {error}. Does the gateway run?");
        match self {
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(gone)?)),
            Self::Plain(authority) => Ok(Box::new(TcpStream::connect(authority.as_str()).await.map_err(gone)?)),
            Self::Tls(authority) => {
                let config = client(reach)?;
                let host = split(authority).map_or(authority.as_str(), |(host, _)| host);
                let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
                let tcp = TcpStream::connect(authority.as_str()).await.map_err(gone)?;
                let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
                let stream = stream.map_err(|error| format!("TLS: {error}; --admin-ca FILE says whom to trust"))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// An address that one can connect to: a listener on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// TLS as the command line says: whom to trust, and who we are.
fn client(reach: &Reach) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match &reach.admin_ca {
        Some(path) => {
            for one in certificates("--admin-ca", path)? {
                roots.add(one).map_err(|error| format!("--admin-ca: {}: {error}", path.display()))?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            let system = system.map_err(|error| format!("the system's CAs cannot be read: {error}"))?;
            roots.add_parsable_certificates(system);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&reach.admin_cert, &reach.admin_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("--admin-cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key);
    let secret = secret.map_err(|error| format!("--admin-key: {}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, secret).map_err(|error| format!("--admin-cert: {error}"))
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| format!("{option}: {}: {error}", path.display()))?;
    if read.is_empty() { Err(format!("{option}: {} has no certificate", path.display())) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_or_a_socket() {
        let check = |text: &str, expected: Option<AdminPlace>| {
            assert_eq!(text.parse::<AdminPlace>().ok(), expected, "{text}");
        };
        let plain = |text: &str| Some(AdminPlace::Plain(text.to_owned()));
        check("127.0.0.1:9901", plain("127.0.0.1:9901"));
        check("[::1]:9901", plain("[::1]:9901"));
        check("edge-1.internal:9901", plain("edge-1.internal:9901"));
        check("http://127.0.0.1:9901/", plain("127.0.0.1:9901"));
        check("https://edge-1.internal:9901", Some(AdminPlace::Tls("edge-1.internal:9901".to_owned())));
        check("unix:/run/portcullis/admin.sock", Some(AdminPlace::Socket("/run/portcullis/admin.sock".into())));
        for wrong in ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", ":9901", "::1:9901", "unix:", "https://a/b:1", "a:+80"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback() {
        for (bound, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")] {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn the_socket_comes_first_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let socket =
            portcullis_snapshot::settings::AdminSocket { path: path.clone(), mode: Default::default(), role: None };
        let bind = "127.0.0.1:9901".parse().ok();
        let (tls, tokens, clients, audit) = (None, Vec::new(), Vec::new(), None);
        let admin = Admin { bind, tls, tokens, clients, socket: Some(socket), audit };
        assert_eq!(AdminPlace::of(Some(&admin)), Ok(AdminPlace::Plain("127.0.0.1:9901".to_owned())));
        std::fs::write(&path, "").unwrap();
        assert_eq!(AdminPlace::of(Some(&admin)), Ok(AdminPlace::Plain("127.0.0.1:9901".to_owned())));
        std::fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(AdminPlace::of(Some(&admin)), Ok(AdminPlace::Socket(path)));
        assert!(AdminPlace::of(None).is_err_and(|error| error.contains("--admin")));
        let none = Admin { bind: "127.0.0.1:0".parse().ok(), socket: None, ..admin };
        assert!(AdminPlace::of(Some(&none)).is_err_and(|error| error.contains("port is 0")));
    }
}
