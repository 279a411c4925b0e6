//! What a request pays for its record, its line in the access log, its counters and its place in the ring.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portcullis_telemetry::access_log::render;
use portcullis_telemetry::logs::{Dimension, Emf, EmfTarget};
use portcullis_telemetry::{
    Attempt, Considered, Decision, Field, FieldSet, Format, Handles, LogKind, LogSettings, LogSink, Mask, Metrics,
    MetricsOptions, Only, OpenSink, Output, Record, RecordOptions, RecordSink, RequestLine, Ring, RingOptions, Sinks,
    Verdict, View, Writer, WriterOptions,
};
use portcullis_types::{
    ByteSize, ClusterName, Downstream, EndpointName, GenerationId, ListenerName, Protocol, ProxyError, Reason,
    RequestId, RouteName, TlsInfo,
};
use prometheus::Registry;

/// What a snapshot and a connection hold anyway, and a record shares.
struct Shared {
    downstream: Arc<Downstream>,
    virtual_host: Arc<str>,
    route: RouteName,
    consumer: Arc<str>,
    cluster: ClusterName,
    endpoints: [EndpointName; 3],
    options: RecordOptions,
}

impl Shared {
    fn new() -> Self {
        let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
        let tls = TlsInfo {
            sni: Some("rpc.example.com".to_owned()),
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            client: None,
            client_auth: false,
        };
        let downstream = Downstream {
            listener: ListenerName::from("edge"),
            peer,
            socket_peer: peer,
            local: peer,
            tls: Some(Arc::new(tls)),
        };
        Self {
            downstream: Arc::new(downstream),
            virtual_host: Arc::from("rpc.example.com"),
            route: "archive".into(),
            consumer: Arc::from("acme"),
            cluster: "rpc-east".into(),
            endpoints: ["10.0.0.11:8899", "10.0.1.11:8899", "10.0.2.11:8899"].map(EndpointName::from),
            options: RecordOptions::default(),
        }
    }

    /// A request that considered three endpoints and was answered by the first it tried.
    fn record(&self, id: u128, at: SystemTime) -> Record {
        let downstream = Arc::clone(&self.downstream);
        let mut record = Record::request(RequestId(id), GenerationId(3), at, downstream);
        let line = RequestLine {
            method: b"POST",
            host: b"rpc.example.com",
            path: b"/v1/accounts/7",
            query: None,
            user_agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        };
        record.set_head(&line, &self.options);
        record.protocol = Some(Protocol::Http2);
        record.virtual_host = Some(Arc::clone(&self.virtual_host));
        record.route = Some(self.route.clone());
        record.consumer = Some(Arc::clone(&self.consumer));
        record.decision = Decision::Cluster(self.cluster.clone());
        let [first, second, third] = &self.endpoints;
        for (endpoint, verdict) in [
            (first, Verdict::PassedOver("ejected")),
            (second, Verdict::PassedOver("more_loaded")),
            (third, Verdict::Chosen),
        ] {
            record.considered.push(Considered { endpoint: endpoint.clone(), verdict });
        }
        record.attempts.push(Attempt {
            endpoint: third.clone(),
            cluster: None,
            started: Duration::from_micros(120),
            connect: Some(Duration::from_micros(850)),
            first_byte: Some(Duration::from_micros(9_400)),
            outcome: Ok(200),
            reused: false,
            outrun: false,
            span: 0,
            ended: None,
        });
        record.timers.queue = Some(Duration::ZERO);
        record.timers.connect = Some(Duration::from_micros(850));
        record.timers.first_byte = Some(Duration::from_micros(9_520));
        record.timers.total = Duration::from_micros(12_345);
        (record.bytes_in, record.bytes_out) = (512, 2_048);
        (record.status, record.upstream_status) = (200, Some(200));
        record
    }
}

