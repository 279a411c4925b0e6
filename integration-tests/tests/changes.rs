//! Changes of the config: shown before, kept, undone, and never made over somebody else's.

use portcullis_integration_tests::cli::{Ended, run};
use portcullis_integration_tests::{Gateway, Origin, Response, Setup, until};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

/// A config whose only route answers with this word.
fn says(word: &str) -> String {
    format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
         - {{ name: all, respond: {{ body: {word} }} }}\n"
    )
}

fn hash(gateway: &Gateway) -> String {
    gateway.admin().json("/api/config")["hash"].as_str().unwrap().to_owned()
}

/// Applies a text by the API, over what serves.
fn apply(gateway: &Gateway, text: &str, query: &str) -> Response {
    let seen = format!("If-Match: \"{}\"\r\n", hash(gateway));
    gateway.admin().post(&format!("/api/config?{query}"), &seen, &gateway.complete(text))
}

fn rollback(gateway: &Gateway, body: &str) -> Response {
    gateway.admin().post("/api/rollback", "", body)
}

fn served(gateway: &Gateway) -> String {
    gateway.get("/").text()
}

fn command(gateway: &Gateway, args: &[&str]) -> Ended {
    run(gateway.dir(), &[args, &["-c", "gateway.yaml"]].concat())
}

fn lines(ended: &Ended) -> Vec<&str> {
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout.lines().collect()
}

#[test]
fn who_changed_what_and_why_is_kept_over_a_restart_and_read_with_and_without_the_gateway() {
    let mut gateway = Gateway::with_yaml(&says("one"));
    assert_eq!(apply(&gateway, &says("two"), "note=more%20room").status, 200);
    assert_eq!(apply(&gateway, &says("three").replace("bind:", "bnd:"), "").status, 422);
    gateway.signal("TERM");
    gateway.start_again();
    assert_eq!(gateway.admin().json("/api/status")["generation"], 4, "1 to 3 were tried before");
    let list = command(&gateway, &["history"]);
    let rows = lines(&list);
    assert_eq!(rows.len(), 4, "{list:?}");
    assert!(rows[0].starts_with('4') && rows[0].contains("started"), "{list:?}");
    assert!(rows[1].contains("refused") && rows[1].contains("2 errors"), "{list:?}");
    assert!(rows[2].contains("applied") && rows[2].contains("more room") && rows[2].contains("1 change"), "{list:?}");
    let shown = command(&gateway, &["show", "2"]);
    assert!(
        shown.stdout.contains("more room") && shown.stdout.contains("one") && shown.stdout.contains("two"),
        "{shown:?}"
    );
    assert!(command(&gateway, &["show", "2", "--text"]).stdout.contains("body: two"));
    assert!(command(&gateway, &["show", "3"]).stdout.contains("bnd"), "a refused one has its errors");
    let diff = command(&gateway, &["diff", "1", "2"]);
    assert!(lines(&diff)[0].contains("route all"), "{diff:?}");
    gateway.signal("TERM");
    gateway.wait();
    let offline = command(&gateway, &["history", "--offline"]);
    assert_eq!(lines(&offline), rows);
    assert_eq!(lines(&command(&gateway, &["history"])), rows, "nobody answers: the folder does");
    assert_eq!(lines(&command(&gateway, &["diff", "1", "2", "--offline"])), lines(&diff));
    assert_eq!(command(&gateway, &["show", "9", "--offline"]).code, 1);
}

#[test]
fn a_text_of_the_history_shows_no_secret() {
    let gateway = Gateway::with_yaml(&says("one"));
    let with_token = says("two") + "admin: { bind: \"@admin\", token: \"hush-hush-hush\" }\n";
    assert_eq!(apply(&gateway, &with_token, "").status, 200);
    let token = ["--token", "hush-hush-hush", "--admin"];
    let address = gateway.address("admin").to_string();
    let shown = run(gateway.dir(), &[&["show", "2", "--text"], &token[..], &[&address]].concat());
    assert!(shown.stdout.contains("body: two") && !shown.stdout.contains("hush"), "{shown:?}");
    let shown = run(gateway.dir(), &["show", "2", "--text", "--offline", "-c", "gateway.yaml"]);
    assert!(shown.stdout.contains("body: two") && !shown.stdout.contains("hush"), "{shown:?}");
}

