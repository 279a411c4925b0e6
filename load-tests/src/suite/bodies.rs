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

/// Fetches so many bytes, and says their hash. The connection must end behind them.
fn down(to: SocketAddr, size: u64) -> Result<String, Failure> {
    let mut stream = connect(to)?;
    stream
        .write_all(format!("GET /bytes/{size} HTTP/1.1\r\nHost: load.test\r\nConnection: close\r\n\r\n").as_bytes())?;
    let (mut head, mut context, mut length) = (Vec::new(), Context::new(&SHA256), 0_u64);
    let mut buffer = vec![0; 64 << 10];
    let mut in_body = false;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
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
        if length > size {
            return Err(format!("bytes came beyond the {size} of the answer").into());
        }
    }
    if length < size {
        return Err(format!("the answer ended after {length} of {size} bytes").into());
    }
    Ok(hex(context.finish().as_ref()))
}

/// Sends so many bytes, and says the hash of what arrived. The connection must end behind the answer.
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
        let (progress, rest) = match count {
            0 => (reader.end(), &[][..]),
            _ => reader.take(buffer.get(..count).unwrap_or_default()),
        };
        match progress {
            Progress::Part => {}
            Progress::Broken => return Err("no whole answer".into()),
            Progress::Whole { .. } if rest.is_empty() && (count == 0 || stream.read(&mut [0])? == 0) => break,
            Progress::Whole { .. } => return Err("bytes came behind the answer".into()),
        }
    }
    let answer: serde_json::Value = serde_json::from_slice(reader.answer().body)?;
    match answer.get("sha256").and_then(serde_json::Value::as_str) {
        Some(hash) => Ok(hash.to_owned()),
        None => Err(format!("answered {}: {answer}", reader.answer().status).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is found at a server that answers one request by these pieces, and ends.
    fn found(play: impl Fn(SocketAddr) -> Result<String, Failure>, pieces: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it is read, or its end would be a reset.
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                got.extend(byte);
            }
            stream.set_nodelay(true).unwrap();
            // Who has seen enough may be gone.
            pieces.iter().for_each(|piece| drop(stream.write_all(piece.as_bytes())));
        });
        let found = play(address);
        server.join().unwrap();
        found.unwrap_or_else(|failure| failure.to_string())
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    const HEAD_OF_HASH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_comes_behind_the_last_byte_is_seen() {
        for (pieces, expected) in [
            (&[HEAD, "abc"][..], ABC),
            (&[HEAD, "ab"], "the answer ended after 2 of 3 bytes"),
            (&[HEAD, "abcd"], "bytes came beyond the 3 of the answer"),
            (&[HEAD, "abc", "d"], "bytes came beyond the 3 of the answer"),
            (&["HTTP/1.1 502 Bad Gateway\r\n\r\n"], "answered: HTTP/1.1 502 Bad Gateway"),
        ] {
            assert_eq!(found(|to| down(to, 3), pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn what_comes_behind_the_answer_to_an_upload_is_seen() {
        for (pieces, expected) in [
            (&[HEAD_OF_HASH, "{\"sha256\":\"abc\"}"][..], "abc"),
            (&[HEAD_OF_HASH, "{\"sha256\":\"abc\"}x"], "bytes came behind the answer"),
            (&[HEAD_OF_HASH, "{\"sha256\":\"abc\"}", "x"], "bytes came behind the answer"),
            (&[HEAD_OF_HASH, "{"], "no whole answer"),
        ] {
            assert_eq!(found(|to| up(to, 0), pieces), expected, "{pieces:?}");
        }
    }
}
