//! What a route falls back to where that takes a cache or a filter of one's own: stale copies, and other routes' heads.

use portcullis_integration_tests::origin::refused;
use portcullis_integration_tests::{Gateway, Origin, Response};
use std::path::Path;

fn wing(text: &str) -> Gateway {
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), text)
}

/// A route with the toy cache in front of an origin, and this fallback.
fn cached(origin: &Origin, fallback: &str) -> Gateway {
    let (app, archive) = (origin.address(), refused());
    wing(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n\
         \x20 app: {{ endpoints: [\"{app}\"] }}\n\
         \x20 archive: {{ endpoints: [\"{archive}\"] }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   routes:\n\
         \x20     - {{ name: app, cache: toy, to: app, fallback: {{ {fallback} }} }}\n\
         \x20     - {{ name: late, respond: {{ body: late }} }}\n"
    ))
}

/// An origin whose answers are stale at once.
fn aging(rest: &'static str) -> Origin {
    Origin::http1(move |_, wire| {
        let fields = format!("Cache-Control: public, max-age=0{rest}\r\nAge: 7\r\nCache-Status: origin; hit");
        wire.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 5\r\n\r\nhello").as_bytes())
    })
}

#[track_caller]
fn is_copy(answer: &Response) {
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{}", answer.head);
    let age: u64 = answer.field("age").unwrap().parse().unwrap();
    assert!(age >= 7, "{}", answer.head);
    let (before, ours) = answer.fields("cache-status").split_first().map(|(one, rest)| (*one, rest.join(""))).unwrap();
    assert_eq!(before, "origin; hit");
    let past: i64 = ours.strip_prefix("portcullis; hit; ttl=").unwrap().parse().unwrap();
    assert_eq!(past, -i64::try_from(age).unwrap());
    assert!(answer.field("proxy-status").unwrap().contains("upstream_connect_refused"), "{}", answer.head);
    assert_eq!(answer.field("warning"), None);
}

#[test]
fn a_stale_copy_comes_before_whatever_else_the_fallback_does() {
    for then in ["", ", respond: { body: later }", ", to: archive", ", route: late"] {
        let origin = aging("");
        let gateway = cached(&origin, &format!("stale: true{then}"));
        assert_eq!(gateway.get("/page").text(), "hello");
        // Stale as it is, it is not used while there is an origin.
        assert_eq!(gateway.get("/page").field("cache-status"), Some("origin; hit"));
        assert_eq!(origin.received().len(), 2);
        origin.kill();
        let answer = gateway.get("/page");
        is_copy(&answer);
        let record = gateway.record_of(&answer);
        let flags: Vec<_> = record["flags"].as_array().unwrap().iter().filter(|flag| *flag != "retried").collect();
        assert_eq!(flags, ["fallback", "cached"], "{then}: {record}");
        assert_eq!((&record["route"], &record["reason"]), (&"app".into(), &"upstream_connect_refused".into()));
        assert_eq!((record.get("fallback_route"), record.get("failover")), (None, None), "{then}: {record}");
        let counted = gateway.admin().metric("portcullis_cluster_fallbacks_total", "cluster=\"app\"");
        assert!((counted - 1.0).abs() < f64::EPSILON, "{then}: {counted}");
    }
}

#[test]
fn without_a_copy_that_may_be_used_the_rest_of_the_fallback_is_done() {
    for (then, expected) in [
        ("", (502, "upstream_connect_refused")),
        (", respond: { body: later }", (200, "later")),
        (", to: archive", (502, "upstream_connect_refused")),
        (", route: late", (200, "late")),
    ] {
        let origin = aging(", must-revalidate");
        let gateway = cached(&origin, &format!("stale: true{then}"));
        assert_eq!(gateway.get("/page").text(), "hello");
        origin.kill();
        let answer = gateway.get("/page");
        let said = if answer.status == 200 { answer.text() } else { answer.reason() };
        assert_eq!((answer.status, said.as_str()), expected, "{then}");
        assert_eq!(answer.field("age"), None, "{then}");
    }
}

#[test]
fn a_client_that_wants_no_stale_copy_gets_none() {
    let origin = aging("");
    let gateway = cached(&origin, "stale: true");
    assert_eq!(gateway.get("/page").text(), "hello");
    origin.kill();
    let mut client = gateway.client();
    let answer = client.ask("GET /page HTTP/1.1\r\nHost: app.test\r\nCache-Control: no-cache\r\n\r\n");
    assert_eq!(answer.reason(), "upstream_connect_refused");
    is_copy(&client.get("/page"));
}

#[test]
fn what_a_fallback_answers_is_not_kept_for_its_url() {
    let (origin, archive) = (aging(""), aging(""));
    let (app, other) = (origin.address(), archive.address());
    let gateway = wing(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters: {{ app: {{ endpoints: [\"{app}\"] }}, other: {{ endpoints: [\"{other}\"] }} }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   routes:\n\
         \x20     - {{ name: app, cache: toy, to: app, fallback: {{ stale: true, route: other }} }}\n\
         \x20     - {{ name: other, cache: toy, to: other }}\n"
    ));
    origin.kill();
    assert_eq!(gateway.get("/page").text(), "hello");
    archive.kill();
    assert_eq!(gateway.get("/page").reason(), "upstream_connect_refused");
}

#[test]
fn the_other_route_gets_the_head_as_it_was_and_both_routes_filters_hear_of_the_end() {
    let (gone, archive) = (refused(), Origin::echo());
    let archive = archive.address();
    let gateway = wing(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters: {{ app: {{ endpoints: [\"{gone}\"] }}, archive: {{ endpoints: [\"{archive}\"] }} }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [ {{ stamp: {{ mark: host }} }} ]\n\
         \x20   routes:\n\
         \x20     - name: app\n\
         \x20       filters: [ {{ stamp: {{ mark: first }} }} ]\n\
         \x20       to: app\n\
         \x20       fallback: {{ route: archive }}\n\
         \x20     - {{ name: archive, filters: [ {{ stamp: {{ mark: second }} }} ], to: archive }}\n"
    ));
    let mut client = gateway.client();
    for before in 0..3 {
        let answer = client.get("/a");
        let sent = answer.text();
        let stamps: Vec<&str> = sent.lines().filter_map(|line| line.strip_prefix("x-stamp: ")).collect();
        assert_eq!(stamps, ["host", "second"], "{sent}");
        assert_eq!(answer.fields("x-stamp"), [format!("second {before}"), format!("host {before}")]);
        let record = gateway.record_of(&answer);
        assert_eq!((&record["route"], &record["fallback_route"]), (&"app".into(), &"archive".into()), "{record}");
    }
    let _back = Origin::bound(gone, |_, wire| wire.ok("back"));
    let answer = client.get("/a");
    assert_eq!((answer.text().as_str(), answer.fields("x-stamp")), ("back", vec!["first 3", "host 3"]));
}
