//! A route that goes on as another when no endpoint of its own could be reached.

use portcullis_integration_tests::held::{holding, in_flight};
use portcullis_integration_tests::origin::refused;
use portcullis_integration_tests::websocket::{UPGRADE, switch_and_return};
use portcullis_integration_tests::{After, Gateway, Origin, Response, Setup, until};
use serde_json::Value;

/// A route to where nobody listens, which falls back to the route `other`.
fn fallback_to(other: &str) -> Setup {
    Setup::to_address(refused()).route("fallback: { route: other }").and_route(&format!("{{ name: other, {other} }}"))
}

/// What the record says of routes, the action, and the flags beside `retried`.
fn told(gateway: &Gateway, answer: &Response) -> (String, Vec<String>, Value) {
    let record = gateway.record_of(answer);
    let word = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
    let flags = record["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned());
    let flags = flags.filter(|flag| flag != "retried").collect();
    (format!("{} as {}, {} {}", word("route"), word("fallback_route"), word("action"), word("cluster")), flags, record)
}

#[test]
fn another_route_answers_in_its_own_way() {
    let cases = [
        ("respond: { status: 200, body: later }", (200, "later")),
        (
            "respond: { status: 503, body: no }, filters: [ { headers: { response: { set: { x-by: other } } } } ]",
            (503, "no"),
        ),
        ("redirect: { path: /maintenance }", (302, "")),
        ("respond: {}, filters: [ { respond: { status: 203, body: filter } } ]", (203, "filter")),
    ];
    for (other, expected) in cases {
        let gateway = fallback_to(other).start();
        let answer = gateway.get("/a?b=1");
        assert_eq!((answer.status, answer.text().as_str()), expected, "{other}");
        assert!(answer.field("proxy-status").unwrap().contains("upstream_connect_refused"), "{}", answer.head);
        assert_eq!(answer.field("x-by"), other.contains("x-by").then_some("other"), "{}", answer.head);
        assert_eq!(answer.field("location"), other.contains("redirect").then_some("http://app.test/maintenance?b=1"));
        let (ways, flags, record) = told(&gateway, &answer);
        assert_eq!(
            (ways.as_str(), &flags[..]),
            ("all as other, cluster app", &["fallback".to_owned()][..]),
            "{record}"
        );
        assert_eq!(record["reason"], "upstream_connect_refused");
        for (metric, labels) in [
            ("portcullis_cluster_fallbacks_total", "cluster=\"app\""),
            ("portcullis_route_requests_total", "route=\"all\""),
        ] {
            until(metric, || (gateway.admin().metric(metric, labels) > 0.0).then_some(()));
        }
        assert!(gateway.admin().metric("portcullis_route_requests_total", "route=\"other\"") < 1.0);
    }
}

#[test]
fn another_route_forwards_what_was_never_sent_with_its_body_and_its_own_rewrite() {
    let archive = Origin::says("kept");
    let other =
        "match: { template: \"/items/{id}\" }, to: archive, rewrite: { template: \"/old/{id}\", host: old.test }";
    let setup = fallback_to(other).route("match: { template: \"/items/{item}\", method: POST }");
    let gateway = setup.and_cluster("archive", archive.address(), "").start();
    let mut client = gateway.client();
    let request = "POST /items/7?x=1 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\nhi";
    let answer = client.ask(request);
    assert_eq!((answer.status, answer.text().as_str(), answer.field("proxy-status")), (200, "kept", None));
    let received = archive.last();
    assert_eq!((received.line(), received.field("host")), ("POST /old/7?x=1 HTTP/1.1", Some("old.test")));
    assert_eq!(received.body, b"hi");
    let (ways, flags, record) = told(&gateway, &answer);
    assert_eq!((ways.as_str(), &flags[..]), ("all as other, cluster app", &["fallback".to_owned()][..]), "{record}");
    assert_eq!((record.get("reason"), &record["upstream_status"]), (None, &200.into()), "{record}");
    let attempts = record["attempts"].as_array().unwrap();
    assert_eq!((attempts[0].get("cluster"), &attempts[0]["reason"]), (None, &"upstream_connect_refused".into()));
    assert_eq!(attempts.last().unwrap()["cluster"], "archive");
    assert_eq!(record.get("not_retried"), None, "it was: on the other route");
    // The next request of the connection begins anew.
    assert_eq!(gateway.record_of(&client.ask(request))["route"], "all");
    assert_eq!(archive.received().len(), 2);
}

#[test]
fn a_large_body_that_nobody_has_asked_for_yet_goes_to_the_other_route() {
    let archive = Origin::says("kept");
    let gateway = fallback_to("to: archive, body_limit: 1MiB").and_cluster("archive", archive.address(), "").start();
    let body = "x".repeat(500_000);
    let head = format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(gateway.client().ask(head + &body).text(), "kept");
    assert_eq!(archive.last().body.len(), body.len());
    // Its own bound holds, not that of the route that was chosen.
    let gateway = fallback_to("to: archive, body_limit: 10B").and_cluster("archive", archive.address(), "").start();
    let answer = gateway.client().ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
}

#[test]
fn what_was_sent_is_not_sent_to_another_route() {
    let origin = Origin::http1(|_, _| After::Close);
    let archive = Origin::says("kept");
    let setup = Setup::to(&origin).route("fallback: { route: other }").and_cluster("archive", archive.address(), "");
    let gateway = setup.and_route("{ name: other, to: archive }").start();
    let answer = gateway.client().ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_reset"));
    assert_eq!(gateway.get("/").reason(), "upstream_reset", "an origin that answers nothing is there");
    assert_eq!(archive.received().len(), 0);
}

#[test]
fn a_route_without_an_endpoint_is_left_at_once_and_the_others_own_fallback_is_its_last() {
    let check = "health_check: { http: { path: / }, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }";
    let archive = Origin::says("kept");
    let setup = fallback_to("to: archive, fallback: { respond: { body: nothing } }").cluster(check);
    let gateway = setup.and_cluster("archive", archive.address(), "").start();
    let answer = until("no endpoint to be left", || {
        let answer = gateway.get("/a");
        assert_eq!(answer.text(), "kept");
        let record = gateway.record_of(&answer);
        (record["attempts"].as_array().unwrap().len() == 1).then_some(answer)
    });
    assert_eq!(gateway.record_of(&answer)["attempts"][0]["cluster"], "archive");
    archive.kill();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.text().as_str()), (200, "nothing"));
    let (ways, flags, record) = told(&gateway, &answer);
    assert_eq!((ways.as_str(), &flags[..]), ("all as other, cluster app", &["fallback".to_owned()][..]), "{record}");
    assert_eq!(record["reason"], "upstream_connect_refused");
    let told = gateway.admin().json("/api/explain?method=GET&url=http://app.test/a");
    assert_eq!(
        (&told["route"]["name"], &told["fallback"]["route"]["name"]),
        (&"all".into(), &"other".into()),
        "{told}"
    );
    assert_eq!((&told["fallback"]["left"]["name"], &told["cluster"]["name"]), (&"app".into(), &"archive".into()));
    assert_eq!(told["decision"]["action"], "forward");
}

