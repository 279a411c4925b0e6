//! Bytes to and from a socket that never blocks, with or without TLS.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustls::ClientConnection;
use socket2::{Domain, SockRef, Socket, Type};

use crate::Failure;
use crate::tls::Tls;

/// What Linux says for every connection that it does not have at once.
const IN_PROGRESS: i32 = 115;

/// A socket and what is spoken on it.
#[derive(Debug)]
pub(super) struct Transport {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What the socket did not take yet, and how much of it has gone.
    out: Vec<u8>,
    gone: usize,
}

impl Transport {
    /// Starts to connect, from an address of its own if there is one.
    pub(super) fn open(to: SocketAddr, from: Option<IpAddr>, tls: Option<&Tls>) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let tls = tls.map(|tls| ClientConnection::new(tls.config.clone(), tls.name.clone())).transpose()?;
        Ok(Self { stream: socket.into(), tls: tls.map(Box::new), out: Vec::new(), gone: 0 })
    }

    /// Whether it has connected, once it is ready.
    pub(super) fn is_open(&self) -> bool {
        matches!(SockRef::from(&self.stream).take_error(), Ok(None))
    }

    /// Whether it speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether bytes wait for room.
    pub(super) fn is_waiting(&self) -> bool {
        self.gone < self.out.len() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Sends bytes, or keeps what the socket does not take. False when the connection is no more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        if let Some(tls) = &mut self.tls {
            // Sent when the handshake is over.
            tls.set_buffer_limit(None);
            return tls.writer().write_all(bytes).is_ok() && self.flush();
        }
        if self.is_waiting() {
            self.out.extend_from_slice(bytes);
            return true;
        }
        match write(&mut self.stream, bytes) {
            Some(count) if count == bytes.len() => true,
            Some(count) => {
                self.out.clear();
                self.gone = 0;
                self.out.extend_from_slice(bytes.get(count..).unwrap_or_default());
                true
            }
            None => false,
        }
    }

    /// Sends what is kept. False when the connection is no more.
    pub(super) fn flush(&mut self) -> bool {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if is_patience(&error) => return true,
                    Err(_) => return false,
                }
            }
            return true;
        }
        match write(&mut self.stream, self.out.get(self.gone..).unwrap_or_default()) {
            Some(count) => {
                self.gone += count;
                true
            }
            None => false,
        }
    }

    /// What has come; nothing is the connection's end. `WouldBlock` when nothing has.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(into) };
        loop {
            match tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            // What does not go now goes with the next flush.
            while tls.wants_write() && tls.write_tls(&mut self.stream).is_ok() {}
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// As many as the socket takes; `None` when it is closed.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut gone = 0;
    while gone < bytes.len() {
        match stream.write(bytes.get(gone..)?) {
            Ok(0) => return None,
            Ok(count) => gone += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return None,
        }
    }
    Some(gone)
}

/// Whether an error only means that it is not yet time.
pub(super) fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