fn records(c: &mut Criterion) {
    let (shared, at) = (Shared::new(), SystemTime::now());
    c.bench_function("record/create_and_drop", |b| b.iter(|| drop(black_box(shared.record(7, at)))));
    c.bench_function("record/create_arc_and_drop", |b| b.iter(|| drop(black_box(Arc::new(shared.record(7, at))))));
    let record = shared.record(7, at);
    let mut line = Vec::with_capacity(4096);
    for (name, format) in [("json", Format::Json), ("text", Format::Text)] {
        c.bench_function(&format!("access_log/{name}"), |b| {
            b.iter(|| {
                line.clear();
                render(black_box(&record), format, &View::FULL, &mut line);
                line.len()
            });
        });
    }
    c.bench_function("access_log/timestamp", |b| {
        b.iter(|| {
            line.clear();
            portcullis_telemetry::timestamp::write_timestamp(&mut line, black_box(at));
        });
    });
}

fn writer(c: &mut Criterion) {
    let line = [b"x".repeat(899), b"\n".to_vec()].concat();
    let options = WriterOptions { queue: ByteSize::mib(64), ..WriterOptions::default() };
    let Ok(writer) = Writer::start("bench", Output::File("/dev/null".into()), options) else { return };
    c.bench_function("writer/push_900_bytes", |b| b.iter(|| writer.push(black_box(&line))));
    let full = WriterOptions { queue: ByteSize(10), ..WriterOptions::default() };
    let Ok(writer) = Writer::start("bench", Output::File("/dev/null".into()), full) else { return };
    c.bench_function("writer/push_refused", |b| b.iter(|| writer.push(black_box(&line))));
}

fn metrics(c: &mut Criterion) {
    let registry = Registry::new();
    let Ok(metrics) = Metrics::new(&registry, MetricsOptions::default()) else { return };
    let shared = Shared::new();
    let mut record = shared.record(7, SystemTime::now());
    let (route, cluster) = (metrics.route("rpc.example.com", &shared.route), metrics.cluster(&shared.cluster));
    let [endpoint, ..] = &shared.endpoints;
    let endpoint = metrics.endpoint(&shared.cluster, endpoint);
    let handles = Handles { route: Some(&route), cluster: Some(&cluster) };
    c.bench_function("metrics/observe", |b| b.iter(|| metrics.observe(black_box(&record), &handles)));
    c.bench_function("metrics/observe_with_attempt", |b| {
        b.iter(|| {
            let flying = endpoint.begin();
            record.attempts.iter().for_each(|attempt| flying.endpoint().observe(black_box(attempt)));
            metrics.observe(black_box(&record), &handles);
        });
    });
    record.fail(&ProxyError::new(Reason::UpstreamReset));
    c.bench_function("metrics/observe_failure", |b| b.iter(|| metrics.observe(black_box(&record), &handles)));
    record.reason = None;
    c.bench_function("metrics/observe_beside_another_thread", |b| {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    metrics.observe(black_box(&record), &handles);
                }
            });
            b.iter(|| metrics.observe(black_box(&record), &handles));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    });
    let others: Vec<_> = (0..1999).map(|n| metrics.route("other", &RouteName::from(format!("r{n}")))).collect();
    for route in &others {
        metrics.observe(&record, &Handles { route: Some(route), cluster: None });
    }
    c.bench_function("metrics/scrape_2000_routes", |b| {
        b.iter(|| portcullis_telemetry::metrics::render(&registry).map_or(0, |text| text.len()));
    });
}

fn ring(c: &mut Criterion) {
    let (shared, at) = (Shared::new(), SystemTime::now());
    let ring = Ring::new(RingOptions::default());
    let kept = Arc::new(shared.record(7, at));
    c.bench_function("ring/push_shared", |b| b.iter(|| ring.push(black_box(&kept))));
    // The ring frees the record it replaces; the new one is made outside the measurement.
    c.bench_function("ring/push_and_free_the_oldest", |b| {
        b.iter_batched(|| Arc::new(shared.record(7, at)), |record| ring.push(&record), BatchSize::SmallInput);
    });
    c.bench_function("ring/query_all", |b| b.iter(|| ring.query(&portcullis_telemetry::Query::default()).len()));
}

