//! Who calls, end to end: keys in every place and in no log, consumers that change while requests run, tokens whose
//! keys are rotated, bans by the admin API and the command line, what upstreams are told.

use portcullis_identity::Timestamp;
use portcullis_identity::issue::{Binding, IssueRules, Issuer, SigningKey};
use portcullis_integration_tests::cli::{Ended, fed, run};
use portcullis_integration_tests::pki::{Certificate, Pki};
use portcullis_integration_tests::{Gateway, Origin, until};
use portcullis_types::RequestId;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A gateway with a file of consumers, one of them with a key.
struct Scene {
    gateway: Gateway,
    dir: TempDir,
    key: String,
    hash: String,
}

/// A key made by the command line, and its hash.
fn key(dir: &Path) -> (String, String) {
    std::fs::write(dir.join("keys.secret"), SECRET).unwrap();
    let made = run(dir, &["key", "new", "--secret", "keys.secret", "--format", "json"]);
    assert_eq!(made.code, 0, "{made:?}");
    let told: Value = serde_json::from_str(&made.stdout).unwrap();
    (told["key"].as_str().unwrap().to_owned(), told["entry"]["hash"].as_str().unwrap().to_owned())
}

fn line(id: &str, hash: &str) -> String {
    format!("{}\n", json!({ "id": id, "plan": "pro", "keys": [{ "hash": hash }] }))
}

impl Scene {
    /// Where nobody is throttled, however often a test asks whether something has happened.
    fn new(origin: &Origin, filters: &str, more: &str) -> Self {
        Self::throttling(origin, filters, more, "{ failures: 1000000 }")
    }

    fn throttling(origin: &Origin, filters: &str, more: &str, throttle: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, hash) = key(dir.path());
        std::fs::write(dir.path().join("consumers.ndjson"), line("acme", &hash)).unwrap();
        let file = dir.path().join("consumers.ndjson");
        let gateway = Gateway::with_yaml(&format!(
            "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
             consumers: {{ file: \"{}\", secret: \"{SECRET}\", throttle: {throttle} }}\n\
             access_log: {{ path: access.log, query: true }}\n\
             clusters: {{ app: {{ endpoints: [\"{}\"] }} }}\n{more}\n\
             hosts:\n  - names: [\"*\"]\n    filters: {filters}\n    routes: [{{ name: all, to: app }}]\n",
            file.display(),
            origin.address()
        ));
        Self { gateway, dir, key, hash }
    }

    /// Replaces the consumers in one step.
    fn consumers(&self, text: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.dir.path().join("consumers.ndjson")).unwrap();
    }

    fn ask(&self, path: &str, fields: &str) -> portcullis_integration_tests::Response {
        self.gateway.client().ask(format!("GET {path} HTTP/1.1\r\nHost: rpc.test\r\n{fields}\r\n"))
    }

    fn with_key(&self) -> u16 {
        self.ask("/", &format!("X-Api-Key: {}\r\n", self.key)).status
    }

    fn cli(&self, args: &[&str]) -> Ended {
        let admin = self.gateway.address("admin").to_string();
        run(self.dir.path(), &[args, &["--admin", &admin]].concat())
    }
}

