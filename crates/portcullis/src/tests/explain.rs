//! Tests of `explain` through the command line's own path.

use portcullis_snapshot::explain::{Explanation, Question, Step};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::Reason;
use std::sync::Arc;

use crate::app::App;
use crate::commands::explain::as_configured;
use crate::world::World;

const CONFIG: &str = r#"
version: 1
listeners:
  edge: { bind: "127.0.0.1:8080" }
  inner: { bind: "127.0.0.1:8081" }
clusters:
  api:
    endpoints:
      - { address: "127.0.0.1:9001", weight: 2, zone: a }
      - { address: "127.0.0.1:9002", weight: 0 }
      - { address: "127.0.0.1:9003", priority: 1 }
  canary: { endpoints: ["127.0.0.1:9004"] }
trusted_networks: ["10.0.0.0/8"]
hosts:
  - names: [app.example.com, "*.example.com"]
    filters:
      - headers: { request: { set: { x-env: prod } } }
    routes:
      - name: user
        match: { template: "/users/{id}", method: GET }
        rewrite: { path: /account }
        to: api
      - name: moved
        match: { path: /old }
        redirect: { prefix: /new, status: 308 }
      - name: ping
        match: { exact: /ping }
        respond: { status: 200, body: "pong\n" }
      - name: closed
        match: { path: /closed }
        filters: [ { access: { default: deny } } ]
        to: api
      - name: small
        match: { path: /small }
        body_limit: 4B
        to: api
      - name: slow
        match: { path: /slow }
        filters: [ { fault: { delay: { duration: 60s, share: 100% } } } ]
        to: api
      - name: rest
        match: { path: / }
        to: { split: { api: 95, canary: 5 } }
"#;

fn ask(change: impl FnOnce(&mut Question), request: &str) -> Explanation {
    ask_of(CONFIG, change, request)
}

pub(super) fn ask_of(config: &str, change: impl FnOnce(&mut Question), request: &str) -> Explanation {
    let mut question = Question::new(request).unwrap();
    change(&mut question);
    let (_dir, world) = world(config);
    as_configured(&world, &question).unwrap()
}

/// A world on a config in a folder, which lives as long as it is held.
pub(super) fn world(config: &str) -> (tempfile::TempDir, World) {
    world_of(config, App::new())
}

/// As [`world`], of another binary.
pub(crate) fn world_of(config: &str, app: App) -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.yaml");
    std::fs::write(&path, config).unwrap();
    let metrics = Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap();
    let world = World::new(&path, app.registry, app.seams, Arc::new(metrics));
    (dir, world)
}

fn plain(request: &str) -> Explanation {
    ask(|_| {}, request)
}

#[test]
fn tells_the_way_of_a_request_to_its_upstream_head() {
    let told = ask(
        |question| {
            question.field("Connection: x-hop").unwrap();
            question.field("X-Hop: 1").unwrap();
            question.field("X-Forwarded-For: 1.1.1.1").unwrap();
            question.field("Authorization: Bearer abc").unwrap();
        },
        "GET http://App.Example.com:8080/a/../users/7?x=1",
    );
    assert_eq!(told.listeners.iter().map(|trial| trial.takes).collect::<Vec<_>>(), [true, false]);
    let host = told.host.as_ref().unwrap();
    assert_eq!((host.asked.as_str(), host.name.as_deref()), ("app.example.com", Some("app.example.com")));
    let path = told.path.as_ref().unwrap();
    assert_eq!((path.received.as_str(), path.routed.as_deref()), ("/a/../users/7", Some("/users/7")));
    let route = told.route.as_ref().unwrap();
    assert_eq!((route.name.as_str(), &route.params[..]), ("user", &[("id".to_owned(), "7".to_owned())][..]));
    assert!(route.place.excerpt.contains("rewrite: { path: /account }"), "{}", route.place.excerpt);
    assert_eq!((told.decision.action, told.decision.answer.is_none()), ("forward", true));
    let sent = told.upstream.as_ref().unwrap();
    assert_eq!(sent.line, "GET /account?x=1 HTTP/1.1");
    assert_eq!(sent.fields[0], "host: app.example.com:8080");
    let field = |name: &str| sent.fields.iter().find_map(|field| field.strip_prefix(&format!("{name}: ")));
    assert_eq!(field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field("x-env"), Some("prod"));
    assert_eq!(field("authorization"), Some("***"));
    assert_eq!((field("x-hop"), field("connection")), (None, None));
}

#[test]
fn tells_of_each_endpoint_whether_it_would_be_passed_over() {
    let told = plain("http://app.example.com/users/7");
    let cluster = told.cluster.unwrap();
    let standings: Vec<_> = cluster.endpoints.iter().map(|endpoint| (endpoint.takes, endpoint.standing)).collect();
    assert_eq!(standings, [(true, "in_use"), (false, "drained"), (false, "standby")]);
}

#[test]
fn tells_why_each_nearer_route_did_not_match() {
    let told = plain("POST http://x.example.com:8080/users/7");
    let (user, rest) = (&told.routes.iter().find(|trial| trial.name == "user").unwrap(), told.routes.last().unwrap());
    assert_eq!((user.failed, user.why.as_str()), (Some("method"), "expected method GET, found POST"));
    assert!(rest.wins && rest.name == "rest", "{rest:?}");
    assert!(told.cluster.unwrap().because.starts_with("split api 95, canary 5, by the request's id"));
}

#[test]
fn the_same_id_is_drawn_the_same_way_and_ids_differ() {
    let drawn = |id: u128| {
        let told = ask(|question| question.id.0 = id, "http://app.example.com/");
        told.cluster.unwrap().name
    };
    assert_eq!(drawn(7), drawn(7));
    let canary = (1..200).filter(|id| drawn(*id) == "canary").count();
    assert!((1..40).contains(&canary), "{canary}");
}