#[test]
fn a_rollback_puts_the_last_good_texts_back_and_then_those_before() {
    let gateway = Gateway::with_yaml(&says("one"));
    for word in ["two", "three"] {
        assert_eq!(apply(&gateway, &says(word), "").status, 200);
    }
    let back = command(&gateway, &["rollback", "--note", "errors"]);
    assert_eq!((back.code, served(&gateway)), (0, "two".to_owned()), "{back:?}");
    assert!(back.stdout.contains("generation 4 serves"), "{back:?}");
    assert!(back.stdout.contains("read anew, and is what it was"), "{back:?}");
    let third = gateway.admin().json("/api/history/3");
    assert_eq!(third["verdict"]["good"], false, "{third}");
    assert!(third["verdict"]["says"].as_str().unwrap().contains("errors"), "{third}");
    assert_eq!(rollback(&gateway, "").status, 200);
    assert_eq!(served(&gateway), "one");
    let none = command(&gateway, &["rollback"]);
    assert!(none.code == 1 && none.stderr.contains("no other good generation"), "{none:?}");
    let named = command(&gateway, &["rollback", "3"]);
    assert_eq!((named.code, served(&gateway)), (0, "three".to_owned()), "{named:?}");
    assert_eq!(command(&gateway, &["rollback", "99"]).code, 1);
    assert_eq!(served(&gateway), "three");
}

#[test]
fn a_rollback_brings_includes_back_and_says_that_a_file_is_not_what_it_was() {
    let host = |word: &str| {
        format!("hosts:\n  - names: [\"*\"]\n    routes: [{{ name: all, respond: {{ body: {word} }} }}]\n")
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("host.yaml"), host("one")).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "first-secret").unwrap();
    let text = format!(
        "include: \"{}/*.yaml\"\nlisteners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         admin: {{ bind: \"@admin\", token: \"file:{}\" }}\n",
        dir.path().display(),
        secret.display()
    );
    let gateway = Gateway::spawn(&text);
    let get = |path: &str, secret: &str| -> Option<Response> {
        let mut client = portcullis_integration_tests::Client::over(TcpStream::connect(gateway.address("admin")).ok()?);
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n");
        client.try_send(head).ok()?;
        client.try_response().ok()
    };
    until("a start", || get("/readyz", "").filter(|answer| answer.status == 200));
    assert_eq!(served(&gateway), "one");
    fs::write(dir.path().join("host.yaml"), host("two")).unwrap();
    fs::write(&secret, "second-secret").unwrap();
    until("a reload", || (served(&gateway) == "two").then_some(()));
    until("the secret", || get("/api/status", "second-secret").filter(|answer| answer.status == 200));
    let address = gateway.address("admin").to_string();
    let back = run(gateway.dir(), &["rollback", "1", "--admin", &address, "--token", "second-secret"]);
    assert_eq!((back.code, served(&gateway)), (0, "one".to_owned()), "{back:?}");
    assert!(back.stdout.contains("read anew, and is NOT what it was"), "{back:?}");
    assert!(get("/api/status", "second-secret").is_some_and(|answer| answer.status == 200));
    assert!(back.stdout.contains("a restart would start what"), "{back:?}");
}

#[test]
fn of_two_operators_at_once_one_is_told_who_was_faster() {
    let gateway = Gateway::with_yaml(&says("one"));
    let seen = format!("If-Match: \"{}\"\r\n", hash(&gateway));
    let admin = gateway.admin();
    let texts = ["two", "three"].map(|word| gateway.complete(&says(word)));
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let ask = |text: &str| admin.post("/api/config", &seen, text);
        let asked: Vec<_> = texts.iter().map(|text| scope.spawn(move || ask(text))).collect();
        asked.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let told = answers.iter().find(|answer| answer.status == 412).unwrap().json();
    assert_eq!((&told["generation"], &told["who"]), (&2.into(), &"loopback".into()), "{told}");
    assert!(told["at"].as_str().is_some_and(|at| at.starts_with("20")), "{told}");
    assert_eq!(gateway.admin().json("/api/status")["generation"], 2);
}

