//! A second attempt beside one that takes longer than most: who gets one, which answer is used, what becomes of the other.

use portcullis_integration_tests::h2::{H2Client, SETTINGS, frame};
use portcullis_integration_tests::held::{HELD, holding};
use portcullis_integration_tests::origin::{Content, HyperOrigin, Wire, full, refused, unanswered};
use portcullis_integration_tests::{After, Client, Gateway, Origin, PATIENCE, Received, Response, Setup, until};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod behind;
mod trouble;

/// Requests after which the gateway knows what is usual on the route.
const USUAL: usize = 110;
const HEDGE: &str = "hedge: { at_least: 30ms, at_most: 50% }";
const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n";

type Script = dyn Fn(&mut Wire) -> After + Send + Sync;

/// Two origins. Of the requests for `/slow`, whichever of the two meets it, the first is answered by `first` and the next
/// by `second`.
pub(crate) fn pair(
    first: impl Fn(&mut Wire) -> After + Send + Sync + 'static,
    second: impl Fn(&mut Wire) -> After + Send + Sync + 'static,
) -> [Origin; 2] {
    let scripts: Arc<[Box<Script>; 2]> = Arc::new([Box::new(first), Box::new(second)]);
    let arrived = Arc::new(AtomicUsize::new(0));
    [(); 2].map(|()| {
        let (scripts, arrived) = (scripts.clone(), arrived.clone());
        Origin::http1(move |received, wire| match received.path() {
            "/slow" => scripts[arrived.fetch_add(1, Ordering::SeqCst) % 2](wire),
            _ => wire.ok("usual"),
        })
    })
}

/// A script that waits until the gateway ends the connection, and tells of it.
pub(crate) fn held() -> (impl Fn(&mut Wire) -> After + Send + Sync, Receiver<()>) {
    let (ended, ends) = mpsc::channel();
    let ended = Mutex::new(ended);
    let script = move |wire: &mut Wire| {
        let after = wire.wait_for_end();
        let _ = ended.lock().unwrap().send(());
        after
    };
    (script, ends)
}

/// A script that answers when it is told to.
fn told(answer: &'static [u8]) -> (impl Fn(&mut Wire) -> After + Send + Sync, Sender<()>) {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let script = move |wire: &mut Wire| {
        let _ = told.lock().unwrap().recv_timeout(PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
        wire.send(answer)
    };
    (script, tell)
}

const FIRST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";

pub(crate) fn setup(origins: &[Origin; 2]) -> Setup {
    Setup::to(&origins[0]).and_to(origins[1].address()).cluster("balance: round_robin").cluster(HEDGE)
}

fn learn(gateway: &Gateway) {
    let mut client = gateway.client();
    for _ in 0..USUAL {
        assert_eq!(client.get("/usual").status, 200);
    }
}

pub(crate) fn started(setup: &Setup) -> Gateway {
    let gateway = setup.start();
    learn(&gateway);
    gateway
}

