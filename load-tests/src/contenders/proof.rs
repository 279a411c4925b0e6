//! That each contender does the work, before anything is measured: the origin's answer comes through, each request is one request at the
//! origin, and connections are kept on both sides.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use portcullis_engine::origin::Origin;

use crate::Failure;
use crate::client::Client;
use crate::report::{Table, progress};

use super::{Contender, PATH, Place};

/// What the origin answers.
const BODY: &str = "it is the origin who says this";

/// Requests of the proof, half of them on each of two connections.
const REQUESTS: u64 = 100;

/// Connections to the origin that so many requests may open, one after another: one that is not back among the idle ones when the next
/// request comes is none that was not kept.
const OPENED: u64 = 5;

/// Starts each before an origin of the tool's own, and looks at what comes back and what arrives.
///
/// # Errors
///
/// When one is not installed, or does something else.
pub fn prove(contenders: &[Contender], place: &Place) -> Result<Table, Failure> {
    let mut table =
        Table::new(&["", "answers that are the origin's", "requests at the origin", "connections opened to it"]);
    for contender in contenders {
        progress(&format!("{contender} proves its work"));
        let origin = Origin::start(BODY)?;
        let gateway = contender.start(place, origin.address(), &[])?;
        let opened = check(gateway.address, &origin).map_err(|failure| format!("{contender}: {failure}"))?;
        table.row([contender, &REQUESTS, &REQUESTS, &opened]);
    }
    Ok(table)
}

/// The connections to the origin that the proof's requests opened.
fn check(at: SocketAddr, origin: &Origin) -> Result<u64, Failure> {
    let connections = || origin.counters().connections.load(Ordering::Relaxed);
    let before = (origin.requests(), connections());
    for _ in 0..2 {
        let mut client = Client::connect(at)?;
        for _ in 0..REQUESTS / 2 {
            let answer = client.get(PATH)?;
            if answer.status != 200 || answer.body != BODY.as_bytes() {
                let body = String::from_utf8_lossy(&answer.body);
                return Err(format!("another answer than the origin's: {} {body}", answer.status).into());
            }
            if answer.closes {
                return Err("it closes the client's connection".into());
            }
        }
    }
    let (requests, opened) = (origin.requests() - before.0, connections() - before.1);
    if requests != REQUESTS {
        return Err(format!("{REQUESTS} requests were {requests} at the origin").into());
    }
    if opened > OPENED {
        return Err(format!("{REQUESTS} requests opened {opened} connections to the origin").into());
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// The head of a request.
    fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !read.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            read.extend(byte);
        }
        Some(read)
    }

    /// A proxy that sends each request on a connection of its own, so many times, and adds fields to the answer.
    fn relay(origin: SocketAddr, times: usize, fields: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                while let Some(request) = head(&mut client) {
                    let mut answer = Vec::new();
                    for _ in 0..times {
                        let mut upstream = Client::connect(origin).unwrap();
                        upstream.send_bytes(&request).unwrap();
                        answer = upstream.answer().unwrap().body;
                    }
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", answer.len());
                    client.write_all(&[head.as_bytes(), &answer].concat()).unwrap();
                }
            }
        });
        address
    }

    #[test]
    fn who_answers_himself_repeats_or_keeps_no_connection_does_not_do_the_work() {
        let refused = |at, origin: &Origin| check(at, origin).unwrap_err().to_string();
        let (origin, other) = (Origin::start(BODY).unwrap(), Origin::start("somebody else").unwrap());
        let said = refused(other.address(), &origin);
        assert_eq!(said, "another answer than the origin's: 200 somebody else");
        let twin = Origin::start(BODY).unwrap();
        assert_eq!(refused(twin.address(), &origin), "100 requests were 0 at the origin");
        let twice = relay(origin.address(), 2, "");
        assert_eq!(refused(twice, &origin), "100 requests were 200 at the origin");
        let anew = relay(origin.address(), 1, "");
        assert_eq!(refused(anew, &origin), "100 requests opened 100 connections to the origin");
        let closing = relay(origin.address(), 1, "Connection: close\r\n");
        assert_eq!(refused(closing, &origin), "it closes the client's connection");
        // Nobody between: two connections, which are the client's own.
        assert_eq!(check(origin.address(), &origin).unwrap(), 2);
    }
}
