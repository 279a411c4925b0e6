//! Clients that are slow, that may not, and that leave.

use serde_json::json;
use std::sync::Arc;

use portcullis_filter::Notes;
use portcullis_identity::directory::{Change, Limits};
use portcullis_identity::{Caller, ConsumerSpec, Directory};

use super::ACCOUNT;
use crate::ws::testing::World;

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_closed_by_name_and_holds_nobody_up() {
    let mut world = World::new("buffer: 8KiB");
    let (mut slow, mut quick) = (world.client_with(Notes::default(), 1024), world.client());
    slow.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let upstream = node.grant("accountSubscribe").await;
    slow.peer.json().await;
    quick.result("accountSubscribe", json!([ACCOUNT])).await;
    for place in 0..100 {
        node.notify("accountNotification", upstream, json!({"value": place, "data": "x".repeat(1000)})).await;
        assert_eq!(quick.peer.json().await["params"]["result"]["value"], place);
    }
    assert_eq!(slow.peer.closed().await, Some(1013));
    drop(slow.peer);
    let end = slow.session.await.expect("no panic");
    assert_eq!(end.error.map(|error| error.reason.name()), Some("client_too_slow"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_up_gets_everything_in_order_however_large() {
    let mut world = World::new("buffer: 64KiB");
    let mut client = world.client_with(Notes::default(), 700);
    client.ask("blockSubscribe", json!(["all"])).await;
    let mut node = world.node().await;
    let upstream = node.grant("blockSubscribe").await;
    client.peer.json().await;
    for place in 0..30 {
        let length = [10, 100, 8_150, 8_192, 70_000, 300_000][place % 6];
        node.notify("blockNotification", upstream, json!({"value": place, "data": "y".repeat(length)})).await;
        let got = client.peer.json().await;
        assert_eq!(got["params"]["result"]["value"], place);
        assert_eq!(got["params"]["result"]["data"].as_str().map(str::len), Some(length));
    }
    for place in 0..200 {
        node.notify("blockNotification", upstream, json!({"value": place})).await;
    }
    for place in 0..200 {
        assert_eq!(client.peer.json().await["params"]["result"]["value"], place);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_upstream_refuses_is_refused_in_its_words_and_frees_the_place() {
    let mut world = World::new("subscriptions: 1");
    let mut client = world.client();
    client.ask("voteSubscribe", json!([])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    node.refuse(&request, r#"{"code":-32601,"message":"Method not found"}"#).await;
    assert_eq!(client.error().await, json!({"code": -32601, "message": "Method not found"}));
    client.ask("rootSubscribe", json!([])).await;
    node.grant("rootSubscribe").await;
    assert!(client.peer.json().await["result"].is_u64());
}

#[tokio::test(start_paused = true)]
async fn methods_that_the_caller_may_not_call_are_refused() {
    let world = World::new("");
    let spec = ConsumerSpec {
        id: "a".to_owned(),
        plan: "p".to_owned(),
        methods: vec!["get*".to_owned()],
        ..ConsumerSpec::default()
    };
    let put = vec![Change::Put(Box::new(spec))];
    let (directory, _) = Directory::new(1).apply(put, Limits::default()).expect("a right consumer");
    let consumer = Arc::clone(directory.by_id("a").expect("it is there"));
    let mut notes = Notes::default();
    notes.extensions_mut().insert(Caller { id: "a".into(), plan: "p".into(), consumer: Some(consumer) });
    let mut client = world.client_with(notes, 1024);
    for (method, params) in [("accountSubscribe", json!([ACCOUNT])), ("sendTransaction", json!(["tx"]))] {
        client.ask(method, params).await;
        let error = client.error().await;
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("key_forbidden")), "{method}");
    }
}
