//! Certificates for a test: an authority, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A certificate authority with a folder for what it signs.
pub struct Pki {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate, as files and in memory.
pub struct Certificate {
    /// The chain as a PEM file.
    pub cert: PathBuf,
    /// The key as a PEM file.
    pub key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    der: Vec<u8>,
}

impl Pki {
    /// A new authority.
    ///
    /// # Panics
    /// When its folder cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let root = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), root.pem()).unwrap();
        Self { dir, root: root.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// The authority's own certificate as a PEM file.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The folder of the files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Signs a certificate for a name, in files of that name. Signing the same name again replaces the files.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn issue(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, secret) = (self.path(name, "pem"), self.path(name, "key"));
        std::fs::write(&cert, signed.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        Certificate { cert, key: secret, chain: vec![signed.der().clone()], der: key.serialize_der() }
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.dir.path().join(format!("{}.{ending}", name.replace('*', "wildcard")))
    }

    /// A client that trusts this authority, and offers these protocols by ALPN.
    #[must_use]
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.verifying().with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client with a certificate of its own.
    #[must_use]
    pub fn client_with(&self, own: &Certificate, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.verifying().with_client_auth_cert(own.chain.clone(), own.private_key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that speaks nothing newer than TLS 1.2.
    #[must_use]
    pub fn client_tls12(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// A client with a cryptography of its own.
    #[must_use]
    pub fn client_of(&self, provider: CryptoProvider) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// A server that shows `own`, and takes only clients with a certificate of this authority.
    #[must_use]
    pub fn demanding(&self, own: &Certificate) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let roots = Arc::new(self.roots());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
        Arc::new(builder.with_single_cert(own.chain.clone(), own.private_key()).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        roots
    }

    fn verifying(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(self.roots())
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    /// A server that shows this certificate, and speaks these protocols by ALPN.
    #[must_use]
    pub fn server(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(self.chain.clone(), self.private_key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// `{ cert: …, key: … }` for a config.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!("{{ cert: \"{}\", key: \"{}\" }}", self.cert.display(), self.key.display())
    }

    /// The SHA-256 of the certificate, 64 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.chain[0]);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.der.clone()).into()
    }
}
