//! Who is named, and how callers are told apart.

use portcullis_filter::testkit::Exchange;
use std::sync::Arc;

use crate::caller::testing::{caller, cause, hash, identities, key, services};
use crate::testing::{chain_with, check_refused, run};

#[test]
fn callers_that_nobody_knows_are_told_apart_as_the_config_says() {
    let services = services(&identities(""));
    for (by, client, expected) in [
        ("network", "203.0.113.9", "anonymous:203.0.113.0/24"),
        ("network", "::ffff:203.0.113.9", "anonymous:203.0.113.0/24"),
        ("network", "2001:db8:1:2::3", "anonymous:2001:db8:1::/48"),
        ("address", "203.0.113.9", "anonymous:203.0.113.9"),
        ("nothing", "203.0.113.9", "anonymous"),
    ] {
        let chain = chain_with(&services, &[("anonymous", &format!("{{ plan: free, by: {by} }}"))]);
        let seen = run(&chain, Exchange::get("http://a/").client(client.parse().expect("an address")));
        assert_eq!(caller(&seen), Some((expected.to_owned(), "free".to_owned())), "{by} {client}");
    }
}

#[test]
fn stands_behind_filters_that_know_some() {
    let file = format!(r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}}]}}"#, hash(&key(1)));
    let services = services(&identities(&file));
    let chain = chain_with(&services, &[("api_key", "optional: true"), ("anonymous", "plan: free")]);
    let ask = |key: &str| run(&chain, Exchange::get("http://a/").field("x-api-key", key));
    assert_eq!(caller(&ask(&key(1))), Some(("acme".to_owned(), "pro".to_owned())));
    assert_eq!(caller(&ask("")), Some(("anonymous:192.0.2.0/24".to_owned(), "free".to_owned())));
    assert_eq!((caller(&ask(&key(2))), ask(&key(2)).status), (None, 401));
}

#[test]
fn the_banned_have_no_plan() {
    let identities = identities("");
    let chain = chain_with(&services(&identities), &[("anonymous", "plan: free")]);
    let throttle = Arc::clone(&identities.book().throttle);
    throttle.ban("192.0.2.7/32".parse().expect("a network"), None, "abuse", crate::caller::now()).expect("a ban");
    let seen = run(&chain, Exchange::get("http://a/"));
    assert_eq!((seen.status, cause(&seen)), (401, "network_banned"));
}

#[test]
fn refuses_wrong_settings() {
    check_refused("anonymous", "{}", "`plan`");
    check_refused("anonymous", "plan: 'two words'", "visible ASCII");
    check_refused("anonymous", "{ plan: free, by: cookie }", "unknown value `cookie`");
}
