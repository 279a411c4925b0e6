//! A strict keep-alive client: whatever is not a whole answer is an error.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the other side says that it closes the connection.
    pub closes: bool,
}

/// The status of an answer of HTTP/1 that begins like this, if it is one.
#[must_use]
pub fn status(beginning: &[u8]) -> Option<u16> {
    let line = beginning.strip_prefix(b"HTTP/1.")?;
    let digits = line.split(|byte| *byte == b' ').nth(1)?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When there is no connection.
    pub fn connect(to: SocketAddr) -> Result<Self, Failure> {
        Self::over(TcpStream::connect_timeout(&to, PATIENCE)?)
    }

    /// Connects to somebody who may take so long for each answer.
    ///
    /// # Errors
    ///
    /// When there is no connection in that time.
    pub fn patient(to: SocketAddr, patience: Duration) -> Result<Self, Failure> {
        let client = Self::over(TcpStream::connect_timeout(&to, patience)?)?;
        client.stream.get_ref().set_read_timeout(Some(patience))?;
        client.stream.get_ref().set_write_timeout(Some(patience))?;
        Ok(client)
    }

    /// Connects from an address of one's own, so that many connections do not run out of ports.
    ///
    /// # Errors
    ///
    /// When there is no connection.
    pub fn connect_from(from: IpAddr, to: SocketAddr) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&to.into())?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Result<Self, Failure> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(1024, stream) })
    }

    /// Sends a GET and reads its answer.
    ///
    /// # Errors
    ///
    /// When no whole answer came back.
    pub fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: rig.test\r\n\r\n"))?;
        self.answer()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection does not take them.
    pub fn send(&mut self, bytes: &str) -> Result<(), Failure> {
        self.send_bytes(bytes.as_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection does not take them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    /// Reads an answer with its body. A switch of protocols has none.
    ///
    /// # Errors
    ///
    /// When no whole answer came back.
    pub fn answer(&mut self) -> Result<Answer, Failure> {
        let status = self.line()?.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("not an answer")?;
        let (mut length, mut closes) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
            closes |= line.strip_prefix("connection:").is_some_and(|value| value.contains("close"));
        }
        let length = if status == 101 { 0 } else { length.ok_or("an answer without a length")? };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body, closes })
    }

    /// Whether it is open and nothing waits on it that nobody asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let stream = self.stream.get_ref();
        if stream.set_nonblocking(true).is_err() {
            return false;
        }
        let seen = stream.peek(&mut [0]);
        let open = matches!(seen, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_ok() && open && self.stream.buffer().is_empty()
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| "the connection closed".into())
    }

    /// Sends bytes and reads as many back.
    ///
    /// # Errors
    ///
    /// When the connection closed.
    pub fn exchange(&mut self, bytes: &[u8], back: &mut [u8]) -> Result<(), Failure> {
        self.stream.get_mut().write_all(bytes)?;
        Ok(self.stream.read_exact(back)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_closed_or_spoken_to_is_not_open() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let client = Client::connect(listener.local_addr().unwrap()).unwrap();
            (client, listener.accept().unwrap().0)
        };
        let wait = |client: &Client| {
            let start = std::time::Instant::now();
            while client.is_open() {
                assert!(start.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
        };
        let (client, mut server) = connect();
        assert!(client.is_open());
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        wait(&client);
        let (client, server) = connect();
        drop(server);
        wait(&client);
    }

    #[test]
    fn the_status_is_what_stands_in_the_first_line() {
        for (beginning, expected) in [
            (b"HTTP/1.1 431 Too Large\r\n".as_slice(), Some(431)),
            (b"HTTP/1.0 200 OK", Some(200)),
            (b"HTTP/1.1 20", None),
            (b"GET 200 HTTP/1.1", None),
            (b"", None),
        ] {
            assert_eq!(status(beginning), expected, "{}", String::from_utf8_lossy(beginning));
        }
    }
}
