//! Clients that are slow on purpose cost others nothing, and are left.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_engine::origin::Origin;
use socket2::SockRef;

use crate::Failure;

use super::books::SETTLE;
use super::kit::{Config, Edge, Stage, mib, most_held, ms, open, play, until};
use super::outcome::Notes;
use super::served::{Bad, expect_unmoved};

/// A letter of a head goes so often.
const LETTER: Duration = Duration::from_millis(500);

/// What each may cost in memory who does not read its answer, and who trickles its head; and the gateway beside them.
const READER: u64 = 512 << 10;
const LORIS: u64 = 64 << 10;
const BESIDE: u64 = 8 << 20;

/// How long the buffers between the origin and who does not read may take to be full.
const FILLED: Duration = Duration::from_secs(20);

/// The gateway is calm when it spends less than the second in the first.
const CALM: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(10));

/// Plays.
pub(super) fn slow(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let limits = ", header_timeout: 2s".to_owned();
    let edge = Edge::start(stage, "edge", &Config { limits, ..Config::to(origin.address()) })?;
    let (lorises, readers) = stage.size((200, 40), (2000, 400));
    let length = stage.size(Duration::from_secs(6), Duration::from_secs(60));
    let load = |seed| open(edge.address, 200.0, length, seed);
    let alone = edge.play(outcome, "alone", &load(stage.seed))?;
    let before = edge.process.resident()?;
    let stop = AtomicBool::new(false);
    let reading = hold_readers(edge.address, readers)?;
    outcome.resource(
        format!("beside {readers} readers that do not read it is calm within {} s", FILLED.as_secs()),
        filled(&edge),
        format!("calm is less than {} of {}", ms(CALM.1), ms(CALM.0)),
    );
    let held = edge.process.resident()?;
    let grows = |what: &str, each: u64, count: usize, grown: u64| {
        let bound = each * count as u64 + BESIDE;
        let each = grown / count.max(1) as u64;
        outcome.resource(
            format!("{count} {what}: memory grows by at most {}", mib(bound)),
            grown <= bound,
            format!("{}, {} KiB each", mib(grown), each >> 10),
        );
    };
    grows("that do not read", READER, readers, held.saturating_sub(before));
    let (watched, most) = most_held(&edge, || {
        edge.watched(outcome, "beside", || {
            std::thread::scope(|scope| {
                let lorises = scope.spawn(|| trickle(edge.address, lorises, &stop));
                let tally = play(&load(stage.seed + 1))?;
                let lag = tally.lag();
                stop.store(true, Ordering::SeqCst);
                let left = lorises.join().map_err(|_| "the slow clients panicked")??;
                Ok(((tally, left), Some(lag)))
            })
        })
    });
    let ((beside, left), part) = watched?;
    grows("that trickle a head", LORIS, lorises, most?.saturating_sub(held));
    let sent = alone.0.all.sent() + beside.all.sent();
    part.keep(outcome, &beside);
    let beside = (beside, part);
    expect_unmoved(outcome, [&alone, &beside]);
    // They had three times as long as a head may take.
    let excuse = beside.1.excuse_for(length);
    outcome.timing(
        excuse,
        "who trickles a head is left when its time is up",
        left == lorises,
        format!("{left} of {lorises}"),
    );
    drop(reading);
    let ends = sent + readers as u64 + lorises as u64;
    until(SETTLE, || Ok(edge.requests()? >= ends));
    let found = edge.requests()?;
    let mut bad = Bad::of(&alone.0);
    bad += Bad::of(&beside.0);
    // A request whose time was up may not have come as far.
    let unsure = bad.late;
    let recorded = found <= ends && found + unsure >= ends;
    outcome.count("everybody has a record, slow ones too", recorded, format!("{found} of {ends}"));
    let [passed, expected] = [origin.requests(), sent - bad.refused + readers as u64];
    outcome.count(
        "and the origin has heard of everybody but the trickling",
        passed <= expected && passed + unsure >= expected,
        format!("{passed} of {expected}"),
    );
    Ok(())
}

/// Waits until all buffers between the origin and those readers are full: filling them is work of the origin's and the kernel's,
/// and over in a moment. False when the gateway goes on with something.
fn filled(edge: &Edge) -> bool {
    let spent = || -> Result<u64, Failure> { Ok(edge.process.cpu()?.nanoseconds) };
    until(FILLED, || {
        let before = spent()?;
        std::thread::sleep(CALM.0);
        Ok(u128::from(spent()?.saturating_sub(before)) < CALM.1.as_nanos())
    })
}

/// Clients that asked for much and read nothing.
fn hold_readers(to: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Failure> {
    let one = |_| -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(to)?;
        SockRef::from(&stream).set_recv_buffer_size(4096)?;
        stream.write_all(b"GET /bytes/10000000 HTTP/1.1\r\nHost: load.test\r\n\r\n")?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

/// Clients that send a head a letter at a time until they are told to stop. Says how many of them were left by then.
fn trickle(to: SocketAddr, count: usize, stop: &AtomicBool) -> Result<usize, Failure> {
    let one = |_| -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: load.test\r\nX-Slow: ")?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let mut open = (0..count).map(one).collect::<Result<Vec<_>, _>>()?;
    while !stop.load(Ordering::SeqCst) && !open.is_empty() {
        std::thread::sleep(LETTER);
        open.retain_mut(|stream| stream.write_all(b"a").is_ok() && is_open(stream));
    }
    Ok(count - open.len())
}

/// Whether the other side still has it. An answer that says why it ends may come first.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
