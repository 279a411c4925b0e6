//! One stream for many clients.

use serde_json::json;

use super::ACCOUNT;
use crate::ws::testing::World;

#[tokio::test(start_paused = true)]
async fn what_means_the_same_is_one_stream_and_is_given_up_with_its_last_subscriber() {
    let mut world = World::new("");
    let (mut first, mut second) = (world.client(), world.client());
    first.peer.send(&format!(r#"{{"jsonrpc":"2.0","id":"a","method":"accountSubscribe","params":["{ACCOUNT}",{{"encoding":"base64","commitment":"finalized"}}]}}"#)).await;
    let mut node = world.node().await;
    let upstream = node.grant("accountSubscribe").await;
    let one = first.peer.json().await;
    assert_eq!(one["id"], "a");
    let params = json!([ACCOUNT, {"commitment": "finalized", "encoding": "base64"}]);
    let two = second.result("accountSubscribe", params).await;
    assert_ne!(one["result"], two);
    node.notify("accountNotification", upstream, json!({"value": 5})).await;
    assert_eq!(first.peer.json().await["params"]["subscription"], one["result"]);
    assert_eq!(second.peer.json().await["params"]["subscription"], two);
    assert_eq!(first.result("accountUnsubscribe", json!([one["result"]])).await, json!(true));
    node.notify("accountNotification", upstream, json!({"value": 6})).await;
    assert_eq!(second.peer.json().await["params"]["result"]["value"], 6);
    drop(second);
    let request = node.request().await;
    assert_eq!((&request["method"], &request["params"]), (&json!("accountUnsubscribe"), &json!([upstream])));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_one_of_its_client_alone() {
    let mut world = World::new("");
    let (mut first, mut second) = (world.client(), world.client());
    first.ask("rootSubscribe", json!(null)).await;
    let mut node = world.node().await;
    node.grant("rootSubscribe").await;
    let number = first.peer.json().await["result"].clone();
    second.ask("rootUnsubscribe", json!([number])).await;
    assert_eq!(second.error().await["message"], "Invalid subscription id.");
    assert_eq!(first.result("rootUnsubscribe", json!([number])).await, json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_clients_slots_and_the_heartbeat_are_one_stream() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("slotSubscribe", json!([])).await;
    let mut node = world.node().await;
    let number = client.peer.json().await["result"].clone();
    node.notify("slotNotification", 1, json!({"slot": 9})).await;
    assert_eq!(client.peer.json().await["params"]["subscription"], number);
    assert_eq!(client.result("slotUnsubscribe", json!([number])).await, json!(true));
    // The heartbeat stays, so nothing is given up: the next request is another's.
    client.ask("rootSubscribe", json!([])).await;
    node.grant("rootSubscribe").await;
}

/// A node takes a default that is written and one that is not for the same, and gives both one number.
#[tokio::test(start_paused = true)]
async fn streams_that_are_one_upstream_become_one() {
    let mut world = World::new("");
    let (mut plain, mut explicit) = (world.client(), world.client());
    plain.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    node.answer(&request, json!(5)).await;
    let one = plain.peer.json().await["result"].clone();
    explicit.ask("accountSubscribe", json!([ACCOUNT, {"commitment": "finalized"}])).await;
    let request = node.request().await;
    node.answer(&request, json!(5)).await;
    let two = explicit.peer.json().await["result"].clone();
    node.notify("accountNotification", 5, json!({"value": 1})).await;
    assert_eq!(plain.peer.json().await["params"]["subscription"], one);
    assert_eq!(explicit.peer.json().await["params"]["subscription"], two);
    assert_eq!(plain.result("accountUnsubscribe", json!([one])).await, json!(true));
    node.notify("accountNotification", 5, json!({"value": 2})).await;
    assert_eq!(explicit.peer.json().await["params"]["result"]["value"], 2, "the other one still has it");
    assert_eq!(explicit.result("accountUnsubscribe", json!([two])).await, json!(true));
    assert_eq!(node.request().await["params"], json!([5]));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_while_it_is_asked_for_is_given_up_upstream() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    drop(client);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    node.answer(&request, json!(5)).await;
    let request = node.request().await;
    assert_eq!((&request["method"], &request["params"]), (&json!("accountUnsubscribe"), &json!([5])));
}

/// The upstream shares what the gateway holds to be two, and is told to give one up behind the request for the other.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_granted_and_given_up_at_once_is_asked_for_again() {
    let mut world = World::new("");
    let (mut leaves, mut stays) = (world.client(), world.client());
    leaves.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    node.answer(&request, json!(5)).await;
    let number = leaves.peer.json().await["result"].clone();
    stays.ask("accountSubscribe", json!([ACCOUNT, {"commitment": "finalized"}])).await;
    let asked = node.request().await;
    assert_eq!(leaves.result("accountUnsubscribe", json!([number])).await, json!(true));
    let given_up = node.request().await;
    assert_eq!(given_up["method"], "accountUnsubscribe");
    node.answer(&asked, json!(5)).await;
    node.answer(&given_up, json!(true)).await;
    let again = node.request().await;
    assert_eq!(again["method"], "accountSubscribe");
    node.answer(&again, json!(6)).await;
    let number = stays.peer.json().await["result"].clone();
    node.notify("accountNotification", 6, json!({"value": 1})).await;
    assert_eq!(stays.peer.json().await["params"]["subscription"], number);
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_overtakes_its_answer_is_not_lost() {
    let mut world = World::new("");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    node.notify("accountNotification", 5, json!({"value": 1})).await;
    node.answer(&request, json!(5)).await;
    let number = client.peer.json().await["result"].clone();
    assert!(number.is_u64());
    assert_eq!(client.peer.json().await["params"]["subscription"], number);
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_over_once_it_was_notified() {
    let mut world = World::new("subscriptions: 1");
    let (mut client, mut other) = (world.client(), world.client());
    client.ask("signatureSubscribe", json!(["sig", {"enableReceivedNotification": true}])).await;
    let mut node = world.node().await;
    let upstream = node.grant("signatureSubscribe").await;
    let number = client.peer.json().await["result"].clone();
    other.result("signatureSubscribe", json!(["sig", {"enableReceivedNotification": true}])).await;
    node.notify("signatureNotification", upstream, json!({"context": {"slot": 1}, "value": "receivedSignature"})).await;
    assert_eq!(client.peer.json().await["params"]["result"]["value"], "receivedSignature");
    node.notify("signatureNotification", upstream, json!({"context": {"slot": 2}, "value": {"err": null}})).await;
    assert_eq!(client.peer.json().await["params"]["result"]["value"], json!({"err": null}));
    client.ask("signatureUnsubscribe", json!([number])).await;
    assert_eq!(client.error().await["code"], -32602);
    // Its place is free, and upstream nothing is given up: the next request is the next subscription.
    client.ask("signatureSubscribe", json!(["sig", {"enableReceivedNotification": true}])).await;
    node.grant("signatureSubscribe").await;
    assert!(client.peer.json().await["result"].is_u64());
}
