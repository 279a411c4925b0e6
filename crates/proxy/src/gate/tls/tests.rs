//! What a handshake writes, and when.

use super::*;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedProtocolVersion, version};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, DuplexStream, ReadBuf};
use tokio_rustls::TlsConnector;

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

/// The server's end of a connection, which counts what is written to it.
struct Counted {
    wire: DuplexStream,
    writes: usize,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    /// All pieces at once, as a socket does.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        Pin::new(&mut self.wire).poll_write(cx, &all)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

struct Pair {
    server: Arc<ServerConfig>,
    roots: RootCertStore,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["unit.test".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let mut server = builder.with_single_cert(vec![made.cert.der().clone()], key.into()).expect("a key");
        server.send_tls13_tickets = 1;
        server.ticketer = aws_lc_rs::Ticketer::new().expect("random bits");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        Self { server: Arc::new(server), roots }
    }

    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        groups: &[&'static dyn SupportedKxGroup],
    ) -> ClientConfig {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[version]).expect("a version");
        builder.with_root_certificates(self.roots.clone()).with_no_client_auth()
    }

    /// Shakes hands and answers one request, then closes: how many writes each of the three took, what the handshake was, and
    /// the group of its key exchange. The close is corked with what was written last.
    async fn exchange(&self, client: &Arc<ClientConfig>) -> Exchange {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connector = TlsConnector::from(client.clone());
        let asking = async {
            let mut tls = connector.connect(ServerName::try_from("unit.test").expect("a name"), near).await?;
            tls.write_all(b"ping").await?;
            let mut answer = Vec::new();
            // To the end, which is an error without the notice that the connection closes.
            tls.read_to_end(&mut answer).await?;
            let session = tls.get_ref().1;
            let group = session.negotiated_key_exchange_group().map(SupportedKxGroup::name);
            io::Result::Ok((answer, session.handshake_kind(), group))
        };
        let answering = async {
            let wire = Corked::new(Counted { wire: far, writes: 0 });
            let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), wire).await?;
            let mut tls = answer(started, self.server.clone()).await?;
            let shaken = tls.get_ref().0.get_ref().writes;
            let mut asked = [0; 4];
            tls.read_exact(&mut asked).await?;
            tls.write_all(b"pong").await?;
            tls.flush().await?;
            let answered = tls.get_ref().0.get_ref().writes;
            tls.get_mut().0.cork();
            tls.write_all(b" and more").await?;
            tls.shutdown().await?;
            io::Result::Ok([shaken, answered - shaken, tls.get_ref().0.get_ref().writes - answered])
        };
        let (asked, answered) = tokio::join!(asking, answering);
        let (answer, kind, group) = asked.expect("a whole answer");
        assert_eq!(answer, b"pong and more");
        Exchange { writes: answered.expect("a connection"), kind, group }
    }
}

#[derive(Debug, PartialEq)]
struct Exchange {
    writes: [usize; 3],
    kind: Option<HandshakeKind>,
    group: Option<NamedGroup>,
}

/// The handshake of a TLS 1.3 client is one write, resumed or not; its ticket leaves with the answer.
#[tokio::test]
async fn a_ticket_leaves_with_the_answer_and_resumes_the_next_session() {
    let pair = Pair::new();
    let client = Arc::new(pair.client(&version::TLS13, &[aws_lc_rs::kx_group::X25519]));
    let (writes, group) = ([1, 1, 1], Some(NamedGroup::X25519));
    assert_eq!(pair.exchange(&client).await, Exchange { writes, kind: Some(HandshakeKind::Full), group });
    assert_eq!(pair.exchange(&client).await, Exchange { writes, kind: Some(HandshakeKind::Resumed), group });
}

/// Its client waits for the server's last message before it asks: nothing is held back.
#[tokio::test]
async fn a_handshake_of_tls12_waits_for_nothing() {
    let pair = Pair::new();
    let mut client = pair.client(&version::TLS12, &[aws_lc_rs::kx_group::X25519]);
    client.resumption = Resumption::in_memory_sessions(4);
    let client = Arc::new(client);
    let first = pair.exchange(&client).await;
    assert_eq!((first.writes, first.kind), ([2, 1, 1], Some(HandshakeKind::Full)));
    let second = pair.exchange(&client).await;
    assert_eq!((second.writes, second.kind), ([1, 1, 1], Some(HandshakeKind::Resumed)));
}

/// A client gets the group that it wants most and has sent a share of, in one round trip.
#[tokio::test]
async fn the_hybrid_group_is_for_clients_that_offer_it_and_costs_others_nothing() {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let pair = Pair::new();
    let cases: [(&[&'static dyn SupportedKxGroup], NamedGroup); 5] = [
        (&[X25519], NamedGroup::X25519),
        (&[SECP256R1], NamedGroup::secp256r1),
        (&[X25519, SECP256R1, SECP384R1], NamedGroup::X25519),
        (&[X25519MLKEM768, X25519, SECP256R1], NamedGroup::X25519MLKEM768),
        (&[X25519, X25519MLKEM768], NamedGroup::X25519),
    ];
    for (groups, expected) in cases {
        let client = Arc::new(pair.client(&version::TLS13, groups));
        let exchange = pair.exchange(&client).await;
        assert_eq!((exchange.kind, exchange.group), (Some(HandshakeKind::Full), Some(expected)), "{groups:?}");
    }
}

/// The alert of a handshake that fails leaves at once.
#[tokio::test]
async fn a_client_that_fails_is_told_why() {
    let pair = Pair::new();
    let mut stranger = pair.client(&version::TLS13, &[aws_lc_rs::kx_group::X25519]);
    stranger.alpn_protocols = vec![b"gopher".to_vec()];
    let mut server = (*pair.server).clone();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(stranger));
    let asking = connector.connect(ServerName::try_from("unit.test").expect("a name"), near);
    let answering = async {
        let wire = Corked::new(far);
        let started = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), wire).await?;
        answer(started, Arc::new(server)).await
    };
    let (asked, answered) = tokio::join!(asking, answering);
    assert!(answered.is_err());
    let told = asked.expect_err("no protocol in common").to_string();
    assert!(told.contains("NoApplicationProtocol"), "{told}");
}
