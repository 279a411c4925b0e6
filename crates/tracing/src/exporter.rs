//! What is said to the collector, and what its answers mean (OTLP specification 1.x, "OTLP/HTTP").
//!
//! The crate `opentelemetry-otlp` makes the messages; the connection is the project's own, so that there is one TLS. Nothing
//! is taken from the environment's `OTEL_…` variables: whatever they say is overruled here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use parking_lot::Mutex;
use portcullis_telemetry::Exporter;
use portcullis_telemetry::collector::{Answer, Dial, Line, compressed};
use prost::Message as _;

use crate::OpenError;

/// The longest of the collector's words that is repeated.
const WORDS: usize = 160;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is delivered, but for so many spans, and what the collector says of it.
    Done { rejected: u64, says: Option<String> },
    /// It is to be sent again, no sooner than after this.
    Again { after: Option<Duration>, why: String },
    /// It would never be taken.
    Refused(String),
}

/// Speaks to one collector.
#[derive(Debug)]
pub(crate) struct Collector {
    exporter: SpanExporter,
    courier: Arc<Courier>,
}

/// Carries the exporter's messages, and keeps what was answered.
#[derive(Debug)]
struct Courier {
    line: tokio::sync::Mutex<Line>,
    path: String,
    headers: HeaderMap,
    gzip: bool,
    heard: Mutex<Option<Result<Answer, String>>>,
}

impl Collector {
    pub(crate) fn new(settings: &Exporter, dial: Box<dyn Dial>) -> Result<Self, OpenError> {
        let line = Line::new(&settings.url, settings.authorities.as_deref(), settings.timeout, dial)?;
        let courier = Arc::new(Courier {
            path: line.path().to_owned(),
            line: tokio::sync::Mutex::new(line),
            headers: headers(settings)?,
            gzip: settings.gzip,
            heard: Mutex::new(None),
        });
        let builder = SpanExporter::builder().with_http();
        let builder = builder.with_shared_http_client(Arc::clone(&courier) as Arc<dyn HttpClient>);
        let builder = builder.with_protocol(Protocol::HttpBinary).with_retry_policy(RetryPolicy::disabled());
        let builder = builder.with_endpoint(settings.url.clone()).with_timeout(settings.timeout);
        let mut exporter = builder.build().map_err(|error| OpenError::Exporter(error.to_string()))?;
        exporter.set_resource(&resource(settings));
        Ok(Self { exporter, courier })
    }

    /// Sends a batch.
    pub(crate) async fn send(&self, spans: Vec<SpanData>) -> Outcome {
        self.courier.heard.lock().take();
        let exported = self.exporter.export(spans).await;
        match self.courier.heard.lock().take() {
            Some(Ok(answer)) => judge(&answer),
            Some(Err(why)) => Outcome::Again { after: None, why },
            // It was never sent: the message cannot be made.
            None => Outcome::Refused(exported.err().map_or_else(String::new, |error| error.to_string())),
        }
    }
}

#[async_trait]
impl HttpClient for Courier {
    /// Sends the body. The fields are the courier's own, whatever the exporter has found for some.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let body = request.into_body();
        let body = if self.gzip { compressed(&body)? } else { body };
        let answer = self.line.lock().await.post(&self.path, self.headers.clone(), body).await;
        *self.heard.lock() = Some(answer.clone());
        let answer = answer?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        Ok(response)
    }
}

fn headers(settings: &Exporter) -> Result<HeaderMap, OpenError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let bad = || OpenError::Header(name.clone());
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.as_str()).map_err(|_| bad())?, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if settings.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// What the spans are of. What the config says comes last, and so holds.
fn resource(settings: &Exporter) -> Resource {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim().to_owned()).filter(|host| !host.is_empty());
    let own = [
        KeyValue::new("service.name", settings.service.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let host = host.map(|host| KeyValue::new("host.name", host));
    let said = settings.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(own.into_iter().chain(host).chain(said)).build()
}

/// What an answer means. Only 429, 502, 503 and 504 are answers after which a batch is sent again.
fn judge(answer: &Answer) -> Outcome {
    if answer.status.is_success() {
        // A body that cannot be read says nothing of spans that were refused.
        let said = ExportTraceServiceResponse::decode(answer.body.clone()).unwrap_or_default().partial_success;
        let (rejected, says) = said.map_or((0, String::new()), |said| (said.rejected_spans, said.error_message));
        let says = Some(plain(says.as_bytes())).filter(|says| !says.is_empty());
        return Outcome::Done { rejected: u64::try_from(rejected).unwrap_or(0), says };
    }
    let why = format!("it answered {} {}", answer.status.as_u16(), plain(&answer.body)).trim_end().to_owned();
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Again { after: answer.after, why },
        _ => Outcome::Refused(why),
    }
}

/// What can be read of what a collector says; long or strange texts are not for our log.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(WORDS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    fn judged(status: u16, body: &[u8]) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        judge(&Answer { status, after: Some(Duration::from_secs(7)), body: Bytes::copy_from_slice(body) })
    }

    #[test]
    fn answers_mean_what_the_specification_says_of_them() {
        let done = |rejected| Outcome::Done { rejected, says: None };
        assert_eq!(judged(200, b""), done(0));
        assert_eq!(judged(200, b"\xff\xff this is no message"), done(0));
        let partial = |rejected_spans, error_message: &str| {
            let error_message = error_message.to_owned();
            let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
            judged(200, &ExportTraceServiceResponse { partial_success }.encode_to_vec())
        };
        assert_eq!(partial(3, ""), done(3));
        assert_eq!(partial(-1, ""), done(0));
        assert_eq!(partial(0, "be\nkind"), Outcome::Done { rejected: 0, says: Some("bekind".to_owned()) });
        for status in [429, 502, 503, 504] {
            let why = format!("it answered {status} busy");
            assert_eq!(judged(status, b"busy"), Outcome::Again { after: Some(Duration::from_secs(7)), why });
        }
        for status in [301, 400, 401, 403, 404, 413, 500, 501] {
            assert_eq!(judged(status, b""), Outcome::Refused(format!("it answered {status}")));
        }
    }
}
