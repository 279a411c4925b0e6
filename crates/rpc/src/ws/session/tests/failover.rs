//! Upstreams that go away, stop speaking, or speak nonsense.

use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

use super::ACCOUNT;
use crate::ws::frame::Opcode;
use crate::ws::testing::{Subscribed, World};

#[tokio::test(start_paused = true)]
async fn what_bears_a_gap_goes_on_under_its_number_and_the_rest_is_told() {
    let mut world = World::new("");
    let (mut stays, mut told) = (world.client(), world.client());
    stays.ask("signatureSubscribe", json!(["sig"])).await;
    let mut node = world.node().await;
    assert_eq!(node.name.as_str(), "a");
    node.grant("signatureSubscribe").await;
    let number = stays.peer.json().await["result"].clone();
    told.ask("accountSubscribe", json!([ACCOUNT])).await;
    node.grant("accountSubscribe").await;
    told.peer.json().await;
    drop(node);
    let mut node = world.node().await;
    assert_eq!(node.name.as_str(), "b", "another endpoint");
    let upstream = node.grant("signatureSubscribe").await;
    assert_eq!(told.peer.closed().await, Some(1012));
    // The node has the transaction already, and says so at once.
    node.notify("signatureNotification", upstream, json!({"value": {"err": null}})).await;
    assert_eq!(stays.peer.json().await["params"]["subscription"], number);
    assert_eq!(world.cluster.avoided.lock().last().map(|names| names.len()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn gaps_are_borne_where_the_config_says_so() {
    let mut world = World::new("gaps: tolerate");
    let Subscribed { mut client, node, number, .. } = world.subscribed("logsSubscribe", json!(["all"])).await;
    drop(node);
    let mut node = world.node().await;
    let upstream = node.grant("logsSubscribe").await;
    node.notify("logsNotification", upstream, json!({"value": 1})).await;
    assert_eq!(client.peer.json().await["params"]["subscription"], number);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_whose_slots_stop_is_left() {
    let mut world = World::new("silence: 85s\nping: 30m\nidle: 1h");
    let Subscribed { client: _client, mut node, .. } = world.subscribed("signatureSubscribe", json!(["sig"])).await;
    let start = Instant::now();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        node.notify("slotNotification", 1, json!({"slot": 1})).await;
    }
    // Pings it may answer: they are no sign that it delivers.
    assert_eq!(node.peer.closed().await, None);
    let next = world.node().await;
    assert_eq!(next.name.as_str(), "b");
    assert_eq!(start.elapsed().as_secs().abs_diff(150 + 85), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_spoke_and_stopped_is_a_reason_too() {
    let mut world = World::new("silence: 10s");
    let Subscribed { mut client, mut node, upstream, number } = world.subscribed("rootSubscribe", json!([])).await;
    node.notify("rootNotification", upstream, json!(5)).await;
    client.peer.json().await;
    let slots = async move {
        loop {
            node.notify("slotNotification", 1, json!({"slot": 1})).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut next = tokio::select! { next = world.node() => next, () = slots => unreachable!() };
    assert_eq!(next.name.as_str(), "b");
    let upstream = next.grant("rootSubscribe").await;
    next.notify("rootNotification", upstream, json!(6)).await;
    assert_eq!(client.peer.json().await["params"], json!({"result": 6, "subscription": number}));
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_a_reason_to_leave() {
    for nonsense in ["nonsense", "{\"a\":", "[1]"] {
        let mut world = World::new("");
        let Subscribed { client: _client, mut node, .. } = world.subscribed("rootSubscribe", json!([])).await;
        node.peer.send(nonsense).await;
        assert_eq!(world.node().await.name.as_str(), "b", "{nonsense}");
    }
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("rootSubscribe", json!([])).await;
    let mut node = world.node().await;
    node.grant("rootSubscribe").await;
    node.peer.send(r#"{"jsonrpc":"2.0","method":"x","params":{"subscription":"y"}}"#).await;
    node.peer.send(r#"{"jsonrpc":"2.0","result":1,"id":999999}"#).await;
    node.notify("rootNotification", 999, json!(1)).await;
    node.notify("rootNotification", 101, json!(2)).await;
    client.peer.json().await;
    assert_eq!(client.peer.json().await["params"]["result"], 2, "what nobody waits for is passed over");
    node.peer.send_frame(Opcode::Binary, b"{}").await;
    assert_eq!(world.node().await.name.as_str(), "b");
}

#[tokio::test(start_paused = true)]
async fn calls_are_not_made_twice() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("sendTransaction", json!(["tx"])).await;
    let mut node = world.node().await;
    node.request().await;
    drop(node);
    let error = client.error().await;
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("upstream_reset")));
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_subscribe_outlasts_the_upstream_that_had_it() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    node.request().await;
    drop(node);
    let mut node = world.node().await;
    let upstream = node.grant("accountSubscribe").await;
    let number = client.peer.json().await["result"].clone();
    assert!(number.is_u64(), "there was nothing to lose yet");
    node.notify("accountNotification", upstream, json!({"value": 1})).await;
    assert_eq!(client.peer.json().await["params"]["subscription"], number);
}

#[tokio::test(start_paused = true)]
async fn without_an_upstream_requests_fail_in_time_and_subscribers_are_told() {
    let mut world = World::new("timeout: 30s\noutage: 15s");
    let mut client = world.client();
    client.ask("slotSubscribe", json!([])).await;
    let node = world.node().await;
    client.peer.json().await;
    world.set_up(false);
    drop(node);
    let start = Instant::now();
    assert_eq!(client.peer.closed().await, Some(1013));
    assert!((15..=18).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let mut late = world.client();
    let start = Instant::now();
    late.ask("accountSubscribe", json!([ACCOUNT])).await;
    let error = late.error().await;
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("no_healthy_upstream")));
    assert!((30..=31).contains(&start.elapsed().as_secs()));
    late.ask("accountSubscribe", json!([ACCOUNT])).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.set_up(true);
    let mut node = world.node().await;
    node.grant("accountSubscribe").await;
    assert!(late.peer.json().await["result"].is_u64());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_answer_a_subscribe_is_left() {
    let mut world = World::new("timeout: 10s");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    node.request().await;
    let error = client.error().await;
    assert_eq!(error["data"]["reason"], "upstream_total_timeout");
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut next = world.node().await;
    assert_eq!(next.name.as_str(), "b");
    next.grant("accountSubscribe").await;
    assert!(client.peer.json().await["result"].is_u64());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_needs_is_hung_up() {
    let mut world = World::new("");
    let Subscribed { client, mut node, .. } = world.subscribed("rootSubscribe", json!([])).await;
    drop(client);
    assert_eq!(node.request().await["method"], "rootUnsubscribe");
    let start = Instant::now();
    assert_eq!(node.peer.closed().await, None);
    assert!((30..=31).contains(&start.elapsed().as_secs()));
    assert!(world.subscribed("rootSubscribe", json!([])).await.number.is_u64());
}
