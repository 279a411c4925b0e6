//! What the settings take and refuse.

use std::time::Duration;

use super::*;
use crate::ws::testing::{config, settings};

#[test]
fn nothing_need_be_said() {
    let config = settings("{}");
    assert_eq!(config.to, None);
    let client = &config.client;
    assert_eq!((client.subscriptions, client.pending, client.frame, client.buffer), (100, 32, 4096, 262_144));
    assert_eq!((client.ping, client.idle, client.credits), (Duration::from_secs(30), Duration::from_secs(90), 0));
    assert!(client.calls.has("getSlot") && !client.calls.has("getSlots"));
    let key = config.hub.key(ClusterName::from("rpc"));
    assert_eq!((key.path.as_str(), key.lines, key.message), ("/", 4, 32 << 20));
    assert_eq!((key.terms.silence.as_secs(), key.terms.tolerate_gaps), (85, false));
}

#[test]
fn calls_are_those_that_are_named() {
    let calls = settings("calls: [getSlot, \"x*\"]").client.calls.clone();
    assert!(calls.has("getSlot") && calls.has("xyz") && !calls.has("getBlock"));
    assert!(!settings("calls: []").client.calls.has("getSlot"));
    assert!(settings("calls: [solana, mine]").client.calls.has("mine"));
}

#[test]
fn routes_that_say_the_same_share_a_hub_and_others_do_not() {
    let key = |yaml: &str| settings(yaml).hub.key(ClusterName::from("rpc"));
    assert_eq!(key("subscriptions: 5\nframe: 8KiB"), key("{}"));
    for other in ["gaps: tolerate", "path: /ws", "silence: 60s", "connections: 2", "message: 1MiB", "timeout: 5s"] {
        assert_ne!(key(other), key("{}"), "{other}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let cases = [
        ("subscriptions: 0", "a number from 1 to 10000"),
        ("pending: 2000", "a number from 1 to 1024"),
        ("connections: 0", "a number from 1 to 64"),
        ("frame: 2MiB", "a size from `64B` to `1MiB`"),
        ("buffer: 1KiB", "a size from `4KiB` to `64MiB`"),
        ("message: 1GiB", "a size from `4KiB` to `256MiB`"),
        ("silence: 1s", "a duration from `5s` to `1h`"),
        ("timeout: 500ms", "a duration from `1s` to `1h`"),
        ("path: ws", "a path that begins with `/`"),
        ("path: \"/a b\"", "a path that begins with `/`"),
        ("gaps: maybe", "close"),
        ("ping: 90s", "given up before it was pinged"),
        ("subscription: 5", "did you mean `subscriptions`?"),
        ("calls: [\"a*b\"]", "`solana`, a method or a pattern"),
    ];
    for (yaml, expected) in cases {
        let report = config(yaml).expect_err(yaml);
        assert!(report.contains(expected), "{yaml}: {report}");
    }
}
