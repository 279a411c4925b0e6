//! A WebSocket that is tunnelled through the gateway.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Failure;
use crate::reload::load::{ECHO, FRAME, UPGRADE};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest head of a 101 that is read.
const LONGEST: usize = 4096;

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Tunnel(TcpStream);

impl Tunnel {
    /// Connects from an address of its own, and upgrades.
    pub(super) fn open(from: IpAddr, to: SocketAddr) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&to.into())?;
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(UPGRADE.as_bytes())?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST {
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        let upgraded = head.starts_with(b"HTTP/1.1 101 ");
        upgraded.then_some(Self(stream)).ok_or_else(|| String::from_utf8_lossy(&head).into_owned().into())
    }

    /// Sends a message, which must come back.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.0.write_all(&FRAME)?;
        let mut echo = [0; ECHO.len()];
        self.0.read_exact(&mut echo)?;
        (echo == *ECHO).then_some(()).ok_or_else(|| "the echo is another message".into())
    }
}
