//! Bodies of all sizes both ways: what arrives is what was sent, and memory stays bounded.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use portcullis_engine::answer::{Progress, Reader};
use portcullis_engine::origin::Origin;
use portcullis_engine::origin::pattern::{Pattern, hex};

use crate::Failure;

use super::books::Books;
use super::kit::{Config, Edge, Stage, mib, most_held};
use super::outcome::Notes;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the gateway may hold more than before, whatever the body's size.
const BOUND: u64 = 48 * MIB;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays.
pub(super) fn bodies(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let routes = "      - { name: sink, match: { path: /sink }, body_limit: 0, to: origin }\n".to_owned();
    let edge = Edge::start(stage, "edge", &Config { routes, ..Config::to(origin.address()) })?;
    let books = Books::open(&edge, &origin)?;
    let sizes: &[u64] = stage.size(&[100 * KIB, 10 * MIB, 64 * MIB], &[100 * KIB, 10 * MIB, 128 * MIB, 1 << 30]);
    let mut sent = 0;
    for size in sizes {
        let known = Pattern::sha256(*size);
        for (way, play) in [("down", down as fn(SocketAddr, u64) -> Result<String, Failure>), ("up", up)] {
            let name = format!("{} {way}", mib(*size));
            let before = edge.process.resident()?;
            let start = Instant::now();
            let (found, most) =
                most_held(&edge, || edge.watched(outcome, &name, || Ok((play(edge.address, *size), None))));
            let (found, _) = found?;
            sent += 1;
            outcome
                .number(&format!("{name}.mib_per_second"), *size as f64 / MIB as f64 / start.elapsed().as_secs_f64());
            let found = found.unwrap_or_else(|failure| failure.to_string());
            outcome.count(format!("{name}: what arrives is what was sent"), found == known, &found);
            let grown = most?.saturating_sub(before);
            outcome.resource(format!("{name}: memory grows by at most {}", mib(BOUND)), grown <= BOUND, mib(grown));
        }
    }
    books.close(outcome, "all bodies", [sent, sent], 0)
}

fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Fetches so many bytes, and says their hash.
fn down(to: SocketAddr, size: u64) -> Result<String, Failure> {
    let mut stream = connect(to)?;
    stream
        .write_all(format!("GET /bytes/{size} HTTP/1.1\r\nHost: load.test\r\nConnection: close\r\n\r\n").as_bytes())?;
    let (mut head, mut context, mut length) = (Vec::new(), Context::new(&SHA256), 0_u64);
    let mut buffer = vec![0; 64 << 10];
    let mut in_body = false;
    while length < size {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(format!("the answer ended after {length} of {size} bytes").into());
        }
        let mut bytes = buffer.get(..count).unwrap_or_default();
        if !in_body {
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            if !head.starts_with(b"HTTP/1.1 200 ") {
                return Err(
                    format!("answered: {}", String::from_utf8_lossy(head.get(..end).unwrap_or_default())).into()
                );
            }
            in_body = true;
            bytes = head.get(end + 4..).unwrap_or_default();
        }
        context.update(bytes);
        length += bytes.len() as u64;
    }
    Ok(hex(context.finish().as_ref()))
}

/// Sends so many bytes, and says the hash of what arrived.
fn up(to: SocketAddr, size: u64) -> Result<String, Failure> {
    let mut stream = connect(to)?;
    let head = format!("POST /sink HTTP/1.1\r\nHost: load.test\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let (mut pattern, mut left) = (Pattern::default(), size);
    while left > 0 {
        let bytes = pattern.next(left);
        stream.write_all(bytes)?;
        left -= bytes.len() as u64;
    }
    let mut reader = Reader::default();
    reader.expect(true);
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        let progress = if count == 0 { reader.end() } else { reader.take(buffer.get(..count).unwrap_or_default()).0 };
        match progress {
            Progress::Part => {}
            Progress::Broken => return Err("no whole answer".into()),
            Progress::Whole { .. } => break,
        }
    }
    let answer: serde_json::Value = serde_json::from_slice(reader.answer().body)?;
    match answer.get("sha256").and_then(serde_json::Value::as_str) {
        Some(hash) => Ok(hash.to_owned()),
        None => Err(format!("answered {}: {answer}", reader.answer().status).into()),
    }
}
