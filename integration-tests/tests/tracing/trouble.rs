//! A collector that is away, slow, full or unkind; reloads, and the end of the gateway.

use std::time::Instant;

use portcullis_integration_tests::place::address;
use portcullis_integration_tests::{Gateway, Origin, Setup, until};

use super::collector::{Collector, status, taken};
use super::{CALM, tracing};

fn gateway(collector: &Collector, words: &str) -> Gateway {
    Setup::to(&Origin::says("fine")).top(&tracing(collector, &format!("sample: 100%, {words}"))).start()
}

fn count(gateway: &Gateway, name: &str, labels: &str) -> f64 {
    gateway.admin().metric(&format!("portcullis_traces_{name}"), labels)
}

fn dropped(gateway: &Gateway, cause: &str) -> f64 {
    count(gateway, "dropped_total", &format!("cause=\"{cause}\""))
}

/// Lines of the gateway's log that speak of traces.
fn said(gateway: &Gateway) -> Vec<String> {
    gateway.stderr().lines().filter(|line| line.contains("traces:")).map(str::to_owned).collect()
}

#[test]
fn what_waits_for_a_collector_that_is_away_arrives_when_it_comes() {
    let place = address();
    let words =
        format!("tracing: {{ endpoint: \"http://{place}\", sample: 100%, gzip: false, batch: {{ wait: 10ms }} }}");
    let gateway = Setup::to(&Origin::says("fine")).top(CALM).top(&words).start();
    let mut client = gateway.client();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    until("some tries", || (count(&gateway, "failures_total", "") >= 3.0).then_some(()));
    let told = said(&gateway);
    assert_eq!(told.len(), 1, "a trouble is said once, not for each try or span: {told:?}");
    assert!(told[0].contains("cannot connect to") && told[0].contains("spans wait"), "{told:?}");
    assert_eq!(count(&gateway, "exported_total", ""), 0.0);
    let used = gateway.admin().metric("portcullis_bound_used", "bound=\"trace_queue_spans\"");
    assert!((40.0..=40.0).contains(&used), "{used} spans of 20 requests");
    let collector = Collector::at(place);
    let expected: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    until("the spans", || (collector.paths() == expected).then_some(()));
    until("the count", || (count(&gateway, "exported_total", "") >= 40.0).then_some(()));
    until("the good news", || said(&gateway).iter().any(|line| line.contains("takes spans again")).then_some(()));
    let status = gateway.admin().json("/api/status");
    let line = status["logs"].as_array().unwrap().iter().find(|line| line["name"] == "tracing").unwrap().clone();
    assert_eq!((&line["written"], &line["dropped"]["queue_full"]), (&40.into(), &0.into()), "{line}");
}

#[test]
fn a_collector_that_is_slow_costs_bounded_memory_and_no_request() {
    let collector = Collector::answering(address(), |_| Vec::new());
    let endpoint = collector.address();
    let words = format!("endpoint: \"http://{endpoint}\", sample: 100%, queue: 64, batch: {{ spans: 10, wait: 10ms }}");
    let mut gateway = Setup::to(&Origin::says("fine")).top(CALM).top(&format!("tracing: {{ {words} }}")).start();
    let mut client = gateway.client();
    for n in 0..100 {
        assert_eq!(client.get(&format!("/{n}")).status, 200);
    }
    until("the drops", || (dropped(&gateway, "queue_full") >= 136.0).then_some(()));
    assert_eq!(dropped(&gateway, "queue_full"), 136.0, "of 200 spans all that were too many");
    assert_eq!(gateway.admin().metric("portcullis_bound_used", "bound=\"trace_queue_spans\""), 64.0);
    drop(client);
    let before = Instant::now();
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert!(before.elapsed().as_secs() < 10, "the end waits for nobody for ever");
    assert!(said(&gateway).iter().any(|line| line.contains("the last 64 spans could not be delivered")));
}

#[test]
fn a_collector_that_is_full_is_asked_again_when_it_says_so() {
    let began = Instant::now();
    let busy = status("429 Too Many Requests\r\nRetry-After: 1");
    let collector = Collector::answering(address(), move |n| if n == 0 { busy.clone() } else { taken(0) });
    let gateway = gateway(&collector, "gzip: false");
    assert_eq!(gateway.get("/a").status, 200);
    until("the spans", || (count(&gateway, "exported_total", "") >= 2.0).then_some(()));
    assert!(began.elapsed().as_millis() >= 1000, "it was left alone for a second");
    assert_eq!(collector.paths(), ["/a", "/a"], "the same batch again");
    assert_eq!((count(&gateway, "failures_total", ""), dropped(&gateway, "rejected")), (1.0, 0.0));
}

