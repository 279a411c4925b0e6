//! Where recorded requests go by two generations, as far as their records tell.

use portcullis_snapshot::Snapshot;
use portcullis_snapshot::replay::{Way, both, is_replayable};
use portcullis_telemetry::record::{Record, RecordOptions, RequestLine};
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::{Downstream, GenerationId, Reason, RequestId};
use portcullis_yaml::render_text;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::app::App;
use crate::world::{Texts, World};

/// A generation whose host `app.test` has these routes, in the words of the config.
fn generation(routes: &[&str]) -> Snapshot {
    config(&format!("hosts:\n  - names: [app.test]\n    routes:\n      - {}\n", routes.join("\n      - ")))
}

fn config(hosts: &str) -> Snapshot {
    let text = format!(
        "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:0' }} }}\n\
         clusters: {{ a: {{ endpoints: ['127.0.0.1:1'] }}, b: {{ endpoints: ['127.0.0.1:2'] }} }}\n{hosts}"
    );
    let app = App::new();
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap());
    let world = World::new("replay.yaml".as_ref(), app.registry, app.seams, metrics);
    let (loaded, _) = world.read(Texts::Main(&text));
    let said = render_text(&loaded.diagnostics, &loaded.sources);
    world.imagine(loaded.candidate.unwrap_or_else(|| panic!("{said}"))).unwrap_or_else(|_| panic!("{text}"))
}

struct Recorded(Record);

/// A GET by the generation that serves, before anything came of it.
fn get(host: &str, path: &str) -> Recorded {
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let local = SocketAddr::from(([127, 0, 0, 1], 80));
    let downstream = Downstream { listener: "edge".into(), peer, socket_peer: peer, local, tls: None };
    let mut record = Record::request(RequestId(7), GenerationId(0), SystemTime::UNIX_EPOCH, Arc::new(downstream));
    let line = RequestLine { method: b"GET", host: host.as_bytes(), path: path.as_bytes(), ..RequestLine::default() };
    record.set_head(&line, &RecordOptions::default());
    Recorded(record)
}

impl Recorded {
    fn took(mut self, route: &str) -> Self {
        (self.0.virtual_host, self.0.route) = (Some("app.test".into()), Some(route.into()));
        self
    }

    fn refused(mut self, reason: Reason, host: Option<&str>) -> Self {
        (self.0.reason, self.0.virtual_host) = (Some(reason), host.map(Arc::from));
        self
    }

    /// By a generation that does not serve any more.
    fn older(mut self) -> Self {
        self.0.generation = GenerationId(9);
        self
    }

    fn ways(&self, serves: &Snapshot, next: &Snapshot) -> (String, String) {
        assert!(is_replayable(&self.0));
        let (before, after) = both(serves, next, &self.0);
        (before.to_string(), after.to_string())
    }
}

fn pair(before: &str, after: &str) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

const ALL: &str = "{ name: all, to: a }";

#[test]
fn a_request_goes_to_another_route_another_cluster_or_nowhere() {
    let serves = generation(&[ALL]);
    let request = get("app.test", "/x/y").took("all");
    let check = |routes: &[&str], after: &str| {
        let expected = pair("app.test/all (cluster a)", after);
        assert_eq!(request.ways(&serves, &generation(routes)), expected, "{routes:?}");
    };
    check(&[ALL], "app.test/all (cluster a)");
    check(&["{ name: all, to: b }"], "app.test/all (cluster b)");
    check(&[ALL, "{ name: new, match: { path: /x }, to: b }"], "app.test/new (cluster b)");
    check(&[ALL, "{ name: new, match: { path: /x, method: POST }, to: b }"], "app.test/all (cluster a)");
    check(&[ALL, "{ name: new, match: { path: /x, network: ['192.0.2.0/24'] }, to: b }"], "app.test/new (cluster b)");
    check(&["{ name: all, match: { path: /z }, to: a }"], "refused: no_route");
    check(&["{ name: all, respond: { status: 410 } }"], "app.test/all (respond 410)");
    check(
        &["{ name: all, to: { split: { a: 1, b: 1 }, sticky: header:x } }"],
        "app.test/all (a split: cluster a 1, cluster b 1)",
    );
    let other = config("hosts: [{ names: [other.test], routes: [{ name: all, to: a }] }]");
    assert_eq!(request.ways(&serves, &other), pair("app.test/all (cluster a)", "refused: no_host"));
}

