//! Nodes of a chain: who is behind, who lies, and who has the slot that a request asks for.

use portcullis_integration_tests::cli::run;
use portcullis_integration_tests::origin::solana::{FIRST, Mind, tip};
use portcullis_integration_tests::origin::{HyperOrigin, SolanaNode, full};
use portcullis_integration_tests::{Gateway, Setup, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Instant;

const CHECK: &str = "health_check: { solana: {}, interval: 100ms, timeout: 100ms, unhealthy_after: 2, jitter: 0% }";

fn gateway(nodes: &[&SolanaNode], rest: &str) -> Gateway {
    let (first, others) = nodes.split_first().unwrap();
    let setup = others.iter().fold(Setup::to_address(first.address()), |setup, node| setup.and_to(node.address()));
    setup.cluster("balance: round_robin").cluster("slow_start: 0s").cluster(rest).start()
}

fn cluster(gateway: &Gateway) -> Value {
    gateway.admin().json("/api/clusters")["clusters"][0].clone()
}

fn endpoint(gateway: &Gateway, node: &SolanaNode) -> Value {
    let cluster = cluster(gateway);
    let endpoints = cluster["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["address"] == node.address().to_string()).unwrap().clone()
}

/// Waits until an endpoint stands so.
fn stands(gateway: &Gateway, node: &SolanaNode, standing: &str) -> Value {
    until(&format!("{} to be {standing}", node.name()), || {
        let endpoint = endpoint(gateway, node);
        (endpoint["standing"] == standing && !endpoint["height"].is_null()).then_some(endpoint)
    })
}

fn post(body: &str) -> String {
    let fields = "Host: app.test\r\nContent-Type: application/json";
    format!("POST / HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const BALANCE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["3Kz9"]}"#;

/// Which nodes answer so many requests.
fn answering(gateway: &Gateway, requests: usize) -> BTreeSet<String> {
    let mut client = gateway.client();
    let ask = |_| {
        let answer = client.ask(post(BALANCE));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["result"]["value"].as_str().unwrap().to_owned()
    };
    (0..requests).map(ask).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_laggard_leaves_is_named_and_returns() {
    let (a, b, c) = (SolanaNode::new("a"), SolanaNode::new("b"), SolanaNode::new("c"));
    let gateway = gateway(&[&a, &b, &c], CHECK);
    stands(&gateway, &c, "in_use");
    assert_eq!(answering(&gateway, 30), names(&["a", "b", "c"]));
    c.set_off(-173);
    let out = stands(&gateway, &c, "behind");
    let says = out["says"].as_str().unwrap();
    assert!(
        says.contains("takes no requests: behind: slot 312 34") && says.contains("behind the reference 312 34"),
        "{says}"
    );
    assert!(out["would_change"].as_str().unwrap().contains("within 25 slots of the reference"), "{out}");
    assert!((150..=190).contains(&out["height"]["lag"].as_u64().unwrap()), "{out}");
    assert_eq!(answering(&gateway, 30), names(&["a", "b"]));
    let reference = cluster(&gateway)["heights"]["reference"].as_u64().unwrap();
    assert!(reference.abs_diff(tip()) < 50, "{reference} at {}", tip());
    let labels = format!("endpoint=\"{}\"", c.address());
    let admin = gateway.admin();
    until("the metrics", || (admin.metric("portcullis_endpoint_lag", &labels) > 100.0).then_some(()));
    assert!(admin.metric("portcullis_endpoint_height", &labels) > 312_000_000.0);
    let record = gateway.record_of(&gateway.client().ask(post(BALANCE)));
    assert!(record["endpoints"].to_string().contains("off_height"), "{record}");
    for words in [vec!["status"], vec!["explain", "--live", "POST http://app.test/"]] {
        let told = run(gateway.dir(), &[words.as_slice(), &["-c", "gateway.yaml"]].concat());
        assert!(told.code == 0 && told.stdout.contains("behind the reference"), "{words:?}: {told:?}");
    }
    c.set_off(0);
    stands(&gateway, &c, "in_use");
    assert_eq!(answering(&gateway, 30), names(&["a", "b", "c"]));
    until("the log to say so", || {
        let log = gateway.stderr();
        (log.contains("it takes no requests") && log.contains("it keeps up: slot")).then_some(())
    });
}

#[test]
fn one_liar_far_ahead_empties_nothing() {
    let (a, b, liar) = (SolanaNode::new("a"), SolanaNode::new("b"), SolanaNode::new("liar"));
    liar.set_off(5_000_000);
    let gateway = gateway(&[&liar, &a, &b], CHECK);
    let named = stands(&gateway, &liar, "ahead");
    assert!(named["says"].as_str().unwrap().contains("ahead of all others, and not believed"), "{named}");
    assert_eq!(answering(&gateway, 30), names(&["a", "b"]));
    let reference = cluster(&gateway)["heights"]["reference"].as_u64().unwrap();
    assert!(reference.abs_diff(tip()) < 50, "{reference} at {}", tip());
    liar.set_off(0);
    stands(&gateway, &liar, "in_use");
}

#[test]
fn what_a_node_says_of_itself_counts_at_once() {
    let (a, b) = (SolanaNode::new("a"), SolanaNode::new("b"));
    let gateway = gateway(&[&a, &b], CHECK);
    stands(&gateway, &b, "in_use");
    b.set_mind(Mind::Behind(Some(1042)));
    let out = stands(&gateway, &b, "behind");
    assert!(out["says"].as_str().unwrap().contains("it says that it is 1 042 slots behind"), "{out}");
    assert_eq!(out["health"], "healthy", "it answers, after all");
    assert_eq!(answering(&gateway, 10), names(&["a"]));
    b.set_mind(Mind::Well);
    stands(&gateway, &b, "in_use");
    a.set_unprocessed(101);
    let out = stands(&gateway, &a, "behind");
    assert!(out["says"].as_str().unwrap().contains("received 101 slots that it has not worked through"), "{out}");
    assert_eq!(answering(&gateway, 10), names(&["b"]));
}

#[test]
fn when_all_are_behind_the_highest_are_used_and_that_is_said() {
    let (a, b, c) = (SolanaNode::new("a"), SolanaNode::new("b"), SolanaNode::new("c"));
    let gateway = gateway(&[&a, &b, &c], CHECK);
    stands(&gateway, &c, "in_use");
    c.set_off(-4_000);
    for node in [&a, &b, &c] {
        node.set_mind(Mind::Behind(None));
    }
    let used = stands(&gateway, &a, "highest");
    assert!(used["says"].as_str().unwrap().contains("although it is not well, since none is better"), "{used}");
    stands(&gateway, &c, "behind");
    assert_eq!(answering(&gateway, 30), names(&["a", "b"]));
    assert!(cluster(&gateway)["heights"]["says"].as_str().unwrap().contains("the highest of them are used"));
    until("the log to say so", || gateway.stderr().contains("the highest of them are used").then_some(()));
}

#[test]
fn when_no_check_passes_requests_are_served_all_the_same() {
    let (a, b) = (SolanaNode::new("a"), SolanaNode::new("b"));
    let gateway = gateway(&[&a, &b], CHECK);
    stands(&gateway, &b, "in_use");
    a.set_mind(Mind::Broken);
    b.set_mind(Mind::Broken);
    for node in [&a, &b] {
        let used = stands(&gateway, node, "panic");
        assert_eq!((&used["health"], &used["takes_requests"]), (&"unhealthy".into(), &true.into()), "{used}");
    }
    assert_eq!(answering(&gateway, 20), names(&["a", "b"]));
    a.set_mind(Mind::Well);
    stands(&gateway, &a, "in_use");
    stands(&gateway, &b, "unhealthy");
    assert_eq!(answering(&gateway, 20), names(&["a"]));
}

#[test]
fn a_node_that_takes_no_batches_is_asked_one_by_one() {
    for (batch, health, says) in [("batch: false", "healthy", ""), ("batch: true", "unhealthy", "the error -32600")] {
        let node = SolanaNode::new("a");
        node.refuse_batches();
        let check =
            format!("health_check: {{ solana: {{ {batch} }}, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }}");
        let gateway = gateway(&[&node], &check);
        until("its health to be known", || {
            let endpoint = endpoint(&gateway, &node);
            (endpoint["health"] == health).then_some(())
        });
        until("the log to say why", || gateway.stderr().contains(says).then_some(()));
    }
}

#[test]
fn polling_rests_while_answers_that_pass_tell_as_much() {
    let node = SolanaNode::new("a");
    let gateway = gateway(&[&node], CHECK);
    until("some polls", || (node.polls() > 3).then_some(()));
    let (before, began) = (node.polls(), Instant::now());
    let mut client = gateway.client();
    while began.elapsed().as_millis() < 3_000 {
        assert_eq!(client.ask(post(BALANCE)).status, 200);
    }
    let polls = u128::try_from(node.polls() - before).unwrap();
    let without = began.elapsed().as_millis() / 100;
    assert!(polls * 2 < without, "{polls} polls where {without} would have been");
}

fn balance_at(least: u64) -> String {
    post(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["3Kz9",{{"minContextSlot":{least}}}]}}"#))
}

/// A gateway that reads bodies, before three nodes that stand still, the second ten slots before the others.
fn reading() -> ([SolanaNode; 3], Gateway) {
    let nodes = ["a", "b", "c"].map(SolanaNode::new);
    for (node, slot) in nodes.iter().zip([FIRST, FIRST + 10, FIRST]) {
        node.stand_at(slot);
    }
    let [a, b, c] = &nodes;
    let setup = [b, c].iter().fold(Setup::to_address(a.address()), |setup, node| setup.and_to(node.address()));
    let setup = setup.cluster("balance: round_robin").cluster("slow_start: 0s").cluster(CHECK);
    let gateway = setup.route("match: { path: /, jsonrpc: [\"get*\"] }").start();
    nodes.iter().for_each(|node| drop(stands(&gateway, node, "in_use")));
    (nodes, gateway)
}

#[test]
fn a_request_for_a_slot_goes_to_a_node_that_has_it() {
    let (nodes, gateway) = reading();
    let mut client = gateway.client();
    for _ in 0..20 {
        let answer = client.ask(balance_at(FIRST + 10)).json();
        assert_eq!(answer["result"]["value"], "b", "{answer}");
    }
    let asked = FIRST + 10;
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["x",{{"minContextSlot":{asked}}}]}}"#);
    let args = ["explain", "--live", "-c", "gateway.yaml", "-H", "content-type: application/json", "-d", body.as_str()];
    let told = run(gateway.dir(), &[&args[..], &["POST http://app.test/"]].concat());
    assert!(told.stdout.contains("which 1 of its endpoints are known to have"), "{told:?}");
    let any: BTreeSet<String> =
        (0..30).map(|_| client.ask(balance_at(FIRST)).json()["result"]["value"].as_str().unwrap().to_owned()).collect();
    assert_eq!(any, names(&["a", "b", "c"]), "all of them have that one");
    // Another one gets there, and checks find it out.
    nodes[2].stand_at(FIRST + 12);
    until("c to be found", || {
        let answer = client.ask(balance_at(FIRST + 11)).json();
        (answer["result"]["value"] == "c").then_some(())
    });
}

#[test]
fn a_slot_that_no_node_has_is_refused_by_the_node_itself_byte_for_byte() {
    let (_nodes, gateway) = reading();
    let answer = gateway.client().ask(balance_at(FIRST + 5_000));
    let own = format!(
        r#"{{"jsonrpc":"2.0","error":{{"code":-32016,"data":{{"contextSlot":{}}},"message":"Minimum context slot has not been reached"}},"id":1}}"#,
        FIRST + 10
    );
    assert_eq!((answer.status, answer.text()), (200, own), "by the highest");
}

#[test]
fn answers_are_not_touched_and_other_clusters_are_not_listened_to() {
    let odd = HyperOrigin::plain(|_| {
        http::Response::new(full(r#"{"jsonrpc":"2.0","result":{"context":{"slot":99999999999},"value":1},"id":1}"#))
    });
    let gateway = Setup::to_address(odd.address()).start();
    assert!(gateway.client().ask(post(BALANCE)).text().contains("99999999999"));
    assert!(cluster(&gateway)["endpoints"][0]["height"].is_null());
}
