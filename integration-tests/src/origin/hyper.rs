//! An origin that speaks HTTP/1.1, h2c or TLS with either, by hyper: for trailers, gRPC and TLS upstreams.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::place::own_ip;

/// The content of an answer.
pub type Content = BoxBody<Bytes, Infallible>;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method, target, version and fields.
    pub parts: Parts,
    /// The content.
    pub body: Bytes,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
}

impl Seen {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Answer = dyn Fn(&Seen) -> Response<Content> + Send + Sync;

/// An origin by hyper, in a thread of its own, to the end of the test's process.
pub struct HyperOrigin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl HyperOrigin {
    /// Plain text: HTTP/1.1, or HTTP/2 with prior knowledge.
    #[must_use]
    pub fn plain(answer: impl Fn(&Seen) -> Response<Content> + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(answer))
    }

    /// TLS.
    #[must_use]
    pub fn tls(
        config: Arc<rustls::ServerConfig>,
        answer: impl Fn(&Seen) -> Response<Content> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(config.into()), Arc::new(answer))
    }

    fn start(tls: Option<TlsAcceptor>, answer: Arc<Answer>) -> Self {
        let listener = std::net::TcpListener::bind(SocketAddr::new(own_ip(), 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let origin = Self { address, seen: seen.clone() };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, tls, Service { answer, seen }));
        });
        origin
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The last request.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the origin received no request")
    }
}

#[derive(Clone)]
struct Service {
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    async fn call(self, request: Request<Incoming>) -> Result<Response<Content>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        let seen = Seen { parts, body: collected.to_bytes(), trailers };
        self.seen.lock().unwrap().push(seen.clone());
        Ok((self.answer)(&seen))
    }
}

async fn serve(listener: std::net::TcpListener, tls: Option<TlsAcceptor>, service: Service) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(tcp, service).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(tcp).await {
                        connection(stream, service).await;
                    }
                }
            }
        });
    }
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Service) {
    let call = service_fn(move |request| service.clone().call(request));
    // A connection that the gateway cuts off is the gateway's good right.
    drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), call).await);
}

/// Content in one piece.
#[must_use]
pub fn full(content: impl Into<Bytes>) -> Content {
    Full::new(content.into()).boxed()
}

/// Content in pieces, then trailers.
#[must_use]
pub fn frames(pieces: Vec<Bytes>, trailers: HeaderMap) -> Content {
    let (sender, content) = live();
    for piece in pieces {
        sender.send(Frame::data(piece)).unwrap();
    }
    sender.send(Frame::trailers(trailers)).unwrap();
    content
}

/// Content that the test sends piece by piece; it ends when the sender is dropped.
#[must_use]
pub fn live() -> (mpsc::UnboundedSender<Frame<Bytes>>, Content) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Live(receiver).boxed())
}

struct Live(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for Live {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
