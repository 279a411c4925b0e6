//! Endpoints that come from names, services, files and the admin API, while requests go on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use portcullis_integration_tests::dns::{Dns, Zone};
use portcullis_integration_tests::{Gateway, Origin, Setup, cli, place, until};
use serde_json::Value;

fn v4(address: SocketAddr) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("{ip}"),
    }
}

/// An origin on the other address of this process, on the port of the first.
fn beside(first: &Origin, text: &'static str) -> Origin {
    let at = SocketAddr::new(place::other_ip(), first.address().port());
    Origin::bound(at, move |received, wire| {
        wire.read_body(received);
        wire.ok(text)
    })
}

fn to_endpoints(dns: &Dns, endpoints: &str) -> String {
    format!(
        "{}\nlisteners: {{ edge: {{ bind: \"@edge\" }} }}\nclusters:\n  app:\n    endpoints: {endpoints}\n    \
         balance: round_robin\nhosts: [{{ names: [\"*\"], routes: [{{ name: all, to: app }}] }}]\n",
        dns.yaml()
    )
}

fn cluster(gateway: &Gateway) -> Value {
    gateway.admin().json("/api/clusters")["clusters"][0].clone()
}

fn source(gateway: &Gateway) -> Value {
    cluster(gateway)["sources"][0].clone()
}

fn generation(gateway: &Gateway) -> u64 {
    gateway.admin().json("/api/status")["generation"].as_u64().unwrap()
}

#[test]
fn a_name_that_flips_moves_requests_without_a_new_generation() {
    let (dns, old) = (Dns::start(), Origin::says("old"));
    let new = beside(&old, "new");
    dns.set("api.test", Zone::Addresses(vec![v4(old.address())], 0));
    let port = old.address().port();
    let gateway = Gateway::with_yaml(&to_endpoints(&dns, &format!("[\"api.test:{port}\"]")));
    assert_eq!(gateway.get("/").text(), "old", "the first request finds the name resolved");
    dns.set("api.test", Zone::Addresses(vec![v4(new.address())], 0));
    until("the requests to move", || (gateway.get("/").text() == "new").then_some(()));
    assert!((0..5).all(|_| gateway.get("/").text() == "new"));
    assert_eq!(generation(&gateway), 1);
}

#[test]
fn a_name_that_fails_keeps_its_last_answer_and_says_so() {
    let (dns, origin) = (Dns::start(), Origin::says("here"));
    dns.set("api.test", Zone::Addresses(vec![v4(origin.address())], 0));
    let port = origin.address().port();
    let gateway = Gateway::with_yaml(&to_endpoints(&dns, &format!("[\"api.test:{port}\"]")));
    let name = format!("source=\"api.test:{port}\"");
    for zone in [Some(Zone::Fails), Some(Zone::Silent), None] {
        match zone.clone() {
            Some(zone) => dns.set("api.test", zone),
            None => dns.forget("api.test"),
        }
        let told = until("the source to fail", || Some(source(&gateway)).filter(|told| told["state"] == "failing"));
        assert_eq!((told["endpoints"].as_u64(), gateway.get("/").text()), (Some(1), "here".to_owned()), "{zone:?}");
        assert!(told["says"].as_str().unwrap().contains("keeps the 1 endpoint of its last answer"), "{told}");
        assert!((gateway.admin().metric("portcullis_source_failing", &name) - 1.0).abs() < 0.1);
        let explained = gateway.admin().get("/api/explain?format=text&url=http://any.test/").text();
        assert!(explained.contains("failing for"), "{explained}");
        dns.set("api.test", Zone::Addresses(vec![v4(origin.address())], 0));
        until("the source to answer again", || (source(&gateway)["state"] == "answered").then_some(()));
    }
    assert!(gateway.admin().metric("portcullis_source_failures_total", &name) >= 3.0);
}

