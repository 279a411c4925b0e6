//! Answers whose bodies mix small and large pieces. Small ones are gathered, and copied behind the head; large ones are handed over as they were
//! read. Whatever the mixture, what arrives is what was sent, in its order, and no chunk waits for the next.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portcullis_integration_tests::h2::{H2Client, whole};
use portcullis_integration_tests::origin::Wire;
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{After, Client, Gateway, Origin, PATIENCE, Setup};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

/// One byte, a few, as many as are copied at most, more than half of a reader's room, all of it, and more.
const SIZES: [usize; 6] = [1, 100, 16 << 10, 40 << 10, 64 << 10, 100 << 10];

/// What Pingora's stream to an HTTP/1 client may hold back of an answer with `Content-Length` until more comes: its buffer. Chunks, and
/// frames of HTTP/2, are sent as they come.
const GATHERED: usize = 1460;

/// The pieces of an answer, in an order in which each size stands before and behind others: the mixture of a number.
fn sizes(mixture: usize) -> Vec<usize> {
    let mut sizes = SIZES.to_vec();
    sizes.rotate_left(mixture);
    // A small one between two large ones, which a rotation alone does not bring.
    sizes.extend([SIZES[5], SIZES[0], SIZES[4], SIZES[1], SIZES[5]]);
    sizes
}

/// The bytes of a mixture; where something is missing, doubled or moved, they differ.
fn content(mixture: usize) -> Vec<u8> {
    (0..sizes(mixture).iter().sum())
        .map(|at: usize| u8::try_from((at * at / 7 + at + mixture) % 251).unwrap())
        .collect()
}

/// What a request asks for, which its path says.
#[derive(Debug, Clone, Copy)]
struct Asked {
    mixture: usize,
    chunked: bool,
    /// A piece is sent when the client has the one before.
    steps: bool,
}

impl Asked {
    fn all() -> impl Iterator<Item = Self> {
        (0..SIZES.len()).flat_map(|mixture| {
            [(false, false), (true, false), (false, true), (true, true)].map(|(chunked, steps)| Self {
                mixture,
                chunked,
                steps,
            })
        })
    }

    fn path(self) -> String {
        format!("/{}/{}/{}", self.mixture, u8::from(self.chunked), u8::from(self.steps))
    }

    fn of(path: &str) -> Self {
        let numbers: Vec<usize> = path.split('/').skip(1).map(|number| number.parse().unwrap()).collect();
        Self { mixture: numbers[0], chunked: numbers[1] == 1, steps: numbers[2] == 1 }
    }

    fn answer(self, wire: &mut Wire, taken: &Receiver<()>) -> After {
        let content = content(self.mixture);
        let framing = if self.chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", content.len())
        };
        wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        let mut rest = content.as_slice();
        for size in sizes(self.mixture) {
            let (piece, after) = rest.split_at(size);
            rest = after;
            let sent = if self.chunked {
                wire.send([format!("{size:x}\r\n").as_bytes(), piece, b"\r\n"].concat())
            } else {
                wire.send(piece)
            };
            if sent == After::Close || (self.steps && taken.recv_timeout(PATIENCE).is_err()) {
                return After::Close;
            }
        }
        if self.chunked { wire.send("0\r\n\r\n") } else { After::Keep }
    }
}

/// A gateway before such an origin, with a listener in plain text and one with TLS, and who tells the origin that a piece has come.
fn scene() -> (Gateway, Pki, Sender<()>) {
    let (tell, told) = mpsc::channel();
    let told = Mutex::new(told);
    let origin = Origin::http1(move |received, wire| Asked::of(received.path()).answer(wire, &told.lock().unwrap()));
    let pki = Pki::new();
    let certificate = pki.issue("app.test").yaml();
    let secure = format!("secure: {{ bind: \"@secure\", tls: {{ certificates: [{certificate}] }} }}");
    (Setup::to(&origin).top("overload: { event_loop_delay: 0s }").and_listener(&secure).start(), pki, tell)
}

fn check(asked: Asked, body: &[u8]) {
    let content = content(asked.mixture);
    let differs = body.iter().zip(&content).position(|(one, other)| one != other);
    assert!(
        body == content,
        "{asked:?}: {} bytes of {}, the first that differs: {differs:?}",
        body.len(),
        content.len()
    );
}

