//! The tool's own origin: it counts what it is asked, so that what a client saw can be reconciled with it.
//!
//! One thread answers everything short from an epoll loop: a fixed body, JSON-RPC with the id of the call, a status that
//! is asked for, an echo on WebSockets. What takes long has a thread of its own (`slow`): large bodies both ways, waits,
//! subscriptions. Threads compete with the load's one thread for the tool's core, so there are few of them.
//!
//! | target | answer |
//! |---|---|
//! | anything | 200 with the body; a call of JSON-RPC gets a result with its id |
//! | `/status/503` | that status |
//! | `GET /bytes/1000` | so many bytes of a known pattern |
//! | `POST /sink` | how many bytes came, and their SHA-256 |
//! | `/wait/250` | 200 after so many milliseconds |
//! | `/ws` | a WebSocket that returns every message |
//! | `/pubsub` | a WebSocket on which slots can be subscribed to |
//!
//! Invariants: a request is counted when its head has been read, whatever becomes of it; the thread ends with the origin.

mod echo;
pub mod grpc;
mod hub;
pub mod pattern;
mod slow;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Failure;
use crate::event::{Interest, Poll};
use crate::head::{self, Seen};
use crate::slots::Slots;

use echo::Echo;
use hub::Hub;
use pattern::Pattern;

/// How often it is looked whether the origin shall end.
const TICK: Duration = Duration::from_millis(50);

/// The longest request that is answered from the loop.
const LONGEST: usize = 1 << 20;

/// The largest answer that is made in the loop.
const SMALL: u64 = 256 << 10;

/// The most that waits for a client to read it. Who leaves more unread is left.
const UNREAD: usize = 8 << 20;

/// The token of the listener; no slot has it.
const LISTENER: u64 = 0;

/// What an origin was asked.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: AtomicU64,
    /// Requests whose head was read.
    pub requests: AtomicU64,
    /// Messages that came on WebSockets.
    pub messages: AtomicU64,
    /// WebSockets that are open.
    pub sockets: AtomicU64,
    /// Bytes of bodies that came to `/sink`.
    pub sunk: AtomicU64,
    /// Requests to `/wait` that wait now.
    pub waiting: AtomicU64,
    /// The most that ever waited at once.
    pub most_waiting: AtomicU64,
}

/// What all threads of an origin share.
#[derive(Debug, Default)]
struct Shared {
    counters: Counters,
    stop: AtomicBool,
    /// A status that every request gets; 0 for what it asks for.
    status: AtomicU16,
    /// Nothing is done between these two.
    stall: Mutex<Option<(Instant, Duration)>>,
    /// When the stall was, once it is over.
    stalled: Mutex<Option<(Instant, Instant)>>,
    hub: Hub,
}

/// An origin. It ends when this is dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Origin {
    /// Starts one on the loopback interface that answers this body.
    ///
    /// # Errors
    ///
    /// When there is no port or no thread.
    pub fn start(body: &str) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        // In a stall everybody who comes must be kept.
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        let listener: TcpListener = socket.into();
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let server = Server {
            listener,
            shared: Arc::clone(&shared),
            poll: Poll::new()?,
            connections: Slots::default(),
            answer: answer(200, body),
            buffer: vec![0; 64 << 10],
        };
        let thread = std::thread::Builder::new().name("origin".to_owned()).spawn(move || server.serve())?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.counters.requests.load(Ordering::SeqCst)
    }

    /// Answers everything with this status from now on; 0 ends that.
    pub fn answer_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Does nothing at all for so long, from a moment on.
    pub fn stall(&self, from: Instant, length: Duration) {
        *lock(&self.shared.stall) = Some((from, length));
    }

    /// When the stall was, once it is over.
    #[must_use]
    pub fn stalled(&self) -> Option<(Instant, Instant)> {
        *lock(&self.shared.stalled)
    }

    /// Tells all who subscribed to slots of this one.
    pub fn publish(&self, slot: u64) {
        self.publish_padded(slot, 0);
    }

    /// The same in messages that are longer by so many bytes.
    pub fn publish_padded(&self, slot: u64, padding: usize) {
        self.shared.hub.publish(slot, padding);
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.shared.hub.len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.hub.close();
        if let Some(thread) = self.thread.take() {
            // Why it ended is of no use any more.
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole answer.
fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
    out: Vec<u8>,
    both: bool,
    /// It has become a WebSocket that returns what it gets.
    echo: Option<Echo>,
}

struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    poll: Poll,
    connections: Slots<Connection>,
    answer: Vec<u8>,
    buffer: Vec<u8>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Stays,
    Ends,
    /// Gets a thread of its own.
    Leaves,
}