#[test]
fn a_resolver_that_says_nothing_delays_neither_the_start_nor_a_reload() {
    let (dns, origin) = (Dns::start(), Origin::says("here"));
    dns.set("api.test", Zone::Silent);
    dns.set("more.test", Zone::Silent);
    let port = origin.address().port();
    let yaml = to_endpoints(&dns, &format!("[\"api.test:{port}\"]"));
    let started = Instant::now();
    let gateway = Gateway::with_yaml(&yaml);
    assert!(started.elapsed() < Duration::from_secs(5), "started after {:?}", started.elapsed());
    let refused = gateway.get("/");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "no_healthy_upstream"));
    let more = yaml.replace("endpoints: [", &format!("endpoints: [\"more.test:{port}\", \"{}\", ", origin.address()));
    std::fs::write(gateway.file(), gateway.complete(&more)).unwrap();
    let asked = Instant::now();
    let told = gateway.admin().post("/api/reload", "", "");
    assert_eq!(told.status, 200, "{}", told.text());
    assert!(asked.elapsed() < Duration::from_secs(5), "reloaded after {:?}", asked.elapsed());
    assert_eq!(gateway.get("/").text(), "here");
    dns.set("api.test", Zone::Addresses(vec![v4(origin.address())], 60));
    until("the name to be there", || (cluster(&gateway)["endpoints"].as_array()?.len() == 2).then_some(()));
}

#[test]
fn two_hundred_addresses_come_over_tcp_and_all_are_endpoints() {
    let dns = Dns::start();
    let addresses = (0..200).map(|last| Ipv4Addr::new(127, 9, 9, last)).collect();
    dns.set("api.test", Zone::Addresses(addresses, 60));
    let gateway = Gateway::with_yaml(&to_endpoints(&dns, "[\"api.test:9\"]"));
    until("the endpoints", || (cluster(&gateway)["endpoints"].as_array()?.len() == 200).then_some(()));
    assert!(dns.over_tcp() > 0);
    assert_eq!(source(&gateway)["endpoints"], 200);
}

#[test]
fn a_service_says_port_weight_and_priority() {
    let (dns, first, reserve) = (Dns::start(), Origin::says("first"), Origin::says("reserve"));
    let ports = [first.address().port(), reserve.address().port()];
    dns.set("a.test", Zone::Addresses(vec![v4(first.address())], 0));
    dns.set("_http._tcp.app.test", Zone::Services(vec![(10, 7, ports[0], "a.test"), (20, 0, ports[1], "a.test")], 0));
    let gateway = Gateway::with_yaml(&to_endpoints(&dns, "{ srv: _http._tcp.app.test }"));
    assert!((0..4).all(|_| gateway.get("/").text() == "first"));
    let told = cluster(&gateway)["endpoints"].clone();
    let shown: Vec<_> =
        told.as_array().unwrap().iter().map(|one| (one["weight"].as_u64(), one["priority"].as_u64())).collect();
    assert_eq!(shown, [(Some(7), Some(0)), (Some(1), Some(1))]);
    dns.set("_http._tcp.app.test", Zone::Services(vec![(20, 0, ports[1], "a.test")], 0));
    until("the requests to move", || (gateway.get("/").text() == "reserve").then_some(()));
    dns.set("a.test", Zone::Fails);
    dns.wait_for_more("a.test", 3);
    assert_eq!(gateway.get("/").text(), "reserve", "a target that fails keeps its addresses");
}

fn with_file(origin: &Origin) -> (Gateway, std::path::PathBuf) {
    let yaml = Setup::to(origin).cluster("balance: round_robin").yaml();
    let endpoints = format!("endpoints: [\"{}\"]", origin.address());
    let yaml = yaml.replace(&endpoints, "endpoints: { file: pool.yaml }");
    let gateway = Gateway::spawn(&yaml);
    let file = gateway.dir().join("pool.yaml");
    std::fs::write(&file, format!("- {}\n", origin.address())).unwrap();
    until("the gateway to be ready", || gateway.admin().try_get("/readyz").filter(|answer| answer.status == 200));
    until("the first endpoints", || (gateway.get("/").status == 200).then_some(()));
    (gateway, file)
}

#[test]
fn a_file_of_thousands_of_endpoints_changes_them_without_a_new_generation() {
    let (old, new) = (Origin::says("old"), Origin::says("new"));
    let (gateway, file) = with_file(&old);
    let many: String =
        (0..5000).map(|at| format!("- {{ address: \"127.9.{}.{}:9\", weight: 0 }}\n", at / 250, at % 250)).collect();
    std::fs::write(&file, format!("{many}- {}\n", new.address())).unwrap();
    until("the requests to move", || (gateway.get("/").text() == "new").then_some(()));
    assert_eq!(cluster(&gateway)["endpoints"].as_array().unwrap().len(), 5001);
    let next = file.with_extension("next");
    std::fs::write(&next, format!("[\"{}\"]", old.address())).unwrap();
    std::fs::rename(&next, &file).unwrap();
    until("the requests to move back", || (gateway.get("/").text() == "old").then_some(()));
    assert_eq!(generation(&gateway), 1);
}

