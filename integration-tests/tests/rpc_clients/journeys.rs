//! Airdrop, transfer, both confirmed by signatureSubscribe, a batch, and an error whose logs the application can read.

use portcullis_integration_tests::solana::App;
use serde_json::json;

use super::{keys, of, place, start};

fn journey(app: App) {
    let (node, gateway) = start(&[]);
    let lines = app.start("journey", &place(&gateway, keys::GOOD), &[]).finish();
    assert_eq!(of(&lines, "airdrop")["ok"], json!({ "err": null, "balance": 2_000_000_000_u64 }));
    assert_eq!(of(&lines, "transfer")["ok"], json!({ "err": null, "balance": 5_000_000 }));
    let logs = of(&lines, "logs")["error"].to_string();
    assert!(logs.contains("insufficient lamports") && logs.contains("custom program error: 0x1"), "{logs}");
    if app == App::Web3 {
        let results = of(&lines, "batch")["ok"].as_array().unwrap();
        assert!(results[0]["result"].is_u64() && results[1]["result"]["value"] == 5_000_000, "{results:?}");
    }
    let calls = |method: &str| (0..2).map(|endpoint| node.calls(endpoint, method)).sum::<u64>();
    assert_eq!(calls("sendTransaction"), 2, "nothing is sent twice");
    assert!(calls("signatureSubscribe") >= 2, "{}", node.state(0)["methods"]);
    // Whatever way the key came, no node has seen it, and no log.
    let seen = format!("{}{}", node.state(0), node.state(1));
    assert!(!seen.contains(keys::GOOD), "{seen}");
    let log = std::fs::read_to_string(gateway.dir().join("access.log")).unwrap();
    assert!(!log.contains(keys::GOOD) && !gateway.stderr().contains(keys::GOOD));
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
