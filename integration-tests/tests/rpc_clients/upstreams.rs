//! Nodes that die, lag or fall silent behind subscriptions.

use portcullis_integration_tests::solana::{App, Node, Script};
use portcullis_integration_tests::{Gateway, until};
use serde_json::{Value, json};

use super::{keys, place, start};

/// Follows an account and the slots, until the first slot came.
fn watching(app: App, gateway: &Gateway) -> (Script, String) {
    let script = app.start("watch", &place(gateway, keys::GOOD), &[]);
    let address = script.line("the client to watch", |line| line["check"] == "watching")["address"].clone();
    drop(script.line("a slot", |line| line["check"] == "slot"));
    (script, address.as_str().unwrap().to_owned())
}

/// The endpoint that holds the subscriptions.
fn holder(node: &Node) -> usize {
    (0..2).find(|endpoint| node.calls(*endpoint, "accountSubscribe") > 0).expect("nobody was subscribed to")
}

fn lamports(script: &Script) -> Vec<u64> {
    script
        .lines()
        .iter()
        .filter(|line| line["check"] == "account")
        .filter_map(|line| line["lamports"].as_u64())
        .collect()
}

fn is_closed(line: &Value) -> bool {
    line["check"] == "closed"
}

/// Kills the node that is subscribed to, changes the account, and returns what the client saw from then on.
fn kill_the_upstream(app: App) -> (Node, Gateway, Script, String) {
    let (node, gateway) = start(&[]);
    let (script, address) = watching(app, &gateway);
    let first = holder(&node);
    node.airdrop(first, &address, 1_000_000);
    until("the account's first change", || (lamports(&script) == [1_000_000]).then_some(()));
    node.order(first, &json!({ "dead": true }));
    (node, gateway, script, address)
}

#[test]
fn web3_js_is_told_of_a_gap_and_subscribes_again_by_itself() {
    let (node, _gateway, script, address) = kill_the_upstream(App::Web3);
    let closed = script.line("the close", is_closed);
    assert_eq!(closed["code"], 1012, "{closed}");
    let opened = || script.lines().iter().filter(|line| line["check"] == "open").count();
    until("the client to connect again", || (opened() >= 2).then_some(()));
    let other = (0..2).find(|endpoint| node.state(*endpoint)["faults"]["dead"] == false).unwrap();
    // When it has subscribed again the client does not say, so the account changes until it hears of it.
    until("the account's next change", || {
        // No less than an account must hold to be exempt from rent: a stricter node gives no less at a time.
        node.airdrop(other, &address, 1_000_000);
        lamports(&script).iter().any(|lamports| *lamports > 1_000_000).then_some(())
    });
}

#[test]
fn kit_and_solana_py_are_told_of_a_gap() {
    for app in [App::Kit, App::Python] {
        let (_node, _gateway, script, _) = kill_the_upstream(app);
        let closed = script.line("the end of the subscription", is_closed);
        assert!(closed["error"].is_object(), "{app:?}: {closed}");
    }
}
