//! Clients, a hub and nodes, all in memory, on a clock that only the test moves.

use portcullis_types::Reason;
use serde_json::json;
use std::time::Duration;

use crate::ws::frame::{Event, Opcode};
use crate::ws::testing::World;

mod calls;
mod caps;
mod cost;
mod counted;
mod failover;
mod sharing;
mod trouble;

const ACCOUNT: &str = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin";

#[tokio::test(start_paused = true)]
async fn a_client_subscribes_is_notified_and_unsubscribes() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT, {"encoding": "base64", "commitment": "confirmed"}])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    assert_eq!(request["params"], json!([ACCOUNT, {"commitment": "confirmed", "encoding": "base64"}]));
    node.answer(&request, json!(7)).await;
    let number = client.peer.json().await["result"].as_u64().expect("a number");
    assert!(number > 1 << 40 && number < 1 << 53, "{number}");
    for lamports in 0..3 {
        node.notify("accountNotification", 7, json!({"value": {"lamports": lamports}})).await;
        let expected = json!({"jsonrpc": "2.0", "method": "accountNotification",
                              "params": {"result": {"value": {"lamports": lamports}}, "subscription": number}});
        assert_eq!(client.peer.json().await, expected);
    }
    assert_eq!(client.result("accountUnsubscribe", json!([number])).await, json!(true));
    let request = node.request().await;
    assert_eq!((&request["method"], &request["params"]), (&json!("accountUnsubscribe"), &json!([7])));
    node.answer(&request, json!(true)).await;
    client.ask("accountUnsubscribe", json!([number])).await;
    assert_eq!(client.error().await["code"], -32602);
}

#[tokio::test(start_paused = true)]
async fn pings_of_every_form_are_taken_and_a_client_that_answers_none_is_given_up() {
    let world = World::new("ping: 30s\nidle: 90s");
    let mut client = world.client();
    for ping in [
        r#"{"jsonrpc":"2.0","method":"ping"}"#,
        r#"{"method":"ping"}"#,
        "{ \"method\" :\t\"ping\" }\n",
        r#"{"params":[],"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"x","params":[]}"#,
    ] {
        client.peer.send(ping).await;
    }
    client.peer.send_frame(Opcode::Ping, b"hello").await;
    assert_eq!(client.peer.event().await, Some(Event::Pong("hello".into())));
    let start = tokio::time::Instant::now();
    assert_eq!(client.peer.event().await, Some(Event::Ping("".into())));
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(client.peer.closed().await, Some(1008));
    assert_eq!(start.elapsed().as_secs(), 90);
    let end = client.session.await.expect("no panic");
    assert_eq!(end.annotations, [("websocket_close", "1008".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_said_and_a_goodbye_is_answered() {
    let world = World::new("");
    let mut drained = world.client();
    drained.end.tell(Reason::Draining.into());
    assert_eq!(drained.peer.closed().await, Some(1001));
    drained.peer.send_frame(Opcode::Close, &1001_u16.to_be_bytes()).await;
    assert_eq!(drained.peer.event().await, None);
    assert_eq!(drained.session.await.expect("no panic").error.expect("a reason").reason.name(), "draining");
    let mut leaves = world.client();
    leaves.peer.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await;
    assert_eq!(leaves.peer.event().await, Some(Event::Close(Some(1000))), "an echo, since the client said so first");
    assert!(leaves.session.await.expect("no panic").error.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_go_on_hears_why_whatever_it_is() {
    for (why, named) in [
        (Reason::KeyForbidden, "key_forbidden"),
        (Reason::KeyUnknown, "key_unknown"),
        (Reason::OverQuota, "over_quota"),
    ] {
        let world = World::new("");
        let mut client = world.client();
        client.end.tell(why.into());
        assert_eq!(client.peer.closed().await, Some(1008));
        client.peer.send_frame(Opcode::Close, &1008_u16.to_be_bytes()).await;
        let end = client.session.await.expect("no panic");
        assert_eq!(end.error.expect("a reason").reason.name(), named);
        assert_eq!(end.annotations, [("websocket_close", "1008".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_a_close_is_left_after_a_while() {
    let world = World::new("");
    let mut client = world.client();
    client.end.tell(Reason::Draining.into());
    assert_eq!(client.peer.event().await.map(|event| matches!(event, Event::Close(Some(1001)))), Some(true));
    let start = tokio::time::Instant::now();
    assert_eq!(client.peer.event().await, None);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}
