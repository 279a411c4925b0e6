//! Clients that come for the first time: each connection is a full handshake of TLS 1.3 and one request.
//!
//! `wrk` resumes its sessions, so that nobody signs anything. These know no tickets, and fail when a session is resumed
//! or of another version, so that what is counted is what is meant. They exchange keys by X25519 alone, like `wrk` with
//! OpenSSL 3.0, unless they are told to want X25519 with ML-KEM-768.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_engine::tls::{Group, Tls};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};

use crate::Failure;
use crate::wrk::{Load, Window};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a window, each connection of it in a thread.
///
/// # Errors
///
/// When one connection failed, was resumed, or was answered with anything but 200.
pub fn run(window: &Window<'_>, group: Group) -> Result<Load, Failure> {
    let tls = Tls::stranger("rig.test", group)?;
    let (begun, seconds) = (Instant::now(), Duration::from_secs(window.seconds.into()));
    let client = || -> Result<Vec<Duration>, Failure> {
        let mut own = CpuSet::new();
        own.set(usize::try_from(window.core)?);
        sched_setaffinity(None, &own)?;
        let mut took = Vec::new();
        while begun.elapsed() < seconds {
            let started = Instant::now();
            once(window.to, window.path, &tls, group)?;
            took.push(started.elapsed());
        }
        Ok(took)
    };
    let mut all = Vec::new();
    thread::scope(|scope| -> Result<(), Failure> {
        let running: Vec<_> =
            (0..window.connections).map(|_| scope.spawn(|| client().map_err(|failure| failure.to_string()))).collect();
        for one in running {
            all.extend(one.join().map_err(|_| "a client panicked")??);
        }
        Ok(())
    })?;
    load(all, begun.elapsed())
}

fn load(mut took: Vec<Duration>, whole: Duration) -> Result<Load, Failure> {
    took.sort_unstable();
    let slowest = took.get(took.len() * 99 / 100).ok_or("not one connection in a window")?;
    let requests = u64::try_from(took.len())?;
    #[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
    let rate = requests as f64 / whole.as_secs_f64();
    Ok(Load { requests, rate, p99: slowest.as_secs_f64() * 1000.0 })
}

/// One connection, one request.
///
/// # Errors
///
/// As [`run`].
pub fn once(to: SocketAddr, path: &str, tls: &Tls, group: Group) -> Result<(), Failure> {
    let tcp = TcpStream::connect_timeout(&to, PATIENCE)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let session = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())?;
    let mut stream = StreamOwned::new(session, tcp);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
        return Err(format!("answered with `{}`", String::from_utf8_lossy(line)).into());
    }
    let session = &stream.conn;
    let exchanged = session.negotiated_key_exchange_group().map(|group| group.name());
    let was = (session.protocol_version(), session.handshake_kind(), exchanged);
    let wanted = (Some(ProtocolVersion::TLSv1_3), Some(HandshakeKind::Full), Some(group.name()));
    if was == wanted { Ok(()) } else { Err(format!("a handshake of another kind: {was:?}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_how_many_and_how_slow() {
        let took = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(load(took, Duration::from_secs(2)).unwrap(), Load { requests: 200, rate: 100.0, p99: 199.0 });
        assert!(load(Vec::new(), Duration::from_secs(2)).is_err());
    }
}
