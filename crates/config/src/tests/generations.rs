//! Generations share what did not change.

use std::sync::Arc;
use std::time::Instant;

use portcullis_filter::seam::FoundEndpoint;
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phases};
use portcullis_snapshot::{Action, ListenerKind, Snapshot, Target};
use portcullis_types::{ClusterName, RouteName};
use portcullis_yaml::{MemoryLoader, render_text};

use super::kit::{World, conf};

const BASE: &str = r#"
version: 1
listeners:
  edge: { bind: "127.0.0.1:8080" }
  other: { bind: "127.0.0.1:8081", half_close: true }
clusters:
  web: { endpoints: ["127.0.0.1:9001", "127.0.0.1:9002"], keepalive: 5s }
  api: { endpoints: ["127.0.0.1:9003"] }
hosts:
  - names: [www.example.com]
    routes:
      - { name: api, match: { path: /api }, to: api, rewrite: { prefix: / } }
      - { name: web, to: web }
"#;

fn route(snapshot: &Snapshot, name: &str) -> Arc<portcullis_snapshot::RouteData> {
    let host = snapshot.router.host("www.example.com").unwrap();
    host.routes().iter().find(|route| route.name().as_str() == name).unwrap().data().clone()
}

#[test]
fn a_config_becomes_what_it_says() {
    let world = World::default();
    let snapshot = world.generation(BASE, None);
    assert!(matches!(snapshot.listeners[0].kind, ListenerKind::Http { http1: true, http2: true }));
    assert_eq!(snapshot.cluster_named("web").unwrap().fleet.members().endpoints.endpoints().len(), 2);
    assert_eq!(snapshot.cluster_named("web").unwrap().keepalive.as_secs(), 5);
    let api = route(&snapshot, "api");
    assert_eq!((&*api.label, api.place.line, &*api.place.file), ("www.example.com/api", 12, "gate.yaml"));
    assert_eq!(&*api.place.excerpt, "      - { name: api, match: { path: /api }, to: api, rewrite: { prefix: / } }");
    let Action::Forward(forward) = &api.action else { panic!() };
    let Target::Cluster(index) = forward.target else { panic!() };
    assert_eq!(snapshot.cluster(index).unwrap().name.as_str(), "api");
    assert_eq!(api.body_limit, Some(10 * 1024 * 1024));
    assert_eq!((snapshot.settings.generations, snapshot.settings.drain_idle.as_secs()), (8, 1));
    assert_eq!(snapshot.origin.text.trim(), BASE.trim());
}

#[test]
fn what_did_not_change_is_the_very_same() {
    let world = World::default();
    let first = world.generation(BASE, None);
    let text = BASE.replace("127.0.0.1:8081", "127.0.0.1:8082").replace("keepalive: 5s", "keepalive: 6s");
    let second = world.generation(&text, Some(&first));
    assert!(Arc::ptr_eq(&first.listeners[0], &second.listeners[0]));
    assert!(!Arc::ptr_eq(&first.listeners[1], &second.listeners[1]));
    assert!(Arc::ptr_eq(first.cluster_named("api").unwrap(), second.cluster_named("api").unwrap()));
    assert!(!Arc::ptr_eq(first.cluster_named("web").unwrap(), second.cluster_named("web").unwrap()));
    let states = |snapshot: &Snapshot| {
        let web = snapshot.cluster_named("web").unwrap();
        web.fleet.members().endpoints.endpoints().iter().map(|endpoint| endpoint.state().clone()).collect::<Vec<_>>()
    };
    assert!(states(&first).iter().zip(&states(&second)).all(|(one, other)| Arc::ptr_eq(one, other)));
    assert!(Arc::ptr_eq(&route(&first, "web").metrics, &route(&second, "web").metrics));
    assert_eq!(second.id.0, 2);
    assert_ne!(first.origin.hash, second.origin.hash);
}

#[test]
fn counters_are_those_of_the_metrics_by_name() {
    let world = World::default();
    let snapshot = world.generation(BASE, None);
    let metrics = world.metrics.cluster(&ClusterName::from("web"));
    assert!(Arc::ptr_eq(&metrics, &snapshot.cluster_named("web").unwrap().metrics));
    let metrics = world.metrics.route("www.example.com", &RouteName::from("api"));
    assert!(Arc::ptr_eq(&metrics, &route(&snapshot, "api").metrics));
}

