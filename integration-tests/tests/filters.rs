//! The built-in filters, from their YAML to the wire.

use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::{Client, Gateway, Origin, Response, Setup};

fn ask(gateway: &Gateway, line: &str, fields: &str) -> Response {
    gateway.client().ask(format!("{line} HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n"))
}

#[test]
fn edits_fields_of_requests_and_answers() {
    let origin = Origin::answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: secret/1.0\r\n\r\n");
    let headers = "filters: [{ headers: { request: { set: { x-who: \"{client.address}\", x-user: \"{param.id}\" }, \
                   remove: [cookie] }, response: { set: { x-route: \"{route}\" }, add: { x-a: b }, remove: [server] } } }]";
    let route = format!("{{ name: users, match: {{ template: \"/users/{{id}}\" }}, to: app, {headers} }}");
    let gateway = Setup::to(&origin).and_route(&route).start();
    let answer = ask(&gateway, "GET /users/7", "X-Who: me\r\nCookie: a=b\r\n");
    let seen = origin.last();
    assert_eq!(
        (seen.fields("x-who"), seen.field("x-user"), seen.field("cookie")),
        (vec!["127.0.0.1"], Some("7"), None)
    );
    assert_eq!(
        (answer.field("x-route"), answer.field("x-a"), answer.field("server")),
        (Some("users"), Some("b"), None)
    );
}

#[test]
fn answers_preflights_and_marks_answers_for_other_origins() {
    let origin = Origin::says("fine");
    let cors = "filters: [{ cors: { origins: [\"https://app.example.com\"], methods: [GET, PUT], headers: [x-a] } }]";
    let gateway = Setup::to(&origin).host(cors).start();
    let preflight = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\n";
    let answer = ask(&gateway, "OPTIONS /a", preflight);
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.field("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(origin.connections(), 0, "a preflight is answered here");
    assert_eq!(gateway.record_of(&answer)["answered_by"], "cors");
    let real = ask(&gateway, "GET /a", "Origin: https://app.example.com\r\n");
    assert_eq!((real.status, real.field("access-control-allow-origin")), (200, Some("https://app.example.com")));
    let stranger = ask(&gateway, "GET /a", "Origin: https://evil.example\r\n");
    assert_eq!((stranger.status, stranger.field("access-control-allow-origin")), (200, None));
}

#[test]
fn denies_by_network_and_path() {
    let access = "filters: [{ access: { rules: [{ deny: { networks: [127.0.0.5/32] }, name: banned }, \
                  { deny: { path: /admin, methods: [POST] } }], default: allow } }]";
    let gateway = Setup::to(&Origin::says("fine")).host(access).start();
    let mut banned = Client::connect_from("127.0.0.5", gateway.address("edge"));
    let answer = banned.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (403, "denied"));
    let record = gateway.record_of(&answer);
    assert_eq!((&record["answered_by"], &record["client"]), (&"access".into(), &"127.0.0.5".into()));
    assert!(record["detail"].as_str().is_some_and(|detail| detail.contains("banned")), "{record}");
    assert_eq!(ask(&gateway, "POST /admin/x", "Content-Length: 0\r\n").status, 403);
    assert_eq!(ask(&gateway, "GET /admin/x", "").status, 200);
    assert_eq!(ask(&gateway, "POST /administrator", "Content-Length: 0\r\n").status, 200);
}

#[test]
fn bounds_requests_below_the_listeners_bounds() {
    let origin = Origin::says("fine");
    let limits = "filters: [{ limits: { body: 1KiB, fields: 5, path: 100B, query: 100B } }]";
    let gateway = Setup::to(&origin).host(limits).start();
    let long = "a".repeat(101);
    let check = |line: &str, fields: &str, expected: (u16, &str)| {
        let answer = ask(&gateway, line, fields);
        assert_eq!((answer.status, answer.reason().as_str()), expected, "{line} {fields}");
        assert_eq!(gateway.record_of(&answer)["answered_by"], "limits");
    };
    check("POST /", "Content-Length: 1025\r\n", (413, "body_too_large"));
    check("GET /", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n", (431, "head_too_large"));
    check(&format!("GET /{long}"), "", (414, "target_too_long"));
    check(&format!("GET /?{long}"), "", (414, "target_too_long"));
    assert_eq!(origin.connections(), 0);
    assert_eq!(ask(&gateway, "GET /?a", "A: 1\r\n").status, 200);
}

#[test]
fn maps_errors_by_reason_and_by_upstream_status() {
    let origin = Origin::http1(|received, wire| match received.path() {
        "/boom" => wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nstack"),
        _ => wire.send(b"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone"),
    });
    let errors = "filters: [{ errors: { map: [{ reason: no_healthy_upstream, to: { status: 200 } }, \
                  { reason: [upstream_connect_refused], to: { status: 503, content_type: application/json, \
                  headers: { x-why: \"{reason}\" }, body: '{\"sorry\":\"{reason}\"}' } }, \
                  { upstream_status: 500-599, to: { status: 502, body: oops } }] } }]";
    let refused = portcullis_integration_tests::origin::refused();
    let setup = Setup::to(&origin).and_cluster("gone", refused, "").host(errors);
    let gateway = setup.and_route("{ name: gone, match: { path: /gone }, to: gone }").start();
    let boom = gateway.get("/boom");
    assert_eq!((boom.status, boom.text().as_str()), (502, "oops"));
    assert_eq!(gateway.record_of(&boom)["upstream_status"], 500);
    assert_eq!(gateway.get("/missing").text(), "gone", "what no mapping names stays");
    let gone = gateway.get("/gone");
    assert_eq!((gone.status, gone.field("x-why")), (503, Some("upstream_connect_refused")));
    assert_eq!(gone.text(), "{\"sorry\":\"upstream_connect_refused\"}");
    let record = gateway.record_of(&gone);
    assert_eq!((&record["reason"], &record["status"]), (&"upstream_connect_refused".into(), &503.into()));
}

/// What clients of each version get for an error that an upstream's head said all of.
fn check_replaced(gateway: &Gateway, upstream: &str) {
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (502, "oops"), "{upstream}: {}", answer.head);
        assert_eq!((answer.field("content-length"), answer.field("etag")), (None, None), "{upstream}: {}", answer.head);
    }
    let head = client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n").response_to_head();
    assert_eq!(head.status, 502, "{upstream}");
    assert_eq!(client.get("/").text(), "oops", "{upstream}: nothing was left on the connection");
    let old = gateway.client().ask("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
    assert_eq!((old.status, old.text().as_str()), (502, "oops"), "{upstream}: {}", old.head);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = H2Client::plain(gateway.address("edge")).await;
        for _ in 0..2 {
            let answer = client.get("http://app.test/").await;
            assert_eq!((answer.parts.status.as_u16(), &answer.body[..]), (502, &b"oops"[..]), "{upstream}");
        }
    });
}

