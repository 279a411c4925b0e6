//! An origin of gRPC: every unary call is answered with one message and the status 0 in the trailers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::lock;
use crate::Failure;

/// The message that is answered: not compressed, five bytes long.
const MESSAGE: &[u8] = b"\0\0\0\0\x05\x0a\x03yes";

/// Bytes that may be on their way to it, on a connection and on a stream.
const WINDOW: u32 = 4 << 20;

/// An origin. It ends when this is dropped.
#[derive(Debug)]
pub struct GrpcOrigin {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    stalls: mpsc::UnboundedSender<(Instant, Duration)>,
    /// When the last stall was, once it is over.
    stalled: Arc<Mutex<Option<(Instant, Instant)>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GrpcOrigin {
    /// Starts one on the loopback interface, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When there is no port, no runtime or no thread.
    pub fn start() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let requests = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&requests);
        let (stop, stopped) = oneshot::channel();
        let (stalls, wanted) = mpsc::unbounded_channel();
        let stalled = Arc::<Mutex<Option<(Instant, Instant)>>>::default();
        let noted = Arc::clone(&stalled);
        let thread = std::thread::Builder::new().name("origin-grpc".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(&listener, &counter) => {}
                    () = stall(wanted, &noted) => {}
                }
            });
        })?;
        Ok(Self { address, requests, stalls, stalled, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does nothing at all for so long, from a moment on.
    pub fn stall(&self, from: Instant, length: Duration) {
        // Nobody takes it only when the thread has ended, and then it stalls for ever.
        self.stalls.send((from, length)).ok();
    }

    /// When the stall was, once it is over.
    #[must_use]
    pub fn stalled(&self) -> Option<(Instant, Instant)> {
        *lock(&self.stalled)
    }

    /// Calls so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for GrpcOrigin {
    fn drop(&mut self) {
        // To drop the sender says it. What the thread panicked with is of no use any more.
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Keeps the thread, and so everybody, from going on.
async fn stall(mut wanted: mpsc::UnboundedReceiver<(Instant, Duration)>, stalled: &Mutex<Option<(Instant, Instant)>>) {
    while let Some((from, length)) = wanted.recv().await {
        tokio::time::sleep_until(from.into()).await;
        let begun = Instant::now();
        std::thread::sleep((from + length).saturating_duration_since(begun));
        *lock(stalled) = Some((begun, Instant::now()));
    }
    // It ends with the origin.
    std::future::pending().await
}

async fn accept(listener: &TcpListener, requests: &Arc<AtomicU64>) {
    loop {
        // Who came is gone already, or there are no descriptors; the next one may do better.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let requests = Arc::clone(requests);
        // A client that goes away ends its own connection and nothing else.
        tokio::spawn(async move { drop(serve(stream, &requests).await) });
    }
}

async fn serve(stream: TcpStream, requests: &AtomicU64) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, mut respond) = call?;
        requests.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                // It fails when the stream was reset, which ends the body too.
                drop(body.flow_control().release_capacity(piece.len()));
            }
            let mut head = http::Response::new(());
            head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            let Ok(mut answer) = respond.send_response(head, false) else { return };
            if answer.send_data(Bytes::from_static(MESSAGE), false).is_ok() {
                let status = ("grpc-status", HeaderValue::from_static("0"));
                let trailers =
                    HeaderMap::from_iter([status].map(|(name, value)| (http::HeaderName::from_static(name), value)));
                drop(answer.send_trailers(trailers));
            }
        });
    }
    Ok(())
}
