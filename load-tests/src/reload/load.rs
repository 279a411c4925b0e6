//! The load of the reload rig: strict keep-alive clients and WebSockets that stay open.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Failure;
use crate::client::Client;
use crate::contenders::PATH;
use crate::report::progress;

/// Clients, each with one request at a time.
const CLIENTS: usize = 16;

/// WebSockets.
const SOCKETS: usize = 50;

/// A masked text frame with the five letters of RFC 6455, section 5.7, and its echo.
pub(crate) const FRAME: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// What comes back.
pub(crate) const ECHO: &[u8; 7] = b"\x81\x05Hello";

/// A request for a WebSocket that echoes.
pub(crate) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: rig.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What the load saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Requests that were sent.
    pub(super) requests: u64,
    /// Of them, those without a whole answer of status 200.
    pub(super) failed: u64,
    /// Connections that were closed after an answer that said so.
    pub(super) closed: u64,
    /// WebSockets that were opened.
    pub(super) sockets: usize,
    /// Of them, those that did not echo to the end.
    pub(super) dropped: usize,
    /// Frames that came back.
    pub(super) echoes: u64,
}

/// Runs until it is told to stop.
pub(super) fn run(address: SocketAddr, stop: &AtomicBool) -> Result<Counted, Failure> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| requests(address, stop))).collect();
        let sockets = scope.spawn(|| sockets(address, stop));
        let mut sum = sockets.join().map_err(|_| "a client panicked")??;
        for client in clients {
            let counted = client.join().map_err(|_| "a client panicked")?;
            sum.requests += counted.requests;
            sum.failed += counted.failed;
            sum.closed += counted.closed;
        }
        Ok(sum)
    })
}

fn requests(address: SocketAddr, stop: &AtomicBool) -> Counted {
    let mut counted = Counted::default();
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        counted.requests += 1;
        let open = client.take().map_or_else(|| Client::connect(address), Ok);
        let answered = open.and_then(|mut client| Ok((client.get(PATH)?, client)));
        match answered {
            Ok((answer, kept)) if answer.status == 200 => {
                counted.closed += u64::from(answer.closes);
                client = (!answer.closes).then_some(kept);
            }
            Ok((answer, _)) => {
                progress(&format!("status {}", answer.status));
                counted.failed += 1;
            }
            Err(failure) => {
                progress(&failure);
                counted.failed += 1;
            }
        }
        // A load of a few thousand requests a second leaves the gateway time for its reloads.
        std::thread::sleep(Duration::from_millis(2));
    }
    counted
}

fn sockets(address: SocketAddr, stop: &AtomicBool) -> Result<Counted, Failure> {
    let open = |_| -> Result<Client, Failure> {
        let mut client = Client::connect(address)?;
        client.send(UPGRADE)?;
        let answer = client.answer()?;
        if answer.status == 101 { Ok(client) } else { Err(format!("upgrade: status {}", answer.status).into()) }
    };
    let mut open = (0..SOCKETS).map(open).collect::<Result<Vec<_>, _>>()?;
    let mut counted = Counted { sockets: open.len(), ..Counted::default() };
    loop {
        // Looked at before the round, so that each socket echoes once more after the last reload.
        let last = stop.load(Ordering::Relaxed);
        open.retain_mut(|client| {
            let mut back = [0; ECHO.len()];
            let echoed = client.exchange(&FRAME, &mut back).is_ok() && back == *ECHO;
            counted.echoes += u64::from(echoed);
            echoed
        });
        counted.dropped = counted.sockets - open.len();
        if last {
            return Ok(counted);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
