//! A collector in this process: it reads the protocol strictly and answers as it is told.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use portcullis_types::ByteSize;
use serde_json::{Value, json};
use tokio::io::duplex;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::access_log::View;
use crate::collector::{Dial, Io};
use crate::fixture;
use crate::logs::hec::client::Client;
use crate::logs::hec::inbox::Inbox;
use crate::logs::hec::worker::Worker;
use crate::logs::hec::{Hec, HecBatch, HecStyle};

/// What the collector does with a batch.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Takes it.
    Take,
    /// A status, seconds of Retry-After, a body.
    Say(u16, Option<u64>, &'static str),
    /// Closes the connection in place of an answer.
    Reset,
    /// Takes it, and closes the connection in place of an answer.
    TakeAndReset,
    /// Never answers.
    Hang,
}

#[derive(Default)]
pub(super) struct State {
    /// Nobody listens.
    pub(super) down: bool,
    /// What is done with the next batches; then they are taken.
    pub(super) replies: VecDeque<Reply>,
    /// The batches that were taken, each the ids of its events.
    pub(super) taken: Vec<Vec<u128>>,
    /// When each batch came, taken or not.
    pub(super) came: Vec<Instant>,
    /// Whether acknowledgement is on, and what is indexed.
    pub(super) acks: bool,
    pub(super) indexed: BTreeSet<u64>,
    /// Whether what is taken is indexed at once.
    pub(super) indexes: bool,
    pub(super) next_ack: u64,
    pub(super) asked: usize,
}

#[derive(Clone, Default)]
pub(super) struct Collector {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) tls: Arc<Mutex<Option<TlsAcceptor>>>,
}

#[async_trait]
impl Dial for Collector {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Io>> {
        assert_eq!((host, port), ("splunk.test", 8088));
        if self.state.lock().down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = duplex(64 * 1024);
        let this = self.clone();
        tokio::spawn(async move {
            let tls = this.tls.lock().clone();
            match tls {
                None => this.serve(server).await,
                Some(tls) => {
                    if let Ok(server) = tls.accept(server).await {
                        this.serve(server).await;
                    }
                }
            }
        });
        Ok(Box::new(client))
    }
}

impl Collector {
    async fn serve(&self, stream: impl Io + 'static) {
        let this = self.clone();
        let service = service_fn(move |request| {
            let this = this.clone();
            async move { this.answer(request).await }
        });
        // A connection that is reset on purpose ends with an error.
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
        let (parts, body) = request.into_parts();
        assert_eq!((parts.method.as_str(), parts.headers["authorization"].to_str().unwrap()), ("POST", "Splunk t0ken"));
        assert_eq!(parts.headers["host"], "splunk.test:8088");
        let channel = parts.headers["x-splunk-request-channel"].to_str().unwrap().to_owned();
        assert_eq!(channel.len(), 36);
        let body = body.collect().await.unwrap().to_bytes();
        match parts.uri.path() {
            "/services/collector/event" => self.event(&body, parts.headers.get("content-encoding")).await,
            "/services/collector/ack" => {
                assert_eq!(parts.uri.query(), Some(format!("channel={channel}").as_str()));
                Ok(self.asked(&body))
            }
            other => panic!("no such place: {other}"),
        }
    }

    fn asked(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let mut state = self.state.lock();
        state.asked += 1;
        let asked: Value = serde_json::from_slice(body).unwrap();
        let acks = asked["acks"].as_array().unwrap();
        let one = |ack: &Value| (ack.to_string(), state.indexed.contains(&ack.as_u64().unwrap()).into());
        let said: serde_json::Map<String, Value> = acks.iter().map(one).collect();
        // An acknowledgement is given once.
        state.indexed.retain(|ack| !acks.contains(&(*ack).into()));
        Response::new(json!({ "acks": said }).to_string().into())
    }