#[test]
fn a_key_lets_in_from_every_place_and_is_in_no_upstream_log_record_or_explanation() {
    let origin = Origin::says("in");
    let filters = "[{ api_key: { places: [query, header, bearer, path], query: k, path: '/rpc/{key}' } }]";
    let scene = Scene::new(&origin, filters, "");
    let key = &scene.key;
    for (path, fields, left) in [
        (format!("/x?k={key}&a=1"), String::new(), "/x?a=1"),
        (format!("/rpc/{key}/x"), String::new(), "/rpc/x"),
        ("/x".to_owned(), format!("X-Api-Key: {key}\r\nReferer: http://app/?k={key}\r\n"), "/x"),
        ("/x".to_owned(), format!("Authorization: Bearer {key}\r\n"), "/x"),
    ] {
        let answer = scene.ask(&path, &fields);
        assert_eq!((answer.status, answer.text()), (200, "in".to_owned()), "{path}");
        let received = origin.last();
        assert_eq!(received.target(), left);
        assert!(!format!("{received:?}").contains(key.as_str()), "{received:?}");
        assert_eq!(scene.gateway.record_of(&answer)["consumer"], "acme");
    }
    // Refused for its host's routes, its method, its form: the key is hidden all the same.
    scene.gateway.client().ask(format!("GET /rpc/{key} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"));
    scene.ask(&format!("/rpc/{}/%zz", &key[..40]), "");
    let refused = scene.ask(&format!("/rpc/{}", &key[..40]), "");
    assert_eq!((refused.status, refused.reason()), (401, "key_unknown".to_owned()));
    assert_eq!(refused.field("www-authenticate"), Some("Bearer realm=\"api\""));
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["path"], "/rpc/***");
    assert!(record.to_string().contains("key_mistyped"), "{record}");
    until("six records", || (scene.gateway.records().len() >= 7).then_some(()));
    let log = std::fs::read_to_string(scene.gateway.dir().join("access.log")).unwrap();
    let recent = scene.gateway.admin().get("/api/requests").text();
    let url = format!("http://rpc.test/rpc/{key}?k={key}");
    let explained = scene
        .gateway
        .admin()
        .get(&format!("/api/explain?format=text&url={}", url.replace('?', "%3F").replace('=', "%3D")))
        .text();
    assert!(explained.contains("acme") && explained.contains("***"), "{explained}");
    for (what, text) in
        [("log", &log), ("requests", &recent), ("explain", &explained), ("stderr", &scene.gateway.stderr())]
    {
        assert!(!text.contains(&key[3..40]), "the {what} has the key:\n{text}");
    }
}

#[test]
fn a_route_that_stands_in_for_another_sends_no_key_upstream() {
    let origin = Origin::says("in");
    let dir = tempfile::tempdir().unwrap();
    let (key, hash) = key(dir.path());
    let file = dir.path().join("consumers.ndjson");
    std::fs::write(&file, line("acme", &hash)).unwrap();
    let gateway = Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         consumers: {{ file: \"{}\", secret: \"{SECRET}\" }}\n\
         clusters: {{ app: {{ endpoints: [\"{}\"] }}, gone: {{ endpoints: [\"{}\"] }} }}\n\
         hosts:\n  - names: [\"*\"]\n    routes:\n\
         \x20     - {{ name: all, to: gone, fallback: {{ route: spare }}, filters: [{{ api_key: {{ path: '/v1/{{key}}' }} }}] }}\n\
         \x20     - {{ name: spare, match: {{ path: /spare }}, to: app }}\n",
        file.display(),
        origin.address(),
        portcullis_integration_tests::origin::refused(),
    ));
    let request = format!(
        "GET /v1/{key}/x?api-key={key}&a=1 HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nReferer: http://a/{key}\r\n\r\n"
    );
    assert_eq!(gateway.client().ask(request).status, 200);
    let received = origin.last();
    assert_eq!(received.target(), "/v1/x?a=1");
    assert!(!format!("{received:?}").contains(key.as_str()), "{received:?}");
}

