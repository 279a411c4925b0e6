//! What is counted, what a reload leaves alone, and what outlives the process.

use super::*;
use crate::app::App;
use crate::tests::explain::world_of;
use crate::world::World;
use portcullis_telemetry::Flag;
use portcullis_types::{Downstream, GenerationId, Reason, RequestId, RouteName};
use serde_json::json;

const CONFIG: &str = r#"
version: 1
listeners: { edge: { bind: "127.0.0.1:8080" } }
slos:
  up: { host: b.example.com, objective: 90% }
  fast: { host: a.example.com, route: pay, objective: 99%, latency: 100ms }
  theirs: { host: a.example.com, objective: 99%, faults: [client] }
hosts:
  - names: [a.example.com, b.example.com]
    routes:
      - { name: pay, match: { path: /pay }, respond: { status: 204 } }
      - { name: all, respond: { status: 204 } }
  - names: [c.example.com]
    routes: [{ name: pay, respond: { status: 204 } }]
"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn generation(world: &World, id: u64) -> Snapshot {
    world.activate(world.check().candidate.unwrap(), None, (GenerationId(id), "test")).unwrap()
}

/// A record of a request, with the names that the generation has.
fn record(snapshot: &Snapshot, host: &str, route: &str, change: impl FnOnce(&mut Record)) -> Arc<Record> {
    let address = "127.0.0.1:1".parse().unwrap();
    let downstream =
        Downstream { listener: "edge".into(), peer: address, socket_peer: address, local: address, tls: None };
    let mut record = Record::request(RequestId(1), snapshot.id, now(), Arc::new(downstream));
    let host = snapshot.router.hosts().find(|one| &*one.data().name == host).unwrap();
    record.virtual_host = Some(host.data().name.clone());
    record.route = host.routes().iter().find(|one| one.name().as_str() == route).map(|one| one.data().name.clone());
    record.status = 200;
    change(&mut record);
    Arc::new(record)
}

/// Good and bad by name.
fn counted(slos: &Slos, snapshot: &Snapshot) -> Vec<(String, u64, u64)> {
    let told = slos.told(snapshot, now());
    let one = |slo: &Value| {
        let number = |key: &str| slo[key].as_u64().unwrap();
        (slo["name"].as_str().unwrap().to_owned(), number("good"), number("bad"))
    };
    told.as_array().unwrap().iter().map(one).collect()
}

fn expect(slos: &Slos, snapshot: &Snapshot, expected: [(&str, u64, u64); 3]) {
    assert_eq!(counted(slos, snapshot), expected.map(|(name, good, bad)| (name.to_owned(), good, bad)));
}

fn fail(reason: Reason) -> impl FnOnce(&mut Record) {
    move |record| {
        record.fail(&reason.into());
        record.status = reason.status();
    }
}

#[test]
fn a_request_counts_where_it_belongs_by_whose_fault_it_failed() {
    let (_dir, world) = world_of(CONFIG, App::new());
    let (slos, snapshot) = (world.slos.clone(), generation(&world, 1));
    let see = |host, route, change: Box<dyn FnOnce(&mut Record)>| slos.record(&record(&snapshot, host, route, change));
    see("a.example.com", "pay", Box::new(|record| record.timers.total = Duration::from_millis(100)));
    expect(&slos, &snapshot, [("up", 1, 0), ("fast", 1, 0), ("theirs", 1, 0)]);
    see("a.example.com", "pay", Box::new(|record| record.timers.total = Duration::from_millis(101)));
    expect(&slos, &snapshot, [("up", 2, 0), ("fast", 1, 1), ("theirs", 2, 0)]);
    see("a.example.com", "all", Box::new(fail(Reason::UpstreamReset)));
    expect(&slos, &snapshot, [("up", 2, 1), ("fast", 1, 1), ("theirs", 2, 0)]);
    see("a.example.com", "pay", Box::new(fail(Reason::Denied)));
    expect(&slos, &snapshot, [("up", 2, 1), ("fast", 1, 1), ("theirs", 2, 1)]);
    see("a.example.com", "pay", Box::new(|record| record.status = 503));
    expect(&slos, &snapshot, [("up", 2, 2), ("fast", 1, 1), ("theirs", 2, 1)]);
    see("a.example.com", "pay", Box::new(|record| record.flags.set(Flag::Upgraded)));
    expect(&slos, &snapshot, [("up", 3, 2), ("fast", 1, 1), ("theirs", 3, 1)]);
    see("c.example.com", "pay", Box::new(fail(Reason::UpstreamReset)));
    expect(&slos, &snapshot, [("up", 3, 2), ("fast", 1, 1), ("theirs", 3, 1)]);
}

