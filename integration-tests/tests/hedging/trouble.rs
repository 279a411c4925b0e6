//! Where a race could go wrong: bodies that stop, clocks, places, interim heads, endpoints that are full, clients that leave.

use super::*;

/// A gateway that asks `second` only beside or after `first`.
fn ordered(first: SocketAddr, second: SocketAddr, more: impl Fn(Setup) -> Setup) -> Gateway {
    let yaml = more(Setup::to_address(first).and_to(second)).yaml();
    let gateway = Gateway::with_yaml(
        &yaml.replace(&format!("\"{second}\""), &format!("{{ address: \"{second}\", priority: 1 }}")),
    );
    learn(&gateway);
    gateway
}

/// What is in flight to any endpoint.
fn in_flight(gateway: &Gateway) -> f64 {
    gateway.admin().metric("portcullis_endpoint_in_flight", "")
}

fn nothing_in_flight(gateway: &Gateway) {
    until("nothing in flight", || (in_flight(gateway) == 0.0).then_some(()));
}

/// An HTTP/2 origin that answers requests without content, never those with some, and takes `window` bytes of a stream.
fn mute(window: u32) -> Origin {
    Origin::at_head(move |_, wire| {
        wire.send(frame(SETTINGS, 0, 0, &[&[0, 4], window.to_be_bytes().as_slice()].concat()));
        wire.send(frame(8, 0, 0, &(1u32 << 20).to_be_bytes())); // WINDOW_UPDATE of the connection
        let mut bytes = wire.take_surplus();
        let mut wanted = |count: usize, wire: &mut Wire| {
            while bytes.len() < count {
                let mut more = [0u8; 4096];
                let read = std::io::Read::read(wire.stream(), &mut more).unwrap_or_default();
                if read == 0 {
                    return None;
                }
                bytes.extend_from_slice(&more[..read]);
            }
            Some(bytes.drain(..count).collect::<Vec<u8>>())
        };
        let _ = wanted(b"SM\r\n\r\n".len(), wire);
        while let Some(head) = wanted(9, wire) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let Some(payload) = wanted(length as usize, wire) else { break };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], head[4] & 1) {
                (1, 1) => wire.send(frame(1, 5, stream, &[0x88])), // HEADERS: 200, the end of the stream
                (4, 0) => wire.send(frame(SETTINGS, 1, 0, b"")),
                (6, 0) => wire.send(frame(6, 1, 0, &payload)), // PING
                _ => After::Keep,
            };
        }
        After::Close
    })
}

const HELLO: &str = "POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_request_that_is_not_whole_gets_no_second_attempt() {
    let first = mute(0);
    let second = HyperOrigin::plain(|_| http::Response::new(full("second")));
    let gateway = ordered(first.address(), second.address(), |setup| {
        let timeouts = "timeouts: { idle: 200ms, first_byte: 500ms }";
        let setup = setup.cluster("protocol: http2").cluster(timeouts).cluster(HEDGE);
        setup.cluster("retry: { attempts: 1 }").route("idempotent: true")
    });
    let mut client = gateway.client();
    // The first endpoint takes nothing of it, so that writing fails; the rest is still to come.
    client.send("POST /slow HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let answer = client.response();
    let bodies: Vec<_> = second.seen().iter().map(|seen| seen.body.clone()).collect();
    assert!(bodies.is_empty(), "a part of a request went out as a whole one: {bodies:?}");
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"), "the client still owes the rest");
}

#[test]
fn a_second_attempt_that_does_not_connect_holds_up_no_timeout() {
    let (hold, ended) = held();
    let first =
        Origin::http1(move |received, wire| if received.path() == "/slow" { hold(wire) } else { wire.ok("usual") });
    let (second, _full) = unanswered();
    let gateway = ordered(first.address(), second, |setup| {
        setup.cluster("timeouts: { first_byte: 300ms, connect: 4s }").cluster("retry: { attempts: 1 }").cluster(HEDGE)
    });
    let answer = gateway.client().ask(SLOW);
    let record = gateway.record_of(&answer);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_first_byte_timeout"), "{record}");
    let took = record["total_ms"].as_f64().unwrap();
    assert!(took < 2000.0, "{took}: {record}");
    ended.recv_timeout(PATIENCE).expect("the first attempt goes on");
}