/// Stands between a command and the admin API, and does something before the first request that begins so.
fn before(admin: SocketAddr, beginning: &'static str, then: impl FnOnce() + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut then = Some(then);
        for client in listener.incoming() {
            let (mut client, mut gateway) = (client.unwrap(), TcpStream::connect(admin).unwrap());
            let mut start = [0; 4096];
            let got = client.read(&mut start).unwrap();
            if start.starts_with(beginning.as_bytes())
                && let Some(then) = then.take()
            {
                then();
            }
            gateway.write_all(&start[..got]).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            std::thread::spawn(move || drop(std::io::copy(&mut gateway, &mut client)));
        }
    });
    address
}

#[test]
fn a_change_since_the_look_ends_apply_with_4_and_says_who_made_it() {
    let gateway = Gateway::with_yaml(&says("one"));
    fs::write(gateway.dir().join("new.yaml"), gateway.complete(&says("two"))).unwrap();
    let (address, text, seen) = (gateway.admin(), gateway.complete(&says("three")), hash(&gateway));
    let (done, happened) = mpsc::channel();
    let faster = move || {
        let answer = address.post("/api/config", &format!("If-Match: \"{seen}\"\r\n"), &text);
        done.send(answer.status).unwrap();
    };
    let between = before(gateway.address("admin"), "POST /api/config?note", faster).to_string();
    let ended = run(gateway.dir(), &["apply", "new.yaml", "--yes", "--note", "mine", "--admin", &between]);
    assert_eq!(happened.recv().unwrap(), 200, "somebody else was faster");
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.stderr.contains("generation 2 serves, put there by loopback at 20"), "{ended:?}");
    assert_eq!(served(&gateway), "three");
}

#[test]
fn apply_shows_asks_and_changes() {
    let gateway = Gateway::with_yaml(&says("one"));
    let new = gateway.dir().join("new.yaml");
    fs::write(&new, gateway.complete(&says("two"))).unwrap();
    let asked = command(&gateway, &["apply", "new.yaml"]);
    assert!(asked.code == 1 && asked.stderr.contains("--yes"), "{asked:?}");
    assert!(asked.stdout.contains("route all"), "it is shown before: {asked:?}");
    let dry = command(&gateway, &["apply", "new.yaml", "--dry-run", "--format", "json"]);
    let told: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(told["dry_run"]["diff"]["routes"][0], "*/all", "{told}");
    assert_eq!((dry.code, served(&gateway)), (0, "one".to_owned()));
    let done = command(&gateway, &["apply", "new.yaml", "--yes", "--note", "a 5 % canary", "--watch", "0s"]);
    assert_eq!((done.code, served(&gateway)), (0, "two".to_owned()), "{done:?}");
    assert!(done.stdout.contains("generation 2 serves"), "{done:?}");
    assert!(done.stdout.contains("a restart would start what"), "{done:?}");
    assert_eq!(gateway.admin().json("/api/history/2")["note"], "a 5 % canary");
    fs::write(&new, gateway.complete(&says("three")).replace("hosts:", "hots:")).unwrap();
    let bad = command(&gateway, &["apply", "new.yaml", "--yes", "--admin", &gateway.address("admin").to_string()]);
    assert!(bad.code == 1 && bad.stdout.contains("hots"), "{bad:?}");
    assert_eq!(served(&gateway), "two");
}

#[test]
fn apply_writes_the_file_only_over_what_was_seen() {
    let gateway = Gateway::with_yaml(&says("one"));
    let new = gateway.complete(&says("two"));
    fs::write(gateway.dir().join("new.yaml"), &new).unwrap();
    let done = command(&gateway, &["apply", "new.yaml", "--yes", "--write", "--watch", "0s"]);
    assert!(done.code == 0 && done.stdout.contains("gateway.yaml was written"), "{done:?}");
    assert!(!done.stdout.contains("a restart would start"), "{done:?}");
    assert_eq!(fs::read_to_string(gateway.file()).unwrap(), new);
    assert_eq!(gateway.admin().json("/api/status")["drift"], Value::Null);
    let late = apply(&gateway, &says("three"), "write=0011223344556677").json();
    assert!(late["notes"][0].as_str().unwrap().contains("NOT written"), "{late}");
    assert_eq!((fs::read_to_string(gateway.file()).unwrap(), served(&gateway)), (new, "three".to_owned()));
}

