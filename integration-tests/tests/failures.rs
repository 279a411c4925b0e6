//! Upstreams that fail: what the client gets, what the record says, and what is tried again.

use portcullis_integration_tests::origin::{refused, unanswered};
use portcullis_integration_tests::{After, Gateway, Origin, Response, Setup, until};
use std::sync::atomic::{AtomicUsize, Ordering};

const POST: &str = "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi";

/// Checks an answer of the gateway's own, and its record.
fn check(gateway: &Gateway, answer: &Response, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{}", answer.text());
    let record = gateway.record_of(answer);
    assert_eq!((&record["status"], &record["reason"]), (&status.into(), &reason.into()), "{record}");
    assert_eq!(record["fault"], "upstream");
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!(attempts.last().unwrap()["reason"], reason, "{record}");
}

#[test]
fn answers_502_when_nobody_listens() {
    let gateway = Setup::to_address(refused()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/a");
        check(&gateway, &answer, 502, "upstream_connect_refused");
        assert!(!answer.closes(), "the client's connection lives on");
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_refused"), "{}", answer.head);
    }
}

#[test]
fn tries_another_endpoint_when_one_refuses_even_for_a_post() {
    let origin = Origin::says("fine");
    let gateway = Setup::to_address(refused()).and_to(origin.address()).cluster("balance: round_robin").start();
    let mut client = gateway.client();
    let answers: Vec<Response> = (0..4).map(|_| client.ask(POST)).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    let retried = answers.iter().map(|answer| gateway.record_of(answer)).find(|record| record["flags"][0] == "retried");
    let retried = retried.expect("round robin met the endpoint that refuses");
    assert_eq!(retried["attempts"][0]["reason"], "upstream_connect_refused");
    assert_eq!(retried["attempts"][1]["status"], 200);
    assert_eq!(origin.received().len(), 4);
    assert!(origin.received().iter().all(|request| request.body == b"hi"), "the body went along");
}

#[test]
fn gives_up_on_an_upstream_that_does_not_accept() {
    let (address, _held) = unanswered();
    let gateway = Setup::to_address(address).cluster("timeouts: { connect: 300ms }").start();
    let answer = gateway.get("/a");
    check(&gateway, &answer, 504, "upstream_connect_timeout");
}

/// An origin that cuts the connection with a reset instead of answering, and counts.
fn resetting() -> Origin {
    Origin::http1(|_, wire| wire.reset())
}

#[test]
fn tries_an_idempotent_request_again_after_a_reset() {
    let (bad, good) = (resetting(), Origin::says("fine"));
    let gateway = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin").start();
    let mut client = gateway.client();
    let answers: Vec<Response> = (0..4).map(|_| client.get("/a")).collect();
    assert!(answers.iter().all(|answer| answer.text() == "fine"));
    assert!(!bad.received().is_empty(), "round robin met the endpoint that resets");
    let retried = gateway.record("a retry", |record| record["flags"][0] == "retried");
    assert_eq!(retried["attempts"][0]["reason"], "upstream_reset");
}

#[test]
fn sends_a_body_again_whole_or_not_at_all() {
    for (size, expected) in [(10_000, 200), (300_000, 502)] {
        let (bad, good) = (resetting(), Origin::http1(|received, wire| wire.ok(&received.body.len().to_string())));
        let gateway = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin").start();
        let request =
            format!("PUT /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n{}", "a".repeat(size));
        let answers: Vec<Response> = (0..2).map(|_| gateway.client().ask(&request)).collect();
        let retried =
            answers.iter().find(|answer| gateway.record_of(answer)["attempts"][0]["reason"] == "upstream_reset");
        assert_eq!(retried.expect("round robin met the endpoint that resets").status, expected, "{size} bytes");
        assert!(good.received().iter().all(|request| request.complete && request.body.len() == size));
    }
}

#[test]
fn does_not_send_a_post_twice() {
    let (bad, other) = (resetting(), resetting());
    let gateway = Setup::to(&bad).and_to(other.address()).start();
    let answer = gateway.client().ask(POST);
    check(&gateway, &answer, 502, "upstream_reset");
    assert_eq!(
        bad.received().len() + other.received().len(),
        1,
        "a request that may have been acted on was sent again"
    );
}

#[test]
fn stops_after_its_number_of_attempts() {
    let origins: Vec<Origin> = (0..5).map(|_| resetting()).collect();
    let setup = origins[1..].iter().fold(Setup::to(&origins[0]), |setup, origin| setup.and_to(origin.address()));
    let gateway = setup.cluster("retry: { attempts: 3 }").start();
    let answer = gateway.get("/a");
    check(&gateway, &answer, 502, "upstream_reset");
    assert_eq!(origins.iter().map(|origin| origin.received().len()).sum::<usize>(), 3);
    assert_eq!(gateway.record_of(&answer)["attempts"].as_array().unwrap().len(), 3);
}

#[test]
fn aborts_an_answer_that_the_upstream_breaks_off() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.head().contains("200"));
    assert!(client.rest().len() < 100, "the client must not take it for whole");
    let record = gateway.record_with("upstream_incomplete");
    assert_eq!((&record["status"], &record["flags"]), (&200.into(), &serde_json::json!(["aborted"])));
}

