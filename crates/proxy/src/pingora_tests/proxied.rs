//! What the gateway relies on in Pingora's proxy, which is our change (`vendor/README.md`): requests that came together are sent
//! together, and a client that does not read holds little of an answer over HTTP/2. Both sides of the proxy are the test.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::Result;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;

use super::half::Half;
use super::socket::{After, Socket};

/// Turns of the event loop in which all that can happen has happened: nothing here waits for a clock or for the system.
const TURNS: usize = 1000;

/// Pieces of an answer, and the bytes of each: all of them fit in the first window of HTTP/2.
const PIECES: usize = 16;
const PIECE: &[u8] = &[b'x'; 1000];

/// Passes requests on to whatever it is connected to, and counts the pieces of answers that it has looked at.
struct Passing {
    upstream: Arc<dyn L4Connect + Send + Sync>,
    version: u8,
    pieces: Arc<AtomicUsize>,
}

#[async_trait]
impl ProxyHttp for Passing {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(("127.0.0.1", 1), false, String::new());
        peer.options.custom_l4 = Some(Arc::clone(&self.upstream));
        peer.options.set_http_version(self.version, self.version);
        Ok(Box::new(peer))
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        (): &mut (),
    ) -> Result<Option<Duration>> {
        let some = body.as_ref().is_some_and(|body| !body.is_empty());
        self.pieces.fetch_add(usize::from(some), Ordering::SeqCst);
        Ok(None)
    }
}

/// A client that has sent a request and waits.
fn client() -> Socket {
    Socket::sends([b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n".to_vec()], After::Silence)
}

/// Serves the request of a client.
async fn serve(passing: Passing, client: Socket) {
    let proxy = Arc::new(http_proxy(&Arc::new(ServerConf::default()), passing));
    let (_told, drain) = watch::channel(false);
    proxy.process_one(ServerSession::new_http1(Box::new(client.stream())), &drain).await;
}

/// Upstreams that say nothing, by the order in which they were connected to.
#[derive(Debug, Clone, Default)]
struct Silent(Arc<Mutex<Vec<Socket>>>);

#[async_trait]
impl L4Connect for Silent {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        let socket = Socket::default();
        self.0.lock().unwrap().push(socket.clone());
        Ok(socket.stream())
    }
}

impl Silent {
    /// How many were connected to, and how many of them were sent something.
    fn count(&self) -> [usize; 2] {
        let sockets = self.0.lock().unwrap();
        [sockets.len(), sockets.iter().filter(|socket| !socket.writes().is_empty()).count()]
    }
}

#[tokio::test]
async fn requests_that_came_in_one_turn_are_both_read_before_either_is_sent() {
    let upstreams = Silent::default();
    let passing = || Passing { upstream: Arc::new(upstreams.clone()), version: 1, pieces: Arc::default() };
    let (mut one, mut other) = (pin!(serve(passing(), client())), pin!(serve(passing(), client())));
    let mut cx = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    for _ in 0..TURNS {
        assert!(one.as_mut().poll(&mut cx).is_pending() && other.as_mut().poll(&mut cx).is_pending());
        let count = upstreams.count();
        if seen.last() != Some(&count) {
            seen.push(count);
        }
    }
    assert_eq!(seen, [[2, 0], [2, 2]], "connected and sent, turn by turn");
}

/// An upstream over HTTP/2 whose answer has all of its pieces at once, and no end.
#[derive(Debug)]
struct Plenty;

#[async_trait]
impl L4Connect for Plenty {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(answer(theirs));
        Ok(Half::stream(ours))
    }
}

async fn answer(pipe: DuplexStream) {
    let mut connection = h2::server::handshake(pipe).await.unwrap();
    let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    for _ in 0..PIECES {
        body.send_data(Bytes::from_static(PIECE), false).unwrap();
    }
    assert!(connection.accept().await.is_none(), "one request is sent");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_two_tasks_of_an_answer_over_http2() {
    let client = client();
    client.stalls();
    let pieces = Arc::<AtomicUsize>::default();
    let passing = Passing { upstream: Arc::new(Plenty), version: 2, pieces: Arc::clone(&pieces) };
    let serving = tokio::spawn(serve(passing, client.clone()));
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    assert!(client.tried() > 0 && !serving.is_finished(), "something is there to be written");
    // The head and a piece are being written, and what waits in the queue behind them was not looked at.
    assert_eq!(pieces.load(Ordering::SeqCst), 1, "pieces of what is being written");
}
