//! Requests other than subscriptions, and what is no request.

use portcullis_filter::Notes;
use portcullis_policy::matcher::RpcMethods;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use super::ACCOUNT;
use crate::filter::{JsonRpcConfig, Offered, OnHost};
use crate::ws::frame::Opcode;
use crate::ws::testing::World;

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_the_clients_own_id() {
    let mut world = World::new("");
    let mut client = world.client();
    for id in ["7", "\"a\\u0041\"", "-1.5e3", "null"] {
        client
            .peer
            .send(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"getSlot\",\"params\":[{{\"a\" : 1}}]}}"))
            .await;
    }
    let mut node = world.node().await;
    let mut requests: Vec<Value> = Vec::new();
    for _ in 0..4 {
        requests.push(node.request().await);
    }
    assert!(requests.iter().all(|request| request["method"] == "getSlot" && request["params"] == json!([{"a": 1}])));
    node.answer(&requests[0], json!(10)).await;
    node.refuse(&requests[1], r#"{"code":-32005,"message":"behind","data":{"numSlotsBehind": 5}}"#).await;
    node.refuse(&requests[2], r#"{"code":-32000,"message":"odd"}"#).await;
    node.answer(&requests[3], json!(null)).await;
    assert_eq!(client.peer.text().await, r#"{"jsonrpc":"2.0","result":10,"id":7}"#);
    assert_eq!(
        client.peer.text().await,
        r#"{"jsonrpc":"2.0","error":{"code":-32005,"data":{"numSlotsBehind": 5},"message":"behind"},"id":"a\u0041"}"#
            .replace(
                r#""data":{"numSlotsBehind": 5},"message":"behind""#,
                r#""message":"behind","data":{"numSlotsBehind": 5}"#
            ),
        "the node's own errors pass byte for byte"
    );
    let wrapped = client.peer.json().await;
    assert_eq!(
        (&wrapped["error"]["code"], &wrapped["error"]["data"]["upstream"]["code"]),
        (&json!(-32603), &json!(-32000))
    );
    assert_eq!(client.peer.text().await, r#"{"jsonrpc":"2.0","result":null,"id":null}"#);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_said_so_and_ends_the_connection_when_it_goes_on() {
    let world = World::new("");
    let mut client = world.client();
    let wrong = [
        "nonsense",
        "[]",
        "7",
        r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"x"}]"#,
    ];
    for text in wrong {
        client.peer.send(text).await;
        assert_eq!(client.error().await["code"], -32600, "{text}");
    }
    for _ in wrong.len()..16 {
        client.peer.send("nonsense").await;
    }
    assert_eq!(client.peer.closed().await, Some(1008));
}

#[tokio::test(start_paused = true)]
async fn params_that_no_node_takes_are_refused_here() {
    let world = World::new("frame: 127B");
    let mut client = world.client();
    for params in [json!([]), json!([7]), json!(null), json!({"a": 1})] {
        client.ask("accountSubscribe", params.clone()).await;
        assert_eq!(client.error().await["code"], -32602, "{params}");
    }
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let error = client.error().await;
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("body_too_large")));
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_not_allowed_are_answered_by_the_code_that_says_why() {
    let cases: [(&[u8], u16); 4] = [
        (&[0x81, 0x01, b'a'], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x81, 0xfe, 0x10, 0x01, 0, 0, 0, 0], 1009),
    ];
    for (bytes, code) in cases {
        let world = World::new("");
        let mut client = world.client();
        tokio::io::AsyncWriteExt::write_all(&mut client.peer.io, bytes).await.unwrap();
        assert_eq!(client.peer.closed().await, Some(code), "{bytes:x?}");
    }
    let world = World::new("");
    let mut client = world.client();
    client.peer.send_frame(Opcode::Binary, b"{}").await;
    assert_eq!(client.peer.closed().await, Some(1003));
}

#[tokio::test(start_paused = true)]
async fn more_subscriptions_than_a_connection_may_hold_are_refused_and_slowed_down() {
    let mut world = World::new("subscriptions: 2");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    client.ask("rootSubscribe", json!([])).await;
    let mut node = world.node().await;
    node.grant("accountSubscribe").await;
    node.grant("rootSubscribe").await;
    client.peer.json().await;
    client.peer.json().await;
    let start = tokio::time::Instant::now();
    for _ in 0..18 {
        client.ask("logsSubscribe", json!(["all"])).await;
        let error = client.error().await;
        assert_eq!(error["code"], -32603);
        assert_eq!(
            (&error["data"]["reason"], &error["data"]["cap"]),
            (&json!("over_concurrency"), &json!("subscriptions"))
        );
    }
    // 100 ms, 200 ms and so on from the ninth on; the last is not waited for.
    assert_eq!(start.elapsed().as_millis() / 100, (1..=9).sum::<u128>());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_while_too_many_requests_wait() {
    let mut world = World::new("pending: 2");
    let mut client = world.client();
    for id in 0..5 {
        client.peer.send(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"getSlot\"}}")).await;
    }
    let mut node = world.node().await;
    let (first, _second) = (node.request().await, node.request().await);
    let none = tokio::time::timeout(Duration::from_secs(5), node.request()).await;
    assert!(none.is_err(), "{none:?}");
    node.answer(&first, json!(1)).await;
    assert_eq!(client.peer.json().await["id"], 0);
    node.request().await;
}

/// The notes of a request to a host of `jsonrpc`.
fn on_host(methods: Offered, deny: &[&str]) -> Notes {
    let deny = RpcMethods::new(deny.iter().map(|method| method.parse().expect("a method")));
    let config = JsonRpcConfig { methods, deny, batch: 1, body: 1, depth: 1, params: true, others: false };
    let mut notes = Notes::default();
    notes.extensions_mut().insert(OnHost(Arc::new(config)));
    notes
}

#[tokio::test(start_paused = true)]
async fn what_the_host_denies_or_does_not_offer_is_refused_here_too() {
    let mut world = World::new("calls: [solana, foo]");
    let denying = on_host(Offered::Any, &["requestAirdrop", "account*"]);
    let mut client = world.client_with(denying, 1 << 16);
    for method in ["requestAirdrop", "accountSubscribe"] {
        client.ask(method, json!([ACCOUNT, 1])).await;
        let error = client.error().await;
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("denied")), "{method}");
    }
    let mut narrow = world.client_with(on_host(Offered::These(true, None), &[]), 1 << 16);
    narrow.ask("foo", json!([])).await;
    assert_eq!(narrow.error().await["code"], -32601);
    // Subscriptions are none of the methods of a node over HTTP, and are offered by the filter of WebSockets.
    narrow.ask("rootSubscribe", json!([])).await;
    let mut node = world.node().await;
    node.grant("rootSubscribe").await;
    assert!(narrow.peer.json().await["result"].is_u64());
    client.ask("getSlot", json!([])).await;
    assert_eq!(node.request().await["method"], "getSlot");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_read_slowly_is_not_taken_for_a_silent_one() {
    let world = World::new("ping: 20s\nidle: 40s");
    let mut client = world.client();
    // What is read at once takes longer than that to be acted on.
    let ask = r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#;
    let all = 120;
    for _ in 0..all {
        client.peer.send(ask).await;
    }
    let start = tokio::time::Instant::now();
    for _ in 0..all {
        assert_eq!(client.error().await["code"], -32601);
    }
    assert!(start.elapsed() > Duration::from_secs(90), "{:?}", start.elapsed());
}