#[test]
fn aborts_a_chunked_answer_without_its_last_chunk() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        wire.reset()
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    assert_eq!(gateway.record_with("upstream_incomplete")["path"], "/a");
}

/// An origin that sends these bytes and then nothing.
fn stalling(bytes: &'static [u8]) -> Origin {
    Origin::http1(move |_, wire| {
        wire.send(bytes);
        wire.wait_for_end()
    })
}

#[test]
fn gives_up_on_an_answer_that_does_not_begin() {
    let origin = stalling(b"");
    let gateway =
        Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").cluster("retry: { attempts: 1 }").start();
    let answer = gateway.get("/a");
    check(&gateway, &answer, 504, "upstream_first_byte_timeout");
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn gives_up_on_an_answer_that_stops_in_the_middle() {
    let origin = stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 10s, idle: 300ms }").start();
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.rest().ends_with(b"only this"));
    assert_eq!(gateway.record_with("upstream_idle_timeout")["status"], 200);
}

#[test]
fn lets_an_answer_pause_for_longer_than_its_first_byte_may_take() {
    let origin = Origin::http1(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        std::thread::sleep(std::time::Duration::from_millis(700));
        wire.send(b"world")
    });
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms, idle: 10s }").start();
    assert_eq!(gateway.get("/a").text(), "helloworld");
}

#[test]
fn bounds_the_whole_exchange() {
    let origin = stalling(b"");
    let timeouts = "timeouts: { first_byte: 10s, total: 400ms, connect: 200ms }";
    let gateway = Setup::to(&origin).cluster(timeouts).cluster("retry: { attempts: 3 }").start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_total_timeout"));
    let took = gateway.record_of(&answer)["total_ms"].as_f64().unwrap();
    assert!((400.0..5000.0).contains(&took), "{took}");
}

#[test]
fn takes_a_routes_timeouts_before_the_clusters() {
    let origin = stalling(b"");
    let setup = Setup::to(&origin).cluster("timeouts: { first_byte: 60s }").cluster("retry: { attempts: 1 }");
    let gateway = setup.route("timeouts: { first_byte: 300ms }").start();
    let answer = gateway.get("/a");
    check(&gateway, &answer, 504, "upstream_first_byte_timeout");
}

#[test]
fn refuses_answers_that_are_malformed() {
    let malformed: &[&'static [u8]] = &[
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
    ];
    for bytes in malformed {
        let origin = Origin::answers(bytes);
        let gateway = Setup::to(&origin).start();
        let answer = gateway.get("/a");
        let name = String::from_utf8_lossy(bytes);
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"), "{name}");
        assert_eq!(gateway.record_of(&answer)["reason"], "upstream_malformed", "{name}");
    }
}

#[test]
fn answers_503_with_retry_after_when_no_endpoint_is_healthy() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/health" => wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
        _ => wire.ok("fine"),
    });
    let check = "health_check: { http: { path: /health }, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }";
    let gateway = Setup::to(&origin).cluster(check).start();
    let answer =
        until("the endpoint to be unhealthy", || Some(gateway.get("/a")).filter(|answer| answer.status == 503));
    assert_eq!((answer.reason().as_str(), answer.field("retry-after")), ("no_healthy_upstream", Some("1")));
    let record = gateway.record_of(&answer);
    assert_eq!((&record["reason"], &record["cluster"]), (&"no_healthy_upstream".into(), &"app".into()));
    let probe = origin.received().into_iter().find(|request| request.path() == "/health").unwrap();
    assert_eq!(probe.fields("host"), ["app"]);
}

#[test]
fn takes_an_endpoint_out_and_back_by_its_health() {
    let healthy = std::sync::Arc::new(AtomicUsize::new(1));
    let says = healthy.clone();
    let flapping = Origin::http1(move |received, wire| match received.path() {
        "/health" if says.load(Ordering::SeqCst) == 0 => wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        _ => wire.ok("flapping"),
    });
    let steady = Origin::says("steady");
    let check = "health_check: { http: { path: /health }, interval: 100ms, unhealthy_after: 2, healthy_after: 2 }";
    let gateway = Setup::to(&flapping).and_to(steady.address()).cluster("balance: round_robin").cluster(check).start();
    let takes = |text: &str| (0..6).any(|_| gateway.get("/a").text() == text);
    assert!(takes("flapping") && takes("steady"));
    healthy.store(0, Ordering::SeqCst);
    until("the endpoint to be left out", || (!takes("flapping")).then_some(()));
    healthy.store(1, Ordering::SeqCst);
    until("the endpoint to be taken again", || takes("flapping").then_some(()));
}

#[test]
fn survives_an_upstream_that_closes_idle_connections() {
    let origin = Origin::http1(|_, wire| {
        wire.ok("fine");
        After::Close
    });
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    for n in 0..50 {
        let answer = client.get("/a");
        assert_eq!(answer.status, 200, "request {n}: {}", answer.text());
    }
}

#[test]
fn recovers_when_a_killed_upstream_comes_back() {
    let origin = Origin::says("first");
    let address = origin.address();
    let gateway = Setup::to(&origin).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/a").text(), "first");
    origin.kill();
    let failed = client.get("/a");
    assert_eq!(failed.status, 502, "{}", failed.text());
    let _again = Origin::bound(address, |_, wire| wire.ok("second"));
    assert_eq!(client.get("/a").text(), "second");
}
