//! PEM texts to what rustls takes, with errors an operator can act on.
//!
//! Nothing here reads files. The provider is always aws-lc-rs, named explicitly: nothing here asks for the process's default.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;

/// A certificate chain with its key, checked to belong together.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The DNS names the leaf is for, from its subject alternative name; its common name when it has none.
    pub(crate) names: Vec<String>,
    /// Chain and key.
    pub(crate) key: Arc<CertifiedKey>,
    /// When the leaf ends.
    pub(crate) not_after: SystemTime,
    /// The key in DER, for where rustls is not what signs.
    pub(crate) secret: Vec<u8>,
    /// Equal for equal chain and key.
    pub(crate) fingerprint: u64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Why a certificate and a key are no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The certificate file holds none.
    #[error("the file holds no certificate; expected PEM with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// A certificate of the chain cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key file holds none.
    #[error("the file holds no private key; expected PEM with PKCS#8, SEC1 or PKCS#1, not encrypted")]
    NoKey,
    /// The key cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// Reads a chain and a key.
pub(crate) fn identity(chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
    let chain = certificates(chain)?;
    let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
    let (names, not_after) = leaf_facts(leaf)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey)?;
    let mut hasher = DefaultHasher::new();
    (&chain, key.secret_der()).hash(&mut hasher);
    let secret = key.secret_der().to_vec();
    let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            IdentityError::Mismatch
        } else {
            IdentityError::Key(error.to_string())
        }
    })?;
    Ok(Identity { names, key: Arc::new(certified), not_after, secret, fingerprint: hasher.finish() })
}

/// The certificates of a PEM text, at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| IdentityError::Certificate(error.to_string()))?;
    if read.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(read) }
}

fn leaf_facts(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, SystemTime), IdentityError> {
    let unreadable = |error: &dyn std::fmt::Display| IdentityError::Certificate(error.to_string());
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|error| unreadable(&error))?;
    let alternative = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?;
    let mut names: Vec<String> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| {
            let GeneralName::DNSName(dns) = name else { return None };
            Some(dns.to_ascii_lowercase())
        })
        .collect();
    if alternative.is_none() {
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok((names, SystemTime::UNIX_EPOCH + Duration::from_secs(end)))
}

/// Verifies clients against a CA; `required` refuses clients without a certificate.
pub(crate) fn client_verifier(
    authorities: &[CertificateDer<'static>],
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| IdentityError::Certificate(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| IdentityError::Certificate(error.to_string()))
}

/// What a listener's rustls configuration is made of.
pub(crate) struct ServerParts {
    /// Chooses the certificate.
    pub(crate) resolver: Arc<dyn ResolvesServerCert>,
    /// Verifies clients, if they are asked for certificates.
    pub(crate) verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Whether TLS 1.2 is refused.
    pub(crate) only_tls13: bool,
    /// The protocols offered by ALPN, best first.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Session tickets, so that resumption needs no memory in the gateway.
    pub(crate) tickets: Option<Arc<dyn ProducesTickets>>,
}

/// A listener's rustls configuration. An error would be a fault of the provider, not of the config.
pub(crate) fn server_config(parts: ServerParts) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] =
        if parts.only_tls13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider())).with_protocol_versions(versions)?;
    let builder = match parts.verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(parts.resolver);
    server.alpn_protocols = parts.alpn;
    // One for each connection keeps a client in tickets; rustls gives two, and each costs a key and an encryption.
    server.send_tls13_tickets = 1;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    if let Some(tickets) = parts.tickets {
        server.ticketer = tickets;
    }
    Ok(server)
}

/// Session tickets that several generations share, so that a reload does not end sessions.
///
/// A resumed session keeps the client certificate it began with, so tickets are never shared between listeners or
/// between different client CAs.
pub(crate) struct Tickets(Option<Arc<dyn ProducesTickets>>);

impl Tickets {
    /// New keys; without randomness, none, and then no tickets are given.
    pub(crate) fn new() -> Self {
        Self(aws_lc_rs::Ticketer::new().ok())
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.as_ref().is_some_and(|tickets| tickets.enabled())
    }

    fn lifetime(&self) -> u32 {
        self.0.as_ref().map_or(0, |tickets| tickets.lifetime())
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.as_ref()?.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.as_ref()?.decrypt(cipher)
    }
}

/// The suites that are taken first; TLS 1.2 has its own after those of 1.3.
const ORDER: [CipherSuite; 7] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// The provider of all TLS here. With AES-128 before AES-256: who breaks one breaks the other, and the first comes with
/// SHA-256, which processors have an instruction for.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| ORDER.iter().position(|one| *one == suite.suite()).unwrap_or(ORDER.len()));
    provider
}

#[cfg(test)]
mod tests;