#[test]
fn a_client_that_leaves_while_the_second_attempt_connects_ends_the_first() {
    let (hold, ended) = held();
    let first =
        Origin::http1(move |received, wire| if received.path() == "/slow" { hold(wire) } else { wire.ok("usual") });
    let (second, _full) = unanswered();
    let gateway = ordered(first.address(), second, |setup| setup.cluster("timeouts: { connect: 10s }").cluster(HEDGE));
    let mut client = gateway.client();
    client.send(SLOW);
    until("both attempts", || (in_flight(&gateway) == 2.0).then_some(()));
    drop(client);
    ended.recv_timeout(Duration::from_secs(5)).expect("the first attempt goes on");
}

#[test]
fn an_informational_head_decides_nothing() {
    let (wait, tell) = told(FIRST);
    let second = move |wire: &mut Wire| {
        wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        tell.send(()).unwrap();
        wire.wait_for_end()
    };
    let gateway = started(&setup(&pair(wait, second)).cluster("timeouts: { first_byte: 2s }"));
    let mut client = gateway.client();
    client.send(SLOW);
    let mut head = client.head();
    if head.starts_with("HTTP/1.1 103") {
        head = client.head();
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn the_place_of_a_second_attempt_is_given_back_once_it_is_decided() {
    let (hold, _ended) = held();
    let origins = pair(hold, |wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.send("5\r\nhello\r\n");
        wire.wait_for_end()
    });
    let gateway = started(&setup(&origins).cluster("limits: { requests: 2 }"));
    let mut client = gateway.client();
    client.send(SLOW);
    assert!(client.head().contains("text/event-stream"));
    assert_eq!(client.next_chunk().unwrap(), b"hello");
    let used = gateway.admin().metric("portcullis_cluster_in_flight", "app");
    assert!(used < 1.0, "an event stream holds {used} of the places for requests");
}

#[test]
fn a_second_attempt_takes_nobodys_place_in_the_queue() {
    let slow = |received: &Received, wire: &mut Wire| {
        if received.path() == "/slow" {
            std::thread::sleep(Duration::from_millis(600));
        }
        wire.ok("first")
    };
    let (first, second) = (Origin::http1(slow), Origin::says("second"));
    let gateway = ordered(first.address(), second.address(), |setup| {
        setup
            .cluster("hedge: { at_least: 200ms, at_most: 50% }")
            .cluster("limits: { requests: 1, queue: 1, queue_timeout: 60s }")
            .route("priority: critical")
            .and_route("{ name: batch, match: { path: /batch }, priority: sheddable, to: app }")
    });
    let (mut client, mut waiting) = (gateway.client(), gateway.client());
    client.send(SLOW);
    let _ = first.wait_for(USUAL + 1);
    waiting.send("GET /batch HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let (answer, waiting) = (client.response(), waiting.response());
    assert_eq!((answer.text().as_str(), hedged(&gateway, &answer).as_str()), ("first", "overloaded"));
    assert_eq!((waiting.status, waiting.text().as_str()), (200, "first"), "{}", gateway.record_of(&waiting));
}

#[test]
fn a_second_attempt_goes_to_another_endpoint_or_nowhere() {
    let slow = Arc::new(AtomicUsize::new(0));
    let first = Origin::http1(move |received, wire| match received.path() {
        "/slow" if slow.fetch_add(1, Ordering::SeqCst) == 0 => {
            std::thread::sleep(Duration::from_millis(200));
            wire.ok("first")
        }
        "/slow" => wire.ok("the same endpoint again"),
        _ => wire.ok("usual"),
    });
    let (second, _release) = holding();
    let setup = Setup::to(&first).and_to(second.address()).cluster("balance: round_robin").cluster(HEDGE);
    let held = "{ name: held, match: { path: /held }, to: app, hedge: false }";
    let gateway = started(&setup.cluster("limits: { per_endpoint: 2 }").and_route(held));
    let filled: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = gateway.client();
            client.send(HELD);
            client
        })
        .collect();
    until("a full endpoint", || {
        (second.received().iter().filter(|one| one.path() == "/held").count() == 2 && in_flight(&gateway) == 2.0)
            .then_some(())
    });
    let answer = gateway.client().ask(SLOW);
    assert_eq!((answer.text().as_str(), hedged(&gateway, &answer).as_str()), ("first", "overloaded"));
    drop(filled);
}

