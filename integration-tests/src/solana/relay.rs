//! What stands before a node that knows no faults: bytes pass both ways, and what clients send is remembered.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;

use crate::place::address;
use crate::pubsub::unmasked;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Every connection is cut, those that come too.
    Dead,
    /// Connections are taken, and nothing passes.
    Hang,
}

/// A relay to an address.
pub(super) struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    dead: AtomicBool,
    hang: AtomicBool,
    lines: Mutex<Vec<Line>>,
}

/// One connection of a client.
struct Line {
    stream: TcpStream,
    /// All that the client sent.
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    pub(super) fn to(node: SocketAddr) -> Self {
        let address = address();
        let listener = TcpListener::bind(address).unwrap();
        let state = Arc::<State>::default();
        let served = Arc::clone(&state);
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| served.take(client, node)));
        Self { address, state }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn order(&self, fault: Fault, on: bool) {
        self.state.flag(fault).store(on, Ordering::SeqCst);
        if on && fault == Fault::Dead {
            self.state.lines.lock().unwrap().iter().for_each(|line| cut(&line.stream));
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.state.flag(fault).load(Ordering::SeqCst)
    }

    /// What clients sent, as text; of WebSockets, with their messages as they were before they were masked.
    pub(super) fn seen(&self) -> String {
        let lines = self.state.lines.lock().unwrap();
        lines.iter().map(|line| text(&line.sent.lock().unwrap())).collect::<Vec<_>>().join("\n")
    }

    /// How often a method was called.
    pub(super) fn calls(&self, method: &str) -> u64 {
        let compact = self.seen().replace(char::is_whitespace, "");
        compact.matches(&format!("\"method\":\"{method}\"")).count() as u64
    }
}

impl State {
    const fn flag(&self, fault: Fault) -> &AtomicBool {
        match fault {
            Fault::Dead => &self.dead,
            Fault::Hang => &self.hang,
        }
    }

    fn take(&self, client: TcpStream, node: SocketAddr) {
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        // Held from before the look at the fault: who orders it cuts this one too, or this one sees it.
        let mut lines = self.lines.lock().unwrap();
        if self.dead.load(Ordering::SeqCst) {
            return cut(&client);
        }
        lines.push(Line { stream: client.try_clone().unwrap(), sent: Arc::clone(&sent) });
        drop(lines);
        if self.hang.load(Ordering::SeqCst) {
            return;
        }
        let Ok(node) = TcpStream::connect(node) else { return cut(&client) };
        let (from_client, to_node) = (client.try_clone().unwrap(), node.try_clone().unwrap());
        std::thread::spawn(move || pass(from_client, to_node, |bytes| sent.lock().unwrap().extend(bytes)));
        std::thread::spawn(move || pass(node, client, |_| {}));
    }
}

/// Passes bytes on to the end of either.
fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut bytes = [0_u8; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        note(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // It may be closed already.
    drop(to.shutdown(Shutdown::Write));
}

/// Ends a connection with a reset, for all that hold it.
fn cut(stream: &TcpStream) {
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
    drop(stream.shutdown(Shutdown::Both));
}

fn text(sent: &[u8]) -> String {
    let end = sent.windows(4).position(|window| window == b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&sent[..end]).into_owned();
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        head + &unmasked(&sent[end..])
    } else {
        String::from_utf8_lossy(sent).into_owned()
    }
}
