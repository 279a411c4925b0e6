//! Certificates that are not in the config, asked for by server name on a miss.

use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;

/// A certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// The chain, leaf first.
    pub chain: String,
    /// The key, PKCS#8, SEC1 or PKCS#1.
    pub key: String,
}

impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificatePem(***)")
    }
}

/// Where certificates come from when the config has none for a server name.
///
/// It is asked during the handshake, inside the handshake's deadline. The gateway keeps parsed answers by the `Arc`'s
/// identity in a bounded table, so a source that returns the same `Arc` for the same name costs no parsing.
#[async_trait]
pub trait CertificateSource: Send + Sync {
    /// The certificate for a server name (lower-case), `None` when there is none.
    async fn certificate(&self, server_name: &str) -> Option<Arc<CertificatePem>>;
}
