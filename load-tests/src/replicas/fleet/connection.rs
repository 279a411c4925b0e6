//! A replica's side of a connection, with one request at a time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::SockRef;

use crate::Failure;
use crate::head::{self, Seen};

/// Bytes that a request may have.
const LONGEST: usize = 16 << 10;

/// What has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Not a whole request yet.
    Part,
    /// A request of the load, by its number.
    Request(u64),
    /// Something else: a health check, or somebody who looks whether anybody is there.
    Other,
    /// The connection is of no use any more.
    Gone,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
    /// Whose it is.
    pub(super) replica: usize,
    /// The request that it has read and not answered.
    pub(super) serves: Option<u64>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, replica: usize) -> Result<Self, Failure> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, got: Vec::with_capacity(512), replica, serves: None })
    }

    pub(super) fn read(&mut self) -> Asked {
        let mut bytes = [0; 2048];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Asked::Gone,
            Ok(count) => self.got.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Asked::Part;
            }
            Err(_) => return Asked::Gone,
        }
        match head::look(&self.got) {
            Seen::Part if self.got.len() < LONGEST => Asked::Part,
            // Nobody may send a second request before the answer to the first.
            Seen::Whole(head) if head.length == self.got.len() && self.serves.is_none() => {
                let target = self.got.get(head.word).unwrap_or_default();
                self.serves = target.strip_prefix(b"/r/").and_then(head::number);
                self.got.clear();
                self.serves.map_or(Asked::Other, Asked::Request)
            }
            Seen::Part | Seen::Whole(_) | Seen::Broken => Asked::Gone,
        }
    }

    /// Answers, and says whether the connection took it.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> bool {
        self.serves = None;
        self.stream.write(bytes).is_ok_and(|count| count == bytes.len())
    }

    /// Ends it with a reset.
    pub(super) fn reset(self) {
        // Without it the end is a polite one, which only changes what the other side is told.
        drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
