//! From a request line to a route, and from the route to what is sent: hosts, matchers, paths, rewrites, splits, mirrors.

use portcullis_integration_tests::{Gateway, Origin, PATIENCE, Setup};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Instant;

const ROUTES: &str = r#"
listeners: { edge: { bind: "@edge" } }
hosts:
  - names: ["app.test", "*.app.test"]
    routes:
      - { name: root, respond: { body: root } }
      - { name: exact, match: { exact: /one }, respond: { body: exact } }
      - { name: prefix, match: { path: /one }, respond: { body: prefix } }
      - { name: deeper, match: { path: /one/two }, respond: { body: deeper } }
      - { name: template, match: { template: "/users/{id}" }, respond: { body: template } }
      - { name: regex, match: { regex: "/v[0-9]+/.*" }, respond: { body: regex } }
      - { name: posted, match: { path: /m, method: POST }, respond: { body: posted } }
      - { name: any-method, match: { path: /m }, respond: { body: any-method } }
      - { name: by-header, match: { path: /h, headers: { x-kind: beta } }, respond: { body: by-header } }
      - { name: by-query, match: { path: /q, query: { kind: beta } }, respond: { body: by-query } }
      - { name: by-cookie, match: { path: /c, cookies: { kind: beta } }, respond: { body: by-cookie } }
      - { name: by-network, match: { path: /n, network: 127.0.0.0/8 }, respond: { body: by-network } }
  - names: ["*"]
    routes:
      - { name: other, respond: { body: other } }
"#;

#[test]
fn finds_the_most_specific_route() {
    let gateway = Gateway::with_yaml(ROUTES);
    let check = |line: &str, host: &str, fields: &str, expected: &str| {
        let answer = gateway.client().ask(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        assert_eq!(answer.text(), expected, "{line} {host} {fields}");
        assert_eq!(gateway.record_of(&answer)["route"], expected);
    };
    check("GET /", "app.test", "", "root");
    check("GET /one", "app.test", "", "exact");
    check("GET /one?x", "app.test", "", "exact");
    check("GET /one/", "app.test", "", "prefix");
    check("GET /one/three", "app.test", "", "prefix");
    check("GET /one/two/three", "app.test", "", "deeper");
    check("GET /onetwo", "app.test", "", "root");
    check("GET /users/7", "app.test", "", "template");
    check("GET /users/7/edit", "app.test", "", "root");
    check("GET /v2/x", "app.test", "", "regex");
    check("POST /m", "app.test", "Content-Length: 0\r\n", "posted");
    check("PUT /m", "app.test", "Content-Length: 0\r\n", "any-method");
    check("GET /h", "app.test", "X-Kind: beta\r\n", "by-header");
    check("GET /h", "app.test", "X-Kind: gamma\r\n", "root");
    check("GET /q?kind=beta", "app.test", "", "by-query");
    check("GET /q?kind=gamma", "app.test", "", "root");
    check("GET /c", "app.test", "Cookie: a=b; kind=beta\r\n", "by-cookie");
    check("GET /n", "app.test", "", "by-network");
    check("GET /", "APP.Test.", "", "root");
    check("GET /", "app.test:8080", "", "root");
    check("GET /", "x.y.app.test", "", "root");
    check("GET /", "notapp.test", "", "other");
    check("GET /", "10.0.0.1", "", "other");
    check("GET /", "[2001:db8::1]:80", "", "other");
}

#[test]
fn answers_404_for_no_host_and_for_no_route() {
    let text = "listeners: { edge: { bind: \"@edge\" } }\nhosts:\n  - names: [app.test]\n    routes:\n      \
                - { name: one, match: { exact: /one }, respond: { status: 204 } }\n";
    let gateway = Gateway::with_yaml(text);
    let no_host = gateway.client().ask("GET /one HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!((no_host.status, no_host.reason().as_str()), (404, "no_host"));
    let mut client = gateway.client();
    let no_route = client.get("/two");
    assert_eq!((no_route.status, no_route.reason().as_str()), (404, "no_route"));
    assert!(!no_route.closes(), "the client did nothing wrong with the connection");
    assert_eq!(client.get("/one").status, 204);
    let record = gateway.record_of(&no_route);
    assert_eq!((&record["virtual_host"], &record["path"]), (&"app.test".into(), &"/two".into()));
}

#[test]
fn routes_on_the_path_that_it_forwards() {
    let origin = Origin::says("fine");
    let gateway =
        Setup::to(&origin).and_route("{ name: admin, match: { path: /admin }, respond: { status: 403 } }").start();
    let check = |sent: &str, status: u16, forwarded: &str| {
        let before = origin.received().len();
        assert_eq!(gateway.get(sent).status, status, "{sent}");
        if status == 200 {
            assert_eq!(origin.received()[before].target(), forwarded, "{sent}");
        }
    };
    check("/a/./b", 200, "/a/b");
    check("/a/../b", 200, "/b");
    check("/a//b", 200, "/a/b");
    check("/%61%2e%2E/b", 200, "/a../b");
    check("/a/%2e%2e/b?x=/../y", 200, "/b?x=/../y");
    check("/caf%c3%a9", 200, "/caf%C3%A9");
    check("/a%20b", 200, "/a%20b");
    check("/%252e%252e/admin", 200, "/%252e%252e/admin");
    for sneaky in ["/admin", "/./admin", "//admin", "/a/../admin", "/%61dmin", "/a/%2e%2e/admin", "/admin/../admin/x"] {
        check(sneaky, 403, "");
    }
    for refused in ["/../admin", "/a%2fb", "/a%5cb", "/a\\b", "/%00", "/%zz", "/a/..;x/b"] {
        check(refused, 400, "");
        assert_eq!(gateway.get(refused).reason(), "path_invalid", "{refused}");
    }
}

#[test]
fn treats_paths_as_their_host_says() {
    let origin = Origin::says("fine");
    let paths = "paths: { dot_segments: refuse, double_slash: keep, encoded_slash: keep, backslash: slash }";
    let gateway = Setup::to(&origin).host(paths).start();
    for (sent, forwarded) in [("/a//b", "/a//b"), ("/a%2fb", "/a%2Fb"), ("/a\\b", "/a/b")] {
        assert_eq!(gateway.get(sent).status, 200, "{sent}");
        assert_eq!(origin.last().target(), forwarded);
    }
    assert_eq!(gateway.get("/a/../b").detail(), "path_dot_segment");
}

#[test]
fn rewrites_path_and_host() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin)
        .and_route("{ name: p, match: { path: /api }, to: app, rewrite: { prefix: /v2 } }")
        .and_route("{ name: f, match: { path: /fixed }, to: app, rewrite: { path: /page } }")
        .and_route("{ name: t, match: { template: \"/users/{id}\" }, to: app, rewrite: { template: \"/accounts/{id}\" } }")
        .and_route("{ name: r, match: { path: /old }, to: app, rewrite: { regex: { pattern: \"^/old/([a-z]+)\", replacement: \"/new/$1\" } } }")
        .and_route("{ name: h, match: { path: /host }, to: app, rewrite: { host: \"inner.test:81\" } }")
        .start();
    let check = |sent: &str, forwarded: &str, host: &str| {
        assert_eq!(gateway.get(sent).status, 200, "{sent}");
        let seen = origin.last();
        assert_eq!((seen.target(), seen.fields("host")), (forwarded, vec![host]), "{sent}");
    };
    check("/api/x?y=1", "/v2/x?y=1", "app.test");
    check("/api", "/v2", "app.test");
    check("/fixed/a/b?q", "/page?q", "app.test");
    check("/users/7", "/accounts/7", "app.test");
    check("/old/abc/d", "/new/abc/d", "app.test");
    check("/host/x", "/host/x", "inner.test:81");
    assert_eq!(origin.last().field("x-forwarded-host"), Some("app.test"));
}

