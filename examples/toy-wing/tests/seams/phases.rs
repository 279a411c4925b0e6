//! The phases around routing: a body that is looked into whole, and admission behind all other filters.

use http::Request;
use http_body_util::Full;
use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::{After, Client, Gateway, Origin, Response};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

fn wing(origin: &Origin, host: &str, routes: &str) -> Gateway {
    let app = origin.address();
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\", protocols: [http1, h2c], limits: {{ body_timeout: 1s }} }} }}\n\
         clusters:\n\
         \x20 app: {{ endpoints: [\"{app}\"], retry: {{ on: [reset, \"503\"], attempts: 3, budget: 100% }} }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [{host}]\n\
         \x20   errors: jsonrpc\n\
         \x20   routes:\n{routes}"
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

const APP: &str = "      - { name: app, to: app }\n";
const LISTEN: &str = "{ listen: { most: 2097152, forbidden: halt } }";

/// A call whose body has this many bytes.
fn call(method: &str, length: usize) -> String {
    let (front, back) = (format!("{{\"id\":\"a\",\"method\":\"{method}\",\"pad\":\""), "\"}");
    format!("{front}{}{back}", "x".repeat(length - front.len() - back.len()))
}

fn post(client: &mut Client, fields: &str, body: &str) -> Response {
    let head = format!("POST / HTTP/1.1\r\nHost: app.test\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    client.send(head).send(body);
    client.response()
}

fn chunked(body: &str) -> String {
    let chunks = body
        .as_bytes()
        .chunks(7_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    chunks.collect::<String>() + "0\r\n\r\n"
}

#[test]
fn a_filter_of_a_host_sees_a_body_of_any_size_it_wants_and_the_upstream_gets_it_as_it_was() {
    let origin = Origin::http1(|received, wire| wire.ok(received.field("x-calls").unwrap_or("none")));
    let gateway = wing(&origin, LISTEN, APP);
    let mut client = gateway.client();
    for length in [100, 65_535, 65_536, 65_537, 1 << 20, 1 << 21] {
        let body = call("get", length);
        assert_eq!(post(&mut client, "", &body).text(), "1", "{length}");
        assert_eq!(origin.last().body, body.as_bytes(), "{length}");
        client
            .send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunked(&body)));
        assert_eq!(client.response().text(), "1", "{length}");
        assert_eq!(origin.last().body, body.as_bytes(), "{length}");
    }
    // Without content there is nothing to look into.
    assert_eq!(client.get("/").text(), "none");
    assert_eq!(post(&mut client, "", "").text(), "none");
}

#[tokio::test]
async fn a_body_over_http2_is_looked_into_as_well() {
    let origin = Origin::http1(|received, wire| wire.ok(received.field("x-calls").unwrap_or("none")));
    let gateway = wing(&origin, LISTEN, APP);
    let client = H2Client::plain(gateway.address("edge")).await;
    for length in [65_535, 65_537, 1 << 20, 1 << 21] {
        let body = call("get", length);
        let request = Request::post("http://app.test/").body(Full::from(body.clone())).unwrap();
        assert_eq!(client.send(request).await.body, "1", "{length}");
        assert_eq!(origin.last().body, body.as_bytes(), "{length}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let origin = Origin::says("never");
    let gateway = wing(&origin, LISTEN, APP);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2097153\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str(), answer.closes()), (413, "body_too_large", true));
    // Without a length it is found out on the way.
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunked(&call("get", (1 << 21) + 1)));
    assert_eq!(client.response().status, 413);
    assert!(origin.received().is_empty());
}

#[test]
fn a_client_that_waits_for_a_100_gets_it_from_the_gateway() {
    let origin = Origin::http1(|received, wire| wire.ok(received.field("expect").unwrap_or("no expectation")));
    let gateway = wing(&origin, LISTEN, APP);
    let mut client = gateway.client();
    let body = call("get", 70_000);
    let length = body.len();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"));
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send(&body);
    let answer = client.response();
    assert_eq!((answer.text().as_str(), answer.closes()), ("no expectation", false), "{}", answer.head);
    assert_eq!(origin.last().body, body.as_bytes());
    // Who is refused is not asked for a body.
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_body_that_stops_is_answered_408() {
    let origin = Origin::says("never");
    let gateway = wing(&origin, LISTEN, APP);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n{\"method\":");
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"), "{}", answer.head);
    assert!(origin.received().is_empty());
}

#[test]
fn what_a_filter_refuses_by_the_body_is_answered_with_the_id_of_the_call() {
    let origin = Origin::says("never");
    let gateway = wing(&origin, LISTEN, APP);
    let answer = post(&mut gateway.client(), "", &call("halt", 100));
    assert_eq!(answer.status, 403);
    let json = answer.json();
    assert_eq!((&json["id"], &json["error"]["code"]), (&"a".into(), &(-32_403).into()), "{json}");
    assert_eq!(json["error"]["data"]["reason"], "key_forbidden");
    let record = gateway.record_of(&answer);
    assert_eq!((&record["bytes_in"], record.get("route")), (&100.into(), None), "{record}");
}

/// An origin that fails twice before it answers.
fn failing(first: fn(&mut portcullis_integration_tests::origin::Wire) -> After) -> Origin {
    let asked = AtomicU32::new(0);
    Origin::http1(move |received, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) % 3 < 2 {
            first(wire)
        } else {
            wire.ok(&received.body.len().to_string())
        }
    })
}

