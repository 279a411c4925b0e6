//! Which endpoint takes a request: load, failures, zones, priorities, subsets, outliers, and what endpoints say.

use http::Response;
use portcullis_integration_tests::held::{holding, in_flight};
use portcullis_integration_tests::origin::{HyperOrigin, full, refused};
use portcullis_integration_tests::{After, Client, Gateway, Origin, Setup, until};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The cluster `app`, as the admin API shows it.
fn cluster(gateway: &Gateway) -> Value {
    gateway.admin().json("/api/clusters")["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|cluster| cluster["name"] == "app")
        .unwrap()
        .clone()
}

/// An endpoint of it.
fn endpoint(gateway: &Gateway, origin: std::net::SocketAddr) -> Value {
    let cluster = cluster(gateway);
    let endpoints = cluster["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["address"] == origin.to_string()).unwrap().clone()
}

/// An endpoint with more settings, for a test that writes its own list.
fn listed(origin: &Origin, rest: &str) -> String {
    format!("{{ address: \"{}\"{rest} }}", origin.address())
}

/// A gateway whose cluster `app` has these endpoints.
fn gateway_of(endpoints: &[String], cluster: &str, to: &str, top: &str) -> Gateway {
    let endpoints = endpoints.join(", ");
    Gateway::with_yaml(&format!(
        "{top}listeners:\n  edge:\n    bind: \"@edge\"\nclusters:\n  app:\n    endpoints: [{endpoints}]\n    {cluster}\n\
         hosts:\n  - names: [\"*\"]\n    routes:\n      - name: all\n        to: {to}\n"
    ))
}

#[test]
fn an_endpoint_that_fails_fast_attracts_nothing() {
    let (bad, good) = (Origin::answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Origin::says("fine"));
    let gateway = Setup::to(&bad).and_to(good.address()).cluster("outlier_detection: false").start();
    let mut client = gateway.client();
    let failed = (0..300).filter(|_| client.get("/").status == 500).count();
    assert!(failed < 60, "{failed} of 300 went to the endpoint that fails");
    let endpoint = endpoint(&gateway, bad.address());
    assert_eq!(endpoint["standing"], "in_use");
    assert!(endpoint["failures"].as_u64().unwrap() >= 1, "{endpoint}");
}

#[test]
fn five_failures_in_a_row_take_an_endpoint_out_and_that_is_said() {
    let (bad, good) = (Origin::answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Origin::says("fine"));
    let gateway = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin").start();
    let mut client = gateway.client();
    let statuses: Vec<u16> = (0..30).map(|_| client.get("/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 5, "{statuses:?}");
    assert!(statuses[12..].iter().all(|status| *status == 200), "{statuses:?}");
    let out = endpoint(&gateway, bad.address());
    assert_eq!((&out["standing"], &out["takes_requests"]), (&"ejected".into(), &false.into()));
    assert!(out["says"].as_str().unwrap().contains("5 requests failed in a row"), "{out}");
    assert!(out["would_change"].as_str().unwrap().contains("it is tried again"), "{out}");
    let line = until("the log to say so", || {
        gateway.stderr().lines().find(|line| line.contains("taken out")).map(str::to_owned)
    });
    assert!(line.contains("cluster app") && line.contains("5 requests failed in a row"), "{line}");
    let admin = gateway.admin();
    let out = || admin.metric("portcullis_cluster_ejections_total", "cause=\"consecutive_failures\"");
    until("the metric", || (out() == 1.0).then_some(()));
    let record = gateway.record_of(&client.get("/"));
    assert!(record["endpoints"].to_string().contains("ejected"), "{record}");
    assert_eq!(admin.metric("portcullis_cluster_ejected", "cluster=\"app\""), 1.0);
    assert_eq!(
        admin.metric("portcullis_endpoint_health", &format!("endpoint=\"{}\",state=\"ejected\"", bad.address())),
        1.0
    );
}

#[test]
fn an_endpoint_that_was_out_comes_back_when_its_time_is_over() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let bad = Origin::http1(move |_, wire| match is_well.load(Ordering::SeqCst) {
        true => wire.ok("well"),
        false => wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    });
    let good = Origin::says("fine");
    let gateway = Setup::to(&bad)
        .and_to(good.address())
        .cluster("balance: round_robin")
        .cluster("slow_start: 0s")
        .cluster("outlier_detection: { consecutive_failures: 2, ejection: 300ms }")
        .start();
    let mut client = gateway.client();
    (0..8).for_each(|_| drop(client.get("/")));
    assert_eq!(endpoint(&gateway, bad.address())["standing"], "ejected");
    well.store(true, Ordering::SeqCst);
    until("it to answer again", || (client.get("/").text() == "well").then_some(()));
    until("the log to say so", || gateway.stderr().contains("takes requests again").then_some(()));
}

#[test]
fn outlier_detection_never_takes_the_last_endpoint_out() {
    let bad = Origin::answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let gateway = Setup::to(&bad).start();
    let mut client = gateway.client();
    assert!((0..20).all(|_| client.get("/").status == 500), "the endpoint's own answers go on");
    assert_eq!(cluster(&gateway)["ejected"], 0);
}

#[test]
fn a_route_selects_endpoints_by_their_labels() {
    let (stable, canary) = (Origin::says("stable"), Origin::says("canary"));
    let endpoints = [
        listed(&stable, ", labels: { version: stable }"),
        listed(&canary, ", labels: { version: canary, region: east }"),
    ];
    let to = "{ cluster: app, subset: { version: stable } }\n      - { name: canary, match: { path: /canary }, to: { cluster: app, subset: { version: canary, region: east } } }\n      - { name: none, match: { path: /none }, to: { cluster: app, subset: { version: none } } }";
    let gateway = gateway_of(&endpoints, "balance: round_robin", to, "");
    let mut client = gateway.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "stable");
        assert_eq!(client.get("/canary").text(), "canary");
    }
    let record = gateway.record_of(&client.get("/"));
    let considered = record["endpoints"].as_array().unwrap();
    assert!(considered.iter().any(|one| one.to_string().contains("other_subset")), "{record}");
    let none = client.get("/none");
    assert_eq!((none.status, none.reason().as_str()), (503, "no_healthy_upstream"));
    let subsets = &cluster(&gateway)["subsets"];
    assert_eq!(
        (&subsets[0]["labels"]["version"], &subsets[0]["available"]),
        (&"stable".into(), &1.into()),
        "{subsets}"
    );
    // A reload that changes a label changes who is selected.
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    gateway.write(&text.replace("labels: { version: stable }", "labels: { version: canary, region: east }"));
    gateway.signal("HUP");
    until("the new selection", || (client.get("/canary").text() == "stable").then_some(()));
}

#[test]
fn endpoints_of_the_own_zone_take_the_requests_while_they_can() {
    let (near, far) = (Origin::says("near"), Origin::says("far"));
    let endpoints = [listed(&near, ", zone: here"), listed(&far, ", zone: there")];
    let with = |zone: &str| gateway_of(&endpoints, "balance: round_robin", "app", zone);
    let gateway = with("zone: here\n");
    let mut client = gateway.client();
    let own = (0..40).filter(|_| client.get("/").text() == "near").count();
    assert!(own >= 30, "{own} of 40 stayed");
    let gateway = with("");
    let mut client = gateway.client();
    let own = (0..40).filter(|_| client.get("/").text() == "near").count();
    assert_eq!(own, 20, "without a zone of its own, the gateway has no preference");
}

/// What stands of the endpoint of the other zone, which takes requests since the own one is full.
fn overflows(gateway: &Gateway, near: &Origin, far: &Origin) {
    let mut client = gateway.client();
    until("a request to leave the zone", || (client.get("/").text() == "far").then_some(()));
    let far = endpoint(gateway, far.address());
    assert_eq!((&far["standing"], &far["takes_requests"]), (&"overflow".into(), &true.into()), "{far}");
    assert!(far["says"].as_str().unwrap().contains("too many for the gateway's zone"), "{far}");
    assert_eq!(endpoint(gateway, near.address())["standing"], "in_use");
    let leaving = || gateway.admin().metric("portcullis_cluster_leaving_zone", "cluster=\"app\"");
    until("the metric", || (leaving() > 0.0 && leaving() <= 1.0).then_some(()));
    until("a request to stay", || (client.get("/").text() != "far").then_some(()));
}

#[test]
fn a_zone_hands_requests_on_when_its_endpoints_say_that_they_are_full() {
    let near = Origin::http1(|_, wire| wire.send(b"HTTP/1.1 200 OK\r\nX-Load: 95%\r\nContent-Length: 4\r\n\r\nnear"));
    let far = Origin::http1(|_, wire| wire.send(b"HTTP/1.1 200 OK\r\nX-Load: 20%\r\nContent-Length: 3\r\n\r\nfar"));
    let endpoints = [listed(&near, ", zone: here"), listed(&far, ", zone: there")];
    overflows(&gateway_of(&endpoints, "load_reports: { utilisation: x-load }", "app", "zone: here\n"), &near, &far);
}

#[test]
fn a_zone_hands_requests_on_when_its_endpoints_hold_nearly_as_many_as_they_may() {
    let ((near, release), far) = (holding(), Origin::says("far"));
    let endpoints = [listed(&near, ", zone: here"), listed(&far, ", zone: there")];
    let gateway = gateway_of(&endpoints, "limits: { per_endpoint: 10 }", "app", "zone: here\n");
    let mut held: Vec<Client> = (0..9).map(|_| in_flight(&gateway, &near)).collect();
    overflows(&gateway, &near, &far);
    held.iter_mut().for_each(|client| {
        release.send(()).unwrap();
        assert_eq!(client.response().status, 200);
    });
}

#[test]
fn the_next_priority_takes_over_when_the_first_is_down() {
    let reserve = Origin::says("reserve");
    let first = format!("{{ address: \"{}\" }}", refused());
    let check = "health_check: { tcp: {}, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }";
    let gateway = gateway_of(&[first, listed(&reserve, ", priority: 1")], check, "app", "");
    let mut client = gateway.client();
    until("the reserve", || (client.get("/").text() == "reserve").then_some(()));
    until("health to be known", || (cluster(&gateway)["endpoints"][0]["standing"] == "unhealthy").then_some(()));
    assert_eq!(cluster(&gateway)["endpoints"][1]["standing"], "in_use");
}

#[test]
fn a_check_that_fails_everywhere_is_not_believed_in_a_panic() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/health" => wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        _ => wire.ok("fine"),
    });
    let check = "health_check: { http: { path: /health }, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }";
    let gateway = Setup::to(&origin).cluster(check).cluster("panic_threshold: 50%").start();
    until("the panic", || (cluster(&gateway)["panicking"] == true).then_some(()));
    assert_eq!(gateway.get("/").text(), "fine");
    until("the log to say so", || gateway.stderr().contains("health is ignored").then_some(()));
    until("the metric", || (gateway.admin().metric("portcullis_cluster_panicking", "app") == 1.0).then_some(()));
}

