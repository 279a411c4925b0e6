//! The TLS handshake, and what it says about the client.

use rustls::CipherSuite;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use portcullis_filter::seam::{CertificatePem, CertificateSource};
use portcullis_snapshot::tls::{TlsListener, certified_key};
use portcullis_types::{ClientCertificate, TlsInfo};

/// Shakes hands. With a certificate source, a server name that the config has no certificate for is asked of it first.
pub(super) async fn handshake(
    tcp: TcpStream,
    settings: &TlsListener,
    source: Option<Arc<dyn CertificateSource>>,
) -> io::Result<TlsStream<TcpStream>> {
    let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    let hello = started.client_hello();
    let server = if wants_chacha(hello.cipher_suites()) { &settings.without_aes } else { &settings.server };
    let name = source.as_ref().and_then(|_| hello.server_name()).map(str::to_ascii_lowercase);
    if let Some((source, name)) = source.zip(name.filter(|name| settings.certificates.configured(name).is_none())) {
        let answer = source.certificate(&name).await;
        hold(settings, &name, answer);
    }
    started.into_stream(server.clone()).await
}

/// Whether the first suite that a client names, but for those that test servers (GREASE, RFC 8701), is of ChaCha20.
fn wants_chacha(suites: &[CipherSuite]) -> bool {
    let is_grease = |suite: &CipherSuite| u16::from(*suite) & 0x0f0f == 0x0a0a;
    let first = suites.iter().find(|suite| !is_grease(suite));
    first.and_then(|suite| suite.as_str()).is_some_and(|name| name.contains("CHACHA20"))
}

/// Puts a source's answer where the resolver finds it. An answer that cannot be used is said, and the default is shown.
fn hold(settings: &TlsListener, name: &str, answer: Option<Arc<CertificatePem>>) {
    let dynamic = settings.certificates.dynamic();
    let Some(answer) = answer else { return dynamic.remove(name) };
    if dynamic.is_from(name, &answer) {
        return;
    }
    match certified_key(&answer.chain, &answer.key) {
        Ok(key) => dynamic.insert(name, answer, Arc::new(key)),
        Err(error) => log::warn!("the certificate source's answer for {name} cannot be used: {error}"),
    }
}

/// What the handshake said.
pub(super) fn describe(stream: &TlsStream<TcpStream>, client_auth: bool) -> TlsInfo {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    TlsInfo {
        sni: session.server_name().map(str::to_ascii_lowercase),
        version,
        cipher: session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown"),
        client: session.peer_certificates().and_then(|chain| client_certificate(chain.first()?)),
        client_auth,
    }
}

/// A verified certificate in words. One that x509-parser cannot read has passed webpki all the same; it is then known
/// by its fingerprint alone.
fn client_certificate(der: &[u8]) -> Option<ClientCertificate> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut fingerprint = String::with_capacity(64);
    for byte in digest.as_ref() {
        write!(fingerprint, "{byte:02x}").ok()?;
    }
    let parsed = X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
    let subject = parsed.as_ref().map(|certificate| certificate.subject().to_string()).unwrap_or_default();
    let names = parsed.as_ref().map(alternative_names).unwrap_or_default();
    Some(ClientCertificate { subject, names, fingerprint })
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| extension.value.general_names.iter()).into_iter().flatten();
    names.filter_map(text_name).collect()
}

fn text_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_wants_chacha_says_so_first() {
        use CipherSuite::{TLS13_AES_256_GCM_SHA384 as AES, TLS13_CHACHA20_POLY1305_SHA256 as CHACHA};
        for (suites, wants) in [
            (&[AES, CHACHA][..], false),
            (&[CHACHA, AES], true),
            (&[CipherSuite::Unknown(0x3a3a), CHACHA, AES], true),
            (&[CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, AES], true),
            (&[CipherSuite::Unknown(0x3a3a)], false),
            (&[], false),
        ] {
            assert_eq!(wants_chacha(suites), wants, "{suites:?}");
        }
    }
}