#[test]
fn a_file_that_is_cut_off_while_it_is_written_keeps_the_last_good_one_and_says_so_once() {
    let (old, new) = (Origin::says("old"), Origin::says("new"));
    let (gateway, file) = with_file(&old);
    // Each is empty for a moment before it is written, which may be seen too.
    for (bad, why) in [
        ("", "the file is empty"),
        ("[\"127.0.0.1:80\", {\"address\": \"127.0", "unexpected end of stream"),
        ("- nobody.test:80\n", "nobody.test:80"),
        ("- { address: \"127.0.0.1:80\", wieght: 2 }\n", "wieght"),
    ] {
        std::fs::write(&file, bad).unwrap();
        until("the file to be found bad", || source(&gateway)["failing"]["why"].as_str()?.contains(why).then_some(()));
        assert_eq!(gateway.get("/").text(), "old", "{bad}");
    }
    std::fs::remove_file(&file).unwrap();
    until("the file to be missed", || {
        source(&gateway)["failing"]["why"].as_str()?.contains("cannot be read").then_some(())
    });
    assert_eq!(gateway.get("/").text(), "old");
    std::fs::write(&file, format!("[\"{}\"]", new.address())).unwrap();
    until("the requests to move", || (gateway.get("/").text() == "new").then_some(()));
    let said = gateway.stderr().lines().filter(|line| line.contains("wieght")).count();
    assert_eq!(said, 1, "{}", gateway.stderr());
}

fn ask(gateway: &Gateway, body: &str) -> (u16, Value) {
    let answer = gateway.admin().post("/api/clusters/app/endpoints", "Content-Type: application/json\r\n", body);
    (answer.status, answer.json())
}

#[test]
fn an_endpoint_is_drained_across_a_reload_and_only_for_a_while() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let gateway = Setup::to(&one).and_to(other.address()).cluster("balance: round_robin").start();
    let drain =
        format!("{{\"action\":\"drain\",\"endpoint\":\"{}\",\"for\":\"1h\",\"reason\":\"disk swap\"}}", one.address());
    let (status, told) = ask(&gateway, &drain);
    assert_eq!((status, told["available"].as_u64()), (200, Some(1)), "{told}");
    assert!(told["overrides"][0]["says"].as_str().unwrap().ends_with("disk swap"), "{told}");
    assert!((0..6).all(|_| gateway.get("/").text() == "other"));
    let text = std::fs::read_to_string(gateway.file()).unwrap().replace("balance: round_robin", "balance: random");
    std::fs::write(gateway.file(), text).unwrap();
    assert_eq!(gateway.admin().post("/api/reload", "", "").status, 200);
    assert!((0..6).all(|_| gateway.get("/").text() == "other"), "the reload has ended the drain");
    assert_eq!(ask(&gateway, &drain.replace("1h", "1s")).0, 200);
    until("the drain to end by itself", || (gateway.get("/").text() == "one").then_some(()));
    assert_eq!(cluster(&gateway)["overrides"].as_array().unwrap().len(), 0);
}