#[test]
fn a_hash_keeps_its_endpoint() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let balance = "balance: { hash: { by: header:x-user, bound: 200% } }";
    let gateway = Setup::to(&one).and_to(other.address()).cluster(balance).start();
    let mut client = gateway.client();
    let mut ask = |user: usize| client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n")).text();
    let first: Vec<String> = (0..20).map(&mut ask).collect();
    let second: Vec<String> = (0..20).map(&mut ask).collect();
    assert_eq!(first, second);
    assert!(first.contains(&"one".to_owned()) && first.contains(&"other".to_owned()), "{first:?}");
}

#[test]
fn a_hash_by_path_keeps_each_path_on_one_endpoint() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let balance = "balance: { hash: { by: path, bound: 200% } }";
    let gateway = Setup::to(&one).and_to(other.address()).cluster(balance).route("rewrite: { path: /same }").start();
    let mut client = gateway.client();
    let mut ask = |line: String| client.ask(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).text();
    let first: Vec<String> = (0..20).map(|page| ask(format!("GET /pages/{page}"))).collect();
    assert!(first.contains(&"one".to_owned()) && first.contains(&"other".to_owned()), "{first:?}");
    // A query, another method and another spelling of the same path are no other path.
    for same in ["GET /pages/{}?draft=1", "DELETE /pages/{}", "GET /x/../p%61ges/{}"] {
        let again: Vec<String> = (0..20).map(|page| ask(same.replace("{}", &page.to_string()))).collect();
        assert_eq!(first, again, "{same}");
    }
}

