//! Each failure of the table in docs/rpc.md, as each client sees it.

use portcullis_integration_tests::solana::{App, Node};
use portcullis_integration_tests::{Client, Gateway, Response, until};
use serde_json::{Value, json};

use super::{keys, of, place, start};

/// The example with a key that one call uses up, short waits, and routes to nodes that are down and that hang.
fn gateway() -> (Node, Gateway) {
    let down = "down: { endpoints: [\"127.0.0.1:1\"], health_check: { tcp: {}, interval: 100ms, unhealthy_after: 1 } }";
    let routes = "routes:
      - { name: down, match: { path: /down }, to: down }
      - { name: hang, match: { path: /hang }, to: archive }";
    let (node, gateway) = start(&[
        ("rate: 10/s\n    burst: 20", "rate: 1/h\n    burst: 1"),
        ("first_byte: 30s", "first_byte: 300ms"),
        ("    routes:", &format!("    {routes}")),
        ("  archive:  ", &format!("  {down}\n  archive:  ")),
    ]);
    node.order(2, &json!({ "hang": true }));
    until("the cluster to be down", || {
        (post(&gateway, "/down", r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#).status == 503).then_some(())
    });
    (node, gateway)
}

/// Everything that can go wrong with a call, as the application's own library reports it.
fn seen_by(app: App, gateway: &Gateway) -> Vec<Value> {
    let edge = gateway.address("edge");
    let at = |key: &str| place(gateway, key);
    app.calls(&[
        ("call", "good", at(keys::GOOD)),
        ("call", "missing", edge.to_string()),
        ("call", "unknown_key", at("pk_nobody_has_this_one")),
        ("call", "revoked", at(keys::REVOKED)),
        ("unknown", "unknown_method", at(keys::GOOD)),
        ("call", "no_upstream", format!("{edge}/down?api-key={}", keys::GOOD)),
        ("call", "timeout", format!("{edge}/hang?api-key={}", keys::GOOD)),
        ("call", "within_rate", at(keys::OTHER)),
        ("call", "over_rate", at(keys::OTHER)),
    ])
}

/// Requests that the gateway answered with a status.
fn answered(gateway: &Gateway, status: u16) -> usize {
    gateway.records().iter().filter(|record| record["status"] == status).count()
}

/// Waits until the log says so: a record is written when its request is over.
fn tries(gateway: &Gateway, status: u16, wanted: usize) {
    until(&format!("{wanted} answers of status {status}"), || (answered(gateway, status) == wanted).then_some(()));
}

#[test]
fn web3_js_reads_every_failure_and_tries_five_times_after_429() {
    let (_node, gateway) = gateway();
    let lines = seen_by(App::Web3, &gateway);
    assert!(of(&lines, "good")["ok"].is_u64() && of(&lines, "within_rate")["ok"].is_u64(), "{lines:#?}");
    // It throws the body as text.
    for (check, status, code) in [
        ("missing", "401", "-32401"),
        ("unknown_key", "401", "-32401"),
        ("revoked", "403", "-32403"),
        ("no_upstream", "503", "-32603"),
        ("timeout", "504", "-32603"),
        ("over_rate", "429", "-32429"),
    ] {
        let message = of(&lines, check)["error"]["message"].as_str().unwrap();
        assert!(message.contains(status) && message.contains(code), "{check}: {message}");
    }
    let answer = &of(&lines, "unknown_method")["ok"][0];
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    assert!(answer["id"].is_string(), "{answer}");
    tries(&gateway, 429, 5);
    tries(&gateway, 504, 1);
}

#[test]
fn kit_reads_the_status_of_every_failure_and_tries_once() {
    let (_node, gateway) = gateway();
    let lines = seen_by(App::Kit, &gateway);
    assert!(of(&lines, "good")["ok"].is_u64() && of(&lines, "within_rate")["ok"].is_u64(), "{lines:#?}");
    for (check, status) in [
        ("missing", 401),
        ("unknown_key", 401),
        ("revoked", 403),
        ("no_upstream", 503),
        ("timeout", 504),
        ("over_rate", 429),
    ] {
        assert_eq!(of(&lines, check)["error"]["context"]["statusCode"], status, "{check}");
    }
    let error = &of(&lines, "unknown_method")["error"];
    assert_eq!(error["context"]["__code"], -32601, "{error}");
    tries(&gateway, 429, 1);
}

#[test]
fn solana_py_throws_every_failure_and_tries_once() {
    let (_node, gateway) = gateway();
    let lines = seen_by(App::Python, &gateway);
    assert!(of(&lines, "good")["ok"].is_u64() && of(&lines, "within_rate")["ok"].is_u64(), "{lines:#?}");
    for (check, status, code) in [
        ("missing", 401, -32401),
        ("unknown_key", 401, -32401),
        ("revoked", 403, -32403),
        ("no_upstream", 503, -32603),
        ("timeout", 504, -32603),
        ("over_rate", 429, -32429),
    ] {
        let error = &of(&lines, check)["error"];
        assert_eq!(error["status"], status, "{check}: {error}");
        let body: Value = serde_json::from_str(error["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code, "{check}: {error}");
    }
    assert_eq!(of(&lines, "unknown_method")["error"]["name"], "SolanaJsonRpcError", "{lines:#?}");
    tries(&gateway, 429, 1);
}

fn post(gateway: &Gateway, path: &str, body: &str) -> Response {
    let head =
        format!("POST {path}?api-key={} HTTP/1.1\r\nHost: rpc.test\r\nContent-Type: application/json\r\n", keys::GOOD);
    Client::connect(gateway.address("edge")).ask(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// No client sends these, so they are sent by hand.
#[test]
fn bad_json_bad_requests_and_what_is_too_big_are_said_in_status_and_code() {
    let (node, gateway) = start(&[]);
    let many = vec![r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#; 101].join(",");
    let long = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getSlot","params":["{}"]}}"#, "x".repeat(2 << 20));
    for (body, status, code) in [
        ("{\"jsonrpc\":", 400, -32700),
        ("{}", 400, -32600),
        ("[]", 400, -32600),
        (&format!("[{many}]"), 413, -32600),
        (&long, 413, -32600),
    ] {
        let answer = post(&gateway, "/", body);
        let json: Value = answer.json();
        assert_eq!((answer.status, &json["error"]["code"]), (status, &json!(code)), "{json}");
    }
    for id in ["1", "\"a\"", "null", "18446744073709551615"] {
        let answer = post(&gateway, "/", &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"getNothing"}}"#));
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(-32601)), "{}", answer.text());
        assert!(answer.text().contains(&format!("\"id\":{id}")), "{}", answer.text());
    }
    assert_eq!(node.calls(0, "getNothing") + node.calls(1, "getNothing"), 0);
}

#[test]
fn a_batch_over_its_caps_is_429_as_a_whole_and_spends_nothing() {
    let (node, gateway) = start(&[("rate: 10/s\n    burst: 20", "rate: 1/h\n    burst: 4")]);
    let three = place(&gateway, keys::OTHER);
    let lines = App::Web3.calls(&[
        ("batch", "first", three.clone()),
        ("batch", "second", three),
        ("call", "one", place(&gateway, keys::OTHER)),
    ]);
    assert_eq!(of(&lines, "first")["ok"].as_array().map(Vec::len), Some(3), "{lines:#?}");
    assert!(of(&lines, "second")["error"]["message"].as_str().unwrap().contains("429"), "{lines:#?}");
    assert!(of(&lines, "one")["ok"].is_u64(), "the refused batch spent nothing: {lines:#?}");
    let slots: u64 = (0..2).map(|endpoint| node.calls(endpoint, "getHealth")).sum();
    assert!(slots >= 1, "the first batch reached a node");
}
