//! Bodies that take a while to be sent, one after the other on connections that are kept.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_engine::client::Client;
use portcullis_engine::origin::pattern::Pattern;
use portcullis_engine::outcome::Kind;
use portcullis_engine::tally::{Failed, Tally};

use crate::Failure;
use crate::suite::served::PATIENCE;

/// Bytes of a body, and the pieces in which it is sent.
const SIZE: u64 = 40 << 10;
const PIECES: u32 = 10;

/// What came of one: when it began, how long it took, and why it failed, with its status, if it did.
type Upload = (Duration, Duration, Result<(), (Option<u16>, Kind)>);

/// So many callers upload for so long, each body taking a time. They begin one after the other within that time, so that no moment lies
/// between the bodies of all.
pub(super) fn play(to: SocketAddr, callers: usize, (length, takes): (Duration, Duration)) -> Result<Tally, Failure> {
    let (start, body, hash) = (Instant::now(), Pattern::first(SIZE), Pattern::sha256(SIZE));
    let body = (body.as_slice(), hash.as_str());
    let uploads: Vec<Upload> = std::thread::scope(|scope| {
        let begin = |number| start + takes.mul_f64(number as f64 / callers as f64);
        let callers: Vec<_> = (0..callers)
            .map(|number| scope.spawn(move || caller(to, (start, begin(number)), (length, takes), body)))
            .collect();
        callers.into_iter().map(|caller| caller.join().map_err(|_| "an upload panicked")).collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    let mut tally = Tally::new(PATIENCE, Duration::ZERO)?;
    for (id, (planned, took, ended)) in (1..).zip(uploads) {
        match ended {
            Ok(()) => tally.answered(planned, took),
            Err((status, kind)) => tally.failed(Failed { id, planned, status, kind }),
        }
    }
    Ok(tally)
}

fn caller(
    to: SocketAddr,
    (start, begin): (Instant, Instant),
    (length, takes): (Duration, Duration),
    body: (&[u8], &str),
) -> Vec<Upload> {
    let (mut uploads, mut client) = (Vec::new(), None);
    std::thread::sleep(begin.saturating_duration_since(Instant::now()));
    while start.elapsed() < length {
        let begun = start.elapsed();
        let ended = upload(&mut client, to, takes, body);
        if ended.is_err() {
            client = None;
        }
        uploads.push((begun, start.elapsed().saturating_sub(begun), ended));
    }
    uploads
}

/// One upload. The connection is kept unless the other side says that it closes.
fn upload(
    kept: &mut Option<Client>,
    to: SocketAddr,
    takes: Duration,
    body: (&[u8], &str),
) -> Result<(), (Option<u16>, Kind)> {
    let failed = |failure: Failure| {
        let error = failure.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let late = matches!(error, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut));
        (None, if late { Kind::Timeout } else { Kind::Reset })
    };
    let client = match kept {
        Some(client) => client,
        None => kept.insert(Client::patient(to, PATIENCE).map_err(|_| (None, Kind::Connect))?),
    };
    let (body, hash) = body;
    let length = body.len();
    let head = format!("POST /sink HTTP/1.1\r\nHost: load.test\r\nContent-Length: {length}\r\n\r\n");
    client.send(&head).map_err(failed)?;
    for piece in body.chunks(body.len().div_ceil(PIECES as usize)) {
        std::thread::sleep(takes / PIECES);
        client.send_bytes(piece).map_err(failed)?;
    }
    let answer = client.answer().map_err(failed)?;
    if answer.closes {
        *kept = None;
    }
    match answer.status {
        200 if String::from_utf8_lossy(&answer.body).contains(hash) => Ok(()),
        200 => Err((Some(200), Kind::Mismatch)),
        status => Err((Some(status), Kind::Status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_engine::origin::Origin;
    use socket2::{Domain, Socket, Type};

    #[test]
    fn bodies_arrive_and_who_refuses_them_is_a_failure() {
        let origin = Origin::start("{}").unwrap();
        let takes = Duration::from_millis(10);
        let fine = play(origin.address(), 2, (takes, takes)).unwrap();
        assert!(fine.all.succeeded >= 2 && fine.all.failures() == 0, "{}", fine.all);
        assert_eq!(origin.requests(), fine.all.sent());
        // Bound and not listening: refused, and nobody else's meanwhile.
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let gone = play(address, 1, (takes, takes)).unwrap();
        assert_eq!((gone.all.succeeded, gone.all.failed.get(&Kind::Connect)), (0, Some(&gone.all.sent())));
    }
}
