//! TLS sessions from a client's side: what is resumed, by which group keys are exchanged, and in how few pieces it comes.

use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{Gateway, Origin, Setup};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

fn start(pki: &Pki, origin: &Origin) -> Gateway {
    let certificate = pki.issue("app.test").yaml();
    Setup::to(origin).listener(&format!("tls: {{ certificates: [{certificate}] }}")).start()
}

/// A connection that counts how often something was there to be read.
struct Counted {
    tcp: TcpStream,
    reads: usize,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.tcp.read(buf)?;
        self.reads += usize::from(count > 0);
        Ok(count)
    }
}

impl Write for Counted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.tcp.write(buf)
    }

    /// One segment for what a client says last in its handshake.
    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

fn connect(gateway: &Gateway, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, Counted> {
    let name = rustls_pki_types::ServerName::try_from("app.test").unwrap();
    let session = ClientConnection::new(config.clone(), name).unwrap();
    let tcp = TcpStream::connect(gateway.address("edge")).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = StreamOwned::new(session, Counted { tcp, reads: 0 });
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

/// Sends on a connection of its own, and reads until something comes back: what the handshake was.
fn handshake(gateway: &Gateway, config: &Arc<ClientConfig>, says: &[u8]) -> (Option<HandshakeKind>, Vec<u8>) {
    let mut stream = connect(gateway, config);
    stream.write_all(says).unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).unwrap();
    answer.truncate(count);
    (stream.conn.handshake_kind(), answer)
}

#[test]
fn the_first_answer_brings_a_ticket_that_resumes_the_session() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = start(&pki, &origin);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let (http1, http2) = (pki.client(&["http/1.1"]), pki.client(&["h2"]));
    let cases: [(&str, Arc<ClientConfig>, &[u8]); 4] = [
        ("an answer", http1, GET.as_bytes()),
        ("a refusal", pki.client(&[]), b"GET / HTTP/1.1\nHost: app.test\r\n\r\n"),
        ("settings", http2, preface),
        ("TLS 1.2", pki.client_tls12(), GET.as_bytes()),
    ];
    for (what, config, says) in cases {
        assert_eq!(handshake(&gateway, &config, says).0, Some(HandshakeKind::Full), "{what}");
        for _ in 0..3 {
            assert_eq!(handshake(&gateway, &config, says).0, Some(HandshakeKind::Resumed), "{what}");
        }
    }
}

#[test]
fn keys_are_exchanged_by_the_group_that_a_client_wants_most_in_one_round_trip() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = start(&pki, &origin);
    let cases: [(&[&'static dyn SupportedKxGroup], NamedGroup); 4] = [
        (&[kx_group::X25519], NamedGroup::X25519),
        (&[kx_group::SECP256R1], NamedGroup::secp256r1),
        (&[kx_group::X25519, kx_group::SECP256R1], NamedGroup::X25519),
        (&[kx_group::X25519MLKEM768, kx_group::X25519], NamedGroup::X25519MLKEM768),
    ];
    for (groups, expected) in cases {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..default_provider() };
        let stream = connect(&gateway, &pki.client_of(provider));
        let group = stream.conn.negotiated_key_exchange_group().map(SupportedKxGroup::name);
        assert_eq!((stream.conn.handshake_kind(), group), (Some(HandshakeKind::Full), Some(expected)), "{groups:?}");
    }
}

/// Ticket, answer and the notice that the connection closes are one write. Read late, several might look like one, so
/// that many are asked for.
#[test]
fn the_last_answer_of_a_connection_comes_in_one_piece() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = start(&pki, &origin);
    let config = pki.client(&[]);
    for _ in 0..50 {
        let mut stream = connect(&gateway, &config);
        let before = stream.sock.reads;
        stream.write_all(LAST.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a connection that ends as TLS wants it");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
        assert_eq!(stream.sock.reads - before, 1);
    }
}

/// What a client sends in small pieces is kept by its system until the piece before is acknowledged (RFC 896), and a
/// system acknowledges 40 ms late what it has nothing to answer to.
#[test]
fn a_client_without_nodelay_does_not_wait_for_an_acknowledgement() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = start(&pki, &origin);
    let config = pki.client(&[]);
    let fastest = (0..20).map(|_| {
        let mut stream = connect(&gateway, &config);
        let begun = Instant::now();
        stream.write_all(GET.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        begun.elapsed()
    });
    let fastest = fastest.min().unwrap();
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}