#[test]
fn redirects_and_responds() {
    let gateway = Setup::to(&Origin::says("fine"))
        .and_route("{ name: s, match: { path: /secure }, redirect: { scheme: https, status: 301 } }")
        .and_route(
            "{ name: m, match: { path: /moved }, redirect: { host: new.test, prefix: /now, keep_query: false } }",
        )
        .and_route(
            "{ name: r, match: { path: /teapot }, respond: { status: 418, body: short, headers: { x-pot: stout } } }",
        )
        .start();
    let secure = gateway.get("/secure/x?y=1");
    assert_eq!((secure.status, secure.field("location")), (301, Some("https://app.test/secure/x?y=1")));
    let moved = gateway.get("/moved/x?y=1");
    assert_eq!((moved.status, moved.field("location")), (302, Some("http://new.test/now/x")));
    let pot = gateway.get("/teapot");
    assert_eq!((pot.status, pot.field("x-pot"), pot.text().as_str()), (418, Some("stout"), "short"));
    assert_eq!(gateway.record_of(&pot)["action"], "respond");
    assert_eq!(gateway.record_of(&moved)["action"], "redirect");
}

#[test]
fn splits_requests_and_keeps_a_users_choice() {
    let (first, second) = (Origin::says("first"), Origin::says("second"));
    let split = "{ name: s, match: { path: /s }, to: { split: { app: 50, other: 50 }, sticky: \"header:x-user\" } }";
    let setup = Setup::to(&first).and_cluster("other", second.address(), "").and_route(split);
    let gateway = setup.and_route("{ name: n, match: { path: /n }, to: { split: { app: 0, other: 1 } } }").start();
    let mut client = gateway.client();
    let mut chosen = HashSet::new();
    for user in 0..20 {
        let request = format!("GET /s HTTP/1.1\r\nHost: app.test\r\nX-User: u{user}\r\n\r\n");
        let texts: HashSet<String> = (0..4).map(|_| client.ask(&request).text()).collect();
        assert_eq!(texts.len(), 1, "user {user} was sent to {texts:?}");
        chosen.extend(texts);
    }
    assert_eq!(chosen.len(), 2, "both clusters take their share");
    assert!((0..20).all(|_| client.get("/n").text() == "second"), "a weight of 0 takes nothing");
}