#[test]
fn of_two_attempts_that_time_out_neither_has_won_and_both_say_why() {
    let ((one, _one_ended), (two, _two_ended)) = (held(), held());
    let gateway = started(&setup(&pair(one, two)).cluster("timeouts: { connect: 300ms, total: 300ms }"));
    let answer = gateway.client().ask(SLOW);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_total_timeout"));
    let record = gateway.record_of(&answer);
    for at in [0, 1] {
        assert_eq!(record["attempts"][at]["reason"], "upstream_total_timeout", "{record}");
    }
    assert_eq!(record["hedged"], "failed", "no answer of the second attempt was used: {record}");
    nothing_in_flight(&gateway);
}

#[test]
fn a_callers_deadline_is_held_against_neither_endpoint() {
    let ((one, _one_ended), (two, _two_ended)) = (held(), held());
    let setup = setup(&pair(one, two)).cluster("timeouts: { deadline_header: x-timeout-ms }");
    let gateway = started(&setup.top("trusted_networks: [\"127.0.0.0/8\"]"));
    let answer = gateway.client().ask("GET /slow HTTP/1.1\r\nHost: app.test\r\nX-Timeout-Ms: 150\r\n\r\n");
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_total_timeout"));
    assert_eq!(gateway.record_of(&answer)["attempts"].as_array().unwrap().len(), 2);
    let cluster = gateway.admin().json("/api/clusters")["clusters"][0].clone();
    for endpoint in cluster["endpoints"].as_array().unwrap() {
        assert_eq!(endpoint["failures"], 0, "{cluster}");
    }
}

#[test]
fn http2_connections_that_hung_in_a_race_are_not_used_again() {
    let origins = [mute(65_535), mute(65_535)];
    let setup = Setup::to(&origins[0]).and_to(origins[1].address()).cluster("balance: round_robin").cluster(HEDGE);
    let setup = setup.cluster("protocol: http2").cluster("timeouts: { first_byte: 300ms }").route("idempotent: true");
    let gateway = started(&setup.cluster("retry: { attempts: 1 }").cluster("outlier_detection: false"));
    let before = origins.each_ref().map(Origin::connections);
    let answer = gateway.client().ask(HELLO);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_first_byte_timeout"));
    learn(&gateway);
    let after = origins.each_ref().map(Origin::connections);
    assert!(after[0] > before[0] && after[1] > before[1], "connections before {before:?}, after {after:?}");
}