#[test]
fn a_name_of_another_generation_is_another_address() {
    let (_dir, world) = world_of(CONFIG, App::new());
    let (first, second) = (generation(&world, 1), generation(&world, 2));
    let slos = &world.slos;
    slos.record(&record(&first, "a.example.com", "all", |_| {}));
    slos.record(&record(&second, "a.example.com", "all", |_| {}));
    expect(slos, &second, [("up", 2, 0), ("fast", 0, 0), ("theirs", 2, 0)]);
    let stranger = record(&second, "a.example.com", "all", |record| {
        record.virtual_host = Some(Arc::from("a.example.com"));
        record.route = Some(RouteName::from("all"));
    });
    slos.record(&stranger);
    expect(slos, &second, [("up", 2, 0), ("fast", 0, 0), ("theirs", 2, 0)]);
}

#[test]
fn a_reload_leaves_budgets_alone_and_a_rollback_finds_them() {
    let (_dir, world) = world_of(CONFIG, App::new());
    let first = generation(&world, 1);
    world.slos.record(&record(&first, "a.example.com", "all", fail(Reason::UpstreamReset)));
    std::fs::write(&world.path, CONFIG.replace("objective: 90%", "objective: 95%")).unwrap();
    let second = generation(&world, 2);
    expect(&world.slos, &second, [("up", 0, 0), ("fast", 0, 0), ("theirs", 0, 0)]);
    std::fs::write(&world.path, CONFIG).unwrap();
    let third = generation(&world, 3);
    expect(&world.slos, &third, [("up", 0, 1), ("fast", 0, 0), ("theirs", 0, 0)]);
}

#[test]
fn what_was_counted_outlives_the_process() {
    let (dir, world) = world_of(CONFIG, App::new());
    let file = dir.path().join("kept/slos.json");
    let first = generation(&world, 1);
    world.slos.record(&record(&first, "a.example.com", "all", fail(Reason::UpstreamReset)));
    world.slos.record(&record(&first, "a.example.com", "all", |_| {}));
    world.slos.save(&file, now());
    assert!(world.slos.found().is_none());
    let next = Slos::default();
    next.keeping.load_once(&file);
    next.follow(&first, now());
    expect(&next, &first, [("up", 1, 1), ("fast", 0, 0), ("theirs", 1, 0)]);
    next.save(&file, now());
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["version"], json!(1));
}

#[test]
fn a_bad_file_is_put_aside_and_counted() {
    let (dir, world) = world_of(CONFIG, App::new());
    let snapshot = generation(&world, 1);
    for (at, text) in [(0, "{"), (1, "{\"version\": 2}"), (2, "{\"version\": 1, \"slos\": [{\"name\": \"up\"}]}")] {
        let file = dir.path().join(format!("{at}.json"));
        std::fs::write(&file, text).unwrap();
        let slos = Slos::default();
        slos.keeping.load_once(&file);
        assert_eq!(slos.keeping.failures(), [1, 0], "{text}");
        assert!(!file.exists() && beside_bad(&file).exists(), "{text}");
        slos.follow(&snapshot, now());
        expect(&slos, &snapshot, [("up", 0, 0), ("fast", 0, 0), ("theirs", 0, 0)]);
    }
}

fn beside_bad(file: &Path) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".bad");
    name.into()
}

#[test]
fn a_disk_that_cannot_be_written_is_said_and_counted_until_it_can() {
    let (dir, world) = world_of(CONFIG, App::new());
    let folder = dir.path().join("data");
    std::fs::write(&folder, "a file in the place of the folder").unwrap();
    world.slos.save(&folder.join("slos.json"), now());
    world.slos.save(&folder.join("slos.json"), now());
    assert_eq!(world.slos.keeping.failures(), [0, 2]);
    assert_eq!(world.slos.found().map(|finding| finding.id()).as_deref(), Some("store:slos"));
    std::fs::remove_file(&folder).unwrap();
    world.slos.save(&folder.join("slos.json"), now());
    assert!(world.slos.found().is_none());
}

#[test]
fn a_budget_that_burns_is_told_as_an_alert() {
    let (_dir, world) = world_of(CONFIG, App::new());
    let snapshot = generation(&world, 1);
    (0..10).for_each(|_| world.slos.record(&record(&snapshot, "a.example.com", "pay", fail(Reason::Denied))));
    let burns = world.slos.burns(&snapshot, now());
    let told: Vec<(&str, f64)> = burns.iter().map(|burn| (&*burn.slo, burn.factor)).collect();
    assert_eq!(told, [("theirs", 14.4), ("theirs", 6.0), ("theirs", 1.0)]);
}