/// An origin that says how full it is, and one beside it that says nothing.
fn reporting(field: &'static str, reports: &str) -> (Gateway, Origin, Origin) {
    let full = Origin::http1(move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 4\r\n\r\nfull"));
        After::Keep
    });
    let idle = Origin::says("idle");
    let setup = Setup::to(&full).and_to(idle.address()).cluster("balance: round_robin").cluster(reports);
    (setup.start(), full, idle)
}

#[test]
fn an_endpoint_that_says_it_is_full_takes_fewer_requests() {
    for (field, reports) in [
        ("Endpoint-Load-Metrics: JSON {\"cpu_utilization\": 1.2}", "load_reports: true"),
        ("Endpoint-Load-Metrics: TEXT application_utilization=1.2", "load_reports: { orca: true }"),
        ("X-Load: 120%", "load_reports: { utilisation: x-load }"),
    ] {
        let (gateway, full, _idle) = reporting(field, reports);
        let mut client = gateway.client();
        let answers: Vec<_> = (0..60).map(|_| client.get("/")).collect();
        let taken = answers.iter().filter(|answer| answer.text() == "full").count();
        assert!((1..20).contains(&taken), "{taken} of 60 went to the full one: {field}");
        assert!(
            answers.iter().all(|answer| answer.field("endpoint-load-metrics").is_none()),
            "the field is not stripped"
        );
        assert!(answers.iter().all(|answer| answer.field("x-load").is_none()), "the field is not stripped");
        let shown = endpoint(&gateway, full.address())["utilisation"].as_f64().unwrap();
        assert!(shown > 0.5, "{shown}");
        let of_endpoint = format!("endpoint=\"{}\"", full.address());
        until("the metric", || {
            (gateway.admin().metric("portcullis_endpoint_utilisation", &of_endpoint) > 0.5).then_some(())
        });
    }
}

