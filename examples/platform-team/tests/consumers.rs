//! What the team's filter says of a caller, over real sockets: it keeps its endpoint and its cluster.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up stops here, with the place")]

use portcullis_integration_tests::{Gateway, Origin};
use std::collections::HashSet;
use std::path::Path;

const TENANTS: usize = 20;

/// The team's gateway: a cluster that is balanced by the consumer, and a split that sticks to it. The tenants' zone has no
/// endpoint, so that the filter leaves the choice to the cluster.
fn gateway(origins: [&Origin; 2]) -> Gateway {
    let [one, other] = origins.map(Origin::address);
    let tenants: Vec<String> = (0..TENANTS).map(|tenant| format!("t{tenant}: nowhere")).collect();
    let filters = format!("filters: [ {{ tenant: {{ header: x-tenant, tenants: {{ {} }} }} }} ]", tenants.join(", "));
    let text = format!(
        "listeners:\n  edge: {{ bind: \"@edge\" }}\n\
         clusters:\n\
         \x20 app:\n\
         \x20   endpoints: [\"{one}\", \"{other}\"]\n\
         \x20   balance: {{ hash: {{ by: consumer, bound: 200% }} }}\n\
         \x20 one: {{ endpoints: [\"{one}\"] }}\n\
         \x20 other: {{ endpoints: [\"{other}\"] }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   routes:\n\
         \x20     - {{ name: open, match: {{ path: /open }}, to: app }}\n\
         \x20     - name: split\n\
         \x20       match: {{ path: /split }}\n\
         \x20       {filters}\n\
         \x20       to: {{ split: {{ one: 1, other: 1 }}, sticky: consumer }}\n\
         \x20     - name: app\n\
         \x20       {filters}\n\
         \x20       to: app\n"
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_platform-team")), &text)
}

#[test]
fn a_consumer_keeps_its_endpoint_and_its_cluster_and_the_anonymous_do_not() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let gateway = gateway([&one, &other]);
    let mut client = gateway.client();
    let mut ask = |path: &str, tenant: usize| {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Tenant: t{tenant}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    for [path, same] in [["/", "/elsewhere?a=1"], ["/split", "/split/elsewhere"]] {
        let first: Vec<String> = (0..TENANTS).map(|tenant| ask(path, tenant)).collect();
        let again: Vec<String> = (0..TENANTS).map(|tenant| ask(same, tenant)).collect();
        assert_eq!(first, again, "{path}");
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 2, "{path}: {first:?}");
    }
    // Where no filter says who is calling, chance decides: one tenant meets both.
    let met: HashSet<String> = (0..60).map(|_| ask("/open", 0)).collect();
    assert_eq!(met.len(), 2);
}
