//! WebSocket RPC, end to end: subscriptions that clients share, upstreams that are killed, drains, floods of upgrades.

use portcullis_integration_tests::process::resident_bytes;
use portcullis_integration_tests::pubsub::{PubSub, Socket, upgrade};
use portcullis_integration_tests::{Client, Gateway, Setup, until};
use serde_json::json;

const ACCOUNT: &str = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin";

/// A gateway before nodes, with these settings of the filter.
fn gateway(nodes: &[&PubSub], settings: &str) -> Gateway {
    let (first, more) = nodes.split_first().unwrap();
    let setup = more.iter().fold(Setup::to_address(first.address()), |setup, node| setup.and_to(node.address()));
    setup.route(&format!("filters: [{{ rpc_websocket: {{ connections: 1{settings} }} }}]")).start()
}

/// The node that has a subscription, and the other.
fn having<'a>(nodes: [&'a PubSub; 2], method: &str) -> (&'a PubSub, &'a PubSub) {
    let [one, two] = nodes;
    until("a node with the subscription", || match (one.count(method), two.count(method)) {
        (0, 0) => None,
        (0, _) => Some((two, one)),
        _ => Some((one, two)),
    })
}

#[test]
fn clients_share_what_they_subscribe_to_and_each_has_a_number_of_its_own() {
    let node = PubSub::start();
    let gateway = gateway(&[&node], "");
    let mut clients: Vec<Socket> = (0..3).map(|_| Socket::open(&gateway, "/")).collect();
    let numbers: Vec<_> =
        clients.iter_mut().map(|client| client.result("accountSubscribe", &json!([ACCOUNT]))).collect();
    assert_eq!((node.requests("accountSubscribe").len(), node.connections()), (1, 1));
    for value in 0..5 {
        node.notify("account", &json!({ "value": value }));
        for (client, number) in clients.iter_mut().zip(&numbers) {
            assert_eq!(client.json()["params"], json!({ "result": { "value": value }, "subscription": number }));
        }
    }
    assert_eq!(clients[0].result("accountUnsubscribe", &json!([numbers[0]])), json!(true));
    assert_eq!(clients[0].result("getSlot", &json!([])), json!("getSlot done"));
    drop(clients);
    node.wait_for("accountSubscribe", 0);
    let record = gateway.record("the upgrade", |record| record["status"] == 101);
    assert!(record["bytes_out"].as_u64().is_some_and(|bytes| bytes > 300), "{record}");
}

#[test]
fn other_requests_of_the_route_go_on_and_wrong_handshakes_are_refused() {
    let node = PubSub::start();
    let gateway = gateway(&[&node], "");
    let wrong = gateway.client().ask(upgrade("/").replace("Version: 13", "Version: 8"));
    assert_eq!((wrong.status, wrong.field("sec-websocket-version")), (426, Some("13")));
    let wrong = gateway.client().ask(upgrade("/").replace("dGhlIHNhbXBsZSBub25jZQ==", "short"));
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(node.connections(), 0);
}

#[test]
fn an_upstream_that_is_killed_is_replaced_under_the_same_numbers() {
    let (one, two) = (PubSub::start(), PubSub::start());
    let gateway = gateway(&[&one, &two], "");
    let (mut slots, mut account) = (Socket::open(&gateway, "/"), Socket::open(&gateway, "/"));
    let number = slots.result("slotSubscribe", &json!([]));
    account.result("accountSubscribe", &json!([ACCOUNT]));
    let (had, other) = having([&one, &two], "accountSubscribe");
    had.notify("slot", &json!({ "slot": 1 }));
    assert_eq!(slots.json()["params"]["result"]["slot"], 1);
    had.kill();
    other.wait_for("slotSubscribe", 1);
    other.notify("slot", &json!({ "slot": 5 }));
    assert_eq!(slots.json()["params"], json!({ "result": { "slot": 5 }, "subscription": number }));
    let (code, reason) = account.closed();
    assert_eq!(code, 1012, "{reason}");
    assert!(reason.contains("may be lost"), "{reason}");
    let record = gateway.record("the one that was told", |record| record["reason"] == "upstream_reset");
    assert_eq!(record["status"], 101);
}

#[test]
fn gaps_are_borne_where_the_config_says_so() {
    let (one, two) = (PubSub::start(), PubSub::start());
    let gateway = gateway(&[&one, &two], ", gaps: tolerate");
    let mut client = Socket::open(&gateway, "/");
    let number = client.result("logsSubscribe", &json!(["all"]));
    let (had, other) = having([&one, &two], "logsSubscribe");
    had.kill();
    other.wait_for("logsSubscribe", 1);
    other.notify("logs", &json!({ "value": 1 }));
    assert_eq!(client.json()["params"]["subscription"], number);
}

#[test]
fn a_gateway_that_drains_says_so_to_its_clients() {
    let node = PubSub::start();
    let mut gateway = gateway(&[&node], "");
    let mut client = Socket::open(&gateway, "/");
    client.result("slotSubscribe", &json!([]));
    gateway.signal("TERM");
    let (code, reason) = client.closed();
    assert_eq!(code, 1001, "{reason}");
    drop(client);
    assert!(gateway.wait().success());
}

#[test]
fn a_client_that_does_not_read_is_closed_and_the_others_go_on() {
    let node = PubSub::start();
    let gateway = gateway(&[&node], ", buffer: 64KiB");
    let mut slow = Socket::over(Client::connect_narrow(gateway.address("edge"), 4096), "/");
    let mut quick = Socket::open(&gateway, "/");
    slow.result("accountSubscribe", &json!([ACCOUNT]));
    quick.result("accountSubscribe", &json!([ACCOUNT]));
    let data = "x".repeat(60_000);
    let record = until("the slow one to be closed", || {
        node.notify("account", &json!({ "value": data }));
        assert_eq!(quick.json()["params"]["result"]["value"].as_str().map(str::len), Some(data.len()));
        gateway.records().into_iter().find(|record| record["reason"] == "client_too_slow")
    });
    assert_eq!(record["status"], 101);
    drop(slow);
}

#[test]
fn ten_thousand_refused_upgrades_leave_nothing_behind() {
    let node = PubSub::start();
    let gateway = gateway(&[&node], "");
    let refuse = upgrade("/").replace("Version: 13", "Version: 8");
    let flood = |count: usize| {
        let mut client = gateway.client();
        for _ in 0..count {
            assert_eq!(client.ask(&refuse).status, 426);
        }
    };
    flood(2_000);
    let before = resident_bytes(gateway.pid());
    flood(10_000);
    let grown = resident_bytes(gateway.pid()).saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for 10,000 refused upgrades");
}
