//! The API without sockets: one request in, one answer out.

mod access;
mod changes;
mod config;
mod looking;
mod overrides;
mod telling;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use portcullis_config::{Environment, LoadInput, Stamp, activate, check};
use portcullis_filter::StateStore;
use portcullis_filter::seam::Seams;
use portcullis_identity::directory::Limits;
use portcullis_identity::{Directory, Format, HashSecret, Identities, Timestamp};
use portcullis_snapshot::{Fleets, Generations, Snapshot};
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::record::{Record, RequestLine};
use portcullis_telemetry::{Metrics, MetricsOptions, Outcomes, RecordSink as _, Ring, RingOptions, SinkStat, Timeline};
use portcullis_types::{Downstream, GenerationId, Reason, RequestId};
use portcullis_yaml::MemoryLoader;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use tower::ServiceExt as _;

use crate::control::{AdminState, By, Change, Changed, Control, Readiness, ReloadEntry, SinkLine, Stale};
use crate::router::{CONFIG_BYTES, router};

const CONFIG: &str = r#"
version: 1
listeners: { edge: { bind: "127.0.0.1:8080" } }
admin: { bind: "127.0.0.1:9901", token: "s3cret-token" }
clusters: { api: { endpoints: ["127.0.0.1:9001"] } }
hosts:
  - names: [app.example.com]
    routes: [ { name: all, to: api } ]
"#;

/// A gateway that notes what it is asked, and answers as told.
struct Fake {
    readiness: Readiness,
    outcome: ReloadOutcome,
    hash: String,
    asked: Mutex<Vec<(Change, By)>>,
}

#[async_trait]
impl Control for Fake {
    fn readiness(&self) -> Readiness {
        self.readiness
    }

    fn addresses(&self) -> Vec<(String, Vec<SocketAddr>)> {
        vec![("edge".to_owned(), vec!["127.0.0.1:43210".parse().unwrap()])]
    }

    fn history(&self) -> Vec<ReloadEntry> {
        vec![ReloadEntry {
            at: SystemTime::UNIX_EPOCH,
            trigger: "watch",
            outcome: ReloadOutcome::Refused,
            generation: GenerationId(3),
            took: Duration::from_millis(12),
            summary: "the config has 2 errors".to_owned(),
        }]
    }

    fn sinks(&self) -> Vec<SinkLine> {
        let stats = vec![SinkStat::Written(5), SinkStat::Dropped { cause: "queue_full", count: 2 }];
        vec![SinkLine { name: "access_log".to_owned(), stats }]
    }

    async fn change(&self, change: Change, by: By) -> Result<Changed, Stale> {
        if let Change::Apply { expected, .. } = &change
            && !expected.allows(&self.hash)
        {
            let (who, at) = ("carol".to_owned(), SystemTime::UNIX_EPOCH);
            return Err(Stale { current: self.hash.clone(), generation: GenerationId(4), who, at });
        }
        self.asked.lock().unwrap().push((change, by));
        Ok(Changed {
            outcome: self.outcome,
            generation: GenerationId(4),
            hash: self.hash.clone(),
            diff: None,
            diagnostics: json!([{ "code": "unknown_key" }]),
            message: "gateway.yaml:1:1: error".to_owned(),
            effect: None,
            notes: Vec::new(),
            includes: Vec::new(),
            file: None,
            trial: None,
        })
    }
}

pub(crate) struct Api {
    fake: Arc<Fake>,
    state: Arc<AdminState>,
}

/// An answer, its body read.
#[derive(Debug)]
struct Seen {
    status: StatusCode,
    content_type: String,
    etag: Option<String>,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn snapshot(text: &str) -> Snapshot {
    let loader = MemoryLoader::new().file("gateway.yaml", text);
    let registry = portcullis_filters::registry();
    let seams = Seams::default();
    let path = "gateway.yaml".as_ref();
    let input = LoadInput { path, loader: &loader, registry: &registry, seams: &seams, now: SystemTime::UNIX_EPOCH };
    let loaded = check(&input);
    let report = portcullis_yaml::render_text(&loaded.diagnostics, &loaded.sources);
    let candidate = loaded.candidate.unwrap_or_else(|| panic!("{report}"));
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap());
    let fleets = Fleets::new(metrics.clone());
    let (state, certificates) = (StateStore::default(), Arc::default());
    let environment = Environment {
        seams: &seams,
        state: &state,
        metrics: &metrics,
        fleets: &fleets,
        services: &portcullis_filter::Services::default(),
        certificates: &certificates,
    };
    let (created, now) = (SystemTime::UNIX_EPOCH, Instant::now());
    let stamp = Stamp { id: GenerationId(3), trigger: "start", created, now, seed: 1 };
    activate(candidate, None, &environment, stamp).unwrap_or_else(|_| panic!("activate"))
}

