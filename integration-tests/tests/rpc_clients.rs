//! What applications see that use real client libraries, through the gateway, of something that answers real Solana RPC.
//! The gateway runs on `conf/rpc-gateway.yaml`, with the addresses of the test.

mod failures;
mod journeys;
mod upstreams;

use portcullis_integration_tests::Gateway;
use portcullis_integration_tests::solana::Node;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The sample keys of `conf/consumers/rpc.yaml`, as its comments have them.
mod keys {
    /// Of plan `business`.
    pub(super) const GOOD: &str = "pk_u7g89dk67SKidC4beJpyNHUvjcpQqks9wjrwF7Dl3gd0hNJRc";
    /// Of plan `free`.
    pub(super) const OTHER: &str = "pk_xZLyiOGsfOYe2KawqU5fjmBI3mIfhK0oDWYpQ8pGwSD1kAMaP";
    /// Past its end.
    pub(super) const REVOKED: &str = "pk_jOP8ryAhxdS2fYTCV20KBoOgzedrygdXHPEXOoqAGJF1SGAXJ";
}

fn conf() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conf")
}

/// The example's text with the addresses of the test. `replaced` are further texts of it, each with what stands instead.
/// A node that has a port of its own for WebSockets, as agave does, is a cluster more.
fn example(node: &Node, replaced: &[(&str, &str)]) -> String {
    let text = std::fs::read_to_string(conf().join("rpc-gateway.yaml")).unwrap();
    let consumers = conf().join("consumers").display().to_string();
    let pair = format!("\"{}\", \"{}\"", node.endpoint(0), node.endpoint(1));
    let archive = format!("\"{}\"", node.endpoint(2));
    let usual = [
        ("\"127.0.0.1:8899\", \"127.0.0.1:8898\"", pair.as_str()),
        ("\"127.0.0.1:8897\"", &archive),
        ("\"127.0.0.1:8080\"", "\"@edge\""),
        ("\"127.0.0.1:9901\"", "\"@admin\""),
        ("file: consumers/", &format!("file: {consumers}/")),
        ("file:consumers/", &format!("file:{consumers}/")),
    ];
    let quoted = |address: &SocketAddr| format!("\"{address}\"");
    let pubsub = node.pubsub().map(|all| all[..2].iter().map(quoted).collect::<Vec<_>>().join(", "));
    let pubsub = pubsub.map(|pair| format!("  pubsub: {{ endpoints: [{pair}] }}\n  archive:  "));
    let apart = pubsub.as_deref().map(|clusters| {
        [("  archive:  ", clusters), ("{ subscriptions: 200 }", "{ subscriptions: 200, to: pubsub, calls: [] }")]
    });
    usual.iter().chain(apart.iter().flatten()).chain(replaced).fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the example has no {from}");
        text.replace(from, to)
    })
}

/// A node with two endpoints at the tip and one archive, and the gateway before them.
fn start(replaced: &[(&str, &str)]) -> (Node, Gateway) {
    let node = Node::start(3);
    let gateway = Gateway::with_yaml(&example(&node, replaced));
    (node, gateway)
}

/// What stands behind `http://` for a key in the query.
fn place(gateway: &Gateway, key: &str) -> String {
    format!("{}/?api-key={key}", gateway.address("edge"))
}

/// What a script said of a check.
fn of<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("nothing of {check} in {lines:#?}"))
}
