//! TLS to Redis, by the provider of all TLS of the gateway.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::trouble::{LinkState, Trouble};

/// How servers at `rediss://` are verified, and what the gateway shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RedisTls {
    /// The name that is asked for and verified; `None` for the host of each server.
    pub server_name: Option<String>,
    /// The CAs that are trusted, DER. Where there is none, no server is.
    pub authorities: Vec<Vec<u8>>,
    /// The gateway's own certificate chain and its key, DER, for servers that ask for one.
    pub client: Option<(Vec<Vec<u8>>, Vec<u8>)>,
}

/// The key is not shown.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server_name, authorities, client } = self;
        f.debug_struct("RedisTls")
            .field("server_name", server_name)
            .field("authorities", &authorities.len())
            .field("client", &client.is_some())
            .finish()
    }
}

/// The same, ready to be used.
pub(crate) struct Tls {
    connector: TlsConnector,
    server_name: Option<String>,
}

impl Tls {
    /// # Errors
    /// A key or a certificate that is of no use.
    pub(crate) fn new(options: &RedisTls) -> io::Result<Self> {
        let config = client(options).map_err(|error| io::Error::other(format!("TLS to Redis: {error}")))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name: options.server_name.clone() })
    }

    /// Secures a connection to a host.
    pub(crate) async fn handshake(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
        let failed = |error: &dyn fmt::Display| Trouble::new(LinkState::Tls, error.to_string());
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(&error))?;
        self.connector.connect(name, stream).await.map_err(|error| failed(&error))
    }
}

fn client(options: &RedisTls) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // Of the system's some may be of a form that is not understood: they vouch for nobody.
    roots.add_parsable_certificates(options.authorities.iter().cloned().map(CertificateDer::from));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let Some((chain, key)) = &options.client else { return Ok(builder.with_no_client_auth()) };
    let chain = chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::try_from(key.clone()).map_err(|error| rustls::Error::General(error.to_owned()))?;
    builder.with_client_auth_cert(chain, key)
}
