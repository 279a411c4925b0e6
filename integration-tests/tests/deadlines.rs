//! Deadlines: exact until the first byte, carried upstream, taken from those who are trusted.

use portcullis_integration_tests::origin::{HyperOrigin, full, unanswered};
use portcullis_integration_tests::{After, Gateway, Origin, Response, Setup};

/// An origin that never answers.
fn silent() -> Origin {
    Origin::http1(|_, wire| wire.wait_for_end())
}

/// Checks a failure of the gateway's own, and that it came when it should.
fn check(gateway: &Gateway, answer: &Response, reason: &str, millis: std::ops::Range<f64>) {
    assert_eq!((answer.status, answer.reason().as_str()), (504, reason), "{}", answer.text());
    let record = gateway.record_of(answer);
    let took = record["total_ms"].as_f64().unwrap();
    assert!(millis.contains(&took), "{took}: {record}");
}

#[test]
fn bounds_one_attempt_and_tries_the_next() {
    let origin = silent();
    let setup = Setup::to(&origin).cluster("timeouts: { per_try: 300ms, connect: 200ms }");
    let gateway = setup.cluster("retry: { attempts: 3, backoff: { base: 1ms } }").start();
    let answer = gateway.get("/a");
    check(&gateway, &answer, "upstream_per_try_timeout", 900.0..5000.0);
    let record = gateway.record_of(&answer);
    assert_eq!(record["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(record["attempts"][0]["reason"], "upstream_per_try_timeout");
    assert_eq!(record["not_retried"], "attempts");
}

#[test]
fn takes_a_routes_bound_of_one_attempt_before_the_clusters() {
    let origin = silent();
    let setup = Setup::to(&origin).cluster("timeouts: { per_try: 60s }").cluster("retry: { attempts: 1 }");
    let gateway = setup.route("timeouts: { per_try: 300ms }").start();
    check(&gateway, &gateway.get("/a"), "upstream_per_try_timeout", 300.0..5000.0);
}

#[test]
fn ends_at_the_total_although_the_first_byte_and_the_connection_had_more_time() {
    let (address, _held) = unanswered();
    let gateway = Setup::to_address(address).cluster("timeouts: { connect: 300ms, total: 500ms }").start();
    check(&gateway, &gateway.get("/a"), "upstream_total_timeout", 490.0..3000.0);
    let origin = silent();
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 60s, total: 1s }").start();
    check(&gateway, &gateway.get("/a"), "upstream_total_timeout", 1000.0..1900.0);
}

#[test]
fn does_not_begin_the_deadline_again_with_each_part_of_an_upload() {
    let http1 = silent();
    let http2 = HyperOrigin::plain(|_| {
        std::thread::sleep(std::time::Duration::from_secs(20));
        http::Response::new(full("late"))
    });
    for setup in [Setup::to(&http1), Setup::to_address(http2.address()).cluster("protocol: http2")] {
        let gateway = setup.cluster("timeouts: { first_byte: 60s, total: 1s }").start();
        let mut client = gateway.client();
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\n");
        for part in ["a", "b", "c"] {
            std::thread::sleep(std::time::Duration::from_millis(200));
            client.send(part);
        }
        let answer = client.ask("d");
        check(&gateway, &answer, "upstream_total_timeout", 1000.0..1900.0);
    }
}

#[test]
fn ends_the_sending_of_a_request_that_the_upstream_does_not_read() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        std::thread::sleep(std::time::Duration::from_secs(20));
        After::Close
    });
    let setup = Setup::to(&origin).cluster("timeouts: { first_byte: 60s, idle: 60s, total: 1s }");
    let gateway = setup.route("body_limit: 0").start();
    let mut client = gateway.client();
    let mut writer = client.writer();
    let sending = std::thread::spawn(move || {
        let head = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 64000000\r\n\r\n";
        let _ = writer.try_send(head);
        let _ = writer.try_send(vec![b'a'; 64_000_000]);
    });
    let record = gateway.record_with("upstream_total_timeout");
    assert!((1000.0..1900.0).contains(&record["total_ms"].as_f64().unwrap()), "{record}");
    drop(client.rest());
    drop(client);
    sending.join().unwrap();
}

#[test]
fn never_cuts_an_answer_that_has_begun() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        std::thread::sleep(std::time::Duration::from_millis(700));
        wire.send(b"world")
    });
    let timeouts = "timeouts: { connect: 200ms, per_try: 300ms, total: 400ms }";
    let gateway = Setup::to(&origin).cluster(timeouts).start();
    assert_eq!(gateway.get("/a").text(), "helloworld");
}

/// What is left of the deadline in the request that an origin received.
fn left(text: Option<&str>) -> u64 {
    text.expect("the deadline goes upstream").trim_end_matches('m').parse().unwrap()
}

