//! Connections of HTTP/2, and one request on them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::Failure;
use crate::drive::Load;
use crate::outcome::Kind;
use crate::request::Parts;
use crate::tally::Unasked;
use crate::tls::Tls;

use super::Settings;

/// Bytes that may be on their way to the tool, on a connection and on a stream.
const WINDOW: u32 = 4 << 20;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// As HTTP/1.1 would write it, so that fields are found in one way.
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) length: u64,
    pub(super) grpc: Option<u32>,
}

/// A request that has come to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: u64,
    pub(super) kind: usize,
    pub(super) planned: Duration,
    pub(super) reply: Result<Reply, Kind>,
}

/// A connection with its number, as long as requests may be sent on it.
type Slot = Rc<RefCell<Option<(u64, SendRequest<Bytes>)>>>;

/// Connections that requests are spread over. One that ended is opened again.
#[derive(Debug)]
pub(super) struct Pool {
    to: SocketAddr,
    tls: Option<Tls>,
    grpc: bool,
    slots: Vec<(Slot, Mutex<()>)>,
    /// How connections ended that the other side ended.
    pub(super) unasked: Rc<Cell<Unasked>>,
    /// Connections so far.
    opened: Cell<u64>,
}

impl Pool {
    /// Opens all.
    pub(super) async fn connect(load: &Load<'_>, settings: Settings) -> Result<Self, Failure> {
        let slots = (0..settings.connections.max(1)).map(|_| (Slot::default(), Mutex::new(()))).collect();
        let (unasked, opened) = Default::default();
        let pool = Self { to: load.to, tls: load.tls.cloned(), grpc: settings.grpc, slots, unasked, opened };
        for (slot, _) in &pool.slots {
            pool.open(slot).await?;
        }
        Ok(pool)
    }

    async fn sender(&self, id: u64) -> Result<SendRequest<Bytes>, Kind> {
        let index = usize::try_from(id).unwrap_or_default() % self.slots.len();
        let (slot, opening) = self.slots.get(index).ok_or(Kind::Connect)?;
        // Two tries: a connection may be found to have ended only when it is used.
        for _ in 0..2 {
            let guard = opening.lock().await;
            let kept = slot.borrow().clone();
            let kept = match kept {
                Some(kept) => kept,
                None => self.open(slot).await.map_err(|_| Kind::Connect)?,
            };
            drop(guard);
            let (number, sender) = kept;
            match sender.ready().await {
                Ok(sender) => return Ok(sender),
                Err(_) => forget(slot, number),
            }
        }
        Err(Kind::Connect)
    }

    /// Sends a request and reads its answer.
    pub(super) async fn call(&self, id: u64, parts: Parts, looks: bool) -> Result<Reply, Kind> {
        let mut sender = self.sender(id).await?;
        let (request, body) = self.request(parts).ok_or(Kind::Malformed)?;
        let (response, mut stream) = sender.send_request(request, body.is_none()).map_err(|_| Kind::Reset)?;
        if let Some(body) = body {
            stream.send_data(body, true).map_err(|_| Kind::Reset)?;
        }
        let (head, mut incoming) = response.await.map_err(|_| Kind::Reset)?.into_parts();
        let mut reply =
            Reply { status: head.status.as_u16(), head: Vec::new(), body: Vec::new(), length: 0, grpc: None };
        reply.head.extend_from_slice(b"HTTP/2");
        for (name, value) in &head.headers {
            reply.head.extend_from_slice(b"\r\n");
            reply.head.extend_from_slice(name.as_str().as_bytes());
            reply.head.extend_from_slice(b": ");
            reply.head.extend_from_slice(value.as_bytes());
        }
        while let Some(piece) = incoming.data().await {
            let piece = piece.map_err(|_| Kind::Reset)?;
            reply.length += piece.len() as u64;
            if looks {
                reply.body.extend_from_slice(&piece);
            }
            incoming.flow_control().release_capacity(piece.len()).map_err(|_| Kind::Reset)?;
        }
        let trailers = incoming.trailers().await.map_err(|_| Kind::Reset)?;
        if self.grpc {
            // A call without messages has its status in the head.
            let status = trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
            let status = status.or_else(|| head.headers.get("grpc-status"));
            reply.grpc = status.and_then(|status| status.to_str().ok()?.parse().ok());
            if reply.grpc.is_none() && reply.status == 200 {
                return Err(Kind::Malformed);
            }
        }
        Ok(reply)
    }

    fn request(&self, parts: Parts) -> Option<(http::Request<()>, Option<Bytes>)> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let target = String::from_utf8(parts.target).ok()?;
        let uri = format!("{scheme}://{}{target}", parts.authority);
        let method = if self.grpc { "POST" } else { parts.method.as_str() };
        let mut request = http::Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
        for (name, value) in parts.fields {
            request = request.header(name, value);
        }
        if !self.grpc {
            return Some((request.body(()).ok()?, parts.body.map(Bytes::from)));
        }
        let request = request.header("te", "trailers").header("content-type", "application/grpc");
        Some((request.body(()).ok()?, Some(message(&parts.body.unwrap_or_default())?)))
    }

    /// Opens one, and keeps it for those that come.
    async fn open(&self, slot: &Slot) -> Result<(u64, SendRequest<Bytes>), Failure> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let number = self.opened.get() + 1;
        self.opened.set(number);
        let sender = match &self.tls {
            None => {
                let (sender, connection) = builder.handshake(stream).await?;
                self.keep((slot, number), connection);
                sender
            }
            Some(tls) => {
                let stream = TlsConnector::from(tls.config.clone()).connect(tls.name.clone(), stream).await?;
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err("the other side does not speak HTTP/2".into());
                }
                let (sender, connection) = builder.handshake(stream).await?;
                self.keep((slot, number), connection);
                sender
            }
        };
        *slot.borrow_mut() = Some((number, sender.clone()));
        Ok((number, sender))
    }

    /// Drives a connection to its end, which is the other side's doing as long as there is a load.
    fn keep(&self, (slot, number): (&Slot, u64), connection: impl Future<Output = Result<(), h2::Error>> + 'static) {
        let (slot, unasked) = (Rc::clone(slot), Rc::clone(&self.unasked));
        tokio::task::spawn_local(async move {
            // Its requests tell why.
            let ended = connection.await;
            let mut now = unasked.get();
            match ended {
                Ok(()) => now.closed += 1,
                Err(_) => now.cut += 1,
            }
            unasked.set(now);
            forget(&slot, number);
        });
    }
}

/// Sends nothing more on a connection. Another one may have taken its place.
fn forget(slot: &Slot, number: u64) {
    slot.borrow_mut().take_if(|(kept, _)| *kept == number);
}

/// A message of gRPC: whether it is compressed, its length, and itself.
fn message(bytes: &[u8]) -> Option<Bytes> {
    let mut framed = BytesMut::with_capacity(bytes.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).ok()?);
    framed.extend_from_slice(bytes);
    Some(framed.freeze())
}
