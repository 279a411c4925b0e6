//! Connections that are only held, so that it can be told what one costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;

/// How many are held where nobody says it: a gateway takes 1,000 of one network if it is not told otherwise, and the load has some too.
pub(super) const USUAL: usize = 600;

/// Of fewer nothing is told: what memory grows and shrinks by anyway is not small beside them.
const LEAST: usize = 100;

/// How long they are left alone. Servers close what is idle for longer, the gateway after 75 seconds.
const IDLE: Duration = Duration::from_secs(20);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections to one server that are open and idle.
#[derive(Debug, Default)]
pub(super) struct Held {
    clients: Vec<Client>,
    to: Option<(SocketAddr, String)>,
    asked: Option<Instant>,
    /// Whether one could not be opened again.
    failed: bool,
    /// Bytes that the server held before.
    before: Option<u64>,
}

impl Held {
    /// Opens so many, each with a GET that is answered.
    pub(super) fn open(to: SocketAddr, count: usize, path: &str, before: Option<u64>) -> Result<Self, Failure> {
        let mut clients = Vec::new();
        for number in 0..count {
            let client = connect(to, path).map_err(|failure| {
                format!(
                    "of {count} connections that are to be held it takes {number} (--hold asks for fewer): {failure}"
                )
            })?;
            clients.push(client);
        }
        Ok(Self { clients, to: Some((to, path.to_owned())), asked: Some(Instant::now()), failed: false, before })
    }

    /// Before a window: asks again where that is long ago, and opens again what was closed. Where that fails the window comes all the
    /// same: its requests tell what is wrong, and nothing is told of memory.
    pub(super) fn refresh(&mut self) {
        let Some((to, path)) = &self.to else { return };
        let due = self.asked.is_none_or(|asked| asked.elapsed() >= IDLE);
        self.failed = true;
        for client in &mut self.clients {
            if !client.is_open() || (due && client.get(path).is_err()) {
                let Ok(again) = connect(*to, path) else { return };
                *client = again;
            }
        }
        self.failed = false;
        if due {
            self.asked = Some(Instant::now());
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.clients.len()
    }

    /// How many of them are open.
    pub(super) fn still_open(&self) -> usize {
        self.clients.iter().filter(|client| client.is_open()).count()
    }

    /// Bytes that the server held before them; `None` where they are not all there, or too few for a difference to say something.
    pub(super) fn before(&self) -> Option<u64> {
        self.before.filter(|_| self.count() >= LEAST && !self.failed)
    }
}

fn connect(to: SocketAddr, path: &str) -> Result<Client, Failure> {
    let mut client = Client::patient(to, PATIENCE)?;
    client.get(path)?;
    Ok(client)
}

/// How many are held: as many as are asked for, or as many as the files that may be open allow, of which half are for all else.
pub(super) fn count(asked: Option<usize>, servers: usize, files: usize) -> Result<usize, Failure> {
    let most = files / 2 / servers.max(1);
    match asked {
        Some(asked) if asked > most => {
            Err(format!("--hold {asked}: with {servers} servers {most} at most, since {files} files may be open")
                .into())
        }
        Some(asked) => Ok(asked),
        None => Ok(USUAL.min(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    /// A server that answers the first GET of each connection, and gives its connections away.
    fn server() -> (SocketAddr, Receiver<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        (address, receiver)
    }

    #[test]
    fn what_was_closed_is_not_counted_and_is_opened_again() {
        let (address, connections) = server();
        let mut held = Held::open(address, LEAST, "/", Some(5)).unwrap();
        assert_eq!((held.count(), held.still_open(), held.before()), (LEAST, LEAST, Some(5)));
        for _ in 0..3 {
            drop(connections.recv().unwrap());
        }
        let start = Instant::now();
        while held.still_open() != LEAST - 3 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        held.refresh();
        assert_eq!((held.still_open(), held.before()), (LEAST, Some(5)));
        assert_eq!(Held::open(address, LEAST - 1, "/", Some(5)).unwrap().before(), None, "too few");
    }

    #[test]
    fn who_takes_none_is_told_with_what_asks_for_fewer() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = Held::open(address, 7, "/", None).unwrap_err().to_string();
        assert!(said.starts_with("of 7 connections that are to be held it takes 0 (--hold asks for fewer)"), "{said}");
        assert_eq!(Held::default().count(), 0);
        // One that ends when it is told to: the connections are gone, and nobody is there to take others.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            stream
        });
        let mut held = Held { before: Some(5), ..Held::open(to, 1, "/", None).unwrap() };
        drop(answers.join().unwrap());
        let start = Instant::now();
        while held.still_open() > 0 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        held.refresh();
        assert!(held.failed && held.before().is_none());
    }

    #[test]
    fn as_many_are_held_as_files_may_be_open() {
        for (asked, servers, files, expected) in [
            (None, 2, 20_000, Ok(USUAL)),
            (None, 2, 1024, Ok(256)),
            (Some(1000), 2, 20_000, Ok(1000)),
            (Some(0), 2, 20, Ok(0)),
            (Some(1000), 5, 8192, Err("--hold 1000: with 5 servers 819 at most, since 8192 files may be open")),
        ] {
            let found = count(asked, servers, files).map_err(|failure| failure.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{asked:?}");
        }
    }
}