#[test]
fn includes_are_those_of_the_gateway_and_apply_says_where_they_differ() {
    let gateway = Gateway::with_yaml(&(says("one") + "include: \"more.yaml\"\n").replace("include", "#include"));
    let main = gateway.complete(&(says("two") + "include: \"more.yaml\"\n"));
    fs::write(gateway.dir().join("more.yaml"), "server_name: there\n").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("new.yaml"), main).unwrap();
    fs::write(elsewhere.path().join("more.yaml"), "server_name: here\n").unwrap();
    let address = gateway.address("admin").to_string();
    let ended = run(elsewhere.path(), &["apply", "new.yaml", "--dry-run", "--admin", &address]);
    assert!(ended.code == 0 && ended.stdout.contains("note: more.yaml is read on the gateway's side"), "{ended:?}");
    assert!(ended.stdout.contains("there") && !ended.stdout.contains("→ here"), "{ended:?}");
}

#[test]
fn a_dry_run_tells_the_share_of_the_traffic_and_which_recorded_requests_go_elsewhere() {
    let (old, new) = (Origin::says("old"), Origin::says("new"));
    let setup = |to: &str, beta: &str| {
        Setup::to(&old)
            .and_cluster("fresh", new.address(), "")
            .and_route("{ name: shop, match: { path: /shop, headers: { x-tier: gold } }, to: app }")
            .and_route(&format!("{{ name: moved, match: {{ path: /moved }}, to: {to} }}"))
            .and_route(&format!("{{ name: beta, match: {{ path: /beta{beta} }}, to: app }}"))
            .yaml()
    };
    let gateway = Gateway::with_yaml(&setup("app", ", headers: { x-beta: \"1\" }"));
    let mut client = gateway.client();
    let ids: Vec<String> = (0..3).map(|_| client.get("/moved/x").id()).collect();
    for path in ["/else", "/shop/1", "/beta/1", "/beta/2"] {
        assert_eq!(client.get(path).status, 200);
    }
    let admin = gateway.admin();
    until("the records", || (admin.json("/api/requests").as_array().unwrap().len() == 7).then_some(()));
    let next = gateway.complete(&setup("fresh", ", headers: { x-other: \"1\" }"));
    let told = admin.post("/api/config?dry_run=1", "", &next).json();
    let effect = &told["effect"];
    let replay = &effect["replay"];
    let moved = replay["moved"].as_array().unwrap();
    assert_eq!((&replay["recorded"], &replay["elsewhere"], moved.len()), (&7.into(), &3.into(), 1), "{effect}");
    assert_eq!(moved[0]["from"], "*/moved (cluster app)");
    assert_eq!(moved[0]["to"], "*/moved (cluster fresh)");
    let examples = moved[0]["examples"].as_array().unwrap();
    assert!(examples.len() == 2 && examples.iter().all(|id| ids.iter().any(|known| id == known)), "{effect}");
    assert_eq!(replay["undecidable"]["a header field"], 2, "another field is asked for on /beta: {effect}");
    assert_eq!(replay["same"], 2, "/shop asks the same as before, and that did not match: {effect}");
    let routes = effect["routes"].as_array().unwrap();
    assert_eq!((&routes[0]["name"], &routes[0]["requests"]), (&"*/moved".into(), &3.into()), "{effect}");
    assert_eq!((&effect["requests"], &routes[0]["share"]), (&7.into(), &0.4286.into()), "{effect}");
    assert!(told["effect_text"].as_str().unwrap().contains("3 would go elsewhere"), "{told}");
    assert_eq!(gateway.get("/moved/x").text(), "old", "nothing changed");
}

#[test]
fn a_dry_run_tells_which_recorded_requests_would_be_refused() {
    let gateway = Gateway::with_yaml(&says("one"));
    assert_eq!(gateway.client().get("/here").status, 200);
    until("the record", || (gateway.admin().json("/api/requests").as_array().unwrap().len() == 1).then_some(()));
    let next = gateway.complete(&says("one").replace("name: all,", "name: all, match: { path: /there },"));
    let told = gateway.admin().post("/api/config?dry_run=1", "", &next).json();
    assert_eq!(told["effect"]["replay"]["moved"][0]["to"], "refused: no_route", "{told}");
    let other = gateway.complete(&says("one").replace("\"*\"", "only.test"));
    let told = gateway.admin().post("/api/config?dry_run=1", "", &other).json();
    assert_eq!(told["effect"]["replay"]["moved"][0]["to"], "refused: no_host", "{told}");
}

