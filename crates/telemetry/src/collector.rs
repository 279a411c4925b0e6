//! A connection to a collector: HTTP/1.1, one POST at a time, over TLS where the URL says so.
//!
//! Bounded in time and in what it reads. A connection that broke is made anew with the next POST; nothing is sent twice here.

use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The bound on an answer's body.
const MOST_BYTES: usize = 256 * 1024;
/// The longest that an answer may make anybody wait.
const MOST_WAIT: Duration = Duration::from_secs(300);

/// A connection's bytes.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens connections.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects to a host and a port.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>>;
}

/// Over TCP.
#[derive(Debug, Clone, Copy)]
pub struct Tcp;

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// Why there can be no line to a collector.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The URL is not one of a collector.
    #[error("`{url}` is no URL of a collector: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The CAs cannot be used.
    #[error("the CAs of the collector: {0}")]
    Authorities(String),
}

/// What a collector answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// How long it asks to be left alone: the seconds of Retry-After, at most 5 minutes.
    pub after: Option<Duration>,
    /// The body, at most 256 KiB.
    pub body: Bytes,
}

/// A line to one collector.
pub struct Line {
    dial: Box<dyn Dial>,
    host: String,
    port: u16,
    authority: HeaderValue,
    path: String,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// A line to the host of a URL. Nothing is connected yet.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn new(
        url: &str,
        authorities: Option<&str>,
        timeout: Duration,
        dial: Box<dyn Dial>,
    ) -> Result<Self, LineError> {
        let bad = |why: &str| LineError::Url { url: url.to_owned(), why: why.to_owned() };
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(bad("expected http:// or https://")),
        };
        let host = uri.host().ok_or_else(|| bad("it has no host"))?;
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        Ok(Self {
            dial,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority).map_err(|_| bad("the host is no field value"))?,
            path: uri.path().to_owned(),
            tls: is_tls.then(|| tls(authorities)).transpose()?.map(Arc::new),
            timeout,
            open: None,
        })
    }

    /// The path of the URL.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Posts a body, with Host and User-Agent beside the fields that are given.
    ///
    /// # Errors
    /// A sentence: why there is no answer.
    pub async fn post(&mut self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let answer = timeout(self.timeout, self.exchange(path, headers, body)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let mut sender = self.connection().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.authority.clone());
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("portcullis"));
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (status, after) = (response.status(), retry_after(response.headers()));
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(|error| error.to_string())?;
        self.open = Some(sender);
        Ok(Answer { status, after, body: body.to_bytes() })
    }

    /// The connection that is open, or another.
    async fn connection(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        if let Some(mut open) = self.open.take()
            && open.ready().await.is_ok()
        {
            return Ok(open);
        }
        let dialled = self.dial.dial(&self.host, self.port).await;
        let stream = dialled.map_err(|error| format!("cannot connect to {}:{}: {error}", self.host, self.port))?;
        let stream: Box<dyn Io> = match &self.tls {
            None => stream,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
                let connected = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                Box::new(connected.map_err(|error| format!("TLS: {error}"))?)
            }
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // What breaks it shows at the next request.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Seconds of Retry-After; a date is not looked at, and the caller's own pace holds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_WAIT))
}

/// A body in gzip.
///
/// # Errors
/// A sentence; writing to memory does not fail.
pub fn compressed(body: &[u8]) -> Result<Bytes, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let made = encoder.write_all(body).and_then(|()| encoder.finish());
    made.map(Bytes::from).map_err(|error| error.to_string())
}

fn tls(authorities: Option<&str>) -> Result<ClientConfig, LineError> {
    let mut roots = RootCertStore::empty();
    let bad = |why: String| LineError::Authorities(why);
    if let Some(pem) = authorities {
        for one in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let one = one.map_err(|error| bad(error.to_string()))?;
            roots.add(one).map_err(|error| bad(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("there is no certificate".to_owned()));
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        let system = system.map_err(|error| bad(format!("the system's cannot be read: {error}")))?;
        roots.add_parsable_certificates(system);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| bad(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