#[test]
fn reports_are_not_read_unless_the_config_says_so_and_pass_through_then() {
    let (gateway, full, _idle) = reporting("Endpoint-Load-Metrics: JSON {\"cpu_utilization\": 1.0}", "slow_start: 0s");
    let mut client = gateway.client();
    let answers: Vec<_> = (0..40).map(|_| client.get("/")).collect();
    assert_eq!(answers.iter().filter(|answer| answer.field("endpoint-load-metrics").is_some()).count(), 20);
    assert!(endpoint(&gateway, full.address())["utilisation"].is_null());
}

#[test]
fn a_report_that_cannot_be_read_changes_nothing_and_is_counted() {
    let (gateway, full, _idle) = reporting("Endpoint-Load-Metrics: JSON {{{", "load_reports: true");
    let mut client = gateway.client();
    let taken = (0..40).filter(|_| client.get("/").text() == "full").count();
    assert_eq!(taken, 20);
    assert!(endpoint(&gateway, full.address())["utilisation"].is_null());
    assert_eq!(gateway.admin().metric("portcullis_cluster_load_reports_total", "kind=\"unreadable\""), 20.0);
}

#[test]
fn an_endpoint_that_drains_is_left_alone() {
    for (field, reports) in [
        ("X-Envoy-Immediate-Health-Check-Fail: true", "load_reports: true"),
        ("X-Draining: 1", "load_reports: { drain: x-draining }"),
    ] {
        let (gateway, full, _idle) = reporting(field, reports);
        let mut client = gateway.client();
        let taken = (0..40).filter(|_| client.get("/").text() == "full").count();
        assert_eq!(taken, 1, "{field}");
        let away = endpoint(&gateway, full.address());
        assert_eq!(away["standing"], "away", "{away}");
        assert!(away["says"].as_str().unwrap().contains("asked to be left alone"), "{away}");
    }
}

#[test]
fn the_retry_after_of_a_503_keeps_requests_away_and_is_no_failure() {
    let busy = Origin::answers(b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n");
    let good = Origin::says("fine");
    let gateway = Setup::to(&busy).and_to(good.address()).cluster("balance: round_robin").start();
    let mut client = gateway.client();
    (0..20).for_each(|_| drop(client.get("/")));
    assert_eq!(busy.received().len(), 1);
    let away = endpoint(&gateway, busy.address());
    assert_eq!((&away["standing"], &away["failures"]), (&"away".into(), &0.into()), "{away}");
    assert_eq!(gateway.admin().metric("portcullis_cluster_load_reports_total", "kind=\"retry_after\""), 1.0);
}

#[test]
fn the_retry_after_of_a_429_counts_only_where_the_config_says_so() {
    for (reports, standing) in [("slow_start: 0s", "in_use"), ("load_reports: { retry_after: always }", "away")] {
        let busy = Origin::answers(b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n");
        let good = Origin::says("fine");
        let gateway = Setup::to(&busy).and_to(good.address()).cluster("balance: round_robin").cluster(reports).start();
        let mut client = gateway.client();
        (0..20).for_each(|_| drop(client.get("/")));
        let endpoint = endpoint(&gateway, busy.address());
        assert_eq!((&endpoint["standing"], &endpoint["failures"]), (&standing.into(), &0.into()), "{endpoint}");
    }
}

#[test]
fn a_grpc_status_counts_as_what_it_says() {
    for (code, failures, exhausted) in [("0", 0, 0.0), ("3", 0, 0.0), ("13", 4, 0.0), ("8", 0, 4.0)] {
        let origin = HyperOrigin::plain(move |_| {
            let answer = Response::builder().header("content-type", "application/grpc").header("grpc-status", code);
            answer.body(full("")).unwrap()
        });
        let gateway = Setup::to_address(origin.address()).cluster("protocol: http2").start();
        (0..4).for_each(|_| drop(gateway.get("/")));
        let endpoint = endpoint(&gateway, origin.address());
        assert_eq!(endpoint["failures"], failures, "grpc-status {code}: {endpoint}");
        let counted = gateway.admin().metric("portcullis_cluster_load_reports_total", "kind=\"exhausted\"");
        assert_eq!(counted, exhausted, "grpc-status {code}");
    }
}
