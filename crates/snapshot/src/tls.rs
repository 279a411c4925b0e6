//! TLS of a listener: certificates by server name, and those that a certificate source adds.
//!
//! Invariant: resolving is a table look-up without I/O. What a source answers is put into [`DynamicCertificates`]
//! before the handshake goes on, so that the synchronous resolver finds it.

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use portcullis_filter::seam::CertificatePem;

/// TLS of a listener, ready to accept.
pub struct TlsListener {
    /// The rustls configuration; its resolver is a [`CertificateTable`].
    pub server: Arc<ServerConfig>,
    /// The same for clients that want ChaCha20 first, which have no instructions for AES.
    pub without_aes: Arc<ServerConfig>,
    /// The same table, to ask whether a name needs the source.
    pub certificates: Arc<CertificateTable>,
    /// Whether client certificates are asked for, so that SNI and Host must agree.
    pub client_auth: bool,
}

/// Certificates by server name: exact, then wildcard of one label, then the dynamic ones, then the first.
#[derive(Debug)]
pub struct CertificateTable {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
    dynamic: Arc<DynamicCertificates>,
}

impl CertificateTable {
    /// A table of certificates with the DNS names each is for; the first is shown to clients that name none or an
    /// unknown one.
    #[must_use]
    pub fn new(certificates: Vec<(Vec<String>, Arc<CertifiedKey>)>, dynamic: Arc<DynamicCertificates>) -> Self {
        let first = certificates.first().map(|(_, key)| key.clone());
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for (names, key) in certificates {
            for name in names {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix("*.") {
                    Some(suffix) => wildcard.entry(suffix.to_owned()).or_insert_with(|| key.clone()),
                    None => exact.entry(name).or_insert_with(|| key.clone()),
                };
            }
        }
        Self { exact, wildcard, first, dynamic }
    }

    /// The certificates of the config, each once.
    #[must_use]
    pub fn each(&self) -> Vec<&Arc<CertifiedKey>> {
        let mut all: Vec<&Arc<CertifiedKey>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for key in self.exact.values().chain(self.wildcard.values()).chain(&self.first) {
            if seen.insert(Arc::as_ptr(key)) {
                all.push(key);
            }
        }
        all
    }

    /// The certificate configured for a name (lower-case), if any.
    #[must_use]
    pub fn configured(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }

    /// Where the answers of a certificate source are put.
    #[must_use]
    pub fn dynamic(&self) -> &Arc<DynamicCertificates> {
        &self.dynamic
    }
}

impl ResolvesServerCert for CertificateTable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.configured(&name).cloned().or_else(|| self.dynamic.get(&name))
        });
        named.or_else(|| self.first.clone())
    }
}

/// A source's answer, and the key that was made of it.
type Answered = (Arc<CertificatePem>, Arc<CertifiedKey>);

/// Certificates that a source answered, bounded; kept across generations.
#[derive(Default)]
pub struct DynamicCertificates {
    keys: RwLock<HashMap<String, Answered>>,
}

impl fmt::Debug for DynamicCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicCertificates").field("len", &self.keys.read().len()).finish()
    }
}

impl DynamicCertificates {
    /// How many are held; the table is emptied when it is full, and fills again from the source.
    pub const MAX: usize = 10_000;

    /// The key held for a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.keys.read().get(name).map(|(_, key)| key.clone())
    }

    /// Whether the key held for a name was made of this very answer.
    #[must_use]
    pub fn is_from(&self, name: &str, answer: &Arc<CertificatePem>) -> bool {
        self.keys.read().get(name).is_some_and(|(from, _)| Arc::ptr_eq(from, answer))
    }

    /// Holds a key for a name.
    pub fn insert(&self, name: &str, answer: Arc<CertificatePem>, key: Arc<CertifiedKey>) {
        let mut keys = self.keys.write();
        if keys.len() >= Self::MAX {
            keys.clear();
        }
        keys.insert(name.to_owned(), (answer, key));
    }

    /// Forgets a name that the source does not have any more.
    pub fn remove(&self, name: &str) {
        self.keys.write().remove(name);
    }
}

/// A PEM chain and key, parsed and checked against each other.
///
/// # Errors
/// What is wrong with them; holds nothing of the key.
pub fn certified_key(chain: &str, key: &str) -> Result<CertifiedKey, rustls::Error> {
    let unreadable = |what: &str| rustls::Error::General(format!("no {what} can be read from the PEM"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| unreadable("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unreadable("private key"))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
}
