//! A client that sends exactly the bytes it is given.

use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::place::PATIENCE;
use crate::response::{Framing, Response, chunk, framing};

trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

/// A connection to the gateway.
pub struct Client {
    io: Box<dyn Io>,
    tcp: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects in plain text.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|error| panic!("{to}: {error}")))
    }

    /// Connects from an address of one's own.
    #[must_use]
    pub fn connect_from(from: &str, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
        socket.connect_timeout(&to.into(), PATIENCE).unwrap();
        Self::over(socket.into())
    }

    /// Connects with a receive buffer of about this size, so that a slow reader soon stops the sender.
    #[must_use]
    pub fn connect_narrow(to: SocketAddr, bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect_timeout(&to.into(), PATIENCE).unwrap();
        Self::over(socket.into())
    }

    /// A client over a connection that is there.
    #[must_use]
    pub fn over(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { io: Box::new(tcp.try_clone().unwrap()), tcp, buffer: Vec::new() }
    }

    /// Speaks TLS from here on. The handshake takes place with the first bytes.
    #[must_use]
    pub fn with_tls(self, config: &Arc<rustls::ClientConfig>, name: &str) -> Self {
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let session = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let io = rustls::StreamOwned::new(session, self.tcp.try_clone().unwrap());
        Self { io: Box::new(io), tcp: self.tcp, buffer: Vec::new() }
    }

    /// A second handle on a connection in plain text, to send while this one reads.
    #[must_use]
    pub fn writer(&self) -> Self {
        Self::over(self.tcp.try_clone().unwrap())
    }

    /// Gives up on reads after this time in place of [`PATIENCE`].
    pub fn set_patience(&self, patience: Duration) {
        self.tcp.set_read_timeout(Some(patience)).unwrap();
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When they cannot be sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap();
        self
    }

    /// Sends bytes that the other side may refuse to take.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.write_all(bytes.as_ref())?;
        self.io.flush()
    }

    /// Sends a GET for the host `app.test` and reads the answer.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n")).response()
    }

    /// Sends bytes that are a request and reads the answer.
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request).response()
    }

    /// Reads a response to a request that is no HEAD.
    ///
    /// # Panics
    /// When none comes.
    pub fn response(&mut self) -> Response {
        let head = self.head();
        self.body_of(head, false)
    }

    /// Reads a response to HEAD.
    pub fn response_to_head(&mut self) -> Response {
        let head = self.head();
        self.body_of(head, true)
    }

    /// Reads a head, without the blank line.
    ///
    /// # Panics
    /// When the connection ends before it.
    pub fn head(&mut self) -> String {
        self.try_head()
            .unwrap_or_else(|error| panic!("no head: {error}; so far: {:?}", String::from_utf8_lossy(&self.buffer)))
    }

    /// Reads a head, if one comes.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub fn try_head(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Ok(head);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads a response, if a whole one comes.
    ///
    /// # Errors
    /// When the connection ends before its end.
    pub fn try_response(&mut self) -> io::Result<Response> {
        let head = self.try_head()?;
        self.try_body(head, false)
    }

    fn body_of(&mut self, head: String, bodiless: bool) -> Response {
        self.try_body(head, bodiless).unwrap_or_else(|error| panic!("the body broke off: {error}"))
    }

    fn try_body(&mut self, head: String, bodiless: bool) -> io::Result<Response> {
        let status: u16 = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let none = bodiless || status < 200 || status == 204 || status == 304;
        let framing = if none { Framing::Length(0) } else { framing(&head, Framing::ToEnd) };
        let body = match framing {
            Framing::Length(length) => self.exactly(length)?,
            Framing::Chunked => self.chunked()?,
            Framing::ToEnd => self.rest(),
        };
        Ok(Response { status, head, body })
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// When the connection ends before them.
    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.next_chunk()? {
                data if data.is_empty() => return Ok(body),
                data => body.extend(data),
            }
        }
    }

    /// Reads one chunk of a chunked body; the last one is empty.
    ///
    /// # Errors
    /// When the connection ends before it.
    pub fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some((data, taken)) = chunk(&self.buffer) {
                let data = data.to_vec();
                self.buffer.drain(..taken);
                return Ok(data);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads whatever still comes, to the end of the connection, a reset included.
    ///
    /// # Panics
    /// When the connection does not end.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => return std::mem::take(&mut self.buffer),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("the connection was not closed; so far: {:?}", String::from_utf8_lossy(&self.buffer))
                }
                Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    /// Asserts that the connection ends without another byte.
    ///
    /// # Panics
    /// When bytes come, or no end.
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Reads more into the buffer; how many bytes came.
    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0u8; 16 * 1024];
        let count = self.io.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Ends the sending side, if the connection is not gone already.
    pub fn finish(&mut self) -> &mut Self {
        drop(self.tcp.shutdown(Shutdown::Write));
        self
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
