//! The API without sockets: one request in, one answer out.

mod changes;
mod looking;

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

#[tokio::test]
async fn only_health_is_told_without_the_token() {
    let api = Api::ready();
    for path in ["/metrics", "/api/status", "/api/config", "/api/clusters", "/api/requests", "/api/nothing"] {
        let seen = api.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (seen.status, &*seen.content_type),
            (StatusCode::UNAUTHORIZED, "application/problem+json"),
            "{path}"
        );
        assert_eq!(seen.json()["reason"], "unauthorized");
    }
    for path in ["/healthz", "/readyz"] {
        let seen = api.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn is_not_ready_before_the_start_and_during_a_drain() {
    for (readiness, detail) in
        [(Readiness::Starting, "starting"), (Readiness::Leaving, "leaving"), (Readiness::Draining, "draining")]
    {
        let api = Api::new(CONFIG, readiness, ReloadOutcome::Applied);
        let seen = api.get("/readyz").await;
        assert_eq!((seen.status, seen.json()["detail"].clone()), (StatusCode::SERVICE_UNAVAILABLE, json!(detail)));
        assert_eq!(api.get("/healthz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_timeline_has_what_became_of_requests() {
    let body = Api::ready().get("/api/timeline").await.json();
    let step = &body["steps"][0];
    assert_eq!((&body["step_seconds"], &step["until"]), (&json!(5), &json!("1970-01-01T00:00:05.000Z")));
    assert_eq!((&step["requests"], &step["failed"], &step["refused"]), (&json!(3), &json!(0), &json!(2)));
    assert_eq!(step["reasons"], json!({ "no_route": 1, "denied": 1 }));
    assert!(step["p50_ms"].as_f64().is_some_and(|p50| (200.0..250.0).contains(&p50)), "{step}");
}

#[tokio::test]
async fn the_map_leads_from_a_host_to_its_clusters() {
    let api = Api::ready();
    let map = api.get("/api/map").await.json();
    let host = map["hosts"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(map["hosts_found"], json!(map["hosts"].as_array().unwrap().len()));
    assert!(map["clusters"][0]["available"].is_u64() && map["listeners"][0]["name"].is_string(), "{map}");
    let one = api.get(&format!("/api/map?host={}", host.replace('*', "%2A"))).await.json();
    assert_eq!(one["host"]["name"], host.as_str());
    assert!(one["routes"].as_array().is_some_and(|routes| !routes.is_empty()), "{one}");
    assert_eq!(api.get("/api/map?q=no-such-name").await.json()["hosts_found"], 0);
    assert_eq!(api.get("/api/map?host=nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/api/map?depth=3").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::ready();
    let seen = api.get("/api/nothing").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::NOT_FOUND, json!("not_found")));
    let request = authorized("DELETE", "/api/config").body(Body::empty()).unwrap();
    let response = router(api.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, POST");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let seen = Api::ready().get("/metrics").await;
    assert!(seen.content_type.starts_with("text/plain; version="), "{}", seen.content_type);
    assert!(seen.body.contains("# TYPE portcullis_failures_total counter"));
}

#[tokio::test]
async fn status_tells_the_gateway_at_a_glance() {
    let status = Api::ready().get("/api/status").await.json();
    assert_eq!((&status["version"], &status["state"]), (&json!("1.2.3"), &json!("ready")));
    assert_eq!((&status["generation"], &status["routes"]), (&json!(3), &json!(1)));
    assert_eq!(status["listeners"][0]["addresses"], json!(["127.0.0.1:43210"]));
    assert_eq!(status["clusters"][0]["available"], json!(1));
    assert_eq!(status["last_reload"]["outcome"], json!("refused"));
    assert_eq!(status["logs"][0]["dropped"], json!({ "queue_full": 2 }));
    assert_eq!(status["generations"][0]["trigger"], json!("start"));
}

#[tokio::test]
async fn config_names_its_hash_as_etag_and_hides_literal_secrets() {
    let api = Api::ready();
    let seen = api.get("/api/config").await;
    assert_eq!(seen.etag, Some(format!("\"{}\"", api.hash())));
    assert_eq!(seen.json()["generations"][0]["id"], json!(3));
    let seen = api.get("/api/config?text=1").await;
    assert!(seen.body.contains("hosts:") && !seen.body.contains("s3cret"), "{}", seen.body);
    for path in ["/api/status", "/api/config", "/api/clusters", "/metrics"] {
        assert!(!api.get(path).await.body.contains("s3cret"), "{path}");
    }
}

#[tokio::test]
async fn applying_needs_if_match() {
    let api = Api::ready();
    let current = format!("\"{}\"", api.hash());
    let check = async |fields: &[(&str, &str)], status: StatusCode, reason: &str| {
        let seen = api.post("/api/config", fields, "version: 1").await;
        assert_eq!((seen.status, &seen.json()["reason"]), (status, &json!(reason)), "{fields:?}");
        seen
    };
    check(&[], StatusCode::PRECONDITION_REQUIRED, "precondition_required").await;
    check(&[("if-match", "nonsense")], StatusCode::BAD_REQUEST, "bad_request").await;
    let seen = check(&[("if-match", "\"old\"")], StatusCode::PRECONDITION_FAILED, "precondition_failed").await;
    assert_eq!(seen.etag.as_deref(), Some(&*current));
    assert!(api.fake.asked.lock().unwrap().is_empty());
    let seen = api.post("/api/config", &[("if-match", &current)], "version: 1").await;
    assert_eq!((seen.status, seen.json()["outcome"].clone()), (StatusCode::OK, json!("applied")));
    assert!(
        matches!(&api.fake.asked.lock().unwrap()[..], [(Change::Apply { text, .. }, by)] if text == "version: 1" && by.who == "token")
    );
}

#[tokio::test]
async fn a_dry_run_needs_no_if_match_and_applies_nothing() {
    let api = Api::ready();
    let seen = api.post("/api/config?dry_run=1", &[], "version: 1").await;
    assert_eq!((seen.status, seen.json()["outcome"].clone()), (StatusCode::OK, json!("dry_run")));
    assert!(matches!(&api.fake.asked.lock().unwrap()[..], [(Change::DryRun { .. }, _)]));
}

#[tokio::test]
async fn a_refused_config_comes_back_with_every_diagnostic() {
    let api = Api::new(CONFIG, Readiness::Ready, ReloadOutcome::Refused);
    let seen = api.post("/api/reload", &[], "").await;
    assert_eq!((seen.status, &*seen.content_type), (StatusCode::UNPROCESSABLE_ENTITY, "application/problem+json"));
    assert_eq!(seen.json()["diagnostics"][0]["code"], json!("unknown_key"));
    let api = Api::new(CONFIG, Readiness::Ready, ReloadOutcome::Failed);
    let seen = api.post("/api/reload", &[], "").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::CONFLICT, json!("config_failed")));
}

#[tokio::test]
async fn a_body_past_the_bound_is_refused() {
    let api = Api::ready();
    let seen = api.post("/api/config?dry_run=1", &[], vec![b' '; CONFIG_BYTES + 1]).await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::PAYLOAD_TOO_LARGE, json!("body_too_large")));
    let seen = api.post("/api/config?dry_run=1", &[], vec![0xff]).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn explains_by_query_and_by_body() {
    let api = Api::ready();
    let seen = api.get("/api/explain?url=http://app.example.com:8080/x&header=x-a:%20b&method=PUT").await.json();
    assert_eq!((&seen["live"], &seen["route"]["name"]), (&json!(true), &json!("all")));
    assert!(seen["upstream_request"]["fields"].as_array().unwrap().contains(&json!("x-a: b")), "{seen}");
    let question = json!({ "url": "http://nowhere.org/" }).to_string();
    let seen = api.post("/api/explain", &[("content-type", "application/json")], question).await.json();
    assert_eq!(seen["decision"]["answer"]["reason"], json!("no_host"));
    let seen = api.get("/api/explain?url=http://app.example.com:8080/x&format=text").await;
    assert!(seen.content_type.starts_with("text/plain") && seen.body.starts_with("request"), "{}", seen.body);
    let seen = api.get("/api/explain?url=nonsense").await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    let seen = api.post("/api/explain", &[("content-type", "application/json")], "{").await;
    assert_eq!((seen.status, &*seen.content_type), (StatusCode::BAD_REQUEST, "application/problem+json"));
}

#[tokio::test]
async fn clusters_tell_where_each_endpoint_stands() {
    let clusters = Api::ready().get("/api/clusters").await.json();
    let endpoint = &clusters["clusters"][0]["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["takes_requests"]), (&json!("127.0.0.1:9001"), &json!(true)));
    assert!(endpoint["says"].as_str().unwrap().contains("takes requests"));
    let all = clusters["clusters"].as_array().unwrap();
    let name = all.last().unwrap()["name"].as_str().unwrap();
    let one = Api::ready().get(&format!("/api/clusters?name={name}&endpoint=nowhere&limit=1")).await.json();
    assert_eq!(one["clusters"].as_array().unwrap().len(), 1);
    assert_eq!((&one["clusters"][0]["name"], &one["clusters"][0]["endpoints_found"]), (&json!(name), &json!(0)));
    assert_eq!(Api::ready().get("/api/clusters?colour=red").await.status, 400);
}

#[tokio::test]
async fn requests_are_filtered_by_the_query() {
    let api = Api::ready();
    let check = async |query: &str, ids: &[u128]| {
        let seen = api.get(&format!("/api/requests{query}")).await;
        let expected: Vec<Value> = ids.iter().map(|id| json!(RequestId(*id).to_string())).collect();
        let found: Vec<Value> = seen.json().as_array().unwrap().iter().map(|record| record["id"].clone()).collect();
        assert_eq!(found, expected, "{query}");
    };
    check("", &[3, 2, 1]).await;
    check("?reason=no_route", &[2]).await;
    check("?min_ms=250", &[3]).await;
    check("?limit=1", &[3]).await;
    check("?host=app.example.com&failed=false", &[1]).await;
    check("?host=other", &[]).await;
    let seen = api.get("/api/requests?reason=nonsense").await;
    assert_eq!((seen.status, seen.json()["reason"].clone()), (StatusCode::BAD_REQUEST, json!("bad_request")));
}

#[tokio::test]
async fn without_a_token_a_foreign_host_is_refused() {
    let open = CONFIG.replace(", token: \"s3cret-token\"", "");
    let api = Api::new(&open, Readiness::Ready, ReloadOutcome::Applied);
    let status = async |host: &str| {
        let request = Request::get("/api/status").header("host", host).body(Body::empty()).unwrap();
        api.send(request).await.status
    };
    assert_eq!(status("127.0.0.1:9901").await, StatusCode::OK);
    assert_eq!(status("rebound.example.com").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_consumer_is_shown_without_its_keys() {
    let api = Api::ready();
    let seen = api.get("/api/consumers/acme/eu").await;
    let told: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!((&told["id"], &told["plan"]), (&json!("acme/eu"), &json!("pro")));
    assert_eq!(told["keys"], json!([{ "label": "laptop", "not_after": "2030-01-01T00:00:00Z" }]));
    assert_eq!(told["only_from"], json!({ "networks": ["203.0.113.0/24"], "rpc_methods": ["get*"] }));
    assert!(!seen.body.contains("b3:") && !seen.body.contains("a-key-of"));
    let all: Value = serde_json::from_str(&api.get("/api/consumers").await.body).unwrap();
    assert_eq!((&all["consumers"], &all["keys"], &all["plans"]), (&json!(1), &json!(1), &json!(["pro"])));
    assert_eq!(api.get("/api/consumers/nobody").await.status, 404);
}

#[tokio::test]
async fn bans_are_made_shown_and_lifted() {
    let api = Api::ready();
    let post = |body: &str| authorized("POST", "/api/bans").body(Body::from(body.to_owned())).unwrap();
    for (body, says) in [
        (r#"{"network":"203.0.113.9/24","for":"10m","reason":" "}"#, "`reason`"),
        (r#"{"network":"nowhere","for":"1m","reason":"x"}"#, "is no network"),
        (r#"{"network":"0.0.0.0/0","for":"1m","reason":"x"}"#, "everybody"),
        (r#"{"network":"203.0.113.0/24","for":"soon","reason":"x"}"#, "`for`"),
        (r#"{"network":"203.0.113.0/24","for":"0s","reason":"x"}"#, "at least 1s"),
        (r#"{"network":"203.0.113.0/24","reason":"x"}"#, "`for` is missing"),
        (r#"{"network":"203.0.113.0/24","reason":"x","until":"x"}"#, "unknown field"),
    ] {
        let seen = api.send(post(body)).await;
        assert!(seen.status == 400 && seen.body.contains(says), "{body}: {}", seen.body);
    }
    let seen = api.send(post(r#"{"network":"203.0.113.9/24","for":"10m","reason":"abuse"}"#)).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let throttle = Arc::clone(&api.state.identities.book().throttle);
    throttle.failed([203, 0, 113, 7].into(), Timestamp::from_millis(u64::from(u32::MAX)));
    let told: Value = serde_json::from_str(&api.get("/api/bans").await.body).unwrap();
    let ban = &told["bans"][0];
    assert_eq!((&ban["network"], &ban["kind"]), (&json!("203.0.113.0/24"), &json!("operator")));
    assert_eq!((&ban["reason"], &ban["refused"]), (&json!("abuse"), &json!(1)));
    let seconds = ban["ends_in_seconds"].as_f64().unwrap();
    assert!((590.0..=600.0).contains(&seconds), "{seconds}");
    let lift = || authorized("DELETE", "/api/bans/203.0.113.0/24").body(Body::empty()).unwrap();
    assert_eq!(api.send(lift()).await.status, 200);
    assert_eq!(api.send(lift()).await.status, 404);
    let told: Value = serde_json::from_str(&api.get("/api/bans").await.body).unwrap();
    assert_eq!(told["bans"], json!([]));
}

#[tokio::test]
async fn every_path_refuses_who_lacks_the_role_and_says_which_is_needed() {
    let tokens = "tokens: { grafana: { token: looks-only, role: read }, ci: { token: may-operate, role: operate } }";
    let text = CONFIG.replace("token: \"s3cret-token\"", &format!("token: \"s3cret-token\", {tokens}"));
    let api = Api::new(&text, Readiness::Ready, ReloadOutcome::Applied);
    let ask = async |token: &str, method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        let request = request.header("if-match", "*").header("content-type", "application/yaml");
        api.send(request.body(Body::from("version: 1")).unwrap()).await
    };
    for (method, path, needs) in [
        ("GET", "/api/status", "read"),
        ("HEAD", "/api/status", "read"),
        ("POST", "/api/config?dry_run=1", "read"),
        ("POST", "/api/config?dry_run=0", "admin"),
        ("POST", "/api/config?dry_run=1&dry_run=0", "read"),
        ("POST", "/api/config", "admin"),
        ("POST", "/api/reload", "operate"),
        ("POST", "/api/bans", "operate"),
        ("DELETE", "/api/bans/203.0.113.0/24", "operate"),
        ("POST", "/api/clusters/api/endpoints", "operate"),
        ("DELETE", "/api/caps/overrides", "operate"),
        ("GET", "/api/audit", "admin"),
    ] {
        for (token, has) in [("looks-only", "read"), ("may-operate", "operate"), ("s3cret-token", "admin")] {
            let seen = ask(token, method, path).await;
            let rank = |role: &str| ["read", "operate", "admin"].iter().position(|one| *one == role);
            let refused = seen.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, rank(has) < rank(needs), "{method} {path} as {has}: {}", seen.body);
            if refused {
                let told = seen.json();
                assert_eq!((&told["needs"], &told["has"]), (&json!(needs), &json!(has)), "{method} {path}");
            }
        }
    }
    // A dry run stays one, whatever else the query says.
    let asked = api.fake.asked.lock().unwrap();
    let applied = asked.iter().filter(|(change, _)| matches!(change, Change::Apply { .. }));
    assert!(applied.clone().count() == 2 && applied.clone().all(|(_, by)| by.who == "token"), "{asked:?}");
}

#[tokio::test]
async fn who_did_what_is_in_the_audit_log() {
    let api = Api::ready();
    let ban = r#"{"network":"203.0.113.0/24","for":"10m","reason":"credential stuffing"}"#;
    let seen = api.post("/api/bans", &[], ban).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    api.post("/api/reload?note=new+keys", &[], "").await;
    let request = Request::get("/api/status?token=s3cret-token").header("authorization", "Bearer wrong");
    assert_eq!(api.send(request.body(Body::empty()).unwrap()).await.status, 401);
    let told = api.get("/api/audit").await;
    assert!(!told.body.contains("s3cret-token") && !told.body.contains("wrong"), "{}", told.body);
    let told = told.json();
    let entries = told["entries"].as_array().unwrap();
    let shown = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} {} {} {}",
            text("actor"),
            text("via"),
            text("method"),
            text("path"),
            entry["status"],
            text("reason")
        )
    };
    let shown: Vec<String> = entries.iter().map(shown).collect();
    let expected = [
        "- - GET /api/status?… 401 -",
        "token token POST /api/reload?… 200 new keys",
        "token token POST /api/bans 200 credential stuffing",
    ];
    assert_eq!(shown, expected);
    assert_eq!(entries[0]["refused"], json!("unauthorized"));
    let ids: std::collections::HashSet<&str> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    assert_eq!(api.fake.asked.lock().unwrap()[0].1, By { who: "token".to_owned(), note: Some("new keys".to_owned()) });
}

#[tokio::test]
async fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let api = Api::ready();
    for path in ["/healthz", "/api/status", "/api/nothing", "/api/reload"] {
        let response = router(api.state()).oneshot(authorized("GET", path).body(Body::empty()).unwrap()).await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(response.headers()[name], value, "{path}");
        }
    }
}

#[tokio::test]
async fn overrides_of_all_kinds_are_in_one_list() {
    let api = Api::ready();
    let drain = r#"{"action":"drain","endpoint":"127.0.0.1:9001","for":"20m","reason":"disk swap"}"#;
    let seen = api.post("/api/clusters/api/endpoints", &[], drain).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let ban = r#"{"network":"203.0.113.9/24","for":"10m","reason":"abuse"}"#;
    assert_eq!(api.post("/api/bans", &[], ban).await.status, 200);
    let told = api.get("/api/overrides").await.json();
    let shown: Vec<Value> = told["overrides"].as_array().unwrap().to_vec();
    let shown: Vec<_> = shown.iter().map(|one| (&one["kind"], &one["target"], &one["action"], &one["who"])).collect();
    let expected = [
        (&json!("ban"), &json!("203.0.113.0/24"), &json!("ban"), &json!("token")),
        (&json!("endpoint"), &json!("api 127.0.0.1:9001"), &json!("drain"), &json!("token")),
    ];
    assert_eq!(shown, expected);
    let restore = r#"{"action":"restore","endpoint":"127.0.0.1:9001"}"#;
    assert_eq!(api.post("/api/clusters/api/endpoints", &[], restore).await.status, 200);
    let told = api.get("/api/overrides?ended=1").await.json();
    assert_eq!(told["overrides"].as_array().unwrap().len(), 1);
    assert_eq!(told["ended"][0]["how"], json!("token took it back"));
    assert_eq!(told["lasts_over_a_restart"], json!(false));
}