#[test]
fn what_one_route_tells_no_client_says_on_another_route_or_host() {
    let origin = Origin::says("in");
    let gateway = Gateway::with_yaml(&format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters: {{ app: {{ endpoints: [\"{}\"] }} }}\n\
         plans: {{ free: {{ rate: 100/s }} }}\n\
         hosts:\n  - names: [told.test]\n    routes:\n\
         \x20     - {{ name: told, to: app, filters: [{{ anonymous: {{ plan: free, by: address }} }}, \
         {{ identity: {{ headers: {{ consumer: x-consumer-id, plan: x_plan }} }} }}] }}\n\
         \x20     - {{ name: other, match: {{ path: /other }}, to: app }}\n\
         \x20 - names: [\"*\"]\n    routes: [{{ name: bare, to: app }}]\n",
        origin.address()
    ));
    let told = |host: &str, path: &str| {
        let forged =
            "X-Consumer-Id: root\r\nx_consumer_id: root\r\nX-Plan: root\r\nX_Plan: root\r\nX-Consumer: mine\r\n";
        assert_eq!(gateway.client().ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{forged}\r\n")).status, 200);
        let received = origin.last();
        assert_eq!(received.field("x-consumer"), Some("mine"));
        ["x-consumer-id", "x_consumer_id", "x-plan", "x_plan"].map(|name| received.field(name).map(str::to_owned))
    };
    let ours = |text: &str| Some(text.to_owned());
    assert_eq!(told("told.test", "/"), [ours("anonymous:127.0.0.1"), None, None, ours("free")]);
    assert_eq!(told("told.test", "/other"), [const { None }; 4]);
    assert_eq!(told("bare.test", "/"), [const { None }; 4]);
}

#[test]
fn caps_of_a_consumers_own_follow_the_file_without_a_generation() {
    let origin = Origin::says("in");
    let scene = Scene::new(&origin, "[api_key, caps]", "plans: { pro: {} }");
    assert_eq!(scene.with_key(), 200);
    let said = |caps: &str| line("acme", &scene.hash).replace("}\n", &format!(",\"caps\":{caps}}}\n"));
    scene.consumers(&said(r#"{"rate":"1/d"}"#));
    until("the consumer's own cap to hold", || (scene.with_key() == 429).then_some(()));
    let caps = scene.gateway.admin().json("/api/caps/acme");
    assert_eq!(caps["caps"][0]["cap"], "own.rate.day", "{caps}");
    let refused = |text: &str, expected: &str| {
        scene.consumers(text);
        until(expected, || {
            let load = scene.gateway.admin().json("/api/consumers")["last_load"].clone();
            (load["outcome"] == "refused" && load["says"].to_string().contains(expected)).then_some(())
        });
    };
    let misspelt = "`caps` of the consumer `acme`: unknown key `rates`; did you mean `rate`?";
    refused(&said(r#"{"rates":"1/d"}"#), misspelt);
    refused(&said(r#"{"gateways":"shared","rate":"1/d"}"#), "there is nothing that they could share by");
    assert_eq!(scene.with_key(), 429, "those of before hold");
    scene.consumers(&line("acme", &scene.hash));
    until("the consumer without a cap", || (scene.with_key() == 200).then_some(()));
    assert_eq!(scene.gateway.admin().json("/api/status")["generation"], 1);
}

#[test]
fn consumers_follow_their_file_without_a_generation_and_a_bad_file_keeps_those_of_before() {
    let origin = Origin::says("in");
    let scene = Scene::new(&origin, "[api_key]", "");
    assert_eq!(scene.with_key(), 200);
    scene.consumers(&line("other", &scene.hash.replace("b3:", "b3:0").chars().take(67).collect::<String>()));
    until("the key to be gone", || (scene.with_key() == 401).then_some(()));
    scene.consumers(&line("acme", &scene.hash));
    until("the key to be back", || (scene.with_key() == 200).then_some(()));
    scene.consumers("{\"id\":\"acme\",\"plan\":\"pro\",\"keys\":[{\"hash\":\"my-key-in-clear\"}]}\n");
    let told = until("the bad file to be told of", || {
        Some(scene.gateway.admin().json("/api/consumers")).filter(|told| told["last_load"]["outcome"] == "refused")
    });
    let says = told["last_load"]["says"].to_string();
    assert!(says.contains("consumers.ndjson:1:1: `keys[0].hash`") && !says.contains("my-key"), "{says}");
    assert_eq!((told["consumers"].as_u64(), scene.with_key()), (Some(1), 200));
    assert!(scene.gateway.admin().metric("portcullis_consumers_loads_total", "outcome=\"refused\"") >= 1.0);
    assert!(scene.gateway.stderr().contains("those of before go on"), "{}", scene.gateway.stderr());
    assert_eq!(scene.gateway.admin().json("/api/status")["generation"], 1);
    let consumer = scene.gateway.admin().json("/api/consumers/acme");
    assert_eq!((&consumer["plan"], consumer["keys"].as_array().map(Vec::len)), (&json!("pro"), Some(1)));
}

#[test]
fn a_key_that_is_revoked_by_the_command_line_stops_working() {
    let origin = Origin::says("in");
    let scene = Scene::new(&origin, "[api_key]", "");
    let (other, hash) = key(scene.dir.path());
    scene.consumers(&(line("acme", &scene.hash) + &line("beta", &hash)));
    let with_other = || scene.ask("/", &format!("Authorization: Bearer {other}\r\n")).status;
    until("the other to be known", || (with_other() == 200).then_some(()));
    let ended = run(scene.dir.path(), &["key", "revoke", "acme", "--file", "consumers.ndjson"]);
    assert!(ended.code == 0 && ended.stdout.contains("1 key of the consumer `acme` ended"), "{ended:?}");
    until("the key to be refused", || (scene.with_key() == 403).then_some(()));
    assert_eq!(with_other(), 200);
    let text = std::fs::read_to_string(scene.dir.path().join("consumers.ndjson")).unwrap();
    assert_eq!(text.lines().nth(1), line("beta", &hash).lines().next(), "the other line is untouched");
    for (args, says) in [
        (["key", "revoke", "acme", "--file", "consumers.ndjson"], "nothing to do"),
        (["key", "revoke", "nobody", "--file", "consumers.ndjson"], "has no consumer `nobody`"),
        (["key", "revoke", "b3:00", "--file", "consumers.ndjson"], "64 hex digits"),
        (["key", "revoke", "acme", "--file", "keys.secret"], "its name ends"),
        (["key", "revoke", "acme", "--file", "none.yaml"], "none.yaml"),
    ] {
        let ended = run(scene.dir.path(), &args);
        assert!((ended.stdout + &ended.stderr).contains(says), "{args:?}");
    }
}

#[test]
fn keys_are_made_and_hashed_by_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let secret = run(dir.path(), &["key", "secret"]);
    assert_eq!((secret.code, secret.stdout.trim().len()), (0, 64));
    std::fs::write(dir.path().join("keys.secret"), &secret.stdout).unwrap();
    let args = ["key", "new", "--consumer", "acme", "--expires", "90d", "--label", "laptop", "--secret", "keys.secret"];
    let made = run(dir.path(), &args);
    let lines: Vec<&str> = made.stdout.lines().collect();
    assert!(made.code == 0 && lines.len() == 2 && made.stderr.contains("`acme`"), "{made:?}");
    let entry: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(entry["label"], "laptop");
    assert!(entry["not_after"].as_str().unwrap().ends_with('Z'));
    let hashed = fed(dir.path(), &["key", "hash", "--secret", "keys.secret"], &format!("{}\n", lines[0]));
    assert_eq!(hashed.stdout.trim(), entry["hash"].as_str().unwrap(), "{hashed:?}");
    for (args, input, says) in [
        (vec!["key", "hash", "--secret", "keys.secret"], "short\n", "16 to 128 bytes"),
        (
            vec!["key", "hash", "--secret", "keys.secret"],
            "pk_0123456789012345678901234567890123456789012345678\n",
            "checksum",
        ),
        (vec!["key", "hash", "--secret", "keys.secret"], "with a blank in it\n", "letters, digits"),
        (vec!["key", "hash", "--secret", "none"], "x", "none"),
        (vec!["key", "new", "--secret", "keys.secret", "--expires", "soon"], "", "--expires"),
    ] {
        let ended = fed(dir.path(), &args, input);
        assert!(ended.code == 1 && ended.stderr.contains(says), "{args:?}: {ended:?}");
        assert!(!ended.stderr.contains("pk_0123"), "{ended:?}");
    }
}

#[test]
fn a_ban_is_made_explained_and_lifted_while_the_gateway_runs() {
    let origin = Origin::says("in");
    let scene = Scene::new(&origin, "[api_key]", "");
    assert_eq!(scene.with_key(), 200);
    let added = scene.cli(&["bans", "add", "127.0.0.0/8", "--for", "1h", "--reason", "abuse"]);
    assert!(added.code == 0 && added.stdout.contains("127.0.0.0/8 is banned by an operator"), "{added:?}");
    let refused = scene.ask("/", &format!("X-Api-Key: {}\r\n", scene.key));
    assert_eq!((refused.status, refused.reason()), (401, "key_unknown".to_owned()));
    assert!(scene.gateway.record_of(&refused).to_string().contains("network_banned"));
    let explained = scene.gateway.admin().get("/api/explain?format=text&url=http://rpc.test/").text();
    assert!(explained.contains("network_banned"), "{explained}");
    let listed = scene.cli(&["bans", "list"]);
    assert!(listed.stdout.contains("abuse") && listed.stdout.contains("1 refused so far"), "{listed:?}");
    assert!((scene.gateway.admin().metric("portcullis_bans", "kind=\"operator\"") - 1.0).abs() < 0.1);
    let lifted = scene.cli(&["bans", "lift", "127.0.0.0/8"]);
    assert!(lifted.code == 0 && lifted.stdout.contains("no network is throttled or banned"), "{lifted:?}");
    assert_eq!(scene.with_key(), 200);
    let again = scene.cli(&["bans", "lift", "127.0.0.0/8"]);
    assert!(again.code == 1 && again.stderr.contains("nothing in"), "{again:?}");
}

#[test]
fn who_fails_too_often_is_throttled_by_network_and_good_keys_pass() {
    let origin = Origin::says("in");
    let scene = Scene::throttling(&origin, "[api_key]", "", "{ first: 1m, longest: 1m }");
    let mut client = scene.gateway.client();
    // Its last digit is another one, whatever it was.
    let (start, last) = scene.key.split_at(scene.key.len() - 1);
    let bad = format!(
        "GET / HTTP/1.1\r\nHost: rpc.test\r\nX-Api-Key: {start}{}\r\n\r\n",
        if last == "x" { "y" } else { "x" }
    );
    for _ in 0..40 {
        assert_eq!(client.ask(&bad).status, 401);
    }
    let bans = scene.gateway.admin().json("/api/bans");
    assert_eq!((&bans["bans"][0]["network"], &bans["bans"][0]["kind"]), (&json!("127.0.0.0/24"), &json!("throttled")));
    assert_eq!(scene.with_key(), 200);
    let failed = scene.gateway.admin().metric("portcullis_authentication_failures_total", "cause=\"key_mistyped\"");
    assert!((failed - 40.0).abs() < 0.1, "{failed}");
}

#[test]
fn upstreams_are_told_where_a_route_asks_and_never_by_the_client() {
    let origin = Origin::says("in");
    let filters = "[api_key, { identity: { headers: { consumer: x-consumer-id, plan: x-consumer-plan } } }]";
    let scene = Scene::new(&origin, filters, "");
    let forged = "X-Consumer-Id: root\r\nx_consumer_id: root\r\nX-Consumer_Plan: unlimited\r\n";
    assert_eq!(scene.ask("/", &format!("X-Api-Key: {}\r\n{forged}", scene.key)).status, 200);
    let received = origin.last();
    assert_eq!(received.fields("x-consumer-id"), ["acme"]);
    assert_eq!(received.fields("x-consumer-plan"), ["pro"]);
    assert_eq!((received.field("x_consumer_id"), received.field("x-consumer_plan")), (None, None));
}

#[test]
fn a_gateway_does_not_start_on_a_bad_file_of_consumers_and_check_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let config = format!(
        "version: 1\nlisteners: {{ edge: {{ bind: \"127.0.0.1:0\" }} }}\n\
         consumers: {{ file: consumers.yaml, secret: \"{SECRET}\" }}\n\
         hosts: [{{ names: [a], filters: [api_key], routes: [{{ name: all, respond: {{ status: 204 }} }}] }}]\n"
    );
    write("gateway.yaml", &config);
    write("consumers.yaml", "- id: acme\n  plan: pro\n- id: acme\n  plan: free\n  nets: []\n");
    for command in ["check", "run"] {
        let args = if command == "run" { vec!["run", "-c", "gateway.yaml"] } else { vec!["check", "gateway.yaml"] };
        let ended = run(dir.path(), &args);
        let said = ended.stdout + &ended.stderr;
        assert!(ended.code == 1 && said.contains("gateway.yaml:3:"), "{said}");
        assert!(said.contains("consumers.yaml:") && said.contains("unknown key `nets`"), "{said}");
    }
    write("consumers.yaml", "- { id: acme, plan: pro }\n");
    assert_eq!(run(dir.path(), &["check", "gateway.yaml"]).code, 0);
    write("gateway.yaml", &config.replace("consumers:", "#"));
    let ended = run(dir.path(), &["check", "gateway.yaml"]);
    assert!(ended.code == 1 && ended.stdout.contains("the config has no `consumers`"), "{ended:?}");
}

const ISSUER: &str = "https://login.test";

/// An issuer with a key of its own.
fn issuer() -> Issuer {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = SigningKey::es256(&pair.serialize_der()).unwrap();
    let rules = IssueRules::new(ISSUER, "rpc", Duration::from_secs(60), Binding::Request).unwrap();
    Issuer::new(rules, key, 0, 1)
}

fn token(issuer: &Issuer) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_seconds(since.as_secs());
    let token = issuer.token_of("user-1", "p", RequestId(since.as_nanos()), now).unwrap();
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn tokens_are_checked_with_keys_that_are_fetched_and_rotated() {
    let (old, new) = (issuer(), issuer());
    let serves = Arc::new(Mutex::new(old.key_set().unwrap()));
    let published = serves.clone();
    let login = Origin::http1(move |_, wire| {
        let keys = published.lock().unwrap().clone();
        wire.ok(&keys)
    });
    let origin = Origin::says("in");
    let keys = format!("{{ url: \"http://{}/jwks.json\", refresh: 1h }}", login.address());
    let more = format!("tokens: {{ main: {{ issuer: \"{ISSUER}\", audiences: rpc, keys: {keys} }} }}");
    let scene = Scene::new(&origin, "[{ api_key: { optional: true } }, jwt]", &more);
    let user = json!({ "id": "user", "plan": "free", "jwt": [{ "issuer": ISSUER, "subject": "user-1" }] });
    scene.consumers(&format!("{}{user}\n", line("acme", &scene.hash)));
    until("the user to be known", || (scene.ask("/", &token(&old)).status == 200).then_some(()));
    assert_eq!(origin.last().field("authorization"), None);
    let refused = scene.ask("/", &token(&new));
    assert_eq!((refused.status, refused.reason()), (401, "key_unknown".to_owned()));
    assert!(scene.gateway.record_of(&refused).to_string().contains("token_key_unknown"));
    *serves.lock().unwrap() = new.key_set().unwrap();
    until("the new key to be fetched", || (scene.ask("/", &token(&new)).status == 200).then_some(()));
    assert_eq!(scene.ask("/", &token(&old)).status, 401);
    login.kill();
    assert_eq!((scene.ask("/", &token(&new)).status, scene.with_key()), (200, 200));
}

#[test]
fn a_partner_is_known_by_its_certificate() {
    let (origin, pki) = (Origin::says("in"), Pki::new());
    let (server, partner, stranger) = (pki.issue("rpc.test"), pki.issue("partner.test"), pki.issue("stranger.test"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("consumers.ndjson");
    let consumer = json!({ "id": "partner", "plan": "pro", "certificates": ["CN=partner.test"] });
    std::fs::write(&file, format!("{consumer}\n")).unwrap();
    let gateway = Gateway::with_yaml(&format!(
        "listeners:\n  edge: {{ bind: \"@edge\", tls: {{ certificates: [{}], client_ca: \"{}\" }} }}\n\
         consumers: {{ file: \"{}\", secret: \"{SECRET}\" }}\n\
         clusters: {{ app: {{ endpoints: [\"{}\"] }} }}\n\
         hosts:\n  - names: [\"rpc.test\"]\n    filters: [client_certificate]\n    routes: [{{ name: all, to: app }}]\n",
        server.yaml(),
        pki.ca().display(),
        file.display(),
        origin.address()
    ));
    let ask = |own: &Certificate| {
        let client = gateway.client().with_tls(&pki.client_with(own, &["http/1.1"]), "rpc.test");
        let mut client = client;
        client.ask("GET / HTTP/1.1\r\nHost: rpc.test\r\n\r\n")
    };
    let answer = ask(&partner);
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.record_of(&answer)["consumer"], "partner");
    let refused = ask(&stranger);
    assert_eq!(refused.status, 401);
    assert!(gateway.record_of(&refused).to_string().contains("certificate_unknown"));
}
