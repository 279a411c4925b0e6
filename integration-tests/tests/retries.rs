//! Retries: what is tried again, how often, after which pause, and what the record says when it is not.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body_util::Full;
use portcullis_integration_tests::h2::{H2Client, RST_STREAM, frame, get_block, preface};
use portcullis_integration_tests::origin::{HyperOrigin, frames, full, refused};
use portcullis_integration_tests::{After, Gateway, Origin, Response, Setup, until};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const POST: &str = "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi";

/// An origin that answers everything with this status and field.
fn failing(status: u16, field: &'static str) -> Origin {
    Origin::http1(move |_, wire| {
        wire.send(format!("HTTP/1.1 {status} No\r\nContent-Length: 4\r\n{field}\r\nfail"));
        After::Keep
    })
}

/// Asks until one request met the bad origin first; gives its answer and record.
fn retried(gateway: &Gateway, request: &str, bad: &Origin) -> (Response, Value) {
    for _ in 0..8 {
        let before = bad.received().len();
        let answer = gateway.client().ask(request);
        if bad.received().len() > before {
            let record = gateway.record_of(&answer);
            return (answer, record);
        }
    }
    panic!("round robin never met the origin that fails");
}

#[test]
fn tries_a_status_again_elsewhere_and_the_client_sees_only_the_good_answer() {
    for (on, status) in [("\"503\"", 503), ("502", 502), ("5xx", 504), ("429", 429)] {
        let (bad, good) = (failing(status, ""), Origin::says("fine"));
        let setup = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin");
        let gateway = setup.cluster(&format!("retry: {{ on: [{on}] }}")).cluster("outlier_detection: false").start();
        let (answer, record) = retried(&gateway, "GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n", &bad);
        assert_eq!((answer.status, answer.text().as_str()), (200, "fine"), "{on}");
        assert_eq!(record["attempts"][0]["status"], status, "{record}");
        assert_eq!(record["attempts"][1]["status"], 200, "{record}");
        assert_eq!((&record["upstream_status"], &record["flags"][0]), (&200.into(), &"retried".into()));
        assert_eq!(record.get("not_retried"), None);
    }
}

#[test]
fn sends_the_body_again_after_a_status() {
    let (bad, good) = (failing(503, ""), Origin::http1(|received, wire| wire.ok(&received.body.len().to_string())));
    let setup = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin").cluster("retry: { on: [503] }");
    let gateway = setup.cluster("outlier_detection: false").start();
    let put = format!("PUT /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000\r\n\r\n{}", "a".repeat(10_000));
    assert_eq!(retried(&gateway, &put, &bad).0.text(), "10000");
    let large = format!("PUT /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 300000\r\n\r\n{}", "a".repeat(300_000));
    let (answer, record) = retried(&gateway, &large, &bad);
    assert_eq!((answer.status, answer.text().as_str()), (503, "fail"), "the upstream's own answer goes through");
    assert_eq!(record["not_retried"], "body", "{record}");
}

#[test]
fn says_why_it_does_not_try_again() {
    let bad = failing(503, "");
    let gateway = Setup::to(&bad).cluster("retry: { on: [503], attempts: 3, backoff: { base: 1ms } }").start();
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.text().as_str()), (503, "fail"));
    assert_eq!(gateway.record_of(&answer)["not_retried"], "unsafe");
    assert_eq!(bad.received().len(), 1, "a request that may have been acted on was sent again");
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 503);
    assert_eq!(gateway.record_of(&answer)["not_retried"], "attempts");
    assert_eq!(bad.received().len(), 4);
    let count = |why: &str| gateway.admin().metric("portcullis_cluster_not_retried_total", &format!("why=\"{why}\""));
    portcullis_integration_tests::until("the metric", || {
        (count("unsafe") > 0.0 && count("attempts") > 0.0).then_some(())
    });
}

#[test]
fn passes_a_status_through_that_is_not_one_to_try_again_after() {
    let bad = failing(500, "");
    let gateway = Setup::to(&bad).cluster("retry: { on: [503], attempts: 3 }").start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, bad.received().len()), (500, 1));
    assert_eq!(gateway.record_of(&answer).get("not_retried"), None);
}

