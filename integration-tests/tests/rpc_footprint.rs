//! What clients of WebSocket RPC cost the gateway's process: as many of them as the environment says, each with a
//! subscription of its own.

use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::process::resident_bytes;
use portcullis_integration_tests::pubsub::{PubSub, Socket};
use portcullis_integration_tests::{Client, Gateway, Setup};
use serde_json::json;

const KIB: u64 = 1024;

/// What each of them may hold.
const MOST: u64 = 32 * KIB;
/// The same over TLS, which keeps buffers and keys of its own.
const MOST_TLS: u64 = 36 * KIB;

/// Before a node, with a listener as this says.
fn gateway(node: &PubSub, listener: &str) -> Gateway {
    let limits = "limits: { connections: 40000, connections_per_network: 40000 }";
    let setup = Setup::to_address(node.address()).listener(limits).listener(listener);
    setup.route("filters: [{ rpc_websocket: {} }]").start()
}

/// An account's name that no other client subscribes to.
fn account(number: usize) -> String {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut name = b"9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin".to_vec();
    let mut rest = number;
    for place in name.iter_mut().rev().take(4) {
        *place = DIGITS[rest % 58];
        rest /= 58;
    }
    String::from_utf8(name).unwrap()
}

/// Bytes of the gateway's process for each client that waits, after it was notified. What opening them left behind, some
/// megabytes on a busy machine, goes back to the system by and by: of so many clients it is little for each.
fn of_clients(gateway: &Gateway, node: &PubSub, connect: impl Fn() -> Client) -> u64 {
    let clients = std::env::var("WEBSOCKET_CLIENTS").ok().map_or(2_000, |text| text.parse().unwrap());
    let open = |numbers: std::ops::Range<usize>| -> Vec<Socket> {
        let subscribed = |number| {
            let mut socket = Socket::over(connect(), "/");
            socket.result("accountSubscribe", &json!([account(number)]));
            socket
        };
        numbers.map(subscribed).collect()
    };
    let warm = 100;
    let _warm = open(0..warm);
    let before = resident_bytes(gateway.pid());
    let mut sockets = open(warm..warm + clients);
    assert_eq!(node.count("accountSubscribe"), warm + clients, "nobody shares");
    let subscribed = resident_bytes(gateway.pid());
    for value in 0..3 {
        node.notify("account", &json!({ "value": value, "data": "x".repeat(1000) }));
        for socket in &mut sockets {
            assert_eq!(socket.json()["params"]["result"]["value"], value);
        }
    }
    let notified = resident_bytes(gateway.pid());
    let each = |now: u64| now.saturating_sub(before) / clients as u64;
    eprintln!(
        "{clients} clients with a subscription each: {} bytes each, {} after three notifications",
        each(subscribed),
        each(notified)
    );
    each(subscribed.max(notified))
}

#[test]
fn a_client_with_a_subscription_of_its_own_holds_little() {
    let node = PubSub::start();
    let gateway = gateway(&node, "");
    let held = of_clients(&gateway, &node, || gateway.client());
    assert!(held < MOST, "{held} bytes");
}

#[test]
fn a_client_over_tls_with_a_subscription_of_its_own_holds_little() {
    let (node, pki) = (PubSub::start(), Pki::new());
    let gateway = gateway(&node, &format!("tls: {{ certificates: [{}] }}", pki.issue("rpc.test").yaml()));
    let config = pki.client(&["http/1.1"]);
    let held = of_clients(&gateway, &node, || gateway.client().with_tls(&config, "rpc.test"));
    assert!(held < MOST_TLS, "{held} bytes");
}