#[test]
fn maps_errors_that_an_upstreams_head_said_all_of() {
    let errors = "filters: [{ errors: { map: [{ upstream_status: 500-599, to: { status: 502, body: oops } }] } }]";
    let origin = Origin::answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nETag: \"1\"\r\n\r\n");
    let gateway = Setup::to(&origin).host(errors).start();
    check_replaced(&gateway, "HTTP/1.1");
    assert_eq!(gateway.record_of(&gateway.get("/"))["bytes_out"], 4);
    let origin = HyperOrigin::plain(|_| http::Response::builder().status(503).body(full("")).unwrap());
    let gateway = Setup::to_address(origin.address()).cluster("protocol: http2").host(errors).start();
    check_replaced(&gateway, "HTTP/2");
}

#[test]
fn compresses_by_what_the_client_accepts() {
    let text = "compress me ".repeat(1000);
    let page = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let origin = Origin::http1(move |_, wire| wire.send(&page));
    let gateway = Setup::to(&origin).host("filters: [compress]").start();
    for coding in ["gzip", "br", "zstd"] {
        let mut client = gateway.client();
        let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: {coding}\r\n\r\n");
        let answer = client.ask(&request);
        assert_eq!((answer.status, answer.field("content-encoding")), (200, Some(coding)));
        assert!(answer.body.len() < 1000 && answer.field("vary").is_some(), "{}", answer.head);
        assert_eq!(client.ask(&request).body, answer.body, "the connection lives on");
    }
    let mut client = gateway.client();
    let head = client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n").response_to_head();
    assert_eq!(head.status, 200);
    assert_eq!(client.get("/").text(), text, "nothing was left on the connection");
    let old = gateway.client().ask("GET / HTTP/1.0\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!((old.status, old.field("transfer-encoding")), (200, None), "HTTP/1.0 knows no chunks");
    let plain = gateway.get("/");
    assert_eq!((plain.field("content-encoding"), plain.text()), (None, text));
}

#[test]
fn injects_faults_only_where_they_are_asked_for() {
    let origin = Origin::says("fine");
    let fault = "filters: [{ fault: { abort: { status: 418 }, when: { header: x-fault } } }]";
    let gateway = Setup::to(&origin).route(fault).start();
    let answer = ask(&gateway, "GET /", "X-Fault: yes\r\n");
    assert_eq!(answer.status, 418, "{}", answer.head);
    assert_eq!(gateway.record_of(&answer)["reason"], "fault_injected");
    assert_eq!(ask(&gateway, "GET /", "").status, 200);
}

#[test]
fn redirects_plain_text_to_https() {
    let gateway = Setup::to(&Origin::says("fine")).host("filters: [{ redirect: { https: true } }]").start();
    let answer = ask(&gateway, "GET /a?b=1", "");
    assert_eq!((answer.status, answer.field("location")), (308, Some("https://app.test/a?b=1")));
    assert_eq!(gateway.record_of(&answer)["answered_by"], "redirect");
}

#[test]
fn runs_host_filters_before_a_route_is_chosen() {
    let text = "listeners: { edge: { bind: \"@edge\" } }\nhosts:\n  - names: [\"*\"]\n    \
                filters: [{ respond: { status: 503, body: \"closed for {client.address}\" } }]\n    routes:\n      - { name: one, respond: { status: 204 } }\n";
    let gateway = Gateway::with_yaml(text);
    let answer = gateway.get("/anything");
    assert_eq!((answer.status, answer.text().as_str()), (503, "closed for 127.0.0.1"));
    assert_eq!(gateway.record_of(&answer)["answered_by"], "respond");
}