#[test]
fn tells_the_answer_that_the_gateway_gives_by_itself() {
    let check = |request: &str, action: &str, status: u16, reason: Option<Reason>| {
        let told = plain(request);
        let answer = told.decision.answer.clone().unwrap();
        assert_eq!((told.decision.action, answer.status, answer.reason), (action, status, reason), "{told}");
        assert!(told.upstream.is_none());
    };
    check("http://app.example.com/ping", "respond", 200, None);
    check("http://app.example.com/old/a?b", "redirect", 308, None);
    check("http://other.org/", "refuse", 404, Some(Reason::NoHost));
    check("http://app.example.com/closed", "refuse", 403, Some(Reason::Denied));
    check("http://app.example.com/%2e%2e/%2e%2e", "refuse", 400, Some(Reason::PathInvalid));
    check("http://app.example.com/a%2fb", "refuse", 400, Some(Reason::PathInvalid));
    check("http://a_b@app.example.com/", "refuse", 400, Some(Reason::HostInvalid));
    check("GE(T http://app.example.com/", "refuse", 400, Some(Reason::MalformedRequest));
}

#[test]
fn judges_the_head_as_the_gate_does() {
    let check = |fields: &[&str], reason: Reason| {
        let told = ask(
            |question| fields.iter().for_each(|field| question.field(field).unwrap()),
            "POST http://app.example.com/",
        );
        assert_eq!(told.decision.answer.unwrap().reason, Some(reason), "{fields:?}");
    };
    check(&["Content-Length: 1", "Transfer-Encoding: chunked"], Reason::MalformedFraming);
    check(&["Host: a", "Host: b"], Reason::HostInvalid);
    check(&["bad name: x"], Reason::MalformedRequest);
}

#[test]
fn a_body_over_the_routes_limit_is_refused() {
    let told = ask(|question| question.body = "12345".into(), "POST http://app.example.com/small");
    assert_eq!(told.decision.answer.unwrap().reason, Some(Reason::BodyTooLarge));
    let told = ask(|question| question.body = "1234".into(), "POST http://app.example.com/small");
    assert_eq!(told.upstream.unwrap().body, 4);
}

#[test]
fn a_trusted_peer_names_the_client() {
    let told = ask(
        |question| {
            question.client = "10.1.2.3".parse().unwrap();
            question.field("x-forwarded-for: 203.0.113.7").unwrap();
        },
        "http://app.example.com/",
    );
    assert_eq!((told.asked.client.as_str(), told.asked.trusted), ("203.0.113.7", true));
    let sent = told.upstream.unwrap().fields;
    assert!(sent.contains(&"x-forwarded-for: 203.0.113.7, 10.1.2.3".to_owned()), "{sent:?}");
}

#[test]
fn every_filter_of_both_chains_is_told() {
    let told = plain("http://app.example.com/closed");
    let steps = |steps: &[portcullis_snapshot::explain::FilterStep]| {
        steps.iter().map(|step| (step.filter.clone(), step.step)).collect::<Vec<_>>()
    };
    assert_eq!(steps(&told.host_filters).len(), 1);
    assert_eq!(steps(&told.route_filters), [("access".to_owned(), Step::Refuses)]);
}

#[test]
fn a_filter_that_would_wait_says_so_and_does_not() {
    let told = plain("http://app.example.com/slow");
    assert_eq!(told.notes, [("fault".to_owned(), "delayed".to_owned())]);
    assert_eq!(told.decision.action, "forward");
}

#[test]
fn without_a_listener_nothing_answers() {
    let told = plain("https://app.example.com/");
    assert_eq!(told.decision.because, "no listener speaks https over HTTP");
    assert!(told.decision.answer.is_none() && told.listeners.iter().all(|trial| !trial.takes));
    let told = ask(|question| question.listener = Some("inner".to_owned()), "http://app.example.com:8080/");
    assert!(told.listeners[1].takes);
}

#[test]
fn the_text_has_a_section_for_each_step_and_steers_no_terminal() {
    let text = plain("http://app.example.com/users/7?\u{1b}[2J").to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
    let text = plain("http://app.example.com/users/7").to_string();
    for section in
        ["request", "listener", "host", "path", "filters", "routes", "cluster", "decision", "sends", "source"]
    {
        assert!(text.lines().any(|line| line.starts_with(section)), "{section}:\n{text}");
    }
}

#[test]
fn the_json_form_of_a_question_reads_back() {
    let mut question = Question::new("POST https://a.example:8443/x?y=1").unwrap();
    question.field("k: v").unwrap();
    question.body = vec![0, 255].into();
    question.listener = Some("edge".to_owned());
    question.sni = Some("b.example".to_owned());
    question.all = true;
    question.certificate = Some(portcullis_types::ClientCertificate {
        subject: "CN=a".to_owned(),
        names: vec!["a".to_owned()],
        fingerprint: "00".to_owned(),
    });
    assert_eq!(Question::from_json(&question.to_json()), Ok(question));
}

#[test]
fn a_question_that_cannot_be_read_says_what_would_be_right() {
    let check = |text: &str, says: &str| {
        let error = Question::new(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    };
    check("", "METHOD URL");
    check("GET a b", "METHOD URL");
    check("ftp://a/", "http://");
    let check = |text: &str, says: &str| {
        let error = Question::from_json(&serde_json::from_str(text).unwrap()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    };
    check("[]", "an object");
    check("{}", "url");
    check(r#"{"url":"http://a/","body":1}"#, "`body`: expected a string");
    check(r#"{"url":"http://a/","headers":["a: b"]}"#, "[name, value]");
    check(r#"{"url":"http://a/","nope":1}"#, "expected url, method");
}