fn whole(c: &mut Criterion) {
    let registry = Registry::new();
    let Ok(metrics) = Metrics::new(&registry, MetricsOptions::default()) else { return };
    let options = WriterOptions { queue: ByteSize::mib(64), ..WriterOptions::default() };
    let Ok(writer) = Writer::start("bench", Output::File("/dev/null".into()), options) else { return };
    let (shared, at) = (Shared::new(), SystemTime::now());
    let (route, cluster) = (metrics.route("rpc.example.com", &shared.route), metrics.cluster(&shared.cluster));
    let handles = Handles { route: Some(&route), cluster: Some(&cluster) };
    let sinks = Sinks::default()
        .with(Arc::new(LogSink::lines(Only::default(), View::FULL, Format::Json, Arc::new(writer))))
        .with(Arc::new(Ring::new(RingOptions::default())));
    c.bench_function("whole/record_metrics_log_ring", |b| {
        b.iter(|| {
            let record = Arc::new(shared.record(7, at));
            metrics.observe(&record, &handles);
            sinks.record(&record);
        });
    });
}

/// Logs of several kinds into nowhere: the first is the plain access log, the others filter, cut and mask.
fn logs() -> Option<[OpenSink; 3]> {
    let file = |format| LogKind::File { path: "/dev/null".into(), format, rotation: None };
    let target = EmfTarget::File("/dev/null".into(), None);
    let dimensions = vec![vec![], vec![Dimension::VirtualHost, Dimension::Route]];
    let emf = Emf { target, namespace: "Bench".to_owned(), dimensions };
    let few = FieldSet::all_but([Field::Endpoints, Field::Attempts, Field::UserAgent]);
    let masked = View { fields: few, mask: Some(Mask { v4: 24, v6: 48 }), ..View::FULL };
    let log = |name: &str, kind, view| {
        let (only, queue) = (Only::default(), ByteSize::mib(64));
        OpenSink::open(&LogSettings { name: name.into(), kind, only, view, queue }).ok()
    };
    Some([
        log("plain", file(Format::Json), View::FULL)?,
        log("masked", file(Format::Json), masked.clone())?,
        log("emf", LogKind::Emf(emf), masked)?,
    ])
}

/// What the end of a request costs with no log, one, and three; the record is made anew each time.
fn by_number_of_logs(c: &mut Criterion) {
    let (shared, at) = (Shared::new(), SystemTime::now());
    let Some(logs) = logs() else { return };
    for number in [0, 1, 3] {
        let sinks = logs.iter().take(number).fold(Sinks::default(), |sinks, log| sinks.with(log.sink()));
        c.bench_function(&format!("logs/record_with_{number}"), |b| {
            b.iter(|| sinks.record(&Arc::new(black_box(shared.record(7, at)))));
        });
    }
    let share = portcullis_types::Percent::from_millionths(0);
    let only = Only { share, ..Only::default() };
    let options = WriterOptions { queue: ByteSize::mib(64), ..WriterOptions::default() };
    let Ok(writer) = Writer::start("bench", Output::File("/dev/null".into()), options) else { return };
    let refused = LogSink::lines(only, View::FULL, Format::Json, Arc::new(writer));
    let record = Arc::new(shared.record(7, at));
    c.bench_function("logs/left_out_by_its_share", |b| b.iter(|| refused.record(black_box(&record))));
}

/// The harness's entry points.
mod groups {
    #![allow(missing_docs, reason = "the macro writes a public function without a comment")]
    use super::*;
    criterion_group!(benches, records, writer, metrics, ring, whole, by_number_of_logs);
}

criterion_main!(groups::benches);