#[test]
fn carries_what_is_left_upstream_and_takes_no_strangers_word() {
    let origin = Origin::says("fine");
    let timeouts = "timeouts: { total: 5s, deadline_header: X-Timeout-Ms }";
    let gateway = Setup::to(&origin).cluster(timeouts).start();
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\nX-Timeout-Ms: 1\r\n\r\n";
    assert_eq!(gateway.client().ask(request).status, 200);
    let received = origin.last();
    assert_eq!(received.fields("x-timeout-ms").len(), 1);
    assert!((4000..=5000).contains(&left(received.field("x-timeout-ms"))), "{}", received.head);
    assert_eq!(received.field("grpc-timeout"), None);
}

#[test]
fn takes_a_strangers_field_out_when_there_is_no_deadline() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).cluster("timeouts: { deadline_header: x-timeout-ms }").start();
    gateway.client().ask("GET / HTTP/1.1\r\nHost: app.test\r\nX-Timeout-Ms: 1\r\n\r\n");
    assert_eq!(origin.last().field("x-timeout-ms"), None);
}

#[test]
fn takes_the_shorter_deadline_of_a_trusted_caller() {
    let trusted = "trusted_networks: [\"127.0.0.0/8\"]";
    for (field, expected) in [("400", 400.0..1900.0), ("60000", 1000.0..1900.0)] {
        let origin = silent();
        let timeouts = "timeouts: { total: 1s, first_byte: 60s, deadline_header: x-timeout-ms }";
        let gateway = Setup::to(&origin).top(trusted).cluster(timeouts).start();
        let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\nX-Timeout-Ms: {field}\r\n\r\n");
        let answer = gateway.client().ask(&request);
        let expected = if field == "400" { 400.0..990.0 } else { expected };
        check(&gateway, &answer, "upstream_total_timeout", expected);
    }
}

#[test]
fn carries_the_deadline_of_a_grpc_call() {
    let origin = HyperOrigin::plain(|_| http::Response::new(full("")));
    let call = |timeout: &str| {
        format!(
            "POST /a.B/C HTTP/1.1\r\nHost: app.test\r\nContent-Type: application/grpc\r\nTE: trailers\r\n{timeout}Content-Length: 0\r\n\r\n"
        )
    };
    let trusted = "trusted_networks: [\"127.0.0.0/8\"]";
    let setup = Setup::to_address(origin.address()).cluster("protocol: http2");
    let ours = setup.clone().cluster("timeouts: { total: 5s }");
    for (setup, timeout, expected) in [
        (ours.clone(), "", 4000..=5000),
        (ours.clone(), "grpc-timeout: 1m\r\n", 4000..=5000),
        (ours.top(trusted), "grpc-timeout: 2S\r\n", 1000..=2000),
        (setup.top(trusted), "grpc-timeout: 2S\r\n", 1000..=2000),
    ] {
        let gateway = setup.start();
        gateway.client().ask(call(timeout));
        let seen = origin.last();
        assert!(expected.contains(&left(seen.field("grpc-timeout"))), "{timeout}: {:?}", seen.field("grpc-timeout"));
    }
}

#[test]
fn sends_nothing_of_a_request_whose_time_is_over() {
    let origin = Origin::says("fine");
    let timeouts = "timeouts: { deadline_header: x-timeout-ms }";
    let gateway = Setup::to(&origin).top("trusted_networks: [\"127.0.0.0/8\"]").cluster(timeouts).start();
    let answer = gateway.client().ask("GET / HTTP/1.1\r\nHost: app.test\r\nX-Timeout-Ms: 0\r\n\r\n");
    check(&gateway, &answer, "upstream_total_timeout", 0.0..1000.0);
    let record = gateway.record_of(&answer);
    assert!(record["attempts"].as_array().is_none_or(Vec::is_empty), "{record}");
    assert_eq!((origin.connections(), origin.received().len()), (0, 0));
}

/// The one endpoint takes two seconds to answer, and fails at once.
#[test]
fn makes_no_attempt_again_that_usually_takes_longer_than_what_is_left() {
    let origin = Origin::http1(|received, wire| {
        if received.path() == "/slow" {
            std::thread::sleep(std::time::Duration::from_secs(2));
            return wire.ok("fine");
        }
        wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nfail")
    });
    let gateway = Setup::to(&origin)
        .cluster("retry: { on: [503], backoff: { base: 1ms, max: 1ms } }")
        .cluster("outlier_detection: false")
        .and_route("{ name: short, match: { path: /short }, to: app, timeouts: { total: 1s } }")
        .and_route("{ name: long, match: { path: /long }, to: app, timeouts: { total: 30s } }")
        .start();
    let failing = |path: &str| {
        let (before, answer) = (origin.received().len(), gateway.get(path));
        assert_eq!((answer.status, answer.text().as_str()), (503, "fail"), "{path}");
        (origin.received().len() - before, gateway.record_of(&answer)["not_retried"].clone())
    };
    assert_eq!(failing("/short"), (2, "attempts".into()), "nothing is known of the endpoint yet");
    assert_eq!(gateway.get("/slow").text(), "fine");
    assert_eq!(failing("/short"), (1, "deadline".into()), "a second is too short");
    assert_eq!(failing("/long"), (2, "attempts".into()));
}
