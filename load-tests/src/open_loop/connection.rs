//! A connection of the load tool, with one request at a time. No call blocks.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::Failure;
use crate::head::{self, Seen};

/// Bytes that an answer may have; those of the rig have a few hundred.
const LONGEST: usize = 16 << 10;

/// A request that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// Its number.
    pub(super) id: u64,
    /// The moment it was planned for, from the load's start.
    pub(super) planned: Duration,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It connects, and sends this when it has.
    Connecting(Flight),
    /// It waits for the answer to this.
    Waiting(Flight),
    /// It may be used.
    Idle,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// Not enough yet.
    Part,
    /// An answer, and whether the other side closes.
    Answer { status: u16, closes: bool },
    /// The end of the connection, or what is no answer.
    Cut,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
    pub(super) state: State,
}

impl Connection {
    /// Starts to connect.
    pub(super) fn open(to: SocketAddr, first: Flight) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Linux says so for every connection that it does not have at once.
        const IN_PROGRESS: i32 = 115;
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { stream: socket.into(), got: Vec::with_capacity(512), state: State::Connecting(first) })
    }

    /// Whether it has connected, once it is ready.
    pub(super) fn is_open(&self) -> bool {
        matches!(SockRef::from(&self.stream).take_error(), Ok(None))
    }

    /// Sends a request. A socket's buffer that does not hold one is as good as closed.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.got.clear();
        self.stream.write(bytes).is_ok_and(|count| count == bytes.len())
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self) -> Received {
        let mut bytes = [0; 2048];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Received::Cut,
            Ok(count) => self.got.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Received::Part;
            }
            Err(_) => return Received::Cut,
        }
        match head::look(&self.got) {
            Seen::Part if self.got.len() < LONGEST => Received::Part,
            Seen::Whole(head) if head.length == self.got.len() => {
                let status = self.got.get(head.word.clone()).and_then(head::number);
                status.map_or(Received::Cut, |status| Received::Answer { status, closes: head.closes })
            }
            Seen::Part | Seen::Whole(_) | Seen::Broken => Received::Cut,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