#[test]
fn spends_no_more_than_the_budget() {
    let bad = failing(503, "");
    let setup = Setup::to(&bad).cluster("retry: { on: [503], budget: 0%, backoff: { base: 1ms } }");
    let gateway = setup.cluster("outlier_detection: false").start();
    let mut client = gateway.client();
    let before = std::time::Instant::now();
    let answers: Vec<Response> = (0..60).map(|_| client.get("/a")).collect();
    // Three a second over ten seconds.
    let most = 30 + 3 * (1 + usize::try_from(before.elapsed().as_secs()).unwrap());
    let again = bad.received().len() - answers.len();
    assert!((30..=most).contains(&again), "{again} retries, {most} allowed");
    assert_eq!(gateway.record_of(&answers[59])["not_retried"], "budget");
}

#[test]
fn waits_for_a_short_retry_after_and_not_for_a_long_one() {
    let long = failing(503, "Retry-After: 60\r\n");
    let gateway = Setup::to(&long).cluster("retry: { on: [503] }").start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.field("retry-after"), long.received().len()), (503, Some("60"), 1));
    assert_eq!(gateway.record_of(&answer)["not_retried"], "retry_after");

    let short = failing(503, "Retry-After: 1\r\n");
    let gateway = Setup::to(&short).cluster("retry: { on: [503], backoff: { max: 2s } }").start();
    let answer = gateway.get("/a");
    assert_eq!(short.received().len(), 2);
    let record = gateway.record_of(&answer);
    assert!(record["attempts"][1]["started_ms"].as_f64().unwrap() >= 1000.0, "{record}");
}

#[test]
fn does_not_wait_for_the_retry_after_of_another_endpoint() {
    let (bad, good) = (failing(503, "Retry-After: 60\r\n"), Origin::says("fine"));
    let setup = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin");
    let gateway = setup.cluster("retry: { on: [503] }").cluster("outlier_detection: false").start();
    let (answer, _) = retried(&gateway, "GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n", &bad);
    assert_eq!(answer.text(), "fine");
}

#[test]
fn starts_no_attempt_that_could_not_end_in_time() {
    let bad = failing(503, "Retry-After: 9\r\n");
    let setup = Setup::to(&bad).cluster("retry: { on: [503], backoff: { max: 20s } }");
    let gateway = setup.cluster("timeouts: { total: 8s }").start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, bad.received().len()), (503, 1));
    assert_eq!(gateway.record_of(&answer)["not_retried"], "deadline");
}

#[test]
fn replays_over_a_new_connection_what_an_idle_one_lost_without_spending_an_attempt() {
    // Each connection answers one request and is cut by the second.
    let origin = Origin::http1(|_, wire| {
        wire.ok("fine");
        let mut first = [0; 1];
        let _ = std::io::Read::read(wire.stream(), &mut first);
        wire.reset()
    });
    let gateway = Setup::to(&origin).cluster("retry: { attempts: 1 }").start();
    let mut client = gateway.client();
    for _ in 0..4 {
        let answer = client.get("/a");
        assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
    }
    let record = gateway.record("a replay", |record| record["attempts"][0]["reason"] == "upstream_reset");
    assert_eq!((&record["attempts"][0]["reused"], &record["attempts"][1]["reused"]), (&true.into(), &false.into()));
}

#[test]
fn tries_again_over_http2_upstreams_after_a_status() {
    let bad = HyperOrigin::plain(|_| http::Response::builder().status(503).body(full("fail")).unwrap());
    let good = HyperOrigin::plain(|seen| http::Response::new(full(seen.body.len().to_string())));
    let setup = Setup::to_address(bad.address()).and_to(good.address()).cluster("protocol: http2");
    let setup = setup.cluster("balance: round_robin").cluster("outlier_detection: false");
    let gateway = setup.cluster("retry: { on: [503], budget: 100% }").start();
    let put = "PUT /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi";
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.ask(put).text(), "2");
    }
    assert!(!bad.seen().is_empty(), "round robin met the origin that fails");
}

/// An origin that reads requests whole and then cuts the connection.
fn resetting() -> Origin {
    Origin::http1(|_, wire| wire.reset())
}

