//! What is counted, as a scrape shows it.

use super::*;
use crate::fixture;
use crate::record::{Decision, Timers};
use crate::ring::{Ring, RingOptions};
use crate::writer::{Output, Writer, WriterOptions};
use portcullis_types::{ByteSize, GenerationId, Protocol, ProxyError, Reason};
use std::time::{Duration, UNIX_EPOCH};

struct Rig {
    registry: Registry,
    metrics: Metrics,
}

fn rig(options: MetricsOptions) -> Rig {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, options).unwrap();
    Rig { registry, metrics }
}

impl Rig {
    /// The value of a series, written as the text format writes it.
    fn value(&self, series: &str) -> Option<f64> {
        let text = String::from_utf8(render(&self.registry).unwrap()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map(|value| value.parse().unwrap())
    }

    fn series(&self, prefix: &str) -> usize {
        let text = String::from_utf8(render(&self.registry).unwrap()).unwrap();
        text.lines().filter(|line| line.starts_with(prefix)).count()
    }
}

fn refused() -> Record {
    let mut record = fixture::bare(1);
    record.protocol = Some(Protocol::Http11);
    record.fail(&ProxyError::new(Reason::NoHost));
    record.status = 404;
    record.timers.total = Duration::from_micros(80);
    record
}

#[test]
fn a_proxied_request_counts_in_its_route_and_cluster() {
    let rig = rig(MetricsOptions::default());
    let route = rig.metrics.route("rpc.example.com", &"archive".into());
    let cluster = rig.metrics.cluster(&"rpc-east".into());
    let handles = Handles { route: Some(&route), cluster: Some(&cluster) };
    let mut record = fixture::typical(1);
    rig.metrics.observe(&record, &handles);
    record.attempts.push(fixture::attempt("10.0.0.12:8899"));
    record.timers.queue = Some(Duration::from_millis(3));
    rig.metrics.observe(&record, &handles);
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    let of_route = "virtual_host=\"rpc.example.com\"";
    let labels = "route=\"archive\",class=\"2xx\",protocol=\"HTTP/2\"";
    check(&format!("portcullis_route_requests_total{{{of_route},{labels}}}"), 2.0);
    check(&format!("portcullis_route_request_bytes_total{{{of_route},route=\"archive\"}}"), 1024.0);
    check(&format!("portcullis_route_response_bytes_total{{{of_route},route=\"archive\"}}"), 4096.0);
    check(&format!("portcullis_route_duration_seconds_bucket{{{of_route},route=\"archive\",le=\"0.01\"}}"), 0.0);
    check(&format!("portcullis_route_duration_seconds_bucket{{{of_route},route=\"archive\",le=\"0.025\"}}"), 2.0);
    check(&format!("portcullis_route_duration_seconds_sum{{{of_route},route=\"archive\"}}"), 0.02469);
    check("portcullis_cluster_requests_total{cluster=\"rpc-east\",class=\"2xx\"}", 2.0);
    check("portcullis_cluster_retries_total{cluster=\"rpc-east\"}", 1.0);
    check("portcullis_cluster_connect_seconds_count{cluster=\"rpc-east\"}", 2.0);
    check("portcullis_cluster_queue_seconds_count{cluster=\"rpc-east\"}", 1.0);
    assert_eq!(route.requests(), 2);
}

#[test]
fn a_refused_request_counts_without_a_route() {
    let rig = rig(MetricsOptions::default());
    rig.metrics.observe(&refused(), &Handles::default());
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    check("portcullis_failures_total{reason=\"no_host\",fault=\"client\"}", 1.0);
    check(
        "portcullis_route_requests_total{virtual_host=\"_none\",route=\"_none\",class=\"4xx\",protocol=\"HTTP/1.1\"}",
        1.0,
    );
    check(
        "portcullis_route_failures_total{virtual_host=\"_none\",route=\"_none\",reason=\"no_host\",fault=\"client\"}",
        1.0,
    );
}

#[test]
fn a_connection_without_a_request_is_no_request() {
    let rig = rig(MetricsOptions::default());
    let mut record = refused();
    record.kind = Kind::Connection;
    rig.metrics.observe(&record, &Handles::default());
    assert_eq!(rig.metrics.gateway().failures(Reason::NoHost), 1);
    assert_eq!(rig.series("portcullis_route_requests_total{"), 0);
}

#[test]
fn every_reason_is_exported_from_the_start() {
    let rig = rig(MetricsOptions::default());
    assert_eq!(rig.series("portcullis_failures_total{"), Reason::ALL.len());
    for (place, &reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(route::reason_place(reason), place);
        rig.metrics.gateway().failure(reason);
        assert_eq!(rig.metrics.gateway().failures(reason), 1);
    }
}

#[test]
fn a_route_keeps_its_counters_across_generations_and_ends_with_the_last() {
    let rig = rig(MetricsOptions::default());
    let old = rig.metrics.route("a", &"r".into());
    rig.metrics.observe(&fixture::typical(1), &Handles { route: Some(&old), cluster: None });
    let new = rig.metrics.route("a", &"r".into());
    drop(old);
    rig.metrics.observe(&fixture::typical(2), &Handles { route: Some(&new), cluster: None });
    let count = "portcullis_route_duration_seconds_count{virtual_host=\"a\",route=\"r\"}";
    assert_eq!(rig.value(count), Some(2.0));
    drop(new);
    assert_eq!(rig.value(count), None);
}

#[test]
fn routes_of_the_same_name_on_two_hosts_are_two() {
    let rig = rig(MetricsOptions::default());
    let (a, b) = (rig.metrics.route("a", &"r".into()), rig.metrics.route("b", &"r".into()));
    rig.metrics.observe(&fixture::typical(1), &Handles { route: Some(&a), cluster: None });
    assert_eq!((a.requests(), b.requests()), (1, 0));
}

#[test]
fn past_the_bound_routes_share_other() {
    let rig = rig(MetricsOptions { routes: 3, ..MetricsOptions::default() });
    let routes: Vec<_> = (0..100).map(|n| rig.metrics.route("host", &format!("r{n}").as_str().into())).collect();
    for route in &routes {
        rig.metrics.observe(&fixture::typical(1), &Handles { route: Some(route), cluster: None });
    }
    let other = "portcullis_route_duration_seconds_count{virtual_host=\"_other\",route=\"_other\"}";
    assert_eq!(rig.value(other), Some(97.0));
    // The three, the shared one, and the one for requests without a route.
    assert_eq!(rig.series("portcullis_route_duration_seconds_count{"), 5);
}

#[test]
fn an_endpoint_counts_attempts_in_flight_failures_and_health() {
    let rig = rig(MetricsOptions::default());
    let endpoint = rig.metrics.endpoint(&"c".into(), &"10.0.0.1:80".into());
    let mut flying: Vec<_> = (0..3).map(|_| endpoint.begin()).collect();
    endpoint.observe(&fixture::attempt("10.0.0.1:80"));
    let mut failed = fixture::attempt("10.0.0.1:80");
    (failed.outcome, failed.reused) = (Err(Reason::UpstreamReset), true);
    endpoint.observe(&failed);
    flying.truncate(1);
    endpoint.set_health(Health::Ejected);
    let of = "cluster=\"c\",endpoint=\"10.0.0.1:80\"";
    let check = |series: String, expected: f64| assert_eq!(rig.value(&series), Some(expected), "{series}");
    check(format!("portcullis_endpoint_attempts_total{{{of}}}"), 2.0);
    check(format!("portcullis_endpoint_connections_total{{{of}}}"), 1.0);
    check(format!("portcullis_endpoint_in_flight{{{of}}}"), 1.0);
    check(format!("portcullis_endpoint_failures_total{{{of},reason=\"upstream_reset\"}}"), 1.0);
    check(format!("portcullis_endpoint_health{{{of},state=\"ejected\"}}"), 1.0);
    check(format!("portcullis_endpoint_health{{{of},state=\"unknown\"}}"), 0.0);
}

#[test]
fn a_listener_counts_connections_and_handshakes() {
    let rig = rig(MetricsOptions::default());
    let listener = rig.metrics.listener(&"edge".into());
    listener.connections().set_limit(2);
    for _ in 0..3 {
        listener.accepted();
        if !listener.connections().try_add(1) {
            listener.closed(Some(Reason::ConnectionLimit));
        }
    }
    listener.handshake();
    listener.closed(Some(Reason::TlsHandshakeTimeout));
    listener.closed(None);
    listener.connections().sub(1);
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    check("portcullis_listener_accepted_total{listener=\"edge\"}", 3.0);
    check("portcullis_listener_connections{listener=\"edge\"}", 1.0);
    check("portcullis_listener_connections_limit{listener=\"edge\"}", 2.0);
    check("portcullis_listener_closed_total{listener=\"edge\",reason=\"connection_limit\"}", 1.0);
    check("portcullis_listener_closed_total{listener=\"edge\",reason=\"none\"}", 1.0);
    check("portcullis_listener_tls_handshakes_total{listener=\"edge\",outcome=\"ok\"}", 1.0);
    check("portcullis_listener_tls_handshakes_total{listener=\"edge\",outcome=\"timeout\"}", 1.0);
    check("portcullis_listener_tls_handshakes_total{listener=\"edge\",outcome=\"failed\"}", 0.0);
    check("portcullis_bound_used{bound=\"listener_connections\",of=\"edge\"}", 1.0);
    check("portcullis_bound_limit{bound=\"listener_connections\",of=\"edge\"}", 2.0);
    check("portcullis_bound_refused_total{bound=\"listener_connections\",of=\"edge\"}", 1.0);
}

#[test]
fn sinks_tell_their_drops_and_their_queue() {
    let rig = rig(MetricsOptions::default());
    let options = WriterOptions { queue: ByteSize(10), ..WriterOptions::default() };
    let writer = Writer::start("t", Output::File("/dev/null".into()), options).unwrap();
    assert!(!writer.push(b"longer than ten bytes\n"));
    rig.metrics.attach_sink("access_log", Arc::clone(writer.stats()) as Arc<dyn SinkStats>);
    rig.metrics.attach_sink("ring", Arc::new(Ring::new(RingOptions::default())));
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    check("portcullis_records_dropped_total{sink=\"access_log\",cause=\"queue_full\"}", 1.0);
    check("portcullis_records_dropped_total{sink=\"access_log\",cause=\"write_failed\"}", 0.0);
    check("portcullis_records_dropped_total{sink=\"ring\",cause=\"slot_busy\"}", 0.0);
    check("portcullis_records_written_total{sink=\"access_log\"}", 0.0);
    check("portcullis_bound_limit{bound=\"sink_queue_bytes\",of=\"access_log\"}", 10.0);
}

#[test]
fn generations_reloads_and_the_build_are_told() {
    let build = Build { version: "0.1.0".to_owned(), commit: "abc".to_owned() };
    let rig = rig(MetricsOptions { build, ..MetricsOptions::default() });
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    rig.metrics.gateway().reload(ReloadOutcome::Applied, at(100));
    rig.metrics.gateway().reload(ReloadOutcome::Refused, at(200));
    rig.metrics.gateway().set_generations(GenerationId(7), 2);
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    check("portcullis_reloads_total{outcome=\"applied\"}", 1.0);
    check("portcullis_reloads_total{outcome=\"refused\"}", 1.0);
    check("portcullis_reloads_total{outcome=\"failed\"}", 0.0);
    check("portcullis_reload_last_success_timestamp_seconds", 100.0);
    check("portcullis_generation", 7.0);
    check("portcullis_generations_live", 2.0);
    check("portcullis_build_info{version=\"0.1.0\",commit=\"abc\"}", 1.0);
}

#[test]
fn the_process_tells_of_itself() {
    let rig = rig(MetricsOptions::default());
    for series in ["process_resident_memory_bytes", "process_open_fds", "process_threads", "process_start_time_seconds"]
    {
        assert!(rig.value(series).is_some_and(|value| value > 0.0), "{series}");
    }
    assert!(rig.value("process_cpu_seconds_total").is_some());
}

#[tokio::test]
async fn tasks_are_counted_while_they_live() {
    let rig = rig(MetricsOptions::default());
    let tasks = || rig.value("portcullis_tasks").unwrap();
    let before = tasks();
    let (end, ends) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(ends);
    assert_eq!(tasks(), before + 1.0);
    drop(end);
    task.await.unwrap().unwrap_err();
    assert_eq!(tasks(), before);
}

#[test]
fn two_metrics_in_one_registry_are_refused() {
    let registry = Registry::new();
    let first = Metrics::new(&registry, MetricsOptions::default());
    assert!(first.is_ok() && Metrics::new(&registry, MetricsOptions::default()).is_err());
}

#[test]
fn many_threads_lose_no_request() {
    let rig = rig(MetricsOptions::default());
    let route = rig.metrics.route("a", &"r".into());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let record = fixture::typical(1);
                let handles = Handles { route: Some(&route), cluster: None };
                (0..1000).for_each(|_| rig.metrics.observe(&record, &handles));
            });
        }
    });
    assert_eq!(route.requests(), 4000);
}