#[test]
fn what_is_not_recorded_is_taken_from_what_was_decided_and_is_open_where_nothing_was() {
    let beta = "{ name: beta, match: { path: /x, headers: { x-beta: '1' } }, to: b }";
    let serves = generation(&[ALL, beta]);
    let (passed, took) = (get("app.test", "/x").took("all"), get("app.test", "/x").took("beta"));
    let renamed = generation(&[ALL, &beta.replace("beta,", "preview,")]);
    assert_eq!(passed.ways(&serves, &renamed), pair("app.test/all (cluster a)", "app.test/all (cluster a)"));
    assert_eq!(took.ways(&serves, &renamed), pair("app.test/beta (cluster b)", "app.test/preview (cluster b)"));
    let open = "not decidable: a header field is not recorded";
    let other = generation(&[ALL, &beta.replace("x-beta", "x-other")]);
    assert_eq!(passed.ways(&serves, &other), pair("app.test/all (cluster a)", open));
    assert_eq!(passed.older().ways(&serves, &renamed), pair(open, open), "another generation decided that");
    let elsewhere = get("app.test", "/y").older();
    assert_eq!(elsewhere.took("all").ways(&serves, &other).1, "app.test/all (cluster a)", "the path alone tells");
    for asks in ["query: { q: '1' }", "cookies: { c: '1' }", "jsonrpc: [getBlock]"] {
        let next =
            generation(&[ALL, &format!("{{ name: n, match: {{ path: /x, method: [GET, POST], {asks} }}, to: b }}")]);
        let (_, after) = get("app.test", "/x").took("all").ways(&serves, &next);
        assert!(after.starts_with("not decidable"), "{asks}: {after}");
    }
}

#[test]
fn refusals_are_replayed_too() {
    let serves = generation(&["{ name: some, match: { path: /s }, to: a }"]);
    let nowhere = get("app.test", "/x").refused(Reason::NoRoute, Some("app.test"));
    assert_eq!(nowhere.ways(&serves, &generation(&[ALL])), pair("refused: no_route", "app.test/all (cluster a)"));
    let unknown = get("new.test", "/").refused(Reason::NoHost, None);
    let both_hosts = config("hosts: [{ names: [new.test], routes: [{ name: all, to: a }] }]");
    assert_eq!(unknown.ways(&serves, &both_hosts), pair("refused: no_host", "new.test/all (cluster a)"));
    let by_filter = get("app.test", "/s").refused(Reason::Denied, Some("app.test"));
    let same = "app.test, answered by a filter";
    assert_eq!(by_filter.ways(&serves, &generation(&[ALL])), pair(same, same));
    assert_eq!(by_filter.ways(&serves, &both_hosts), pair(same, "refused: no_host"));
}

#[test]
fn a_request_of_a_listener_that_goes_is_heard_by_nobody() {
    let serves = generation(&[ALL]);
    let mut request = get("app.test", "/").took("all").0;
    Arc::make_mut(&mut request.downstream).listener = "gone".into();
    assert_eq!(both(&serves, &serves, &request).1, Way::Unheard);
}

#[test]
fn what_never_was_routed_is_no_request_to_replay() {
    assert!(!is_replayable(&get("app.test", "/x").refused(Reason::MalformedRequest, None).0));
    assert!(!is_replayable(&get("", "/x").took("all").0));
    let long = format!("/{}", "x".repeat(5_000));
    assert!(!is_replayable(&get("app.test", &long).took("all").0));
}
