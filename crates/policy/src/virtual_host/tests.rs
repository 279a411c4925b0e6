//! The winner among routes, what is told of the others, and that nothing is allocated on the way.

use super::*;
use crate::matcher::{BodyMatch, Conditions, HeaderMatcher, Matcher, MethodMatcher, NetworkMatcher, ValueMatch};
use crate::test_kit::{Request, path, route};

mod oracle;

type Specs = Vec<RouteSpec<String>>;

fn host(routes: Specs) -> VirtualHost<(), String> {
    VirtualHost::new((), routes, Seed::fixed(5))
}

/// The same routes in a small host and in one that is large enough for an index.
fn both(routes: impl Fn() -> Specs) -> [VirtualHost<(), String>; 2] {
    let filler = (0..50).map(|n| route(&format!("filler-{n}"), path(&format!("exact /filler/{n}"))));
    [host(routes()), host(routes().into_iter().chain(filler).collect())]
}

fn winner(host: &VirtualHost<(), String>, request: &Request) -> String {
    host.find(&request.view()).map(|found| found.route.data().clone()).unwrap_or_default()
}

fn header(name: &str, value: &str) -> HeaderMatcher {
    let value = if value == "*" { ValueMatch::Present } else { ValueMatch::Exact(value.into()) };
    HeaderMatcher { name: name.parse().unwrap(), value }
}

/// `prefix /a; POST; x=1 y=*; 10.0.0.0/8; getSlot`, any part but the first may be missing or empty.
fn matcher(text: &str) -> Matcher {
    let mut parts = text.split(';').map(str::trim);
    let path = path(parts.next().unwrap());
    let mut words = || parts.next().unwrap_or_default().split_whitespace();
    let conditions = Conditions {
        methods: MethodMatcher::new(words().map(|word| word.parse().unwrap())),
        headers: words().map(|word| word.split_once('=').unwrap()).map(|(n, v)| header(n, v)).collect(),
        network: NetworkMatcher::new(words().map(|word| word.parse().unwrap())),
        body: BodyMatch::jsonrpc(words().map(|word| word.parse().unwrap())),
        ..Conditions::default()
    };
    Matcher { path, conditions }
}

fn routes(texts: &[&str]) -> Specs {
    texts.iter().map(|text| route(text, matcher(text))).collect()
}

#[test]
fn the_highest_rank_wins_whatever_the_order() {
    let ladder = [
        "prefix /",
        "prefix /a",
        "prefix /a/b",
        "regex /.*",
        "regex /a/b.*",
        "template /{*rest}",
        "template /{x}/{*rest}",
        "template /{x}/{y}/{z}",
        "template /a/{*rest}",
        "template /a/{y}/{z}",
        "template /a/b/{z}",
        "exact /a/b/c",
        "exact /a/b/c; ; ; 203.0.113.0/24",
        "exact /a/b/c; ; ; 203.0.113.9/32",
        "exact /a/b/c; ; x=1",
        "exact /a/b/c; ; x=1 y=*",
        "exact /a/b/c; GET",
        "exact /a/b/c; GET; x=1",
    ];
    let request = Request::new("GET /a/b/c").header("x", "1").header("y", "2");
    for top in 1..=ladder.len() {
        for host in both(|| routes(&ladder[..top])) {
            assert_eq!(winner(&host, &request), ladder[top - 1]);
        }
    }
}

#[test]
fn names_of_methods_rank_before_patterns_and_long_patterns_before_short_ones() {
    let ladder = [
        "prefix /",
        "prefix /; ; ; ; *",
        "prefix /; ; ; ; get* send",
        "prefix /; ; ; ; getBlock sendTransaction* getBl*",
        "prefix /; ; ; ; getBlock getSlot",
    ];
    let request = Request::new("POST /").calls(Some(&["getBlock"]));
    for top in 1..=ladder.len() {
        for host in both(|| routes(&ladder[..top])) {
            assert_eq!(winner(&host, &request), ladder[top - 1]);
        }
    }
}

#[test]
fn equal_ranks_go_by_the_order_of_the_file() {
    for host in both(|| routes(&["prefix /a; GET POST", "prefix /a; GET", "regex /a/[a-z]", "regex /[a-z]/b"])) {
        assert_eq!(winner(&host, &Request::new("GET /a")), "prefix /a; GET POST");
        assert_eq!(winner(&host, &Request::new("GET /a/b")), "regex /a/[a-z]");
        assert_eq!(host.find(&Request::new("GET /a").view()).unwrap().route.order(), 0);
    }
}

#[test]
fn a_route_that_fails_leaves_the_request_to_the_next() {
    for host in both(|| routes(&["exact /a; POST", "template /{x}; PUT", "regex /a; ; x=1", "prefix /"])) {
        for (request, expected) in [
            (Request::new("POST /a"), "exact /a; POST"),
            (Request::new("PUT /a"), "template /{x}; PUT"),
            (Request::new("GET /a").header("x", "1"), "regex /a; ; x=1"),
            (Request::new("GET /a"), "prefix /"),
        ] {
            assert_eq!(winner(&host, &request), expected);
        }
    }
}

#[test]
fn a_match_knows_what_the_template_captured() {
    for host in both(|| routes(&["template /users/{id}/{*rest}", "prefix /"])) {
        let request = Request::new("GET /users/42/a/b");
        let found = host.find(&request.view()).unwrap();
        assert_eq!(found.param("id", &request.path), Some("42"));
        assert_eq!(found.param("rest", &request.path), Some("a/b"));
        assert_eq!(found.param("other", &request.path), None);
        assert!(host.find(&Request::new("GET /").view()).unwrap().params.is_empty());
    }
}