#[test]
fn spreads_requests_over_endpoints_by_the_clusters_rule() {
    let origins: Vec<Origin> = ["a", "b", "c"].into_iter().map(Origin::says).collect();
    let to_all = |rule: &str| {
        let setup = Setup::to(&origins[0]).and_to(origins[1].address()).and_to(origins[2].address());
        setup.cluster(&format!("balance: {rule}")).start()
    };
    let ask = |gateway: &Gateway, user: usize| {
        gateway.client().ask(format!("GET / HTTP/1.1\r\nHost: app.test\r\nX-User: {user}\r\n\r\n")).text()
    };
    for rule in ["round_robin", "least_loaded", "random"] {
        let gateway = to_all(rule);
        // One that was slow once, on a busy machine, is met again when its estimate has faded.
        let (mut met, deadline) = (HashSet::new(), Instant::now() + PATIENCE);
        while met.len() < 3 {
            assert!(Instant::now() < deadline, "{rule}: {met:?}");
            met.insert(ask(&gateway, 0));
        }
    }
    let gateway = to_all("{ hash: { by: \"header:x-user\" } }");
    let first: Vec<String> = (0..30).map(|user| ask(&gateway, user)).collect();
    assert_eq!(first, (0..30).map(|user| ask(&gateway, user)).collect::<Vec<_>>(), "equal users meet one endpoint");
    assert_eq!(first.into_iter().collect::<HashSet<_>>().len(), 3, "users are spread");
}

#[test]
fn mirrors_requests_without_waiting_for_the_copy() {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    let shadow = Origin::http1(move |received, wire| {
        arrived.lock().unwrap().send(received.clone()).unwrap();
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    });
    let origin = Origin::says("fine");
    let gateway =
        Setup::to(&origin).and_cluster("shadow", shadow.address(), "").route("mirror: { to: shadow }").start();
    let mut client = gateway.client();
    let request = "POST /a?b HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello";
    let answer = client.ask(request);
    assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
    let copy = arrivals.recv_timeout(PATIENCE).unwrap();
    assert_eq!((copy.line(), copy.body.as_slice()), ("POST /a?b HTTP/1.1", b"hello".as_slice()));
    assert_eq!(copy.field("x-request-id"), Some(answer.id().as_str()));
    assert_eq!(client.get("/next").text(), "fine", "a copy that is stuck holds nobody up");
    assert_eq!(gateway.record_of(&answer)["flags"], serde_json::json!(["mirrored"]));
    drop(release);
}

#[test]
fn writes_errors_in_the_dialect_of_host_and_route() {
    let text = r#"
listeners: { edge: { bind: "@edge" } }
clusters: { gone: { endpoints: ["@nobody"] } }
hosts:
  - names: [problem.test]
    routes: [{ name: a, to: gone }]
  - names: [html.test]
    errors: html
    routes: [{ name: a, to: gone }, { name: b, match: { path: /rpc }, to: gone, errors: jsonrpc }]
  - names: [grpc.test]
    errors: grpc
    routes: [{ name: a, to: gone }]
"#;
    let gateway = Gateway::with_yaml(text);
    let check = |host: &str, path: &str, status: u16, kind: &str, part: &str| {
        let answer = gateway.client().ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!((answer.status, answer.field("content-type")), (status, Some(kind)), "{}", answer.head);
        assert!(answer.text().contains(part) || answer.head.contains(part), "{}\n{}", answer.head, answer.text());
        assert_eq!(gateway.record_of(&answer)["reason"], "upstream_connect_refused");
    };
    check("problem.test", "/", 502, "application/problem+json", "\"reason\":\"upstream_connect_refused\"");
    check("html.test", "/", 502, "text/html; charset=utf-8", "<h1>502</h1>");
    check("html.test", "/rpc", 502, "application/json", "\"jsonrpc\":\"2.0\"");
    check("grpc.test", "/", 200, "application/grpc", "grpc-status: 14");
}

#[test]
fn serves_several_addresses_of_a_listener() {
    let text = "listeners: { edge: { bind: [\"@edge\", \"@second\"] } }\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
                - { name: one, respond: { body: here } }\n";
    let gateway = Gateway::with_yaml(text);
    for name in ["edge", "second"] {
        let mut client = portcullis_integration_tests::Client::connect(gateway.address(name));
        assert_eq!(client.get("/").text(), "here");
    }
}