#[test]
fn sends_a_post_again_after_a_reset_where_the_route_says_that_it_may() {
    for (mark, status) in [("idempotent: true", 200), ("idempotent: false", 502)] {
        let (bad, good) = (resetting(), Origin::http1(|received, wire| wire.ok(&received.body.len().to_string())));
        let setup = Setup::to(&bad).and_to(good.address()).cluster("balance: round_robin").route(mark);
        let gateway = setup.cluster("outlier_detection: false").start();
        let (answer, record) = retried(&gateway, POST, &bad);
        assert_eq!(answer.status, status, "{mark}: {record}");
        assert_eq!(record["attempts"][0]["reason"], "upstream_reset", "{record}");
        if status == 200 {
            assert_eq!(
                (answer.text().as_str(), &record["flags"][0]),
                ("2", &"retried".into()),
                "the body is sent again"
            );
            assert_eq!((bad.received().len(), record.get("not_retried")), (1, None), "{record}");
        } else {
            assert_eq!(record["not_retried"], "unsafe", "{record}");
        }
    }
}

#[test]
fn a_mark_on_one_route_says_nothing_of_the_others_and_nothing_of_large_bodies() {
    let bad = failing(503, "");
    let setup = Setup::to(&bad).cluster("retry: { on: [503], backoff: { base: 1ms } }");
    let reads = "{ name: reads, match: { path: /reads }, to: app, idempotent: true }";
    let gateway = setup.cluster("outlier_detection: false").and_route(reads).start();
    let post = |path: &str, length: usize| {
        let body = "a".repeat(length);
        gateway
            .client()
            .ask(format!("POST {path} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    for (path, length, sent, why) in
        [("/reads", 10, 2, "attempts"), ("/other", 10, 1, "unsafe"), ("/reads", 300_000, 1, "body")]
    {
        let before = bad.received().len();
        let answer = post(path, length);
        assert_eq!((answer.status, gateway.record_of(&answer)["not_retried"].as_str()), (503, Some(why)), "{path}");
        assert_eq!(bad.received().len() - before, sent, "{path}, {length} bytes");
    }
}

/// An origin whose every answer is a gRPC status, in the head or behind a message.
fn grpc(code: &'static str, in_trailers: bool) -> HyperOrigin {
    HyperOrigin::plain(move |_| {
        let answer = http::Response::builder().header("content-type", "application/grpc");
        if in_trailers {
            let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), code.parse().unwrap())]);
            answer.body(frames(vec![Bytes::from_static(b"\0\0\0\0\0")], trailers)).unwrap()
        } else {
            answer.header("grpc-status", code).body(full("")).unwrap()
        }
    })
}

#[tokio::test]
async fn tries_a_grpc_call_again_that_was_answered_unavailable_and_nothing_else() {
    let (on, mark) = ("retry: { on: [grpc_unavailable], backoff: { base: 1ms } }", "idempotent: true");
    for (bad, on, mark, sent, why) in [
        (grpc("14", false), on, mark, 2, Some("attempts")),
        (grpc("14", false), on, "idempotent: false", 1, Some("unsafe")),
        (grpc("14", false), "retry: { backoff: { base: 1ms } }", mark, 1, None),
        (grpc("13", false), on, mark, 1, None),
        (grpc("0", false), on, mark, 1, None),
        (grpc("14", true), on, mark, 1, None),
    ] {
        let setup = Setup::to_address(bad.address()).cluster("protocol: http2").cluster(on).route(mark);
        let gateway = setup.cluster("outlier_detection: false").start();
        let client = H2Client::plain(gateway.address("edge")).await;
        let call = http::Request::post("http://app.test/pkg.Service/Get").header("content-type", "application/grpc");
        let answer = client.send(call.body(Full::from(&b"\0\0\0\0\x02hi"[..])).unwrap()).await;
        let id = answer.field("x-request-id").unwrap();
        let record = gateway.record(id, |record| record["id"] == *id);
        assert_eq!((answer.status(), bad.seen().len()), (200, sent), "{on} {mark}: {record}");
        assert_eq!(record.get("not_retried").and_then(Value::as_str), why, "{on} {mark}: {record}");
        assert!(
            bad.seen().iter().all(|seen| &seen.body[..] == b"\0\0\0\0\x02hi"),
            "the message is sent whole each time"
        );
    }
}