/// One consumer with a key.
fn identities() -> Arc<Identities> {
    let identities = Identities::new([5; 32]);
    let hash = HashSecret::from_bytes([1; 32]).hash(b"a-key-of-acme-0001");
    let keys = format!(r#"[{{"hash":"{hash}","label":"laptop","not_after":"2030-01-01T00:00:00Z"}}]"#);
    let line =
        format!(r#"{{"id":"acme/eu","plan":"pro","networks":["203.0.113.0/24"],"methods":["get*"],"keys":{keys}}}"#);
    let directory = Directory::new(1).rebuild_from(Format::Ndjson, &mut line.as_bytes(), Limits::default()).unwrap();
    identities.change(|book| book.directory = Arc::new(directory.0));
    Arc::new(identities)
}

impl Api {
    fn new(text: &str, readiness: Readiness, outcome: ReloadOutcome) -> Self {
        let snapshot = Arc::new(snapshot(text));
        let hash = snapshot.origin.hash.clone();
        let fake = Arc::new(Fake { readiness, outcome, hash, asked: Mutex::default() });
        let registry = prometheus::Registry::new();
        Metrics::new(&registry, MetricsOptions::default()).unwrap();
        let recent = Arc::new(Ring::new(RingOptions::default()));
        let outcomes = Arc::new(Outcomes::default());
        let timeline = Arc::new(Timeline::new(outcomes.clone()));
        for (id, reason) in [(1, None), (2, Some(Reason::NoRoute)), (3, Some(Reason::Denied))] {
            recent.push(&record(id, reason));
            outcomes.record(&record(id, reason));
        }
        // Ten ticks make a step.
        (0..10).for_each(|_| drop(timeline.tick(SystemTime::UNIX_EPOCH + Duration::from_secs(5))));
        let state = AdminState {
            version: "1.2.3".to_owned(),
            started: Instant::now(),
            generations: Arc::new(Generations::new(snapshot)),
            registry,
            recent,
            timeline,
            identities: identities(),
            audit: Arc::default(),
            overrides: Arc::default(),
            failures: Default::default(),
            health: Arc::default(),
            control: fake.clone(),
        };
        Self { fake, state: Arc::new(state) }
    }

    pub(crate) fn state(&self) -> Arc<AdminState> {
        self.state.clone()
    }

    pub(crate) fn ready() -> Self {
        Self::new(CONFIG, Readiness::Ready, ReloadOutcome::Applied)
    }

    fn hash(&self) -> String {
        self.fake.hash.clone()
    }

    async fn send(&self, request: Request<Body>) -> Seen {
        let response: Response<Body> = router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let field = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (content_type, etag) = (field("content-type").unwrap_or_default(), field("etag"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Seen { status, content_type, etag, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Seen {
        self.send(authorized("GET", path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], body: impl Into<Body>) -> Seen {
        let request =
            fields.iter().fold(authorized("POST", path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(body.into()).unwrap()).await
    }
}

fn authorized(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", "Bearer s3cret-token")
}

fn record(id: u128, reason: Option<Reason>) -> Arc<Record> {
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let downstream =
        Downstream { listener: "edge".into(), peer: address, socket_peer: address, local: address, tls: None };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(id).unwrap());
    let mut record = Record::request(RequestId(id), GenerationId(3), at, Arc::new(downstream));
    let line = RequestLine { method: b"GET", host: b"app.example.com", path: b"/", ..RequestLine::default() };
    record.set_head(&line, &portcullis_telemetry::RecordOptions::default());
    record.status = reason.map_or(200, Reason::status);
    record.timers.total = Duration::from_millis(100 * u64::try_from(id).unwrap());
    if let Some(reason) = reason {
        record.fail(&reason.into());
    }
    Arc::new(record)
}
