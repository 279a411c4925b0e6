//! What metrics say of clients, of their subscriptions and of upstreams.

use serde_json::json;

use super::ACCOUNT;
use crate::counted::Scrape;
use crate::ws::frame::Opcode;
use crate::ws::testing::World;

fn series(name: &str) -> String {
    format!("portcullis_rpc_websocket_{name}{{cluster=\"rpc\"}}")
}

fn of(scrape: &Scrape, gauges: [f64; 4]) {
    let names = ["clients", "subscriptions", "upstream_connections", "upstream_subscriptions"];
    for (name, expected) in names.into_iter().zip(gauges) {
        scrape.is(&series(name), expected);
    }
}

fn counts(scrape: &Scrape, family: &str, label: &str, expected: f64) {
    scrape.is(&format!("portcullis_rpc_websocket_{family}_total{{cluster=\"rpc\",{label}}}"), expected);
}

#[tokio::test(start_paused = true)]
async fn gauges_follow_clients_and_what_they_hold_to_the_end() {
    let mut world = World::new("");
    of(&world.scrape, [0.0; 4]);
    let (mut one, mut two) = (world.client(), world.client());
    one.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    node.grant("accountSubscribe").await;
    one.peer.json().await;
    let number = two.result("accountSubscribe", json!([ACCOUNT])).await;
    of(&world.scrape, [2.0, 2.0, 1.0, 2.0]);
    two.result("accountUnsubscribe", json!([number])).await;
    of(&world.scrape, [2.0, 1.0, 1.0, 2.0]);
    one.peer.send_frame(Opcode::Close, &1000_u16.to_be_bytes()).await;
    one.session.await.expect("no panic");
    let request = node.request().await;
    assert_eq!(request["method"], "accountUnsubscribe");
    node.answer(&request, json!(true)).await;
    of(&world.scrape, [1.0, 0.0, 1.0, 1.0]);
    drop(two.peer);
    two.session.await.expect("no panic");
    let World { hub, scrape, .. } = world;
    counts(&scrape, "closes", "reason=\"client\"", 2.0);
    drop(hub);
    assert_eq!(node.peer.event().await, None, "nobody holds the hub any more");
    drop(scrape);
}

#[tokio::test(start_paused = true)]
async fn ends_of_clients_and_of_upstreams_are_counted_by_cause() {
    let mut world = World::new("buffer: 4KiB");
    let mut client = world.client();
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    node.grant("accountSubscribe").await;
    client.peer.json().await;
    drop(node);
    let mut next = world.node().await;
    assert_eq!(client.peer.closed().await, Some(1012));
    drop(client.peer);
    client.session.await.expect("no panic");
    counts(&world.scrape, "closes", "reason=\"upstream_failover\"", 1.0);
    counts(&world.scrape, "failovers", "why=\"closed\"", 1.0);
    let mut noisy = world.client();
    noisy.ask("slotSubscribe", json!([])).await;
    noisy.peer.json().await;
    next.peer.send("no JSON").await;
    let mut third = world.silent_node().await;
    counts(&world.scrape, "failovers", "why=\"malformed\"", 1.0);
    drop(noisy);
    let mut slow = world.client_with(Default::default(), 64);
    slow.ask("logsSubscribe", json!(["all"])).await;
    let request = third.request().await;
    assert_eq!(request["method"], "slotSubscribe");
    third.answer(&request, json!(1)).await;
    third.grant("logsSubscribe").await;
    slow.peer.json().await;
    for _ in 0..100 {
        third.notify("logsNotification", 101, json!("x".repeat(200))).await;
    }
    assert_eq!(slow.peer.closed().await, Some(1013));
    drop(slow.peer);
    slow.session.await.expect("no panic");
    counts(&world.scrape, "closes", "reason=\"slow_consumer\"", 1.0);
    world.set_up(false);
    drop(third);
    let mut waits = world.client();
    waits.ask("accountSubscribe", json!([ACCOUNT])).await;
    assert_eq!(waits.error().await["data"]["reason"], "no_healthy_upstream");
    assert!(world.scrape.value(&series("unreached_total")) > 1.0);
}