#[tokio::test]
async fn a_grpc_call_meets_another_endpoint_after_one_that_is_unavailable() {
    let (bad, good) = (grpc("14", false), grpc("0", true));
    let setup = Setup::to_address(bad.address()).and_to(good.address()).cluster("protocol: http2");
    let setup = setup.cluster("balance: round_robin").cluster("outlier_detection: false").route("idempotent: true");
    let gateway = setup.cluster("retry: { on: [grpc_unavailable], budget: 100%, backoff: { base: 1ms } }").start();
    let client = H2Client::plain(gateway.address("edge")).await;
    for _ in 0..4 {
        let call = http::Request::post("http://app.test/pkg.Service/Get").header("content-type", "application/grpc");
        let answer = client.send(call.body(Full::from(&b"\0\0\0\0\0"[..])).unwrap()).await;
        assert_eq!(answer.trailer("grpc-status"), Some("0"), "{:?}", answer.parts);
        assert_eq!(answer.field("grpc-status"), None);
    }
    assert!(!bad.seen().is_empty(), "round robin met the origin that is unavailable");
}

#[test]
fn goes_to_another_endpoint_without_a_pause_when_nothing_was_sent() {
    let origin = Origin::says("fine");
    let setup = Setup::to_address(refused()).and_to(origin.address()).cluster("balance: round_robin");
    let setup = setup.cluster("outlier_detection: false");
    let gateway = setup.cluster("retry: { backoff: { base: 10s, max: 10s } }").start();
    let mut client = gateway.client();
    // More than the budget's floor, in less than a second: what sends nothing needs none.
    for _ in 0..12 {
        let answer = client.ask(POST);
        assert_eq!(answer.status, 200, "{}", gateway.record_of(&answer));
        assert!(gateway.record_of(&answer)["total_ms"].as_f64().unwrap() < 5000.0);
    }
}

/// The client was told to go on by the attempt before: from then on the pause is its own, not the next upstream's.
#[test]
fn a_client_that_got_its_100_may_still_pause_in_the_next_attempt() {
    let attempts = AtomicUsize::new(0);
    let origin = Origin::at_head(move |received, wire| {
        if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n");
            return After::Close;
        }
        if wire.read_body(received) { wire.ok("whole") } else { After::Close }
    });
    let gateway = Setup::to(&origin).cluster("timeouts: { first_byte: 300ms }").start();
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 100"));
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(client.ask("body").text(), "whole");
}

/// A gateway whose only endpoint failed once and wants a minute to itself, which is waited for.
fn in_a_long_pause() -> (Gateway, Origin) {
    let bad = failing(503, "Retry-After: 60\r\n");
    let setup = Setup::to(&bad).cluster("retry: { on: [503], backoff: { max: 100s } }");
    (setup.cluster("outlier_detection: false").start(), bad)
}

/// Waits until the first attempt is over and the pause has begun, lets the client leave, and checks what is known of it.
fn leaves_in_the_pause(gateway: &Gateway, bad: &Origin, leave: impl FnOnce()) {
    let _ = bad.wait_for(1);
    until("the end of the first attempt", || {
        let clusters = gateway.admin().json("/api/clusters");
        let endpoint = &clusters["clusters"][0]["endpoints"][0];
        (endpoint["requests"] == 1 && endpoint["in_flight"] == 0).then_some(())
    });
    leave();
    let record = gateway.record_with("client_closed");
    assert_eq!(record["attempts"].as_array().map(Vec::len), Some(1), "{record}");
    assert_eq!(record["attempts"][0]["status"], 503, "{record}");
    assert!(record["total_ms"].as_f64().unwrap() < 60_000.0, "{record}");
    assert_eq!(bad.received().len(), 1, "nothing is sent for a client that left");
}

#[test]
fn a_client_that_leaves_in_the_pause_before_a_retry_is_not_waited_for() {
    for request in [
        "GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (gateway, bad) = in_a_long_pause();
        let mut client = gateway.client();
        client.send(request);
        leaves_in_the_pause(&gateway, &bad, || drop(client));
    }
}

#[test]
fn a_stream_that_is_reset_in_the_pause_before_a_retry_is_not_waited_for() {
    let (gateway, bad) = in_a_long_pause();
    let mut client = gateway.client();
    client.send(preface()).send(frame(1, 5, 1, &get_block()));
    leaves_in_the_pause(&gateway, &bad, || {
        client.send(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    });
    client.send(frame(1, 5, 3, &get_block()));
    assert_eq!(bad.wait_for(2).len(), 2, "the connection lives on");
}
