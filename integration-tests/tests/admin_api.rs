//! The admin API of a running gateway.

use portcullis_integration_tests::{Gateway, Origin, Setup, until};

#[test]
fn shows_listeners_clusters_and_generations() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let status = gateway.admin().json("/api/status");
    assert_eq!((&status["state"], &status["generation"]), (&"ready".into(), &1.into()));
    assert_eq!(status["listeners"][0]["addresses"][0], gateway.address("edge").to_string());
    assert_eq!((&status["clusters"][0]["name"], &status["clusters"][0]["available"]), (&"app".into(), &1.into()));
    let clusters = gateway.admin().json("/api/clusters");
    assert_eq!(clusters["clusters"][0]["endpoints"][0]["takes_requests"], true);
}

#[test]
fn tells_the_port_that_was_picked() {
    let text = "listeners: { edge: { bind: \"127.0.0.1:0\" } }\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
                - { name: one, respond: { body: here } }\n";
    let gateway = Gateway::with_yaml(text);
    let status = gateway.admin().json("/api/status");
    let address: std::net::SocketAddr = status["listeners"][0]["addresses"][0].as_str().unwrap().parse().unwrap();
    assert_eq!(portcullis_integration_tests::Client::connect(address).get("/").text(), "here");
    let told = gateway.admin().json(&format!("/api/explain?url=http://{address}/"));
    let edge = &told["listeners"][0];
    assert_eq!((&edge["bind"][0], &edge["takes"]), (&address.to_string().into(), &true.into()), "{edge}");
    assert_eq!(edge["why"], format!("speaks plain text on port {}", address.port()));
}

#[test]
fn counts_requests_by_route_and_failures_by_reason() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(client.get("/a%2fb").status, 400);
    let admin = gateway.admin();
    until("the counts", || {
        let requests = admin.metric("portcullis_route_requests_total", "route=\"all\"");
        let failures = admin.metric("portcullis_failures_total", "reason=\"path_invalid\"");
        ((requests, failures) == (3.0, 1.0)).then_some(())
    });
    assert!(admin.metric("portcullis_listener_accepted_total", "edge") >= 1.0);
    assert_eq!(admin.metric("portcullis_generation", ""), 1.0);
}

#[test]
fn gives_the_last_requests_by_reason() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/good").status, 200);
    let bad = client.get("/a%2fb");
    let admin = gateway.admin();
    let found = || admin.json("/api/requests?reason=path_invalid").as_array().unwrap().clone();
    let found = until("the record", || Some(found()).filter(|found| !found.is_empty()));
    assert_eq!((found.len(), &found[0]["id"]), (1, &bad.id().into()));
    let all = admin.json("/api/requests");
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[0]["id"], bad.id(), "latest first");
}

#[test]
fn wants_its_token_where_there_is_one() {
    let gateway = Setup::to(&Origin::says("fine")).top("admin: { bind: \"@admin\", token: \"t0ken-of-test\" }").start();
    let admin = gateway.admin();
    assert_eq!(admin.get("/readyz").status, 200, "health is for everybody");
    for path in ["/metrics", "/api/status", "/api/config", "/api/clusters", "/api/requests"] {
        assert_eq!(admin.get(path).status, 401, "{path}");
    }
    let mut client = portcullis_integration_tests::Client::connect(gateway.address("admin"));
    let shown =
        client.ask("GET /api/config?text=1 HTTP/1.1\r\nHost: x.test\r\nAuthorization: Bearer t0ken-of-test\r\n\r\n");
    assert_eq!(shown.status, 200);
    assert!(!shown.text().contains("t0ken-of-test"), "{}", shown.text());
}

#[test]
fn explains_a_request_with_live_state() {
    let gateway = Setup::to(&Origin::says("fine")).start();
    let told = gateway.admin().get("/api/explain?url=http://app.test/a&format=text");
    assert_eq!(told.status, 200, "{}", told.text());
    for word in ["edge", "all", "app"] {
        assert!(told.text().contains(word), "no {word} in:\n{}", told.text());
    }
}