impl Server {
    fn serve(mut self) -> Result<(), Failure> {
        self.poll.add(&self.listener, LISTENER, Interest::Read)?;
        let mut ready = Vec::new();
        let mut tick = Instant::now() + TICK;
        while !self.shared.stop.load(Ordering::SeqCst) {
            let stall = lock(&self.shared.stall).filter(|(from, _)| Instant::now() >= *from);
            if let Some((from, length)) = stall {
                // As long as it was said, whenever it was seen.
                std::thread::sleep((from + length).saturating_duration_since(Instant::now()));
                *lock(&self.shared.stall) = None;
                *lock(&self.shared.stalled) = Some((from, Instant::now()));
            }
            if Instant::now() >= tick {
                tick = Instant::now() + TICK;
            }
            let until = lock(&self.shared.stall).map_or(tick, |(from, _)| from.min(tick));
            self.poll.wait(until, &mut ready)?;
            // What comes at the moment of a stall is answered behind it.
            if lock(&self.shared.stall).is_some_and(|(from, _)| Instant::now() >= from) {
                continue;
            }
            for token in ready.drain(..) {
                if token == LISTENER { self.accept()? } else { self.on_ready(token)? }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Who came is gone already, or there are no descriptors; the next one may do better.
                Err(_) => return Ok(()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.shared.counters.connections.fetch_add(1, Ordering::Relaxed);
            let token = self.connections.insert(Connection {
                stream,
                got: Vec::new(),
                out: Vec::new(),
                both: false,
                echo: None,
            });
            if let Some(connection) = self.connections.get_mut(token) {
                self.poll.add(&connection.stream, token, Interest::Read)?;
            }
        }
    }

    fn on_ready(&mut self, token: u64) -> Result<(), Failure> {
        let next = match self.connections.get_mut(token) {
            Some(connection) => serve(connection, &self.shared, &self.answer, &mut self.buffer),
            None => return Ok(()),
        };
        match next {
            Next::Stays => self.settle(token),
            Next::Ends => {
                self.connections.remove(token);
                Ok(())
            }
            Next::Leaves => {
                if let Some(connection) = self.connections.remove(token) {
                    self.poll.remove(&connection.stream)?;
                    slow::take(connection.stream, connection.got, &self.shared)?;
                }
                Ok(())
            }
        }
    }

    fn settle(&mut self, token: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        let both = !connection.out.is_empty();
        if both != connection.both {
            connection.both = both;
            let interest = if both { Interest::Both } else { Interest::Read };
            self.poll.change(&connection.stream, token, interest)?;
        }
        Ok(())
    }
}

fn serve(connection: &mut Connection, shared: &Arc<Shared>, body: &[u8], buffer: &mut [u8]) -> Next {
    match connection.stream.read(buffer) {
        Ok(0) => return Next::Ends,
        Ok(count) => connection.got.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => return Next::Ends,
    }
    if connection.echo.is_some() {
        return echoed(connection);
    }
    let (mut taken, mut closes) = (0, false);
    while let Some(rest) = connection.got.get(taken..).filter(|rest| !rest.is_empty()) {
        if slow::is_slow(rest) {
            connection.got.drain(..taken);
            return if flush(connection) { Next::Leaves } else { Next::Ends };
        }
        match head::look(rest) {
            Seen::Part if rest.len() <= LONGEST => break,
            Seen::Part | Seen::Broken => return Next::Ends,
            Seen::Whole(head) => {
                let request = rest.get(..head.length).unwrap_or_default();
                shared.counters.requests.fetch_add(1, Ordering::SeqCst);
                taken += head.length;
                if rest.get(head.word.clone()).is_some_and(|target| target.starts_with(b"/ws")) {
                    connection.echo = Some(Echo::agree(request, shared, &mut connection.out));
                    connection.got.drain(..taken);
                    // Frames may have come with the handshake.
                    return echoed(connection);
                }
                reply(request, rest.get(head.word).unwrap_or_default(), shared, body, &mut connection.out);
                closes |= head.closes;
            }
        }
    }
    connection.got.drain(..taken);
    if flush(connection) && !(closes && connection.out.is_empty()) { Next::Stays } else { Next::Ends }
}

/// Answers the frames that have come.
fn echoed(connection: &mut Connection) -> Next {
    let Some(echo) = &mut connection.echo else { return Next::Ends };
    let goes_on = echo.answer(&mut connection.got, &mut connection.out);
    if flush(connection) && goes_on && connection.out.len() <= UNREAD { Next::Stays } else { Next::Ends }
}

fn reply(request: &[u8], target: &[u8], shared: &Shared, body: &[u8], out: &mut Vec<u8>) {
    let forced = shared.status.load(Ordering::Relaxed);
    let asked = target.strip_prefix(b"/status/").and_then(head::number::<u16>).unwrap_or(200);
    let bytes = target.strip_prefix(b"/bytes/").filter(|_| request.starts_with(b"GET ")).and_then(head::number::<u64>);
    match if forced == 0 { asked } else { forced } {
        200 if bytes.is_some() => pattern(bytes.unwrap_or_default(), out),
        200 => match json_rpc_id(request) {
            Some(id) => {
                out.extend(answer(200, &format!("{{\"jsonrpc\":\"2.0\",\"result\":{{\"value\":1}},\"id\":{id}}}")));
            }
            None => out.extend_from_slice(body),
        },
        status => out.extend(answer(status, "{\"error\":\"as asked\"}")),
    }
}

/// So many bytes of the pattern, few enough to be made at once.
fn pattern(count: u64, out: &mut Vec<u8>) {
    thread_local!(static BYTES: Vec<u8> = Pattern::first(SMALL));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {count}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    BYTES.with(|bytes| out.extend_from_slice(bytes.get(..count).unwrap_or_default()));
}

/// The id of a call as it stands in the text, if it is a number.
fn json_rpc_id(request: &[u8]) -> Option<&str> {
    if !request.starts_with(b"POST ") {
        return None;
    }
    let at = memchr::memmem::find(request, b"\"id\":")? + 5;
    let digits = request.get(at..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let id = digits.get(..end).filter(|id| !id.is_empty())?;
    std::str::from_utf8(id).ok()
}

/// Sends what the socket takes. False when the connection is no more.
fn flush(connection: &mut Connection) -> bool {
    let mut gone = 0;
    while gone < connection.out.len() {
        match connection.stream.write(connection.out.get(gone..).unwrap_or_default()) {
            Ok(count) if count > 0 => gone += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(_) | Err(_) => return false,
        }
    }
    connection.out.drain(..gone);
    true
}

#[cfg(test)]
mod tests;