#[test]
fn a_second_attempt_that_takes_no_body_holds_up_no_timeout() {
    let (first, second) = (mute(100_000), mute(0));
    let gateway = ordered(first.address(), second.address(), |setup| {
        let setup = setup.cluster("timeouts: { connect: 300ms, total: 600ms, idle: 5s }").cluster(HEDGE);
        setup.cluster("protocol: http2").route("idempotent: true")
    });
    // All that is kept of a body, and more than a stream takes before its peer has said anything.
    let body = "a".repeat(65_536);
    let post = format!("POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = gateway.client().ask(post);
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_total_timeout"));
    let record = gateway.record_of(&answer);
    assert!(record["total_ms"].as_f64().unwrap() < 3000.0, "{record}");
    assert_eq!(record["flags"][0], "hedged", "{record}");
}

#[test]
fn a_client_that_leaves_is_no_victory() {
    let ((one, _one_ended), (two, _two_ended)) = (held(), held());
    let gateway = started(&setup(&pair(one, two)));
    let mut client = gateway.client();
    client.send(SLOW);
    until("both attempts", || (in_flight(&gateway) == 2.0).then_some(()));
    drop(client);
    let record = gateway.record_with("client_closed");
    assert_ne!(record["hedged"], "lost", "the first answered after all? {record}");
    nothing_in_flight(&gateway);
}

/// Answers a call with a gRPC status, in trailers alone.
fn grpc(status: &'static str) -> http::Response<Content> {
    let answer = http::Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
    answer.body(full("")).unwrap()
}

#[tokio::test]
async fn a_grpc_status_to_try_again_after_leaves_the_other_attempt() {
    let (tell, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let first = HyperOrigin::plain(move |seen| {
        if seen.parts.uri.path() == "/slow" {
            let _ = told.lock().unwrap().recv_timeout(PATIENCE);
            std::thread::sleep(Duration::from_millis(100));
        }
        grpc("0")
    });
    let second = HyperOrigin::plain(move |_| {
        tell.send(()).unwrap();
        grpc("14")
    });
    let gateway = ordered(first.address(), second.address(), |setup| {
        let setup = setup.cluster("protocol: http2").cluster(HEDGE).cluster("retry: { attempts: 1 }");
        setup.route("idempotent: true")
    });
    let call = http::Request::post("http://app.test/slow").header("content-type", "application/grpc");
    let client = H2Client::plain(gateway.address("edge")).await;
    let answer = client.send(call.body(http_body_util::Full::default()).unwrap()).await;
    let status = answer.field("grpc-status").or_else(|| answer.trailer("grpc-status"));
    assert_eq!(status, Some("0"), "UNAVAILABLE of the second attempt ended the first");
}

#[test]
fn heads_without_content_win_too_and_the_winners_connection_is_kept() {
    let request = |method: &str| format!("{method} /slow HTTP/1.1\r\nHost: app.test\r\n\r\n");
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let (hold, ended) = held();
        let origins = pair(hold, move |wire| {
            let length = if status == 204 { "" } else { "Content-Length: 6\r\n" };
            wire.send(format!("HTTP/1.1 {status} Fine\r\nX-Who: second\r\n{length}\r\n"))
        });
        let gateway = started(&setup(&origins));
        let mut client = gateway.client();
        client.send(request(method));
        let answer = if method == "HEAD" { client.response_to_head() } else { client.response() };
        assert_eq!((answer.status, answer.field("x-who")), (status, Some("second")));
        assert_eq!(hedged(&gateway, &answer), "won");
        ended.recv_timeout(PATIENCE).expect("the first attempt goes on");
        nothing_in_flight(&gateway);
        let before: usize = origins.iter().map(Origin::connections).sum();
        (0..4).for_each(|_| assert_eq!(client.get("/usual").text(), "usual"));
        let after: usize = origins.iter().map(Origin::connections).sum();
        assert_eq!(after, before + 1, "only the connection of the attempt that lost is gone");
    }
}

#[test]
fn when_both_attempts_fail_the_request_is_tried_again_elsewhere() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let (ended, ends) = mpsc::channel::<()>();
    let ends = Arc::new(Mutex::new(ends));
    let origins = [(); 3].map(|()| {
        let (arrived, ended, ends) = (arrived.clone(), ended.clone(), ends.clone());
        Origin::http1(move |received, wire| match received.path() {
            "/slow" => match arrived.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
                    wire.reset()
                }
                1 => {
                    ended.send(()).unwrap();
                    wire.reset()
                }
                _ => wire.ok("third"),
            },
            _ => wire.ok("usual"),
        })
    });
    let setup = Setup::to(&origins[0]).and_to(origins[1].address()).and_to(origins[2].address());
    let gateway = started(&setup.cluster("balance: round_robin").cluster(HEDGE).cluster("limits: { requests: 2 }"));
    let answer = gateway.client().ask(SLOW);
    let record = gateway.record_of(&answer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "third"), "{record}");
    let attempts = record["attempts"].as_array().unwrap();
    let names: std::collections::BTreeSet<&str> =
        attempts.iter().map(|attempt| attempt["endpoint"].as_str().unwrap()).collect();
    assert_eq!((attempts.len(), names.len()), (3, 3), "{record}");
    assert_eq!(attempts[0]["reason"], "upstream_reset", "{record}");
    assert_eq!(attempts[1]["reason"], "upstream_reset", "{record}");
    assert_eq!(attempts[2]["status"], 200, "{record}");
    nothing_in_flight(&gateway);
    until("all places", || (gateway.admin().metric("portcullis_cluster_in_flight", "app") == 0.0).then_some(()));
}

#[test]
fn requests_behind_a_hedged_one_wait_their_turn() {
    let (wait, tell) = told(FIRST);
    let (hold, _ended) = held();
    let (began, begins) = mpsc::channel::<()>();
    let began = Mutex::new(began);
    let second = move |wire: &mut Wire| {
        began.lock().unwrap().send(()).unwrap();
        hold(wire)
    };
    let gateway = started(&setup(&pair(wait, second)));
    let mut client = gateway.client();
    client.send(SLOW);
    begins.recv_timeout(PATIENCE).expect("no second attempt");
    client.send("GET /usual HTTP/1.1\r\nHost: app.test\r\n\r\nGET /usual HTTP/1.1\r\nHost: app.test\r\n\r\n");
    tell.send(()).unwrap();
    let texts = [(); 3].map(|()| client.response().text());
    assert_eq!(texts, ["first", "usual", "usual"]);
}