#[test]
fn what_a_collector_refuses_is_counted_and_the_next_batch_is_sent() {
    let collector = Collector::answering(address(), |n| match n {
        0 => status("400 Bad Request"),
        1 => taken(1),
        _ => taken(0),
    });
    let gateway = gateway(&collector, "");
    for (path, exported) in [("/refused", 0.0), ("/in_part", 1.0), ("/taken", 3.0)] {
        assert_eq!(gateway.get(path).status, 200);
        until(path, || collector.paths().contains(&path.to_owned()).then_some(()));
        until(path, || (count(&gateway, "exported_total", "") >= exported).then_some(()));
    }
    until("the counts", || ((dropped(&gateway, "rejected"), dropped(&gateway, "partial")) == (2.0, 1.0)).then_some(()));
    until("the trouble", || {
        said(&gateway).iter().any(|line| line.contains("refused for good: it answered 400")).then_some(())
    });
}

#[test]
fn the_fields_of_the_config_go_along_and_nothing_of_the_environment() {
    let collector = Collector::start();
    let key = std::env::temp_dir().join(format!("portcullis-trace-key-{}", std::process::id()));
    std::fs::write(&key, "Bearer s3cret\n").unwrap();
    let headers = format!("headers: {{ Authorization: \"file:{}\", x-scope: team }}", key.display());
    let mut gateway = gateway(&collector, &headers);
    assert_eq!(gateway.get("/a").status, 200);
    drop(collector.of("/a"));
    let sent = collector.0.last();
    assert_eq!((sent.field("authorization"), sent.field("x-scope")), (Some("Bearer s3cret"), Some("team")));
    assert_eq!((sent.field("content-encoding"), sent.field("user-agent")), (Some("gzip"), Some("portcullis")));
    gateway.signal("TERM");
    gateway.start_again_in(
        "OTEL_EXPORTER_OTLP_HEADERS=x-env=1 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1/v1/traces \
         OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SERVICE_NAME=env exec \"$@\"",
    );
    assert_eq!(gateway.get("/b").status, 200);
    assert_eq!(collector.of("/b")[0].resource["service.name"], "portcullis");
    let sent = collector.0.last();
    assert_eq!((sent.field("authorization"), sent.field("x-env")), (Some("Bearer s3cret"), None));
    assert!(!gateway.stderr().contains("s3cret"));
    std::fs::remove_file(key).unwrap();
}

#[test]
fn the_end_of_the_gateway_sends_what_waits() {
    let collector = Collector::start();
    let mut gateway = Setup::to(&Origin::says("fine"))
        .top(CALM)
        .top(&format!(
            "tracing: {{ endpoint: \"http://{}\", sample: 100%, batch: {{ wait: 1m }} }}",
            collector.address()
        ))
        .start();
    let mut client = gateway.client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).status, 200);
    }
    drop(client);
    assert!(collector.0.received().is_empty());
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert_eq!(collector.paths(), ["/1", "/2", "/3"]);
    assert_eq!(collector.0.received().len(), 1, "in one batch");
}

#[test]
fn a_reload_leaves_an_exporter_alone_that_it_does_not_change() {
    let collector = Collector::start();
    let origin = Origin::says("fine");
    let yaml = |words: &str| {
        let endpoint = collector.address();
        let line = format!("tracing: {{ endpoint: \"http://{endpoint}\", batch: {{ wait: 1m }}, slow: 1h, {words} }}");
        Setup::to(&origin).top(CALM).top(&line).yaml()
    };
    let gateway = Gateway::with_yaml(&yaml("sample: 100%"));
    assert_eq!(gateway.get("/1").status, 200);
    let change = |text: &str| {
        let before = gateway.admin().json("/api/status")["generation"].as_u64().unwrap();
        gateway.write(text);
        gateway.signal("HUP");
        until("the reload", || {
            (gateway.admin().json("/api/status")["generation"].as_u64().unwrap() > before).then_some(())
        });
    };
    change(&yaml("sample: 0%"));
    assert_eq!(gateway.get("/2").status, 200);
    assert!(collector.0.received().is_empty(), "the batch goes on filling: the reload did not touch it");
    change(&yaml("sample: 100%, service: other"));
    until("the spans of an exporter that is gone", || (collector.paths() == ["/1"]).then_some(()));
    // A record comes a moment after its answer; it must not come after the reload.
    drop(gateway.record_of(&gateway.get("/3")));
    change(&Setup::to(&origin).yaml());
    until("those of the next", || (collector.paths() == ["/1", "/3"]).then_some(()));
    assert_eq!(collector.spans().last().unwrap().resource["service.name"], "other");
}