#[test]
fn a_request_that_ended_early_counts_no_upstream_times() {
    let rig = rig(MetricsOptions::default());
    let cluster = rig.metrics.cluster(&"c".into());
    let mut record = refused();
    record.decision = Decision::Cluster("c".into());
    record.timers = Timers::default();
    rig.metrics.observe(&record, &Handles { route: None, cluster: Some(&cluster) });
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    check("portcullis_cluster_requests_total{cluster=\"c\",class=\"none\"}", 1.0);
    check("portcullis_cluster_first_byte_seconds_count{cluster=\"c\"}", 0.0);
}

#[test]
fn what_is_counted_of_json_rpc_shows_by_cache_and_by_cluster() {
    let rig = rig(MetricsOptions::default());
    let rpc = RpcMetrics::default();
    rig.metrics.attach_rpc(&rig.registry, &rpc).unwrap();
    assert!(rig.metrics.attach_rpc(&rig.registry, &rpc).is_err(), "once is enough");
    let check = |series: &str, expected: f64| assert_eq!(rig.value(series), Some(expected), "{series}");
    rpc.cache("rpc").passed(CacheOutcome::Hit);
    rpc.cache("rpc").passed(CacheOutcome::Hit);
    rpc.cache("rpc-coalesce").passed(CacheOutcome::Coalesced);
    check("portcullis_rpc_cache_requests_total{cache=\"rpc\",outcome=\"hit\"}", 2.0);
    check("portcullis_rpc_cache_requests_total{cache=\"rpc\",outcome=\"miss\"}", 0.0);
    check("portcullis_rpc_cache_requests_total{cache=\"rpc-coalesce\",outcome=\"coalesced\"}", 1.0);
    let store = rpc.store();
    store.bytes.set_limit(100);
    store.holds(3, 90);
    store.evicted(CacheEviction::Room);
    check("portcullis_rpc_cache_entries", 3.0);
    check("portcullis_rpc_cache_evictions_total{cause=\"room\"}", 1.0);
    check("portcullis_rpc_cache_evictions_total{cause=\"expired\"}", 0.0);
    check("portcullis_bound_used{bound=\"rpc_cache_bytes\",of=\"gateway\"}", 90.0);
    let sockets = rpc.websockets(&"pubsub".into());
    let (one, two) = (sockets.one(WebsocketGauge::Clients), sockets.one(WebsocketGauge::Clients));
    let mut subscriptions = sockets.part(WebsocketGauge::UpstreamSubscriptions);
    subscriptions.set(5);
    subscriptions.set(3);
    drop(one);
    sockets.ended(WebsocketEnd::SlowConsumer);
    sockets.left(UpstreamLeft::Silent);
    check("portcullis_rpc_websocket_clients{cluster=\"pubsub\"}", 1.0);
    check("portcullis_rpc_websocket_upstream_subscriptions{cluster=\"pubsub\"}", 3.0);
    check("portcullis_rpc_websocket_closes_total{cluster=\"pubsub\",reason=\"slow_consumer\"}", 1.0);
    check("portcullis_rpc_websocket_failovers_total{cluster=\"pubsub\",why=\"silent\"}", 1.0);
    drop((sockets, two, subscriptions));
    assert_eq!(rig.series("portcullis_rpc_websocket_clients"), 0, "nobody holds it any more");
}
