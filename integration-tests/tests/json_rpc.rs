//! Hosts of JSON-RPC: what never reaches a node, routes by method, answers that are shared or kept.

use std::io::Read as _;
use std::sync::Mutex;
use std::sync::mpsc;

use portcullis_integration_tests::{Gateway, Origin, PATIENCE, Response, until};
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

/// A gateway whose host has these filters, with a route for `getBlock` to an archive and one for the rest to a node.
fn with_filters(filters: &str, node: &Origin, archive: &Origin, more: &str) -> Gateway {
    let (node, archive) = (node.address(), archive.address());
    Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n  node: {{ endpoints: [\"{node}\"]{more} }}\n  archive: {{ endpoints: [\"{archive}\"]{more} }}\n\
         trusted_networks: [127.0.0.1/32]\n\
         hosts:\n  \
         - names: [rpc.test]\n    \
           filters: {filters}\n    \
           routes:\n      \
           - {{ name: archive, match: {{ jsonrpc: getBlock }}, to: archive, cache: rpc }}\n      \
           - {{ name: node, to: node }}\n"
    ))
}

fn ungzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn one_kept_answer_serves_clients_with_and_without_compression() {
    let block = |received: &portcullis_integration_tests::origin::Received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap();
        json!({ "jsonrpc": "2.0", "result": "block ".repeat(1000), "id": asked["id"] }).to_string()
    };
    let archive = Origin::http1(move |received, wire| {
        let body = block(received);
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    });
    let node = node("node");
    let gateway = with_filters("[{ jsonrpc: {} }, compress]", &node, &archive, "");
    for (id, coding, cached) in
        [(1, Some("gzip"), "miss"), (2, None, "hit"), (3, Some("gzip"), "hit"), (4, Some("gzip"), "hit")]
    {
        let accept = coding.map(|coding| format!("Accept-Encoding: {coding}\r\n")).unwrap_or_default();
        let asked =
            request(&call(&id.to_string(), "getBlock", "[5]")).replacen("\r\n\r\n", &format!("\r\n{accept}\r\n"), 1);
        let answer = gateway.client().ask(asked);
        assert_eq!((answer.field("content-encoding"), answer.field("x-cache")), (coding, Some(cached)), "{id}");
        let text = if coding.is_some() { ungzip(&answer.body) } else { answer.text() };
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["id"], &told["result"]), (&json!(id), &json!("block ".repeat(1000))), "{id}");
        assert_eq!(answer.field("vary"), Some("accept-encoding"), "{}", answer.head);
    }
    assert_eq!(archive.received().len(), 1);
}

#[test]
fn calls_of_a_part_that_a_node_has_no_time_for_say_so_and_when_to_come_back() {
    let node = node("node");
    let batch = format!("[{},{}]", call("1", "getBlock", "[5]"), call("2", "getSlot", "[]"));
    for (head, reason, after) in [
        ("429 Too Many\r\nRetry-After: 7", "upstream_busy", json!(7)),
        ("503 Busy", "upstream_busy", json!(1)),
        ("500 Oops", "upstream_error", json!(null)),
        ("404 Where", "upstream_error", json!(null)),
    ] {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n{{}}");
        let archive = Origin::http1(move |_, wire| wire.send(&head));
        let gateway = with_filters("[{ jsonrpc: {} }]", &node, &archive, "");
        let answer = post(&gateway, &batch);
        let told = answer.json();
        assert_eq!((answer.status, &told[1]["result"]), (200, &json!("node getSlot")), "{told}");
        let data = &told[0]["error"]["data"];
        assert_eq!(
            (&told[0]["id"], &data["reason"], &data["retryAfter"]),
            (&json!(1), &json!(reason), &after),
            "{told}"
        );
    }
    // When no part is answered, the batch is not either.
    let busy = || Origin::answers(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    let answer = post(&with_filters("[{ jsonrpc: {} }]", &busy(), &busy(), ""), &batch);
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("7")), "{}", answer.head);
    assert_eq!(answer.json()["error"]["data"]["reason"], "upstream_busy");
}

#[test]
fn parts_of_a_batch_carry_the_time_that_is_left_and_a_trusted_callers_deadline_holds() {
    let (node, archive) = (node("node"), node("archive"));
    let more = ", timeouts: { total: 20s, deadline_header: x-time-left }";
    let gateway = with_filters("[{ jsonrpc: {} }]", &node, &archive, more);
    let batch = format!("[{},{}]", call("1", "getBlock", "[5]"), call("2", "getSlot", "[]"));
    let left = |origin: &Origin| origin.last().field("x-time-left").unwrap_or("0").parse::<u64>().unwrap();
    assert_eq!(post(&gateway, &batch).status, 200);
    assert!((10_000..=20_000).contains(&left(&node)) && (10_000..=20_000).contains(&left(&archive)));
    let hurried = request(&batch).replacen("\r\n\r\n", "\r\nX-Time-Left: 5000\r\n\r\n", 1);
    assert_eq!(gateway.client().ask(hurried).status, 200);
    assert!((1..=5000).contains(&left(&node)) && (1..=5000).contains(&left(&archive)));
    assert_eq!(node.last().fields("x-time-left").len(), 1);
}

#[test]
fn a_call_that_is_refused_before_its_body_is_read_is_answered_under_its_id() {
    let (node, archive) = (node("node"), node("archive"));
    let gateway = with_filters("[{ jsonrpc: {} }, { access: { default: deny } }]", &node, &archive, "");
    let mut client = gateway.client();
    for id in ["7", "\"seven\""] {
        let answer = client.ask(request(&call(id, "getSlot", "[]")));
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &json!(-32403)), "{}", answer.head);
        assert_eq!(answer.json()["id"], serde_json::from_str::<Value>(id).unwrap(), "{}", answer.text());
    }
    // One that comes a moment behind its head; on a machine that is busy the moment may be too long.
    let body = call("8", "getSlot", "[]");
    until("an answer under the id", || {
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: rpc.test\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        (client.response().json()["id"] == 8).then_some(())
    });
    // A batch has no id; of a large body, one of unknown length and one that does not come nothing is waited for.
    let large = call("9", "getMultipleAccounts", &format!("[[\"{}\"]]", "a".repeat(9000)));
    let batch = format!("[{}]", call("9", "getSlot", "[]"));
    let chunked = "POST / HTTP/1.1\r\nHost: rpc.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned();
    let missing = "POST / HTTP/1.1\r\nHost: rpc.test\r\nContent-Length: 10\r\n\r\n".to_owned();
    for asked in [request(&large), request(&batch), chunked, missing] {
        let answer = gateway.client().ask(asked);
        assert_eq!((answer.status, &answer.json()["id"]), (403, &json!(null)), "{}", answer.head);
    }
    assert_eq!((node.received().len(), archive.received().len()), (0, 0));
}
