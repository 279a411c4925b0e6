//! Failover: another cluster in the place of one that is not fit, full, or tried in vain; and fallbacks.

use portcullis_integration_tests::origin::refused;
use portcullis_integration_tests::{Gateway, Origin, Setup, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CHECK: &str =
    "health_check: { http: { path: /health }, interval: 100ms, timeout: 100ms, unhealthy_after: 1, healthy_after: 1 }";

/// An origin whose health is a switch.
fn switched(text: &'static str) -> (Origin, Arc<AtomicBool>) {
    let healthy = Arc::new(AtomicBool::new(true));
    let says = healthy.clone();
    let origin = Origin::http1(move |received, wire| match received.path() {
        "/health" if !says.load(Ordering::SeqCst) => wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
        _ => wire.ok(text),
    });
    (origin, healthy)
}

fn answers(gateway: &Gateway, text: &'static str) {
    until(text, || (gateway.get("/a").text() == text).then_some(()));
}

#[test]
fn goes_to_the_next_cluster_while_the_first_is_not_fit_and_back_after_the_hold() {
    let ((west, healthy), east) = (switched("west"), Origin::says("east"));
    let setup = Setup::to(&west).cluster(CHECK).cluster("failover: [east]").and_cluster("east", east.address(), "");
    let gateway = setup.start();
    answers(&gateway, "west");
    healthy.store(false, Ordering::SeqCst);
    answers(&gateway, "east");
    let answer = gateway.get("/a");
    let record = gateway.record_of(&answer);
    assert_eq!((&record["failover"], &record["cluster"]), (&"unfit".into(), &"app".into()), "{record}");
    assert_eq!((&record["attempts"][0]["cluster"], &record["flags"][0]), (&"east".into(), &"failed_over".into()));
    assert!(gateway.admin().metric("portcullis_cluster_failovers_total", "cluster=\"east\",why=\"unfit\"") > 0.0);

    let back = std::time::Instant::now();
    healthy.store(true, Ordering::SeqCst);
    answers(&gateway, "west");
    assert!(back.elapsed() >= std::time::Duration::from_secs(4), "it went back after {:?}", back.elapsed());
    assert_eq!(gateway.record_of(&gateway.get("/a")).get("failover"), None);
    assert!(gateway.stderr().contains("failover: requests to app go to east now"), "{}", gateway.stderr());
}

#[test]
fn goes_to_the_next_cluster_in_the_same_request_when_all_endpoints_refuse() {
    let east = Origin::says("east");
    let setup = Setup::to_address(refused()).cluster("failover: [east]").and_cluster("east", east.address(), "");
    let gateway = setup.start();
    let answer = gateway.client().ask("POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(answer.text(), "east");
    let record = gateway.record_of(&answer);
    assert_eq!(record["failover"], "tried", "{record}");
    assert_eq!(record["attempts"][0]["reason"], "upstream_connect_refused");
    assert_eq!(record["attempts"][1]["cluster"], "east");
    assert_eq!(east.last().body, b"hi");
}

#[test]
fn spills_over_to_the_next_cluster_when_the_first_is_full() {
    let (held, release) = std::sync::mpsc::channel::<()>();
    let release = std::sync::Mutex::new(release);
    let west = Origin::at_head(move |received, wire| {
        wire.note(received);
        let _ = release.lock().unwrap().recv();
        wire.ok("west")
    });
    let east = Origin::says("east");
    let setup = Setup::to(&west).cluster("limits: { requests: 1 }").cluster("failover: [east]");
    let gateway = setup.and_cluster("east", east.address(), "").start();
    let mut first = gateway.client();
    first.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(west.wait_for(1).len(), 1);
    let answer = gateway.get("/a");
    assert_eq!(answer.text(), "east");
    assert_eq!(gateway.record_of(&answer)["failover"], "saturated");
    held.send(()).unwrap();
    assert_eq!(first.response().text(), "west");
}

#[test]
fn answers_by_the_routes_fallback_when_nothing_can_be_reached() {
    let fallback = "fallback: { respond: { status: 200, body: \"later\", headers: { x-why: fallback } } }";
    let gateway = Setup::to_address(refused()).route(fallback).start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.text().as_str(), answer.field("x-why")), (200, "later", Some("fallback")));
    assert!(answer.field("proxy-status").unwrap().contains("upstream_connect_refused"), "{}", answer.head);
    let record = gateway.record_of(&answer);
    assert_eq!((&record["status"], &record["reason"]), (&200.into(), &"upstream_connect_refused".into()));
    assert_eq!(record["flags"], serde_json::json!(["retried", "fallback"]), "{record}");
    until("the metric", || {
        (gateway.admin().metric("portcullis_cluster_fallbacks_total", "cluster=\"app\"") > 0.0).then_some(())
    });
}

#[test]
fn asks_the_routes_fallback_cluster_last() {
    let ((west, healthy), archive) = (switched("west"), Origin::says("archive"));
    let setup = Setup::to(&west).cluster(CHECK).and_cluster("archive", archive.address(), "");
    let gateway = setup.route("fallback: { to: archive }").start();
    answers(&gateway, "west");
    healthy.store(false, Ordering::SeqCst);
    answers(&gateway, "archive");
    let record = gateway.record_of(&gateway.get("/a"));
    assert_eq!(record["failover"], "no_endpoint", "{record}");
}

#[test]
fn refuses_with_retry_after_when_the_whole_chain_is_down() {
    let ((west, healthy), (east, other)) = (switched("west"), switched("east"));
    let setup = Setup::to(&west).cluster(CHECK).cluster("failover: [east]");
    let gateway = setup.and_cluster("east", east.address(), &format!(", {CHECK}")).start();
    answers(&gateway, "west");
    healthy.store(false, Ordering::SeqCst);
    other.store(false, Ordering::SeqCst);
    let answer = until("both to be down", || Some(gateway.get("/a")).filter(|answer| answer.status == 503));
    assert_eq!((answer.reason().as_str(), answer.field("retry-after")), ("no_healthy_upstream", Some("1")));
}

#[test]
fn explains_what_the_chain_does() {
    let ((west, healthy), east) = (switched("west"), Origin::says("east"));
    let setup = Setup::to(&west).cluster(CHECK).cluster("failover: [east]").and_cluster("east", east.address(), "");
    let gateway = setup.start();
    let explain = || gateway.admin().json("/api/explain?method=GET&url=http://app.test/a")["cluster"].clone();
    let told = explain();
    assert_eq!(
        (&told["name"], &told["failover"]),
        (&"app".into(), &"failover: app is fit, east is fit; requests go to app".into())
    );
    assert!(told["retry"].as_str().unwrap().contains("2 attempts on connect_failure"), "{told}");
    healthy.store(false, Ordering::SeqCst);
    let told = until("the explanation to change", || Some(explain()).filter(|told| told["name"] == "east"));
    let words = told["failover"].as_str().unwrap();
    assert_eq!(words, "failover: app has no endpoint to use, east is fit; requests go to east");
}