#[test]
fn a_file_that_says_something_else_than_what_serves_is_a_warning_until_it_does_not() {
    let gateway = Gateway::with_yaml(&says("one"));
    let admin = gateway.admin();
    let drift = || admin.json("/api/status")["drift"].clone();
    assert_eq!((drift(), admin.metric("portcullis_config_drift", "")), (Value::Null, 0.0));
    let told = apply(&gateway, &says("two"), "").json();
    assert!(told["notes"][0].as_str().unwrap().contains("a restart would start"), "{told}");
    assert_eq!((&drift()["why"], admin.metric("portcullis_config_drift", "")), (&"applied".into(), 1.0));
    let since = drift()["since"].clone();
    let status = command(&gateway, &["status"]).stdout;
    assert!(status.contains("\nWARNING     generation 2 was applied by loopback"), "{status}");
    assert!(status.starts_with("verdict     DEGRADED, 1 reason"), "{status}");
    gateway.write(&says("three").replace("bind:", "bnd:"));
    until("a refusal", || (drift()["why"] == "file_refused").then_some(()));
    assert_eq!(drift()["since"], since, "it has not been right since");
    gateway.write(&says("two"));
    until("an agreement", || (drift() == Value::Null).then_some(()));
    assert_eq!(admin.metric("portcullis_config_drift", ""), 0.0);
}

#[test]
fn a_file_that_nobody_watches_drifts_too() {
    let mut gateway = Gateway::with_yaml(&says("one"));
    gateway.signal("TERM");
    gateway.start_again_with(&["--no-watch"]);
    gateway.write(&says("two"));
    let why = || gateway.admin().json("/api/status")["drift"]["why"].clone();
    until("a word of it", || (why() == "file_changed").then_some(()));
    assert_eq!(served(&gateway), "one");
    gateway.signal("HUP");
    until("a reload", || (served(&gateway) == "two").then_some(()));
    until("an agreement", || (why() == Value::Null).then_some(()));
}

#[test]
fn a_bad_file_keeps_a_gateway_from_starting_unless_the_last_good_generation_may_serve() {
    let mut gateway = Gateway::with_yaml(&says("one"));
    assert_eq!(apply(&gateway, &says("two"), "").status, 200);
    gateway.signal("TERM");
    gateway.wait();
    gateway.write(&says("three").replace("bind:", "bnd:"));
    let refused = run(gateway.dir(), &["run", "-c", "gateway.yaml"]);
    assert!(refused.code == 1 && refused.stderr.contains("bnd"), "{refused:?}");
    gateway.start_again_with(&["--last-good"]);
    assert_eq!(served(&gateway), "two");
    let admin = gateway.admin();
    let status = admin.json("/api/status");
    assert!(status["last_good"]["errors"].as_str().unwrap().contains("bnd"), "{status}");
    assert_eq!((&status["drift"]["why"], &status["generation"]), (&"file_refused".into(), &3.into()), "{status}");
    assert_eq!(admin.metric("portcullis_config_last_good", ""), 1.0);
    let said = gateway.stderr();
    assert!(said.contains("HAS ERRORS AND IS NOT USED") && said.contains("THIS IS THE LAST GOOD GENERATION"), "{said}");
    assert!(said.contains("bnd"), "{said}");
    let address = admin_of(&gateway);
    let text = run(gateway.dir(), &["status", "--admin", &address]).stdout;
    assert!(text.starts_with("verdict     DEGRADED") && text.contains("the last good generation serves"), "{text}");
    gateway.signal("HUP");
    let refusals = || admin.metric("portcullis_reloads_total", "outcome=\"refused\"");
    until("the errors of a reload", || (refusals() == 1.0).then_some(()));
    gateway.write(&says("three"));
    until("the file to be used", || (served(&gateway) == "three").then_some(()));
    let status = until("an agreement", || {
        Some(admin.json("/api/status")).filter(|status| status["last_good"].is_null() && status["drift"].is_null())
    });
    assert_eq!(admin.metric("portcullis_config_last_good", ""), 0.0, "{status}");
}