#[test]
fn a_failure_of_the_other_route_is_answered_as_its_own() {
    let gateway = fallback_to("to: gone, errors: html").and_cluster("gone", refused(), "").start();
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 502);
    assert!(answer.field("content-type").unwrap().starts_with("text/html"), "{}", answer.head);
    let gateway = fallback_to("respond: {}, filters: [ { access: { default: deny } } ]").start();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.reason().as_str()), (403, "denied"));
    let (ways, _, record) = told(&gateway, &answer);
    assert_eq!((ways.as_str(), &record["reason"]), ("all as other, cluster app", &"denied".into()), "{record}");
}

#[test]
fn the_first_routes_place_is_given_back_and_the_others_is_taken() {
    let (archive, release) = holding();
    let setup = fallback_to("to: archive, limits: { requests: 1 }").route("limits: { requests: 1 }");
    let gateway = setup.and_cluster("archive", archive.address(), "").start();
    let mut held = in_flight(&gateway, &archive);
    let answer = gateway.get("/a");
    assert_eq!(
        (answer.status, answer.reason().as_str(), answer.detail().as_str()),
        (503, "overloaded", "route_requests")
    );
    let bounds: Vec<(f64, f64)> = ["all", "other"]
        .map(|route| {
            let of = |metric| gateway.admin().metric(metric, &format!("bound=\"route_requests\",of=\"*/{route}\""));
            (of("portcullis_bound_used"), of("portcullis_bound_refused_total"))
        })
        .to_vec();
    assert_eq!(bounds, [(0.0, 0.0), (1.0, 1.0)]);
    release.send(()).unwrap();
    assert_eq!(held.response().text(), "fine");
    until("the place", || (gateway.get("/a").text() == "fine").then_some(()));
}

#[test]
fn the_other_route_says_whether_it_upgrades() {
    for (first, other) in [(false, true), (true, true), (true, false)] {
        let archive = Origin::at_head(|received, wire| {
            wire.note(received);
            if received.field("upgrade").is_some() { switch_and_return(wire) } else { wire.ok("no upgrade") }
        });
        let setup = fallback_to(&format!("to: archive, upgrade: {other}")).route(&format!("upgrade: {first}"));
        let gateway = setup.and_cluster("archive", archive.address(), "").start();
        let mut client = gateway.client();
        client.send(UPGRADE);
        if other {
            assert!(client.head().starts_with("HTTP/1.1 101"), "{first}");
            client.send("ping");
            assert_eq!(client.exactly(4).unwrap(), b"ping", "{first}");
        } else {
            assert_eq!(client.response().text(), "no upgrade", "{first}");
        }
    }
}