#[test]
fn a_client_that_shut_down_its_sending_side_gets_the_answer_where_the_listener_says_so() {
    let (wait, tell) = told(FIRST);
    let (hold, _ended) = held();
    let second = move |wire: &mut Wire| {
        tell.send(()).unwrap();
        hold(wire)
    };
    let gateway = started(&setup(&pair(wait, second)).listener("half_close: true"));
    let mut client = gateway.client();
    client.send(SLOW).finish();
    assert_eq!(client.response().text(), "first");
}

#[test]
fn a_client_that_expects_a_continue_is_hedged_once_its_body_is_here() {
    let (hold, _ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let gateway = started(&setup(&origins).route("idempotent: true"));
    let head = "POST /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let answer = gateway.client().ask(format!("{head}hello"));
    assert_eq!((answer.text().as_str(), hedged(&gateway, &answer).as_str()), ("second", "won"));
    assert!(origins.iter().all(|origin| origin.last().body == b"hello"));
}

#[test]
fn a_hedged_request_is_mirrored_once() {
    let (hold, _ended) = held();
    let (origins, shadow) = (pair(hold, |wire| wire.ok("second")), Origin::says("shadow"));
    let setup = setup(&origins).and_cluster("shadow", shadow.address(), "").route("idempotent: true");
    let gateway = started(&setup.route("mirror: { to: shadow }"));
    let _ = shadow.wait_for(USUAL);
    assert_eq!(gateway.client().ask(HELLO).text(), "second");
    assert_eq!(gateway.get("/usual").text(), "usual");
    let copies = until("the last copy", || {
        let copies = shadow.received();
        (copies.len() >= USUAL + 2).then_some(copies)
    });
    let slow: Vec<_> = copies.iter().filter(|copy| copy.path() == "/slow").map(|copy| copy.body.clone()).collect();
    assert_eq!(slow, [b"hello"]);
}

#[tokio::test]
async fn both_attempts_end_when_an_http2_client_resets_its_stream() {
    let ((one, one_ended), (two, two_ended)) = (held(), held());
    let gateway = started(&setup(&pair(one, two)));
    let client = H2Client::plain(gateway.address("edge")).await;
    let request = http::Request::get("http://app.test/slow").body(http_body_util::Full::default()).unwrap();
    {
        let asked = client.begin(request);
        tokio::pin!(asked);
        while in_flight(&gateway) < 2.0 {
            let glance = tokio::time::timeout(Duration::from_millis(5), &mut asked).await;
            assert!(glance.is_err(), "an answer of attempts that never answer");
        }
    }
    // The stream is reset by the connection's task, which must run for it.
    let ended = tokio::task::spawn_blocking(move || {
        one_ended.recv_timeout(PATIENCE).is_ok() && two_ended.recv_timeout(PATIENCE).is_ok()
    });
    assert!(ended.await.unwrap(), "an attempt goes on");
    nothing_in_flight(&gateway);
    let _ = gateway.record_with("client_closed");
}

#[test]
fn a_race_under_way_ends_before_a_drain_does() {
    let (hold, _ended) = held();
    let (tell, told) = mpsc::channel::<()>();
    let (began, begins) = mpsc::channel::<()>();
    let told = Mutex::new((told, began));
    let second = move |wire: &mut Wire| {
        let (told, began) = &*told.lock().unwrap();
        began.send(()).unwrap();
        let _ = told.recv_timeout(PATIENCE);
        wire.ok("second")
    };
    let mut gateway = started(&setup(&pair(hold, second)));
    let mut client = gateway.client();
    client.send(SLOW);
    begins.recv_timeout(PATIENCE).expect("no second attempt");
    gateway.signal("TERM");
    until("the drain", || gateway.admin().try_get("/readyz").is_none_or(|answer| answer.status != 200).then_some(()));
    tell.send(()).unwrap();
    let answer = client.response();
    assert_eq!((answer.text().as_str(), answer.closes()), ("second", true));
    assert!(gateway.wait().success());
}
