//! Outputs over sockets, for the thread of a [`Writer`](crate::Writer): lines come in, messages go out.
//!
//! A write takes whole lines. It gives back how many bytes of lines went out, so that what failed is tried again on a new
//! connection; a message that was cut by a failure is sent again whole. Before a stream is written to, it is looked at:
//! one that the other side has closed is not written into. What the other side says is read and thrown away.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a stream may take nothing before it counts as broken.
const STALLED: Duration = Duration::from_secs(10);
/// A write into a stream returns after this long, so that a close is heard.
const SLICE: Duration = Duration::from_millis(200);
/// Reads of what the other side says, before a write: it need not be polite.
const LOOKS: usize = 16;
/// Lines of a write that become messages at once.
const AT_ONCE: usize = 32 * 1024;

/// A host or an address, and a port. Names are resolved at each connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    fn resolve(&self) -> io::Result<impl Iterator<Item = std::net::SocketAddr>> {
        (self.host.as_str(), self.port).to_socket_addrs()
    }
}

/// How messages are told apart in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A newline behind each.
    Lines,
    /// Its length in bytes and a space before each (RFC 6587 section 3.4.1).
    Counted,
}

/// Lines over TCP.
pub(super) struct Stream {
    stream: TcpStream,
    framing: Framing,
    frames: Vec<u8>,
    /// Why the connection is of no more use; said at the next write.
    broken: Option<io::Error>,
}

impl Stream {
    /// Connects to the first address that answers.
    pub(super) fn connect(to: &Address, framing: Framing) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, format!("{to} has no address"));
        for address in to.resolve()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(SLICE))?;
                    return Ok(Self { stream, framing, frames: Vec::new(), broken: None });
                }
                Err(error) => last = error,
            }
        }
        Err(io::Error::new(last.kind(), format!("{to}: {last}")))
    }

    /// Whether the other side still listens; what it said is thrown away.
    fn look(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let mut waste = [0; 4096];
        let mut seen = Ok(());
        for _ in 0..LOOKS {
            match self.stream.read(&mut waste) {
                Ok(0) => seen = Err(io::Error::new(ErrorKind::ConnectionReset, "the other side has closed")),
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => seen = Err(error),
            }
            break;
        }
        self.stream.set_nonblocking(false)?;
        seen
    }

    /// Writes all frames; how many bytes went out, and how it ended.
    fn send(&mut self) -> (usize, io::Result<()>) {
        let mut sent = 0;
        let mut moved = Instant::now();
        while let Some(rest) = self.frames.get(sent..).filter(|rest| !rest.is_empty()) {
            match (&self.stream).write(rest) {
                Ok(0) => return (sent, Err(ErrorKind::WriteZero.into())),
                Ok(n) => {
                    sent += n;
                    moved = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if moved.elapsed() >= STALLED {
                        return (sent, Err(io::Error::new(ErrorKind::TimedOut, "the other side takes nothing")));
                    }
                }
                Err(error) => return (sent, Err(error)),
            }
        }
        (sent, Ok(()))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.look()?;
        self.frames.clear();
        let mut lines = 0;
        // Where each message ends: in what goes out, and in the lines that came in.
        let mut ends = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if lines > 0 && lines + line.len() > AT_ONCE {
                break;
            }
            lines += line.len();
            frame(self.framing, line, &mut self.frames);
            ends.push((self.frames.len(), lines));
        }
        let (sent, outcome) = self.send();
        let Err(error) = outcome else { return Ok(lines) };
        let whole = ends.iter().rev().find(|(end, _)| *end <= sent).map_or(0, |(_, lines)| *lines);
        if whole == 0 {
            return Err(error);
        }
        self.broken = Some(error);
        Ok(whole)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a line, its newline included, as a message.
pub(super) fn frame(framing: Framing, line: &[u8], out: &mut Vec<u8>) {
    match framing {
        Framing::Lines => out.extend_from_slice(line),
        Framing::Counted => {
            let message = line.strip_suffix(b"\n").unwrap_or(line);
            out.extend_from_slice(itoa::Buffer::new().format(message.len()).as_bytes());
            out.push(b' ');
            out.extend_from_slice(message);
        }
    }
}

/// A datagram a line.
pub(super) enum Datagrams {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Datagrams {
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        socket.set_write_timeout(Some(SLICE))?;
        Ok(Self::Unix(socket))
    }

    pub(super) fn udp(to: &Address) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, format!("{to} has no address"));
        for address in to.resolve()? {
            let any: std::net::IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
            let made = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address).map(|()| socket));
            match made {
                Ok(socket) => {
                    socket.set_write_timeout(Some(SLICE))?;
                    return Ok(Self::Udp(socket));
                }
                Err(error) => last = error,
            }
        }
        Err(io::Error::new(last.kind(), format!("{to}: {last}")))
    }

    /// What the socket was told since: over UDP, that nobody listens at the other end.
    fn pending_error(&self) -> Option<io::Error> {
        match self {
            Self::Unix(_) => None,
            Self::Udp(socket) => socket.take_error().ok().flatten(),
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(line) = bytes.split_inclusive(|byte| *byte == b'\n').next() else { return Ok(0) };
        if let Some(error) = self.pending_error() {
            return Err(error);
        }
        let message = line.strip_suffix(b"\n").unwrap_or(line);
        match self.send(message) {
            Ok(_) => Ok(line.len()),
            // No kind is stable for EMSGSIZE: the message is at fault, and another connection would not help.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                Err(io::Error::new(ErrorKind::InvalidData, error))
            }
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
