//! HTTP/2: a client by hyper, and bare frames for what no client sends.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, response::Parts};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::client::Client;
use crate::place::PATIENCE;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Status and fields.
    pub parts: Parts,
    /// The content.
    pub body: Bytes,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a trailer.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).and_then(|value| value.to_str().ok())
    }

    /// The content as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An HTTP/2 connection.
pub struct H2Client {
    sender: SendRequest<Full<Bytes>>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), hyper::Error>>,
}

impl H2Client {
    /// With prior knowledge, in plain text.
    ///
    /// # Panics
    /// When nobody speaks HTTP/2 there.
    pub async fn plain(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap()).await
    }

    /// By ALPN, over TLS.
    ///
    /// # Panics
    /// When the handshake fails, or ends in another protocol.
    pub async fn tls(to: SocketAddr, config: Arc<rustls::ClientConfig>, name: &str) -> Self {
        let tcp = TcpStream::connect(to).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        Self::over(stream).await
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends a request and gives the answer as soon as its head is there.
    ///
    /// # Errors
    /// When the connection or the stream breaks.
    pub async fn begin(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request));
        answer.await.expect("no answer in time")
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When the connection or the stream breaks.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let answer = self.begin(request).await.unwrap();
        whole(answer).await
    }

    /// A GET of a URL.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(Request::get(url).body(Full::default()).unwrap()).await
    }
}

/// Reads an answer to its end.
///
/// # Panics
/// When it breaks off.
pub async fn whole(answer: Response<Incoming>) -> Answer {
    let (parts, body) = answer.into_parts();
    let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("no end in time").unwrap();
    let trailers = collected.trailers().cloned();
    Answer { parts, body: collected.to_bytes(), trailers }
}

/// The client's preface with empty settings.
#[must_use]
pub fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, b""));
    bytes
}

/// One frame.
///
/// # Panics
/// When the payload has no 24-bit length.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [zero, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    assert_eq!(zero, 0);
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HPACK of `GET http://app.test/`, without the dynamic table.
#[must_use]
pub fn get_block() -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "app.test")])
}

/// HPACK of these fields as they are: literals without indexing and without Huffman coding.
///
/// # Panics
/// When a name or a value is longer than 126 bytes.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A frame that was read: type, flags, stream and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The type.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream.
    pub stream: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The type of RST_STREAM.
pub const RST_STREAM: u8 = 3;
/// The type of SETTINGS.
pub const SETTINGS: u8 = 4;
/// The type of GOAWAY.
pub const GOAWAY: u8 = 7;

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    #[must_use]
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Reads the next frame; `None` at the end of the connection.
#[must_use]
pub fn read_frame(client: &mut Client) -> Option<Frame> {
    let header = client.exactly(9).ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
    let payload = client.exactly(usize::try_from(length).ok()?).ok()?;
    Some(Frame { kind: header[3], flags: header[4], stream, payload })
}

/// Reads on to the next frame of a type.
#[must_use]
pub fn next_of(client: &mut Client, kind: u8) -> Option<Frame> {
    std::iter::from_fn(|| read_frame(client)).find(|frame| frame.kind == kind)
}