#[test]
fn an_endpoint_is_added_weighed_removed_and_restored_and_nonsense_is_refused() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let gateway = Setup::to(&one).cluster("balance: round_robin").start();
    let call = |action: &str, of: &Origin, more: &str| {
        let at = of.address();
        ask(&gateway, &format!("{{\"action\":\"{action}\",\"endpoint\":\"{at}\"{more}}}"))
    };
    let why = ",\"for\":\"10m\",\"reason\":\"a test\"";
    assert_eq!(call("add", &other, why).0, 200);
    until("the added endpoint to be used", || (gateway.get("/").text() == "other").then_some(()));
    assert_eq!(call("remove", &one, why).0, 200);
    assert!((0..4).all(|_| gateway.get("/").text() == "other"));
    assert_eq!(call("restore", &one, "").0, 200);
    assert_eq!(call("restore", &other, "").0, 200);
    assert!((0..4).all(|_| gateway.get("/").text() == "one"));
    assert_eq!(call("weigh", &one, &format!("{why},\"weight\":5")).0, 200);
    assert_eq!(cluster(&gateway)["endpoints"][0]["weight"], 5);
    for (action, of, more, status) in [
        ("drain", &one, ",\"reason\":\"x\"", 400),
        ("drain", &one, ",\"for\":\"10m\"", 400),
        ("drain", &one, ",\"for\":\"8d\",\"reason\":\"x\"", 400),
        ("weigh", &one, why, 400),
        ("explode", &one, why, 400),
        ("drain", &other, why, 404),
        ("restore", &other, "", 404),
        ("add", &one, why, 409),
    ] {
        let (got, told) = call(action, of, more);
        assert_eq!(got, status, "{action} {more}: {told}");
    }
    let unknown = gateway.admin().post("/api/clusters/none/endpoints", "", "{}");
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_drained_endpoint_ends_the_request_that_it_has() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Origin::http1(move |_, wire| {
        wait.lock().unwrap().recv().unwrap();
        wire.ok("slow")
    });
    let gateway = Setup::to(&slow).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    drop(slow.wait_for(1));
    let drain = format!("{{\"action\":\"drain\",\"endpoint\":\"{}\",\"for\":\"1m\",\"reason\":\"x\"}}", slow.address());
    assert_eq!(ask(&gateway, &drain).0, 200);
    assert_eq!(gateway.get("/").reason(), "no_healthy_upstream");
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "slow");
}

#[test]
fn the_command_line_drains_an_endpoint_and_says_what_is_overridden() {
    let (one, other) = (Origin::says("one"), Origin::says("other"));
    let gateway = Setup::to(&one).and_to(other.address()).start();
    let (at, file) = (one.address().to_string(), gateway.file());
    let file = file.to_str().unwrap();
    let ended =
        cli::run(gateway.dir(), &["endpoint", "drain", "app", &at, "--for", "5m", "--reason", "disk swap", "-c", file]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("app: 1 of 2 endpoints take requests\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("disk swap"), "{}", ended.stdout);
    let ended = cli::run(
        gateway.dir(),
        &["endpoint", "drain", "app", "10.0.0.1:1", "--for", "5m", "--reason", "x", "-c", file],
    );
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("has no endpoint"), "{}", ended.stderr);
}

#[test]
fn health_checks_follow_endpoints_that_come_and_go() {
    let (old, new) = (Origin::says("old"), Origin::says("new"));
    let (gateway, file) = with_file(&old);
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    let check = "balance: round_robin\n    health_check: { http: { path: /health }, interval: 50ms, timeout: 50ms }";
    std::fs::write(gateway.file(), text.replace("balance: round_robin", check)).unwrap();
    assert_eq!(gateway.admin().post("/api/reload", "", "").status, 200);
    let checked = |origin: &Origin| origin.received().iter().filter(|one| one.path() == "/health").count();
    until("the first endpoint to be checked", || (checked(&old) > 2).then_some(()));
    std::fs::write(&file, format!("- {}\n", new.address())).unwrap();
    until("the new endpoint to be checked", || (checked(&new) > 2).then_some(()));
    let before = checked(&old);
    let more = checked(&new) + 5;
    until("more checks of the new endpoint", || (checked(&new) > more).then_some(()));
    assert!(checked(&old) <= before + 1, "the endpoint that went is still checked");
}

#[test]
fn check_warns_of_names_and_files_that_do_not_answer() {
    let dns = Dns::start();
    let dir = tempfile::tempdir().unwrap();
    let yaml = to_endpoints(&dns, "[\"nobody.test:80\", { file: missing.yaml }]").replace("@edge", "127.0.0.1:0");
    std::fs::write(dir.path().join("gateway.yaml"), format!("version: 1\n{yaml}")).unwrap();
    let ended = cli::run(dir.path(), &["check", "gateway.yaml"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for word in ["warning[name_unresolved]", "warning[endpoints_file]", "ok, with 2 warnings"] {
        assert!(ended.stdout.contains(word), "{}", ended.stdout);
    }
}
