//! The TLS handshake, and what it says about the client.

use rustls::{CipherSuite, ProtocolVersion, ServerConfig};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use portcullis_filter::seam::{CertificatePem, CertificateSource};
use portcullis_snapshot::tls::{TlsListener, certified_key};
use portcullis_types::{ClientCertificate, TlsInfo};

use super::cork::Corked;

/// Shakes hands. With a certificate source, a server name that the config has no certificate for is asked of it first.
pub(super) async fn handshake(
    tcp: TcpStream,
    settings: &TlsListener,
    source: Option<Arc<dyn CertificateSource>>,
) -> io::Result<TlsStream<Corked<TcpStream>>> {
    let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), Corked::new(tcp)).await?;
    let hello = started.client_hello();
    let server = if wants_chacha(hello.cipher_suites()) { &settings.without_aes } else { &settings.server };
    let name = source.as_ref().and_then(|_| hello.server_name()).map(str::to_ascii_lowercase);
    if let Some((source, name)) = source.zip(name.filter(|name| settings.certificates.configured(name).is_none())) {
        let answer = source.certificate(&name).await;
        hold(settings, &name, answer);
    }
    let server = server.clone();
    let stream = answer(started, server).await?;
    acknowledge(&stream);
    Ok(stream)
}

/// The handshake from the client's first message on. The ticket of a TLS 1.3 session is still held when it is over, and
/// leaves with what is written first: it may come at any time after the client's last message (RFC 8446 section 4.6.1).
async fn answer<T: AsyncRead + AsyncWrite + Unpin>(
    mut started: StartHandshake<Corked<T>>,
    server: Arc<ServerConfig>,
) -> io::Result<TlsStream<Corked<T>>> {
    started.io.cork();
    match started.into_stream(server).into_fallible().await {
        Ok(mut stream) => {
            stream.get_mut().0.uncork();
            if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                // The client waits for our last message.
                stream.flush().await?;
            }
            Ok(stream)
        }
        Err((error, mut io)) => {
            // What is held is the alert that says why. There is nobody to tell if it cannot be sent.
            io.uncork();
            drop(io.flush().await);
            Err(error)
        }
    }
}

/// Acknowledges the client's last message where nothing is written that would. A client that sends small pieces one at a
/// time (RFC 896) keeps its request until then, and the system would wait 40 ms for something to carry it.
fn acknowledge(stream: &TlsStream<Corked<TcpStream>>) {
    let (io, session) = stream.get_ref();
    if io.is_holding() && session.wants_read() {
        // The client gets it late, if not at once.
        drop(io.get_ref().set_quickack(true));
    }
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
pub(super) fn describe(stream: &TlsStream<Corked<TcpStream>>, client_auth: bool) -> TlsInfo {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
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
mod tests;
