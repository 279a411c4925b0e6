//! A batch whose calls go to different routes: sent in parts, answered as one.

use portcullis_integration_tests::{Gateway, Origin, Response, origin::refused};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Barrier};

const ARCHIVE: &str = "{ name: archive, match: { jsonrpc: [getOld, sendOld] }, to: archive }";
const APP: &str = "{ name: app, to: app }";

fn wing(archive: SocketAddr, app: SocketAddr, host: &str, routes: &[&str]) -> Gateway {
    let routes: String = routes.iter().map(|route| format!("      - {route}\n")).collect();
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n\
         \x20 archive: {{ endpoints: [\"{archive}\"], retry: {{ on: [reset], attempts: 2, budget: 100% }} }}\n\
         \x20 app: {{ endpoints: [\"{app}\"] }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [{host}]\n\
         \x20   errors: jsonrpc\n\
         \x20   routes:\n{routes}"
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

/// An origin that answers each call with its own name and the call's method.
fn named(name: &'static str) -> Origin {
    Origin::http1(move |received, wire| wire.ok(&answers(name, &received.body)))
}

fn answers(name: &str, body: &[u8]) -> String {
    let one =
        |call: &Value| json!({ "id": call["id"], "result": format!("{name} {}", call["method"].as_str().unwrap()) });
    let asked: Value = serde_json::from_slice(body).unwrap();
    match asked.as_array() {
        Some(calls) => Value::Array(calls.iter().map(one).collect()).to_string(),
        None => one(&asked).to_string(),
    }
}

fn calls(methods: &[&str]) -> String {
    let calls: Vec<Value> =
        methods.iter().enumerate().map(|(id, method)| json!({ "id": id, "method": method })).collect();
    json!(calls).to_string()
}

fn ask(gateway: &Gateway, body: &str) -> Response {
    let length = body.len();
    gateway.client().ask(format!(
        "POST /rpc?x=1 HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn calls_go_where_each_would_alone_and_are_answered_in_their_order() {
    let (archive, app) = (named("archive"), named("app"));
    let gateway = wing(archive.address(), app.address(), "", &[ARCHIVE, APP]);
    let answer = ask(&gateway, &calls(&["getNew", "getOld", "getNew", "getOld"]));
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    let results: Vec<_> = answer.json().as_array().unwrap().iter().map(|one| one["result"].clone()).collect();
    assert_eq!(results, ["app getNew", "archive getOld", "app getNew", "archive getOld"]);
    let part: Value = serde_json::from_slice(&archive.last().body).unwrap();
    assert_eq!(part, json!([{ "id": 1, "method": "getOld" }, { "id": 3, "method": "getOld" }]));
    let sent = archive.last();
    assert_eq!(
        (sent.target(), sent.field("host"), sent.field("accept-encoding")),
        ("/rpc?x=1", Some("app.test"), None)
    );
    assert!(sent.field("x-forwarded-for").is_some() && sent.field("x-request-id").is_some(), "{}", sent.head);
    let record = gateway.record_of(&answer);
    assert_eq!((&record["notes"]["parts"], &record["route"]), (&"app 2, archive 2".into(), &"app".into()), "{record}");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2, "{record}");
}

#[test]
fn a_batch_of_one_route_passes_as_it_was_written() {
    let (archive, app) = (named("archive"), named("app"));
    let gateway = wing(archive.address(), app.address(), "", &[ARCHIVE, APP]);
    let body = "[ {\"id\":0, \"method\":\"getOld\"},{\"id\":1,\"method\":\"sendOld\"} ]";
    let answer = ask(&gateway, body);
    assert_eq!(answer.json()[1]["result"], "archive sendOld");
    assert_eq!(archive.last().body, body.as_bytes());
    assert!(app.received().is_empty());
    assert_eq!(gateway.record_of(&answer)["notes"].get("parts"), None);
}

#[test]
fn an_explanation_says_where_each_call_would_go() {
    let (archive, app) = (named("archive"), named("app"));
    let gateway = wing(archive.address(), app.address(), "{ toll: { coins: 1 } }", &[ARCHIVE, APP]);
    let question =
        json!({ "method": "POST", "url": "http://app.test/", "body": calls(&["getNew", "getOld", "getNew"]) });
    let told = gateway.admin().post("/api/explain", "Content-Type: application/json\r\n", &question.to_string()).json();
    let because = "calls 0, 2 by the route app to app; call 1 by the route archive to archive";
    assert_eq!(
        (&told["decision"]["action"], &told["decision"]["because"]),
        (&"batch".into(), &because.into()),
        "{told}"
    );
    assert_eq!(told["admission"]["steps"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn parts_are_sent_at_the_same_time() {
    let both = Arc::new(Barrier::new(2));
    let meeting = |name: &'static str| {
        let both = both.clone();
        Origin::http1(move |received, wire| {
            both.wait();
            wire.ok(&answers(name, &received.body))
        })
    };
    let (archive, app) = (meeting("archive"), meeting("app"));
    let gateway = wing(archive.address(), app.address(), "", &[ARCHIVE, APP]);
    assert_eq!(ask(&gateway, &calls(&["getOld", "getNew"])).json()[1]["result"], "app getNew");
}

#[test]
fn a_part_that_fails_costs_its_own_calls_alone() {
    let app = named("app");
    let gateway = wing(refused(), app.address(), "", &[ARCHIVE, APP]);
    let answer = ask(&gateway, &calls(&["getOld", "getNew"]));
    let json = answer.json();
    assert_eq!((answer.status, &json[1]["result"]), (200, &"app getNew".into()), "{json}");
    assert_eq!(json[0], json!({ "id": 0, "error": "upstream_connect_refused" }));
    // Another status than 2xx is no answer either.
    let busy = Origin::answers(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n[]");
    let gateway = wing(busy.address(), app.address(), "", &[ARCHIVE, APP]);
    let json = ask(&gateway, &calls(&["getOld", "getNew"])).json();
    assert_eq!((&json[0]["error"], &json[1]["result"]), (&"upstream_busy".into(), &"app getNew".into()));
}

#[test]
fn a_batch_of_which_nothing_is_answered_fails() {
    let gateway = wing(refused(), refused(), "", &[ARCHIVE, APP]);
    let answer = ask(&gateway, &calls(&["getOld", "getNew"]));
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_connect_refused"));
    assert_eq!(answer.json()["error"]["code"], -32_603);
}

#[test]
fn a_part_is_sent_again_only_if_all_its_calls_may_be() {
    for (method, attempts) in [("getOld", 2), ("sendOld", 1)] {
        let (archive, app) = (Origin::http1(|_, wire| wire.reset()), named("app"));
        let gateway = wing(archive.address(), app.address(), "", &[ARCHIVE, APP]);
        let json = ask(&gateway, &calls(&[method, "getOld", "getNew"])).json();
        assert_eq!((&json[0]["error"], &json[2]["result"]), (&"upstream_reset".into(), &"app getNew".into()));
        assert_eq!(archive.received().len(), attempts, "{method}");
    }
}

#[test]
fn until_it_is_sent_a_batch_is_all_or_nothing() {
    let (archive, app) = (named("archive"), named("app"));
    let (archive_at, app_at) = (archive.address(), app.address());
    let both = calls(&["getOld", "getNew"]);
    // A call without a route.
    let gateway = wing(
        archive_at,
        app_at,
        "{ toll: { coins: 1 } }",
        &[ARCHIVE, "{ name: app, match: { jsonrpc: [getNew] }, to: app }"],
    );
    let answer = ask(&gateway, &calls(&["getOld", "getNew", "getNone"]));
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
    // Nothing was spent by it: the one coin is there for the next, and is taken once for both parts.
    let answer = ask(&gateway, &both);
    assert_eq!(gateway.record_of(&answer)["notes"]["toll"], " 0");
    assert_eq!(ask(&gateway, &both).status, 429);
    let sent = archive.received().len() + app.received().len();
    // A route that takes no more, a route's own answer.
    let toll = "{ name: app, filters: [{ toll: { coins: 0 } }], to: app }";
    assert_eq!(ask(&wing(archive_at, app_at, "", &[ARCHIVE, toll]), &both).reason(), "over_rate");
    let closed = "{ name: app, respond: { status: 403, body: closed } }";
    let answer = ask(&wing(archive_at, app_at, "", &[ARCHIVE, closed]), &both);
    assert_eq!((answer.status, answer.text().as_str()), (403, "closed"));
    assert_eq!(archive.received().len() + app.received().len(), sent);
}

#[test]
fn each_part_goes_by_its_own_route() {
    let (archive, app) = (named("archive"), named("app"));
    let archive_route = "{ name: archive, match: { jsonrpc: [getOld] }, filters: [{ stamp: { mark: old } }], rewrite: { path: /old }, to: archive }";
    let app_route = "{ name: app, filters: [{ stamp: { mark: new } }], rewrite: { host: inner.test }, to: app }";
    let gateway = wing(archive.address(), app.address(), "", &[archive_route, app_route]);
    assert_eq!(ask(&gateway, &calls(&["getOld", "getNew"])).status, 200);
    let (old, new) = (archive.last(), app.last());
    assert_eq!((old.target(), old.field("host"), old.field("x-stamp")), ("/old?x=1", Some("app.test"), Some("old")));
    assert_eq!((new.target(), new.field("host"), new.field("x-stamp")), ("/rpc?x=1", Some("inner.test"), Some("new")));
}

#[test]
fn what_a_filter_of_the_host_chooses_holds_for_every_part() {
    let (archive, app) = (named("archive"), named("app"));
    let stamp = "{ stamp: { mark: all, cluster: archive } }";
    let gateway = wing(archive.address(), app.address(), stamp, &[ARCHIVE, APP]);
    let json = ask(&gateway, &calls(&["getOld", "getNew"])).json();
    assert_eq!((&json[0]["result"], &json[1]["result"]), (&"archive getOld".into(), &"archive getNew".into()));
    assert!(app.received().is_empty());
}