#[test]
fn tls_is_kept_until_a_certificate_changes() {
    let world = World::default();
    let read = |name: &str| std::fs::read_to_string(conf().join("certs").join(name)).unwrap();
    let text = BASE.replace(
        "edge: { bind: \"127.0.0.1:8080\" }",
        "edge: { bind: \"127.0.0.1:8080\", tls: { certificates: [{ cert: a.pem, key: a.key }] } }",
    );
    let generation = |certificate: &str, previous: Option<&Snapshot>| {
        let loader = MemoryLoader::new()
            .file("gate.yaml", text.as_str())
            .file("a.pem", read(&format!("{certificate}.pem")))
            .file("a.key", read(&format!("{certificate}.key")));
        let loaded = world.check("gate.yaml", &loader);
        assert_eq!(render_text(&loaded.diagnostics, &loaded.sources), "");
        assert!(loaded.watch.iter().any(|path| path.ends_with("a.key")));
        world.activate(loaded.candidate.unwrap(), previous).unwrap()
    };
    let first = generation("edge", None);
    let second = generation("edge", Some(&first));
    assert!(Arc::ptr_eq(&first.listeners[0], &second.listeners[0]));
    let third = generation("wildcard", Some(&second));
    let tls = |snapshot: &Snapshot| snapshot.listeners[0].tls.clone().unwrap();
    assert!(!Arc::ptr_eq(&tls(&second), &tls(&third)));
    assert!(tls(&third).certificates.configured("www.example.com").is_some());
    assert!(tls(&second).certificates.configured("www.example.com").is_none());
    // The keys of session tickets outlive the certificate: a reload must not end sessions.
    assert!(Arc::ptr_eq(&tls(&second).server.ticketer, &tls(&third).server.ticketer));
    assert_eq!(tls(&third).server.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_name_with_two_addresses_is_two_endpoints() {
    let world = World::default();
    let snapshot = world.generation(&BASE.replace("127.0.0.1:9003", "twice.test:80"), None);
    let feed = world.fleets.feeds().pop().unwrap();
    let found = ["127.0.0.1:80", "127.0.0.2:80"].map(|address| FoundEndpoint::new(address.parse().unwrap()));
    feed.publish(found.to_vec(), Instant::now());
    let api = snapshot.cluster_named("api").unwrap();
    let api = api.fleet.members();
    let addresses: Vec<String> = api.endpoints.endpoints().iter().map(|it| it.spec().address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:80", "127.0.0.2:80"]);
    assert!(api.endpoints.endpoints().iter().all(|it| it.spec().name.as_str() == "twice.test:80"));
}

/// A filter that can be read and not be made.
struct Refuses;

impl Filter for Refuses {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::NONE
    }
}

impl ConfiguredFilter for Refuses {
    const NAME: &'static str = "refuses";
    type Config = bool;

    fn build(_: bool, cx: &BuildCx<'_>) -> Result<Self, String> {
        Err(format!("{} refuses among {}", cx.place, cx.clusters.join(" ")))
    }
}

#[test]
fn a_filter_that_cannot_be_made_is_named_at_its_place() {
    let mut world = World::default();
    world.registry = std::mem::take(&mut world.registry).with::<Refuses>();
    let text = BASE.replace("to: web", "to: web, filters: [compress, { refuses: true }, { refuses: false }]");
    let loader = MemoryLoader::new().file("gate.yaml", text);
    let loaded = world.check("gate.yaml", &loader);
    let mut rehearsed = portcullis_yaml::Diagnostics::new();
    assert!(!crate::rehearse(world.check("gate.yaml", &loader).candidate.unwrap(), &mut rehearsed));
    let Err(diagnostics) = world.activate(loaded.candidate.unwrap(), None) else { panic!("it was made") };
    let report = render_text(&diagnostics, &loaded.sources);
    assert_eq!(diagnostics.error_count(), 2);
    let place = "hosts/www.example.com/routes/web/filters/refuses";
    assert!(
        report.starts_with("gate.yaml:13:53: error[filter_failed]: the filter `refuses` cannot be made: "),
        "{report}"
    );
    assert!(report.contains(&format!("{place} refuses among web api")), "{report}");
    assert!(report.contains(&format!("{place}#2 refuses among web api")), "{report}");
    assert_eq!(render_text(&rehearsed, &loaded.sources), report, "a rehearsal finds the same");
}

#[test]
fn a_sticky_user_keeps_the_cluster_when_the_file_is_put_in_another_order() {
    let world = World::default();
    let check = |clusters: [&str; 3], split: &str| {
        let clusters: String =
            clusters.iter().map(|name| format!("  {name}: {{ endpoints: [\"127.0.0.1:1\"] }}\n")).collect();
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: \"127.0.0.1:0\" }} }}\nclusters:\n{clusters}hosts:\n  - names: \
             [www.example.com]\n    routes: [{{ name: web, to: {{ split: {split}, sticky: client_ip }} }}]\n"
        );
        let snapshot = world.generation(&text, None);
        let web = route(&snapshot, "web");
        let Action::Forward(forward) = &web.action else { panic!() };
        let Target::Split { split, .. } = &forward.target else { panic!() };
        let cluster = |key: u64| snapshot.cluster(*split.pick(key.wrapping_mul(0x9e37_79b9_7f4a_7c15))).unwrap();
        (0..300).map(|key| cluster(key).name.to_string()).collect::<Vec<_>>()
    };
    let before = check(["a", "b", "c"], "{ a: 5, b: 3, c: 2 }");
    assert!(["a", "b", "c"].iter().all(|name| before.iter().any(|picked| picked == name)));
    assert_eq!(before, check(["c", "a", "b"], "{ b: 3, c: 2, a: 5 }"));
}

#[test]
fn a_cluster_is_another_when_any_knob_of_choice_or_health_is_and_keeps_its_endpoints() {
    let world = World::default();
    let with = |knob: &str| BASE.replace("keepalive: 5s", &format!("keepalive: 5s{knob}"));
    let plain = world.generation(&with(""), None);
    for knob in [
        ", slow_start: 20s",
        ", slow_start: 0s",
        ", panic_threshold: 10%",
        ", overprovisioning: 200%",
        ", outlier_detection: false",
        ", outlier_detection: { ejection: 31s }",
        ", outlier_detection: { latency: { factor: 4 } }",
        ", balance: { hash: { by: path } }",
        ", balance: { hash: { by: consumer } }",
        ", retry: { on: [reset] }",
        ", load_reports: true",
        ", load_reports: { retry_after: never, orca: false }",
        ", health_check: { tcp: {} }",
        ", health_check: { http: { body: { contains: a } } }",
    ] {
        let next = world.generation(&with(knob), Some(&plain));
        let again = world.generation(&with(knob), Some(&next));
        let of = |snapshot: &Snapshot| snapshot.cluster_named("web").unwrap().clone();
        assert!(!Arc::ptr_eq(&of(&plain), &of(&next)), "{knob} is no change");
        assert!(Arc::ptr_eq(&of(&next), &of(&again)), "{knob} is a change each time");
        let state = |snapshot: &Snapshot| of(snapshot).fleet.members().endpoints.endpoints()[0].state().clone();
        assert!(Arc::ptr_eq(&state(&plain), &state(&next)), "{knob}");
    }
    for default in [", slow_start: 10s", ", panic_threshold: 0%", ", overprovisioning: 140%", ", outlier_detection: {}"]
    {
        let next = world.generation(&with(default), Some(&plain));
        let of = |snapshot: &Snapshot| snapshot.cluster_named("web").unwrap().clone();
        assert!(Arc::ptr_eq(&of(&plain), &of(&next)), "{default} is the default");
    }
}

#[test]
fn a_route_that_is_fallen_back_to_is_the_hosts_own_wherever_it_stands_and_needs_not_be_matched() {
    let text = r#"
version: 1
listeners: { edge: { bind: "127.0.0.1:8080" } }
clusters: { web: { endpoints: ["127.0.0.1:9001"] } }
hosts:
  - names: [www.example.com]
    routes:
      - { name: first, match: { path: /a }, to: web, fallback: { route: last } }
      - { name: same, match: { path: /a }, respond: { status: 503 } }
      - { name: last, match: { template: "/a/{id}" }, to: web, fallback: { to: web } }
      - { name: web, match: { path: /b }, to: web, fallback: { route: same } }
"#;
    let world = World::default();
    let loaded = world.check("gate.yaml", &MemoryLoader::new().file("gate.yaml", text));
    // `same` can never be matched; but it is there for `web`.
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources), "");
    let snapshot = world.generation(text, None);
    let names: Vec<_> = snapshot.router.host("www.example.com").unwrap().routes().iter().map(|it| it.name()).collect();
    assert_eq!(names, ["last", "first", "same", "web"].map(RouteName::from).iter().collect::<Vec<_>>());
    for (name, other) in [("first", "last"), ("web", "same")] {
        let from = route(&snapshot, name);
        let another = from.fallback().unwrap().another().unwrap();
        assert!(Arc::ptr_eq(&another.route, &route(&snapshot, other)), "{name}");
        assert_eq!(another.path.params("/a/7").len(), usize::from(other == "last"), "{name}");
    }
}