fn hedged(gateway: &Gateway, answer: &Response) -> String {
    gateway.record_of(answer)["hedged"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_answer_of_the_second_attempt_is_used_when_it_comes_first() {
    let (hold, ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let gateway = started(&setup(&origins));
    let answer = gateway.client().ask(SLOW);
    assert_eq!((answer.status, answer.text().as_str()), (200, "second"));
    ended.recv_timeout(PATIENCE).expect("the connection of the attempt that lost stays open");
    let record = gateway.record_of(&answer);
    assert_eq!((&record["hedged"], &record["flags"]), (&"won".into(), &serde_json::json!(["hedged"])), "{record}");
    let [first, second] = [0, 1].map(|at| record["attempts"][at].clone());
    assert_eq!((&first["outrun"], first.get("reason"), first.get("status")), (&true.into(), None, None), "{record}");
    assert_eq!((&second["status"], second.get("outrun")), (&200.into(), None), "{record}");
    assert_ne!(first["endpoint"], second["endpoint"]);
    let late = second["started_ms"].as_f64().unwrap() - first["started_ms"].as_f64().unwrap();
    assert!(late >= 30.0, "the second attempt came {late} ms after the first");
    let spans = origins.each_ref().map(|origin| origin.last().field("traceparent").unwrap().to_owned());
    assert_ne!(spans[0], spans[1], "each attempt is a span of its own");
    let count = |name: &str, labels: &str| gateway.admin().metric(name, labels);
    until("the metric", || (count("portcullis_route_hedged_total", "result=\"won\"") > 0.0).then_some(()));
    assert!(count("portcullis_cluster_retries_total", "") < 1.0, "a second attempt is no retry");
    assert_eq!(gateway.get("/usual").text(), "usual");
}

#[test]
fn the_first_attempt_may_still_win() {
    let (wait, tell) = told(FIRST);
    let (hold, ended) = held();
    let second = move |wire: &mut Wire| {
        tell.send(()).unwrap();
        hold(wire)
    };
    let gateway = started(&setup(&pair(wait, second)));
    let mut client = gateway.client();
    let answer = client.ask(SLOW);
    assert_eq!((answer.status, answer.text().as_str()), (200, "first"));
    ended.recv_timeout(PATIENCE).expect("the connection of the attempt that lost stays open");
    let record = gateway.record_of(&answer);
    assert_eq!(record["hedged"], "lost", "{record}");
    assert_eq!((&record["attempts"][0]["status"], &record["attempts"][1]["outrun"]), (&200.into(), &true.into()));
    assert_eq!(client.get("/usual").text(), "usual");
}

#[test]
fn only_what_may_be_sent_twice_is_and_then_with_its_body() {
    let post = "POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello";
    let (hold, _ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let gateway = started(&setup(&origins).cluster("timeouts: { first_byte: 300ms }"));
    let answer = gateway.client().ask(post);
    assert_eq!((answer.status, hedged(&gateway, &answer).as_str()), (504, ""));

    let (hold, _ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let timeouts = "timeouts: { first_byte: 2s }";
    let gateway =
        started(&setup(&origins).route("idempotent: true").cluster(timeouts).cluster("retry: { attempts: 1 }"));
    let answer = gateway.client().ask(post);
    assert_eq!((answer.text().as_str(), hedged(&gateway, &answer).as_str()), ("second", "won"));
    for origin in &origins {
        assert_eq!(origin.last().body, b"hello");
    }
    let chunked = "POST /slow HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(gateway.client().ask(chunked).text(), "second");
    assert!(origins.iter().all(|origin| origin.last().body == b"hi"));
    let body = "a".repeat(100_000);
    let large = format!("POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n{body}");
    let answer = gateway.client().ask(large);
    assert_eq!((answer.status, hedged(&gateway, &answer).as_str()), (504, "body"));
}

#[test]
fn a_failure_of_one_attempt_leaves_the_other() {
    let reset: Box<Script> = Box::new(Wire::reset);
    let busy: Box<Script> = Box::new(|wire| wire.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"));
    // The second fails at once: the first is waited for.
    for (status, second) in [(None, reset), (Some(503), busy)] {
        let (wait, tell) = told(FIRST);
        let second = move |wire: &mut Wire| {
            let after = second(wire);
            tell.send(()).unwrap();
            after
        };
        let gateway = started(&setup(&pair(wait, second)).cluster("outlier_detection: false"));
        // The first is told when the other has failed, which the gateway may still have to notice.
        let record = until("a second attempt that failed", || {
            let answer = gateway.client().ask(SLOW);
            assert_eq!(answer.text(), "first");
            Some(gateway.record_of(&answer)).filter(|record| record["hedged"] == "failed")
        });
        assert_eq!(record["attempts"][0]["status"], 200, "{record}");
        assert_eq!(record["attempts"][1]["status"].as_u64(), status, "{record}");
        assert_eq!(record["attempts"][1]["reason"].is_string(), status.is_none(), "{record}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_no_rival() {
    let (wait, tell) = told(FIRST);
    let slow =
        Origin::http1(move |received, wire| if received.path() == "/slow" { wait(wire) } else { wire.ok("usual") });
    let setup = Setup::to(&slow).and_to(refused()).cluster("balance: random").cluster("outlier_detection: false");
    let gateway = setup.cluster(HEDGE).start();
    // Half of the requests begin with the one that refuses, and teach nothing.
    (0..3).for_each(|_| learn(&gateway));
    let refusals =
        || gateway.admin().metric("portcullis_endpoint_failures_total", "reason=\"upstream_connect_refused\"");
    // What begins with the one that refuses is tried again, and not hedged.
    let record = until("a second attempt that failed", || {
        let (mut client, before) = (gateway.client(), refusals());
        client.send(SLOW);
        until("a refusal", || (refusals() > before).then_some(()));
        tell.send(()).unwrap();
        let answer = client.response();
        assert_eq!(answer.text(), "first");
        Some(gateway.record_of(&answer)).filter(|record| record["hedged"] == "failed")
    });
    assert_eq!(record["attempts"][0]["status"], 200, "{record}");
    assert_eq!(record["attempts"][1]["reason"], "upstream_connect_refused", "{record}");
}

#[test]
fn a_request_without_another_endpoint_is_not_hedged_and_says_so() {
    let slow = Origin::http1(|received, wire| {
        if received.path() == "/slow" {
            std::thread::sleep(Duration::from_millis(100));
        }
        wire.ok("usual")
    });
    let gateway = started(&Setup::to(&slow).cluster(HEDGE));
    until("a word", || (hedged(&gateway, &gateway.client().ask(SLOW)) == "no_other_endpoint").then_some(()));
}

#[test]
fn both_attempts_end_with_a_client_that_leaves() {
    let ((one, one_ended), (two, two_ended)) = (held(), held());
    let origins = pair(one, two);
    let gateway = started(&setup(&origins));
    let mut client = gateway.client();
    client.send(SLOW);
    until("both attempts", || {
        let both = origins.iter().filter(|origin| origin.last().path() == "/slow").count() == 2;
        both.then_some(())
    });
    drop(client);
    one_ended.recv_timeout(PATIENCE).expect("the first attempt goes on");
    two_ended.recv_timeout(PATIENCE).expect("the second attempt goes on");
    let _ = gateway
        .record("the client left", |record| record["reason"] == "client_closed" && record["flags"][0] == "hedged");
}

#[test]
fn two_attempts_that_hang_are_one_timeout() {
    let ((one, one_ended), (two, two_ended)) = (held(), held());
    let gateway =
        started(&setup(&pair(one, two)).cluster("timeouts: { first_byte: 200ms }").cluster("retry: { attempts: 1 }"));
    let answer = gateway.client().ask(SLOW);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_first_byte_timeout"));
    let record = gateway.record_of(&answer);
    for at in [0, 1] {
        assert_eq!(record["attempts"][at]["reason"], "upstream_first_byte_timeout", "{record}");
    }
    one_ended.recv_timeout(PATIENCE).expect("the first attempt goes on");
    two_ended.recv_timeout(PATIENCE).expect("the second attempt goes on");
}

#[test]
fn the_budget_bounds_the_second_attempts() {
    let (hold, _ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let setup = Setup::to(&origins[0]).and_to(origins[1].address()).cluster("balance: round_robin");
    let setup = setup.cluster("outlier_detection: false").cluster("retry: { attempts: 1 }");
    let setup = setup.cluster("timeouts: { first_byte: 150ms }").cluster("hedge: { at_least: 30ms, at_most: 1% }");
    let gateway = started(&setup);
    let words: Vec<String> = (0..6)
        .map(|_| {
            let answer = gateway.client().ask(SLOW);
            hedged(&gateway, &answer)
        })
        .collect();
    assert!(words.iter().any(|word| word == "budget"), "{words:?}");
    assert!(words.iter().filter(|word| *word == "won").count() <= 1, "1% of {USUAL} is one: {words:?}");
}

#[test]
fn an_http2_upstream_is_hedged_too() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let arrived = Arc::new(AtomicUsize::new(0));
    let origin = || {
        let (released, arrived) = (released.clone(), arrived.clone());
        HyperOrigin::plain(move |seen| {
            let slow = seen.parts.uri.path() == "/slow";
            if slow && arrived.fetch_add(1, Ordering::SeqCst) == 0 {
                let _ = released.lock().unwrap().recv_timeout(PATIENCE);
            }
            http::Response::new(full(if slow { "second" } else { "usual" }))
        })
    };
    let origins = [origin(), origin()];
    let setup = Setup::to_address(origins[0].address()).and_to(origins[1].address());
    let setup =
        setup.cluster("balance: round_robin").cluster("protocol: http2").cluster(HEDGE).route("idempotent: true");
    let gateway = setup.start();
    learn(&gateway);
    let post = "POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello";
    let answer = gateway.client().ask(post);
    assert_eq!((answer.status, answer.text().as_str()), (200, "second"));
    assert_eq!(hedged(&gateway, &answer), "won");
    drop(release);
    until("both have the body", || origins.iter().all(|origin| origin.last().body == "hello").then_some(()));
    learn(&gateway);
}

#[tokio::test]
async fn requests_of_an_http2_client_are_hedged_too() {
    let (hold, _ended) = held();
    let gateway = started(&setup(&pair(hold, |wire| wire.ok("second"))));
    let answer = H2Client::plain(gateway.address("edge")).await.get("http://app.test/slow").await;
    assert_eq!((answer.status(), answer.body.as_ref()), (200, b"second".as_slice()));
}
