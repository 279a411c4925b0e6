//! Both directions of a connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::pacer::Pacer;
use super::{Fault, Harm, Passed};

/// Pieces that may wait for their moment, of up to as many bytes each.
const PIECES: usize = 64;
const PIECE: usize = 16 << 10;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As its ends wanted.
    Closed,
    /// By the fault.
    Reset,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// Passes bytes both ways until both have ended, or the fault ends them.
pub(super) async fn both(
    client: &TcpStream,
    server: &TcpStream,
    fault: &watch::Receiver<Fault>,
    passed: &Passed,
) -> End {
    let up = one(client, server, (fault.clone(), Way::Up), &passed.up);
    let down = one(server, client, (fault.clone(), Way::Down), &passed.down);
    tokio::pin!(up, down);
    let (mut up_done, mut down_done) = (false, false);
    while !(up_done && down_done) {
        let end = tokio::select! {
            end = &mut up, if !up_done => { up_done = true; end }
            end = &mut down, if !down_done => { down_done = true; end }
        };
        if end == End::Reset {
            return End::Reset;
        }
    }
    End::Closed
}

/// A piece, and when it came. Nothing is the direction's end.
type Piece = (Instant, Vec<u8>);

async fn one(from: &TcpStream, to: &TcpStream, (fault, way): (watch::Receiver<Fault>, Way), count: &AtomicU64) -> End {
    let (sender, receiver) = mpsc::channel::<Piece>(PIECES);
    let read = read(from, fault.clone(), sender);
    let write = write(to, (fault, way), receiver, count);
    tokio::pin!(read, write);
    let mut reading = true;
    loop {
        tokio::select! {
            ended = &mut read, if reading => {
                reading = false;
                // Who was cut off by the other side is cut off here too.
                if ended.is_err() {
                    return End::Reset;
                }
            }
            end = &mut write => return end,
        }
    }
}

async fn read(from: &TcpStream, mut fault: watch::Receiver<Fault>, pieces: mpsc::Sender<Piece>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        open(&mut fault).await;
        from.ready(Interest::READABLE).await?;
        // It may have closed meanwhile.
        open(&mut fault).await;
        let count = match from.try_read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..count).unwrap_or_default().to_vec();
        if pieces.send((Instant::now(), piece)).await.is_err() || count == 0 {
            return Ok(());
        }
    }
}

/// Waits while nothing passes. A proxy that ends ends its connections otherwise.
async fn open(fault: &mut watch::Receiver<Fault>) {
    drop(fault.wait_for(|fault| fault.harm != Harm::BlackHole).await);
}

/// Passes pieces on, each when it is due by the fault that is in force then: a new one counts for what waits too.
async fn write(
    to: &TcpStream,
    (mut fault, way): (watch::Receiver<Fault>, Way),
    mut pieces: mpsc::Receiver<Piece>,
    count: &AtomicU64,
) -> End {
    let (start, mut pacer, mut passed) = (Instant::now(), Pacer::default(), 0_u64);
    let mut next: Option<Piece> = None;
    loop {
        let now = *fault.borrow_and_update();
        let limit = limit(now, way);
        if let Some((_, end)) = limit.filter(|(after, _)| passed >= *after) {
            if end == End::Closed {
                drop(shutdown(to));
            }
            return end;
        }
        let Some((came, piece)) = &mut next else {
            let came = tokio::select! {
                piece = pieces.recv() => piece,
                changed = fault.changed() => if changed.is_ok() { continue } else { None },
            };
            let Some(came) = came else { return End::Closed };
            next = Some(came);
            continue;
        };
        let most = limit.map_or(u64::MAX, |(after, _)| after - passed).min(now.bandwidth.map_or(u64::MAX, slice));
        let bytes = piece.get(..usize::try_from(most).unwrap_or(usize::MAX).min(piece.len())).unwrap_or_default();
        let mut after = pacer;
        let due =
            start + after.pass((*came + now.latency).saturating_duration_since(start), bytes.len(), now.bandwidth);
        let done = tokio::select! {
            done = pass(to, bytes, due), if now.harm != Harm::BlackHole => done,
            changed = fault.changed() => if changed.is_ok() { continue } else { return End::Closed },
        };
        let Ok(done) = done else { return End::Reset };
        if piece.is_empty() {
            return End::Closed;
        }
        pacer = after;
        passed += done as u64;
        count.fetch_add(done as u64, Ordering::SeqCst);
        piece.drain(..done);
        next.take_if(|(_, piece)| piece.is_empty());
    }
}

/// Bytes that pass at once at a bandwidth: a fiftieth of a second of it.
fn slice(bandwidth: u64) -> u64 {
    (bandwidth / 50).max(1)
}

/// Waits for the moment, and passes as many on as the stream takes then; nothing is its end. To be dropped before it is done passes
/// nothing.
async fn pass(to: &TcpStream, bytes: &[u8], due: Instant) -> io::Result<usize> {
    sleep_until(due).await;
    if bytes.is_empty() {
        drop(shutdown(to));
        return Ok(0);
    }
    loop {
        to.writable().await?;
        match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Ends this direction alone.
fn shutdown(to: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(to).shutdown(std::net::Shutdown::Write)
}

/// After how many bytes of this direction it ends, and how.
fn limit(fault: Fault, way: Way) -> Option<(u64, End)> {
    match (fault.harm, way) {
        (Harm::Reset { after }, Way::Down) => Some((after, End::Reset)),
        (Harm::HalfClose { after }, Way::Down) => Some((after, End::Closed)),
        (Harm::None | Harm::BlackHole | Harm::Reset { .. } | Harm::HalfClose { .. }, _) => None,
    }
}
