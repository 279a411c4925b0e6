//! TLS of the tool's clients: whom they trust, and what they say they speak.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::Failure;

/// Who is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The system's CAs.
    #[default]
    System,
    /// Those of a file in PEM.
    File(std::path::PathBuf),
    /// Everybody: the name is not looked at, the handshake's signature is.
    Anybody,
}

/// The group by which a stranger exchanges keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The usual one.
    X25519,
    /// The same with ML-KEM-768, which quantum computers do not break.
    Hybrid,
}

impl Group {
    fn supported(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519 => aws_lc_rs::kx_group::X25519,
            Self::Hybrid => aws_lc_rs::kx_group::X25519MLKEM768,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> NamedGroup {
        self.supported().name()
    }
}

/// What a client needs to speak TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The settings.
    pub config: Arc<ClientConfig>,
    /// Whom it wants to speak to.
    pub name: ServerName<'static>,
}

impl Tls {
    /// For a server of this name, offering these protocols by ALPN.
    ///
    /// # Errors
    ///
    /// When the name is none, or the CAs cannot be read.
    pub fn new(name: &str, trust: &Trust, protocols: &[&str]) -> Result<Self, Failure> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is no name of a server"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let mut config = match trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
            }
            Trust::System => builder.with_root_certificates(system()?).with_no_client_auth(),
            Trust::File(path) => builder.with_root_certificates(of_file(path)?).with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), name })
    }

    /// For a client that comes for the first time each time: it keeps no tickets. It trusts everybody.
    ///
    /// # Errors
    ///
    /// When the name is none.
    pub fn stranger(name: &str, group: Group) -> Result<Self, Failure> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is no name of a server"))?;
        let provider = Arc::new(CryptoProvider { kx_groups: vec![group.supported()], ..aws_lc_rs::default_provider() });
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }
}

fn system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs()?);
    if added == 0 { Err("the system has no CAs".into()) } else { Ok(roots) }
}

fn of_file(path: &Path) -> Result<RootCertStore, Failure> {
    let shown = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| shown(&error))? {
        roots.add(certificate.map_err(|error| shown(&error))?)?;
    }
    if roots.is_empty() { Err(shown(&"no certificate").into()) } else { Ok(roots) }
}

/// Trusts every certificate, for servers under test whose certificates nobody signed.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