    async fn event(
        &self,
        body: &[u8],
        encoding: Option<&http::HeaderValue>,
    ) -> Result<Response<Full<Bytes>>, io::Error> {
        let mut text = String::new();
        match encoding {
            Some(encoding) => {
                assert_eq!(encoding, "gzip");
                flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
            }
            None => text = String::from_utf8(body.to_vec()).unwrap(),
        }
        let ids: Vec<u128> =
            serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(|event| id(&event.unwrap())).collect();
        assert!(!ids.is_empty(), "a batch without events is an error of code 5");
        if self.state.lock().down {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let reply = {
            let mut state = self.state.lock();
            state.came.push(Instant::now());
            state.replies.pop_front().unwrap_or(Reply::Take)
        };
        match reply {
            Reply::Take => Ok(self.take(ids)),
            Reply::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            Reply::TakeAndReset => {
                self.take(ids);
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Reply::Hang => std::future::pending().await,
            Reply::Say(status, after, body) => {
                let mut response = Response::new(body.into());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Some(after) = after {
                    response.headers_mut().insert("retry-after", after.into());
                }
                Ok(response)
            }
        }
    }

    fn take(&self, ids: Vec<u128>) -> Response<Full<Bytes>> {
        let mut state = self.state.lock();
        state.taken.push(ids);
        let mut said = json!({ "text": "Success", "code": 0 });
        if state.acks {
            let ack = state.next_ack;
            state.next_ack += 1;
            if state.indexes {
                state.indexed.insert(ack);
            }
            said["ackId"] = ack.into();
        }
        Response::new(said.to_string().into())
    }

    /// The ids of all events that were taken, in the order in which they came.
    pub(super) fn events(&self) -> Vec<u128> {
        self.state.lock().taken.concat()
    }
}

/// Checks an event by the collector's reference; the id of its record.
fn id(event: &Value) -> u128 {
    let object = event.as_object().unwrap();
    for (key, value) in object {
        let fits = match key.as_str() {
            "time" => value.as_f64().is_some_and(|time| time > 1e9),
            "host" | "source" | "sourcetype" | "index" => value.as_str().is_some_and(|text| !text.is_empty()),
            "event" => value.is_object(),
            _ => false,
        };
        assert!(fits, "{key}: {value}");
    }
    u128::from_str_radix(object["event"]["id"].as_str().unwrap(), 16).unwrap()
}

pub(super) fn settings() -> Hec {
    Hec {
        url: "http://splunk.test:8088".to_owned(),
        token: "t0ken".to_owned(),
        authorities: None,
        index: Some("main".to_owned()),
        source: Some("gate".to_owned()),
        sourcetype: None,
        batch: HecBatch { events: 10, ..HecBatch::default() },
        gzip: true,
        ack: None,
        timeout: Duration::from_secs(30),
        spool: None,
    }
}

/// A sink that runs on the test's own runtime.
pub(super) struct Sink {
    pub(super) inbox: Arc<Inbox>,
    style: HecStyle,
    task: tokio::task::JoinHandle<()>,
}

impl Sink {
    pub(super) fn start(settings: &Hec, collector: &Collector) -> Self {
        Self::with_queue(settings, collector, ByteSize::mib(8))
    }

    pub(super) fn with_queue(settings: &Hec, collector: &Collector, queue: ByteSize) -> Self {
        let inbox = Arc::new(Inbox::new(queue, settings.batch));
        let client = Client::new(settings, Box::new(collector.clone())).unwrap();
        let worker = Worker::new(&"splunk".into(), settings, client, Arc::clone(&inbox));
        let task = tokio::spawn(worker.run());
        Self { inbox, style: HecStyle::new(settings, "edge-1"), task }
    }

    pub(super) fn push(&self, ids: std::ops::Range<u128>) {
        for id in ids {
            let mut line = Vec::new();
            self.style.render(&fixture::typical(id), &View::FULL, &mut line);
            self.inbox.push(&line);
        }
    }

    /// Ends it as [`super::super::Handle::close`] does.
    pub(super) async fn close(self) {
        self.inbox.close(Duration::from_secs(2));
        self.task.await.unwrap();
    }

    /// Ends it as a crash does.
    pub(super) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Lets time pass until something holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(3600), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
