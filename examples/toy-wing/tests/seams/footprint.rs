//! What upgrades cost: those that are refused leave nothing behind, those that are idle hold little.

use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::process::resident_bytes;
use portcullis_integration_tests::websocket::UPGRADE;
use portcullis_integration_tests::{Client, Gateway, Origin};
use std::path::Path;

const KIB: u64 = 1024;

fn wing(filters: &str, listener: &str) -> Gateway {
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\", limits: {{ connections: 20000, connections_per_network: 20000 }}{listener} }} }}\n\
         clusters: {{ app: {{ endpoints: [\"{}\"] }} }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [{filters}]\n\
         \x20   routes: [{{ name: app, to: app }}]\n",
        Origin::says("plain").address()
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

/// How many there are: more than a test run needs when the environment says so.
fn count(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn refused_upgrades_leave_nothing_behind() {
    let gateway = wing("{ toll: { coins: 0 } }, echo", "");
    let refuse = |most: usize| {
        let mut left = most;
        while left > 0 {
            // Some come again on their connection, others on a new one.
            let mut client = gateway.client();
            for _ in 0..left.min(10) {
                client.send(UPGRADE);
                assert_eq!(client.response().status, 429);
            }
            left -= left.min(10);
        }
    };
    refuse(2_000);
    let before = resident_bytes(gateway.pid());
    let refusals = count("REFUSED_UPGRADES", 4_000);
    refuse(refusals);
    let after = resident_bytes(gateway.pid());
    eprintln!("{refusals} refused upgrades: {} KiB before, {} KiB after", before / KIB, after / KIB);
    assert!(after < before + 4 * KIB * KIB, "{before} bytes before, {after} after");
}

/// Bytes for each connection that is upgraded and says nothing.
fn of_idle(gateway: &Gateway, connections: usize, connect: impl Fn() -> Client) -> u64 {
    let open = |count: usize| -> Vec<Client> {
        let upgraded = || {
            let mut client = connect();
            client.send(UPGRADE);
            assert!(client.head().starts_with("HTTP/1.1 101 "));
            client
        };
        (0..count).map(|_| upgraded()).collect()
    };
    let _warm = open(100);
    let before = resident_bytes(gateway.pid());
    let _idle = open(connections);
    let held = resident_bytes(gateway.pid()).saturating_sub(before) / connections as u64;
    eprintln!("{connections} idle upgraded connections: {held} bytes each");
    held
}

#[test]
fn an_idle_upgraded_connection_holds_little() {
    let gateway = wing("echo", "");
    let held = of_idle(&gateway, count("IDLE_UPGRADES", 500), || gateway.client());
    assert!(held < 24 * KIB, "{held} bytes");
}

#[test]
fn an_idle_upgraded_connection_over_tls_holds_what_tls_does_and_little_more() {
    let pki = Pki::new();
    let gateway = wing("echo", &format!(", tls: {{ certificates: [{}] }}", pki.issue("app.test").yaml()));
    let config = pki.client(&["http/1.1"]);
    let held = of_idle(&gateway, count("IDLE_UPGRADES", 500), || gateway.client().with_tls(&config, "app.test"));
    assert!(held < 48 * KIB, "{held} bytes");
}