/// Asks for every mixture on one connection, in plain text or over TLS, where more than that may be held back.
fn over_http1(mut client: Client, secure: bool, tell: &Sender<()>) {
    for asked in Asked::all().filter(|asked| !secure || asked.chunked || !asked.steps) {
        client.send(format!("GET {} HTTP/1.1\r\nHost: app.test\r\n\r\n", asked.path()));
        if asked.steps {
            let body = if asked.chunked { chunks(asked, &mut client, tell) } else { lengths(asked, &mut client, tell) };
            check(asked, &body);
        } else {
            let answer = client.response();
            assert_eq!((answer.status, answer.field("transfer-encoding").is_some()), (200, asked.chunked), "{asked:?}");
            check(asked, &answer.body);
        }
    }
}

fn head(asked: Asked, client: &mut Client) {
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{asked:?}: {head}");
}

/// Reads a chunked body whose origin waits for each piece to come.
fn chunks(asked: Asked, client: &mut Client, tell: &Sender<()>) -> Vec<u8> {
    head(asked, client);
    let mut body = Vec::new();
    for size in sizes(asked.mixture) {
        let end = body.len() + size;
        while body.len() < end {
            let chunk = client.next_chunk().unwrap_or_else(|error| panic!("{asked:?}, at {}: {error}", body.len()));
            assert!(!chunk.is_empty(), "{asked:?}: the end at {}", body.len());
            body.extend(chunk);
        }
        assert_eq!(body.len(), end, "{asked:?}: bytes that were not sent yet");
        tell.send(()).unwrap();
    }
    assert_eq!(client.next_chunk().unwrap(), b"", "{asked:?}: bytes behind the last piece");
    body
}

/// The same of a body with `Content-Length`, of which the gateway may hold a little back.
fn lengths(asked: Asked, client: &mut Client, tell: &Sender<()>) -> Vec<u8> {
    let (mut body, mut sent, mut begun) = (Vec::new(), 0, false);
    for size in sizes(asked.mixture) {
        sent += size;
        let least = sent.saturating_sub(GATHERED);
        if least > body.len() {
            if !std::mem::replace(&mut begun, true) {
                head(asked, client);
            }
            let missing = least - body.len();
            body.extend(client.exactly(missing).unwrap_or_else(|error| panic!("{asked:?}, to {least}: {error}")));
        }
        tell.send(()).unwrap();
    }
    body.extend(client.exactly(sent - body.len()).unwrap());
    body
}

async fn more(asked: Asked, body: &mut Incoming) -> Bytes {
    let frame =
        tokio::time::timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("{asked:?}: no more in time"));
    frame.unwrap_or_else(|| panic!("{asked:?}: the end")).unwrap().into_data().unwrap()
}

/// Asks for every mixture on one connection.
async fn over_http2(client: H2Client, scheme: &str, tell: &Sender<()>) {
    for asked in Asked::all() {
        let request = Request::get(format!("{scheme}://app.test{}", asked.path())).body(Full::default()).unwrap();
        let answer = client.begin(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{asked:?}");
        if !asked.steps {
            check(asked, &whole(answer).await.body);
            continue;
        }
        let (mut body, mut incoming) = (Vec::new(), answer.into_body());
        for size in sizes(asked.mixture) {
            let end = body.len() + size;
            while body.len() < end {
                body.extend(more(asked, &mut incoming).await);
            }
            assert_eq!(body.len(), end, "{asked:?}: bytes that were not sent yet");
            tell.send(()).unwrap();
        }
        let rest =
            tokio::time::timeout(PATIENCE, incoming.collect()).await.expect("no end in time").unwrap().to_bytes();
        assert!(rest.is_empty(), "{asked:?}: {} bytes behind the last piece", rest.len());
        check(asked, &body);
    }
}

#[test]
fn small_and_large_pieces_arrive_as_they_were_sent_over_http1() {
    let (gateway, _pki, tell) = scene();
    over_http1(gateway.client(), false, &tell);
}

#[test]
fn small_and_large_pieces_arrive_as_they_were_sent_over_tls() {
    let (gateway, pki, tell) = scene();
    let client = Client::connect(gateway.address("secure"));
    over_http1(client.with_tls(&pki.client(&["http/1.1"]), "app.test"), true, &tell);
}

#[tokio::test]
async fn small_and_large_pieces_arrive_as_they_were_sent_over_http2() {
    let (gateway, pki, tell) = scene();
    over_http2(H2Client::plain(gateway.address("edge")).await, "http", &tell).await;
    let secure = H2Client::tls(gateway.address("secure"), pki.client(&["h2"]), "app.test").await;
    over_http2(secure, "https", &tell).await;
}