#[test]
fn a_large_body_that_was_looked_into_is_sent_again_if_it_may_be() {
    let origin = failing(|wire| wire.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
    let gateway = wing(&origin, LISTEN, APP);
    let body = call("getThis", 300_000);
    assert_eq!(post(&mut gateway.client(), "", &body).text(), "300000");
    let received = origin.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| one.body == body.as_bytes()));
}

#[test]
fn a_body_that_must_not_be_sent_twice_is_not_whatever_its_route_says() {
    for routes in [APP, "      - { name: app, to: app, idempotent: true }\n"] {
        let origin = failing(|wire| wire.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
        let gateway = wing(&origin, LISTEN, routes);
        let answer = post(&mut gateway.client(), "", &call("sendThis", 300));
        assert_eq!((answer.status, origin.received().len()), (503, 1));
        assert_eq!(gateway.record_of(&answer)["not_retried"], "unsafe");
    }
}

#[test]
fn a_request_is_admitted_once_and_behind_all_other_filters() {
    let origin = Origin::says("in");
    let routes = "      - { name: closed, match: { path: /closed }, filters: [{ relay: { cluster: app } }, { toll: { coins: 9 } }], to: app }\n\
                  \x20     - { name: stamped, match: { path: /stamped }, filters: [{ stamp: { mark: a } }], to: app }\n\
                  \x20     - { name: app, filters: [{ toll: { coins: 2 } }], to: app }\n";
    let gateway = wing(&origin, "{ toll: { coins: 3 } }", routes);
    // A filter that answers spends nothing.
    assert_eq!(gateway.get("/closed").text(), "in");
    let answer = gateway.get("/");
    let record = gateway.record_of(&answer);
    assert_eq!(record["notes"]["toll"], "app 1", "{record}");
    assert_eq!(gateway.get("/").status, 200);
    let refused = gateway.get("/");
    assert_eq!((refused.status, refused.reason().as_str()), (429, "over_rate"), "{}", refused.head);
    assert_eq!(refused.field("retry-after"), Some("3"));
    // The host's coin is gone before the route refuses: its filter comes first.
    assert_eq!(gateway.get("/stamped").status, 429);
}

#[test]
fn explaining_a_request_spends_nothing() {
    let origin = Origin::says("in");
    let gateway = wing(&origin, "{ listen: { most: 1000, forbidden: halt } }, { toll: { coins: 1 } }", APP);
    let explain = |body: &str| {
        let question = serde_json::json!({ "method": "POST", "url": "http://app.test/", "body": body });
        gateway.admin().post("/api/explain", "Content-Type: application/json\r\n", &question.to_string()).json()
    };
    for _ in 0..3 {
        let told = explain(&call("get", 100));
        assert_eq!(told["peek_filters"]["steps"][0]["step"], "continues", "{told}");
        assert_eq!(told["peek_filters"]["changes"][0], "+ x-calls: 1", "{told}");
        assert_eq!(told["admission"]["steps"][0]["verdict"], "admits", "{told}");
    }
    let batch = "[{\"method\":\"halt\"}]";
    assert_eq!(explain(batch)["decision"]["answer"]["reason"], "key_forbidden");
    assert_eq!(explain(&call("halt", 100))["decision"]["answer"]["reason"], "key_forbidden");
    assert_eq!(explain(&call("get", 1001))["decision"]["answer"]["reason"], "body_too_large");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "", &call("get", 100)).text(), "in");
    assert_eq!(explain(&call("get", 100))["decision"]["answer"]["reason"], "over_rate");
    assert_eq!(post(&mut client, "", &call("get", 100)).status, 429);
}