fn admin_of(gateway: &Gateway) -> String {
    gateway.address("admin").to_string()
}

#[test]
fn a_file_that_is_no_yaml_at_all_starts_on_the_last_good_generation_of_the_usual_folder() {
    let mut gateway = Gateway::with_yaml(&says("one"));
    gateway.signal("TERM");
    gateway.wait();
    fs::write(gateway.file(), "version: 1\nhosts: [\n").unwrap();
    gateway.start_again_with(&["--last-good"]);
    assert_eq!(served(&gateway), "one");
}

#[test]
fn a_disk_that_takes_no_more_stops_no_change_and_is_said() {
    let mut gateway = Gateway::with_yaml(&("access_log: { stdout: true }\n".to_owned() + &says("one")));
    gateway.signal("TERM");
    // No file may grow beyond 8 KiB: writing more fails as on a full disk.
    gateway.start_again_in("trap '' XFSZ; ulimit -f 16; exec \"$@\"");
    let large = says("two") + &format!("# {}\n", "x".repeat(20_000)) + "access_log: { stdout: true }\n";
    assert_eq!(apply(&gateway, &large, "").status, 200);
    assert_eq!(served(&gateway), "two");
    let admin = gateway.admin();
    assert!(admin.metric("portcullis_history_failures_total", "") >= 1.0);
    assert_eq!(admin.metric("portcullis_history_keeps", ""), 0.0);
    let history = admin.json("/api/status")["history"].clone();
    assert!(history["trouble"]["why"].as_str().unwrap().contains("generation 3"), "{history}");
    assert_eq!(history["not_written"], 1);
    assert_eq!(rollback(&gateway, "").status, 200, "one goes back all the same");
    assert_eq!(served(&gateway), "one");
    assert_eq!(rollback(&gateway, "{ \"to\": 3 }").status, 200, "what waits in memory can be gone back to");
    assert_eq!(served(&gateway), "two");
}

#[test]
fn a_gateway_that_is_killed_goes_on_with_the_next_number_and_its_history() {
    let mut gateway = Gateway::with_yaml(&says("one"));
    assert_eq!(apply(&gateway, &says("two"), "").status, 200);
    gateway.signal("KILL");
    gateway.start_again();
    assert_eq!(gateway.admin().json("/api/status")["generation"], 3);
    assert_eq!(rollback(&gateway, "").status, 200);
    assert_eq!(served(&gateway), "two");
}

#[test]
fn two_processes_that_live_at_once_keep_one_history_and_each_generation_has_its_own_number() {
    let old = Gateway::with_yaml(&says("one"));
    let folder = old.dir().join("data/history");
    let history = format!("history: {{ path: \"{}\" }}\n", folder.display());
    let new = Gateway::with_yaml(&(says("two") + &history));
    assert_eq!(new.admin().json("/api/status")["generation"], 2);
    assert_eq!(apply(&old, &says("three"), "").json()["generation"], 3);
    assert_eq!(apply(&new, &(says("four") + &history), "").json()["generation"], 4);
    assert_eq!((served(&old), served(&new)), ("three".to_owned(), "four".to_owned()));
    for gateway in [&old, &new] {
        let admin = gateway.admin();
        let listed = admin.json("/api/history")["generations"].clone();
        let numbers: Vec<u64> =
            listed.as_array().unwrap().iter().map(|row| row["generation"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [4, 3, 2, 1]);
        assert_eq!(admin.json("/api/status")["history"]["trouble"], Value::Null);
    }
}

#[test]
fn without_a_history_there_is_nothing_to_go_back_to() {
    let gateway = Gateway::with_yaml(&(says("one") + "history: off\n"));
    assert_eq!(apply(&gateway, &(says("two") + "history: off\n"), "").status, 200);
    let answer = rollback(&gateway, "");
    assert_eq!((answer.status, answer.json()["reason"].clone()), (409, "no_such_generation".into()));
    assert!(!gateway.dir().join("data").exists());
}
