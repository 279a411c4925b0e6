//! What applications see that use real client libraries, through the gateway, of something that answers real Solana RPC.

use portcullis_integration_tests::solana::{App, Node};
use portcullis_integration_tests::{Gateway, Setup};
use serde_json::{Value, json};

fn gateway(node: &Node) -> Gateway {
    Setup::to_address(node.endpoint(0)).start()
}

fn place(gateway: &Gateway) -> String {
    gateway.address("edge").to_string()
}

fn of<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("nothing of {check} in {lines:#?}"))
}

/// Airdrop, transfer, both confirmed by signatureSubscribe, and an error whose logs the application can read.
fn journey(app: App) {
    let node = Node::start(1);
    let gateway = gateway(&node);
    let lines = app.start("journey", &place(&gateway), &[]).finish();
    assert_eq!(of(&lines, "airdrop")["ok"], json!({ "err": null, "balance": 2_000_000_000_u64 }));
    assert_eq!(of(&lines, "transfer")["ok"], json!({ "err": null, "balance": 5_000_000 }));
    let logs = of(&lines, "logs")["error"].to_string();
    assert!(logs.contains("insufficient lamports") && logs.contains("custom program error: 0x1"), "{logs}");
    if app == App::Web3 {
        let results = of(&lines, "batch")["ok"].as_array().unwrap();
        assert!(results[0]["result"].is_u64() && results[1]["result"]["value"] == 5_000_000, "{results:?}");
    }
    assert_eq!(node.calls(0, "sendTransaction"), 2, "nothing is sent twice");
    assert!(node.calls(0, "signatureSubscribe") >= 2, "{}", node.state(0)["methods"]);
}

#[test]
fn web3_js_goes_through_airdrop_transfer_batch_and_an_error_with_logs() {
    journey(App::Web3);
}

#[test]
fn kit_goes_through_airdrop_transfer_and_an_error_with_logs() {
    journey(App::Kit);
}

#[test]
fn solana_py_goes_through_airdrop_transfer_and_an_error_with_logs() {
    journey(App::Python);
}
