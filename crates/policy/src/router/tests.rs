//! Hosts: who answers, who is told, and that it equals a naive search.

use proptest::prelude::*;

use super::*;
use crate::test_kit::{path, route};

fn spec(names: &[&str]) -> VirtualHostSpec<String, String> {
    let names: Vec<HostPattern> = names.iter().map(|name| name.parse().unwrap()).collect();
    let data = names.first().map(ToString::to_string).unwrap_or_default();
    VirtualHostSpec { names, data, routes: vec![route("all", path("prefix /"))] }
}

fn router(hosts: &[&[&str]]) -> Router<String, String> {
    let mut builder = Router::builder_with_seed(Seed::fixed(3));
    for names in hosts {
        builder.add(spec(names)).unwrap();
    }
    builder.build()
}

#[test]
fn an_explanation_names_what_was_tried_until_the_winner() {
    let router = router(&[&["rpc.example.com"], &["*.example.com", "*.com"], &["*"]]);
    for (host, expected) in [
        ("rpc.example.com", "rpc.example.com: found"),
        ("a.b.example.com", "a.b.example.com: not configured, *.example.com: found"),
        ("example.com", "example.com: not configured, *.com: found"),
        ("a.org", "a.org: not configured, *.org: not configured, *: found"),
    ] {
        let explanation = router.explain_host(host);
        assert_eq!(explanation.to_string(), expected);
        let found = explanation.host.map(VirtualHost::data);
        assert_eq!(found, router.host(host).map(VirtualHost::data), "{host}");
    }
}

#[test]
fn without_a_default_an_unknown_host_has_none() {
    let router = router(&[&["a.com"]]);
    assert!(router.host("b.com").is_none() && router.host("").is_none());
    let with_default = self::router(&[&["a.com", "*.a.com"], &["*"]]);
    for (host, named) in [("a.com", true), ("x.a.com", true), ("b.com", false), ("", false)] {
        assert_eq!(with_default.named_host(host).is_some(), named, "{host}");
    }
    assert_eq!(router.explain_host("b.com").to_string(), "b.com: not configured, *: not configured");
}

#[test]
fn hosts_come_in_order_and_names_with_their_hosts() {
    let router = router(&[&["b.com", "*.b.com", "*"], &["a.com"], &[]]);
    let hosts: Vec<&str> = router.hosts().map(|host| host.data().as_str()).collect();
    assert_eq!(hosts, ["b.com", "a.com", ""]);
    let mut names: Vec<_> = router.names().map(|(name, host)| format!("{name} {}", host.data())).collect();
    names.sort();
    assert_eq!(names, ["* b.com", "*.b.com b.com", "a.com a.com", "b.com b.com"]);
}

#[test]
fn a_conflict_names_both_hosts_and_later_ones_are_found_too() {
    let mut builder = Router::builder_with_seed(Seed::fixed(3));
    builder.add(spec(&["a.com", "*"])).unwrap();
    let conflict = builder.add(spec(&["b.com", "a.com", "b.com", "*"])).unwrap_err();
    let expected =
        "`a.com` is already a name of host number 1, `b.com` stands twice, `*` is already a name of host number 1";
    assert_eq!(conflict.to_string(), expected);
    assert_eq!(builder.add(spec(&["b.com"])).unwrap_err().taken, [("b.com".parse().unwrap(), 1)]);
    assert_eq!(builder.build().host("b.com").unwrap().data(), "b.com");
}

#[test]
fn equal_parts_of_routes_are_held_once() {
    let mut builder = Router::builder_with_seed(Seed::fixed(3));
    for n in 0..2 {
        builder.add(spec(&[&format!("h{n}.com")])).unwrap();
    }
    let router = builder.build();
    let names: Vec<*const u8> = router.hosts().map(|host| host.routes()[0].name().as_str().as_ptr()).collect();
    assert_eq!(names[0], names[1]);
    let paths: Vec<*const u8> = router.hosts().map(|host| host.routes()[0].path().text().as_ptr()).collect();
    assert_eq!(paths[0], paths[1]);
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "ab", "c"], 1..5).prop_map(|labels| labels.join("."))
}

/// What the words say, in plain code.
fn naive<'n>(names: &'n [String], host: &str) -> Option<&'n String> {
    let suffix = |name: &&String| name.strip_prefix('*').is_some_and(|s| s.len() > 1 && host.ends_with(s));
    names
        .iter()
        .find(|name| *name == host)
        .or_else(|| names.iter().filter(suffix).max_by_key(|name| name.len()))
        .or_else(|| names.iter().find(|name| *name == "*"))
}

proptest! {
    #[test]
    fn lookup_equals_a_naive_search(
        names in proptest::collection::hash_set((name(), 0..3u8), 0..40),
        hosts in proptest::collection::vec(name(), 1..40),
        default: bool,
        seed: u64,
    ) {
        let star = |(name, kind): (String, u8)| if kind == 0 { format!("*.{name}") } else { name };
        let mut names: Vec<String> = names.into_iter().map(star).collect();
        names.sort();
        names.dedup();
        names.extend(default.then(|| "*".to_owned()));
        let mut builder = Router::builder_with_seed(Seed::fixed(seed));
        for name in &names {
            builder.add(spec(&[name])).unwrap();
        }
        let router = builder.build();
        for host in &hosts {
            prop_assert_eq!(router.host(host).map(VirtualHost::data), naive(&names, host), "{}", host);
            let explained = router.explain_host(host);
            prop_assert_eq!(explained.host.map(VirtualHost::data), naive(&names, host));
        }
    }

    #[test]
    fn no_host_panics(host in "\\PC*|[.a]*", seed: u64) {
        let mut builder = Router::builder_with_seed(Seed::fixed(seed));
        builder.add(spec(&["a", "*.a", "*.a.a", "*"])).unwrap();
        let router = builder.build();
        prop_assert!(router.host(&host).is_some());
        prop_assert!(!router.explain_host(&host).tried.is_empty());
    }
}
