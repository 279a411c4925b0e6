//! Hosts of JSON-RPC: what never reaches a node, routes by method, answers that are shared or kept.

use std::sync::Mutex;
use std::sync::mpsc;

use portcullis_integration_tests::{Gateway, Origin, PATIENCE, Response};
use serde_json::{Value, json};

/// A node that answers every call with its own name and the method.
fn node(name: &'static str) -> Origin {
    Origin::http1(move |received, wire| wire.ok(&answer(name, &received.body)))
}

fn answer(name: &str, body: &[u8]) -> String {
    let one = |call: &Value| {
        let method = call["method"].as_str().unwrap_or_default();
        json!({ "jsonrpc": "2.0", "result": format!("{name} {method}"), "id": call["id"] })
    };
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    match asked.as_array() {
        Some(calls) => Value::Array(calls.iter().map(one).collect()).to_string(),
        None => one(&asked).to_string(),
    }
}

/// A gateway in front of a node and an archive.
fn gateway(node: &Origin, archive: &Origin, filter: &str) -> Gateway {
    let (node, archive) = (node.address(), archive.address());
    Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters: {{ node: {{ endpoints: [\"{node}\"] }}, archive: {{ endpoints: [\"{archive}\"] }} }}\n\
         hosts:\n  \
         - names: [rpc.test]\n    \
           filters: [ {{ jsonrpc: {filter} }} ]\n    \
           routes:\n      \
           - {{ name: archive, match: {{ jsonrpc: [getTransaction, \"getBlock*\"] }}, to: archive, cache: rpc }}\n      \
           - {{ name: node, to: node, cache: rpc-coalesce }}\n"
    ))
}

fn post(gateway: &Gateway, body: &str) -> Response {
    gateway.client().ask(request(body))
}

fn request(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: rpc.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn call(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

#[test]
fn what_a_node_would_refuse_never_reaches_one_and_is_told_under_the_id_of_the_call() {
    let (node, archive) = (node("node"), node("archive"));
    let gateway = gateway(&node, &archive, "{ methods: solana, deny: [requestAirdrop], batch: 2, body: 100KiB }");
    let large = call("1", "getMultipleAccounts", &format!("[[\"{}\"]]", "a".repeat(100 * 1024)));
    let batch = format!("[{0},{0},{0}]", call("1", "getSlot", "[]"));
    for (body, status, code, id, reason) in [
        ("{", 400, -32700, json!(null), "rpc_parse_error"),
        (r#"{"id":"x"}"#, 400, -32600, json!("x"), "rpc_invalid_request"),
        (&batch, 413, -32600, json!(null), "body_too_large"),
        (&large, 413, -32600, json!(null), "body_too_large"),
        (&call("7", "getSlots", "[]"), 200, -32601, json!(7), "rpc_method_unknown"),
        (&call("\"7\"", "getBalance", "[7]"), 200, -32602, json!("7"), "rpc_params_invalid"),
        (&call("null", "requestAirdrop", "[\"a\",1]"), 403, -32403, json!(null), "denied"),
        ("", 400, -32600, json!(null), "rpc_invalid_request"),
    ] {
        let answer = post(&gateway, body);
        assert_eq!(answer.status, status, "{:.80}\n{}", body, answer.head);
        let told = answer.json();
        assert_eq!((&told["error"]["code"], &told["id"]), (&json!(code), &id), "{:.80}\n{told}", body);
        assert_eq!(told["error"]["data"]["reason"], reason);
        assert_eq!(gateway.record_of(&answer)["reason"], reason);
    }
    let get = gateway.client().ask("GET / HTTP/1.1\r\nHost: rpc.test\r\n\r\n");
    assert_eq!((get.status, &get.json()["error"]["code"]), (400, &json!(-32600)));
    assert_eq!((node.received().len(), archive.received().len()), (0, 0));
}

#[test]
fn a_batch_with_an_unknown_method_is_answered_as_a_list() {
    let (node, archive) = (node("node"), node("archive"));
    let gateway = gateway(&node, &archive, "{ methods: solana }");
    let answer = post(&gateway, &format!("[{},{}]", call("1", "getSlot", "[]"), call("\"b\"", "nope", "[]")));
    let told = answer.json();
    let codes: Vec<_> = told.as_array().unwrap().iter().map(|one| (&one["id"], &one["error"]["code"])).collect();
    assert_eq!(codes, [(&json!(1), &json!(-32600)), (&json!("b"), &json!(-32601))]);
    assert_eq!(gateway.record_of(&answer)["reason"], "rpc_method_unknown");
    assert!(node.received().is_empty());
}

#[test]
fn routes_go_by_names_and_patterns_and_bodies_pass_as_they_are() {
    let (node, archive) = (node("node"), node("archive"));
    let gateway = gateway(&node, &archive, "{}");
    for (method, expected) in [("getSlot", "node"), ("getTransaction", "archive"), ("getBlockHeight", "archive")] {
        let body = format!("\n {} ", call("1", method, "[ ]"));
        let answer = post(&gateway, &body);
        assert_eq!(answer.json()["result"], format!("{expected} {method}"));
        let received = if expected == "node" { node.last() } else { archive.last() };
        assert_eq!(received.body, body.as_bytes());
    }
    let large = call("1", "getMultipleAccounts", &format!("[[\"{}\"]]", "a".repeat(200 * 1024)));
    assert_eq!(post(&gateway, &large).json()["result"], "node getMultipleAccounts");
    assert_eq!(node.last().body, large.as_bytes());
}

#[test]
fn what_cannot_change_is_asked_for_once_and_given_out_under_every_id() {
    let (node, archive) = (node("node"), node("archive"));
    let gateway = gateway(&node, &archive, "{ methods: solana }");
    let mut told = Vec::new();
    for id in ["1", "\"1\"", "2"] {
        let answer = post(&gateway, &call(id, "getBlock", "[5]"));
        assert_eq!(
            answer.json(),
            json!({ "jsonrpc": "2.0", "result": "archive getBlock", "id": serde_json::from_str::<Value>(id).unwrap() })
        );
        told.push(answer.field("x-cache").unwrap_or_default().to_owned());
        assert_eq!(answer.field("age").is_some(), told.len() > 1, "{}", answer.head);
    }
    assert_eq!((told, archive.received().len()), (vec!["miss".to_owned(), "hit".to_owned(), "hit".to_owned()], 1));
    for _ in 0..2 {
        let confirmed = post(&gateway, &call("1", "getSlot", "[]"));
        assert_eq!(confirmed.field("x-cache"), Some("miss"), "{}", confirmed.head);
    }
}

#[test]
fn identical_reads_in_flight_are_answered_each_under_its_id_by_fewer_requests() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let held = Origin::http1(move |received, wire| {
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        wire.ok(&answer("node", &received.body))
    });
    let archive = node("archive");
    let gateway = gateway(&held, &archive, "{ methods: solana }");
    let mut clients: Vec<_> = (0..4)
        .map(|id| {
            let mut client = gateway.client();
            client.send(request(&call(&id.to_string(), "getBalance", "[\"a\"]")));
            // The first is at the node before the others ask.
            let _ = held.wait_for(1);
            client
        })
        .collect();
    drop(release);
    let mut shared = 0;
    for (id, client) in clients.iter_mut().enumerate() {
        let answer = client.response();
        assert_eq!((&answer.json()["id"], &answer.json()["result"]), (&json!(id), &json!("node getBalance")));
        shared += usize::from(answer.field("x-cache") == Some("coalesced"));
    }
    assert_eq!(shared + held.received().len(), 4, "each was asked for, or shared what another was answered");
}