#[test]
fn prefixes_deeper_than_the_index_go_by_length() {
    let deep = |segments: usize| format!("prefix {}", "/a".repeat(segments));
    let texts = [deep(20), deep(31), deep(32), deep(33), deep(40), deep(50)];
    for host in both(|| routes(&texts.each_ref().map(String::as_str))) {
        for (segments, expected) in [(19, ""), (20, &*texts[0]), (32, &texts[2]), (39, &texts[3]), (90, &texts[5])] {
            assert_eq!(winner(&host, &Request::new(&format!("GET {}", "/a".repeat(segments)))), expected);
        }
    }
}

#[test]
fn a_body_is_needed_only_when_the_decision_hangs_on_it() {
    let texts = ["prefix /rpc; POST; ; ; getBlock", "prefix /rpc; POST", "prefix /; ; ; ; getSlot", "exact /rpc/x"];
    for host in both(|| routes(&texts)) {
        for (line, expected) in [("POST /rpc", true), ("GET /rpc", true), ("POST /rpc/x", false), ("POST /other", true)]
        {
            assert_eq!(host.needs_body(&Request::new(line).view()), expected, "{line}");
        }
        let request = Request::new("POST /rpc").calls(Some(&["getBlock"]));
        assert_eq!(winner(&host, &request), texts[0]);
        let request = Request::new("POST /rpc").calls(Some(&["getBlock", "send"]));
        assert_eq!(winner(&host, &request), texts[1]);
        assert_eq!(winner(&host, &Request::new("POST /rpc")), texts[1]);
        assert_eq!(winner(&host, &Request::new("GET /rpc")), "");
    }
}

#[test]
fn an_explanation_goes_in_ranking_order_past_the_winner() {
    let host = host(routes(&["prefix /", "exact /b", "prefix /a; POST", "prefix /a; ; x=1", "prefix /a"]));
    let request = Request::new("GET /a");
    let told: Vec<String> =
        host.explain(&request.view(), 8).iter().map(|c| format!("{}: {}", c.route.name(), c.outcome)).collect();
    let expected = [
        "exact /b: expected path exact /b, found \"/a\"",
        "prefix /a; POST: expected method POST, found GET",
        "prefix /a; ; x=1: expected header x = 1, found none",
        "prefix /a: wins",
        "prefix /: matches, but ranks lower",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_explanation_ends_a_few_routes_after_the_winner() {
    let host = host((0..100).map(|n| route(&n.to_string(), path("prefix /"))).collect());
    assert_eq!(host.explain(&Request::new("GET /").view(), 8).len(), 1 + 8);
}

fn shadowed(texts: &[&str]) -> Vec<(u32, u32)> {
    host(routes(texts)).shadowed().iter().map(|each| (each.order, each.by_order)).collect()
}

#[test]
fn a_route_behind_a_wider_one_of_equal_rank_is_shadowed() {
    for (texts, expected) in [
        (vec!["prefix /a", "prefix /a"], vec![(1, 0)]),
        (vec!["prefix /a", "prefix /a/"], vec![(1, 0)]),
        (vec!["prefix /a; GET POST", "prefix /a; POST"], vec![(1, 0)]),
        (vec!["prefix /a; POST", "prefix /a; GET POST"], vec![]),
        (vec!["prefix /a; ; x=*", "prefix /a; ; x=1"], vec![(1, 0)]),
        (vec!["prefix /a; ; x=1", "prefix /a; ; x=*"], vec![]),
        (vec!["prefix /a", "prefix /a; POST"], vec![]),
        (vec!["prefix /", "prefix /a"], vec![]),
        (vec!["prefix /a", "template /{*rest}"], vec![(0, 1)]),
        (vec!["prefix /a; POST", "template /{*rest}; GET POST"], vec![(0, 1)]),
        (vec!["prefix /a", "template /{*rest}; POST"], vec![]),
        (vec!["prefix /", "regex /.*"], vec![(0, 1)]),
        (vec!["template /a/{x}", "template /a/{y}"], vec![(1, 0)]),
        (vec!["template /a/{x}", "template /{x}/a"], vec![]),
        (vec!["prefix /a; ; ; 10.0.0.0/8 192.0.2.0/24", "prefix /a; ; ; 192.0.2.0/24"], vec![(1, 0)]),
        (vec!["prefix /a; ; ; ; getSlot getBlock", "prefix /a; ; ; ; getSlot"], vec![(1, 0)]),
        (vec!["prefix /a; ; ; ; get*", "prefix /a; ; ; ; getSlot* get*"], vec![(1, 0)]),
        (vec!["prefix /a; ; ; ; get*", "prefix /a; ; ; ; getSlot*"], vec![]),
        (vec!["prefix /a; ; ; ; get*", "prefix /a; ; ; ; getSlot"], vec![]),
    ] {
        assert_eq!(shadowed(&texts), expected, "{texts:?}");
    }
}

#[test]
fn finding_allocates_nothing() {
    let texts = [
        "exact /a",
        "template /{x}/{*rest}; POST; x=1",
        "regex /r/[0-9]+",
        "prefix /p; ; x=1; 203.0.113.0/24",
        "prefix /q; ; ; ; getSlot",
    ];
    let requests = ["GET /a", "POST /x/y/z", "GET /r/12", "GET /p/q/r", "POST /q", "GET /none?a=%41"];
    let requests: Vec<Request> = requests.iter().map(|line| Request::new(line).header("x", "1")).collect();
    for host in both(|| routes(&texts)) {
        let search = || requests.iter().filter(|r| host.find(&r.view()).is_some() | host.needs_body(&r.view())).count();
        // Once before, so that the regular expressions have their caches.
        assert!(search() > 3);
        let counted = allocation_counter::measure(|| {
            std::hint::black_box(search());
        });
        assert_eq!(counted.count_total, 0);
    }
}
