//! What is said to the collector, and what its answers mean.
//!
//! One connection, one request at a time. An answer that is not the collector's (a proxy's page, a body that is no JSON)
//! delivers nothing.

use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Hec, HecError};

/// The bound on an answer's body.
const MOST_BYTES: usize = 256 * 1024;
/// The longest that an answer may make the sink wait.
const MOST_WAIT: Duration = Duration::from_secs(300);

/// A connection's bytes.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens connections.
#[async_trait]
pub(super) trait Dial: Send + Sync {
    /// Connects to a host and a port.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>>;
}

/// Over TCP.
pub(super) struct Tcp;

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is delivered.
    Done,
    /// It is there; whether it is indexed is to be asked.
    Accepted(u64),
    /// It is to be sent again, no sooner than after this.
    Again { after: Option<Duration>, why: String },
    /// It would never be taken.
    Refused(String),
}

/// Speaks to one collector.
pub(super) struct Client {
    dial: Box<dyn Dial>,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    headers: HeaderMap,
    event: String,
    ack: String,
    gzip: bool,
    wants_ack: bool,
    timeout: Duration,
    open: Option<SendRequest<Full<Bytes>>>,
}

struct Answer {
    status: StatusCode,
    after: Option<Duration>,
    body: Bytes,
}

impl Client {
    pub(super) fn new(settings: &Hec, dial: Box<dyn Dial>) -> Result<Self, HecError> {
        let bad = |why: &str| HecError::Url { url: settings.url.clone(), why: why.to_owned() };
        let uri: Uri = settings.url.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(bad("expected http:// or https://")),
        };
        let host = uri.host().ok_or_else(|| bad("it has no host"))?;
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let prefix = uri.path().trim_end_matches('/');
        let channel = channel();
        let mut headers = HeaderMap::new();
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|_| bad("the token or the host is no field value"));
        let mut token = value(&format!("Splunk {}", settings.token))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        headers.insert(HOST, value(authority)?);
        headers.insert(USER_AGENT, HeaderValue::from_static("portcullis"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-splunk-request-channel", value(&channel)?);
        Ok(Self {
            dial,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            tls: is_tls.then(|| tls(settings.authorities.as_deref())).transpose()?.map(Arc::new),
            headers,
            event: format!("{prefix}/services/collector/event"),
            ack: format!("{prefix}/services/collector/ack?channel={channel}"),
            gzip: settings.gzip,
            wants_ack: settings.ack.is_some(),
            timeout: settings.timeout,
            open: None,
        })
    }

    /// Sends a batch.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        let path = self.event.clone();
        match self.call(&path, body, self.gzip).await {
            Ok(answer) => judge(&answer, self.wants_ack),
            Err(why) => Outcome::Again { after: None, why },
        }
    }

    /// Asks which are indexed.
    pub(super) async fn indexed(&mut self, acks: &[u64]) -> Result<Vec<u64>, String> {
        let body = serde_json::json!({ "acks": acks }).to_string();
        let path = self.ack.clone();
        let answer = self.call(&path, body.into(), false).await?;
        if answer.status != StatusCode::OK {
            return Err(format!("asked for acknowledgements, it answered {}", answer.status.as_u16()));
        }
        let said: Value = serde_json::from_slice(&answer.body).map_err(|error| format!("acknowledgements: {error}"))?;
        let said = said.get("acks").and_then(Value::as_object).ok_or("the answer has no acknowledgements")?;
        let done = |ack: &&u64| said.get(&ack.to_string()) == Some(&Value::Bool(true));
        Ok(acks.iter().filter(done).copied().collect())
    }

    async fn call(&mut self, path: &str, body: Bytes, gzip: bool) -> Result<Answer, String> {
        let answer = timeout(self.timeout, self.exchange(path, body, gzip)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, path: &str, body: Bytes, gzip: bool) -> Result<Answer, String> {
        let mut sender = self.connection().await?;
        let mut request = Request::new(Full::new(if gzip { compressed(&body)? } else { body }));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        request.headers_mut().clone_from(&self.headers);
        if gzip {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
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

/// What an answer means (the codes are of Splunk's reference for the collector).
fn judge(answer: &Answer, wants_ack: bool) -> Outcome {
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let code = said.as_ref().and_then(|said| said.get("code")?.as_u64());
    let text = said.as_ref().and_then(|said| said.get("text")?.as_str()).unwrap_or_default();
    // Long or strange texts are not for our log.
    let text: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(100).collect();
    let why = format!("it answered {} {text}", answer.status.as_u16());
    match (answer.status, code) {
        (StatusCode::OK, Some(0)) => match said.as_ref().and_then(|said| said.get("ackId")?.as_u64()) {
            Some(ack) if wants_ack => Outcome::Accepted(ack),
            // A token without acknowledgement says that it has the events, and no more; asking again would double them.
            Some(_) | None => Outcome::Done,
        },
        (StatusCode::OK, _) => Outcome::Again { after: None, why: "its answer is not a collector's".to_owned() },
        (StatusCode::PAYLOAD_TOO_LARGE, _) | (StatusCode::BAD_REQUEST, Some(5 | 6 | 12 | 13 | 15)) => {
            Outcome::Refused(why)
        }
        _ => Outcome::Again { after: answer.after, why },
    }
}

/// Seconds of Retry-After; a date is not looked at, and the sink's own pace holds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MOST_WAIT))
}

fn compressed(body: &[u8]) -> Result<Bytes, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let made = encoder.write_all(body).and_then(|()| encoder.finish());
    made.map(Bytes::from).map_err(|error| error.to_string())
}

/// A random UUID (RFC 9562 section 5.4).
fn channel() -> String {
    let random: u128 = rand::random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn tls(authorities: Option<&str>) -> Result<ClientConfig, HecError> {
    let mut roots = RootCertStore::empty();
    let bad = |why: String| HecError::Authorities(why);
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
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| bad(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_collector_says_of_them() {
        let check = |status: u16, body: &str, wants_ack: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let after = Some(Duration::from_secs(7));
            judge(&Answer { status, after, body: Bytes::copy_from_slice(body.as_bytes()) }, wants_ack)
        };
        let again = |outcome: &Outcome| matches!(outcome, Outcome::Again { .. });
        assert_eq!(check(200, r#"{"text":"Success","code":0}"#, false), Outcome::Done);
        assert_eq!(check(200, r#"{"text":"Success","code":0,"ackId":7}"#, true), Outcome::Accepted(7));
        assert_eq!(check(200, r#"{"text":"Success","code":0}"#, true), Outcome::Done);
        assert!(again(&check(200, "<html>hello</html>", false)));
        assert!(again(&check(200, r#"{"code":9}"#, false)));
        assert!(again(&check(204, "", false)));
        let busy = check(503, r#"{"text":"Server is busy","code":9}"#, false);
        let why = "it answered 503 Server is busy".to_owned();
        assert_eq!(busy, Outcome::Again { after: Some(Duration::from_secs(7)), why });
        for body in [r#"{"code":7}"#, r#"{"code":10}"#, "", "garbage"] {
            assert!(again(&check(400, body, false)), "an operator can put that right: {body}");
        }
        assert!(again(&check(403, r#"{"text":"Invalid token","code":4}"#, false)));
        assert!(matches!(check(400, r#"{"text":"Invalid data format","code":6}"#, false), Outcome::Refused(_)));
        assert!(matches!(check(413, "", false), Outcome::Refused(_)));
    }

    #[test]
    fn a_channel_is_a_random_uuid() {
        let [one, other] = [channel(), channel()];
        assert_ne!(one, other);
        let bytes = one.as_bytes();
        assert_eq!((one.len(), bytes[14], bytes[8], bytes[23]), (36, b'4', b'-', b'-'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{one}");
    }
}
