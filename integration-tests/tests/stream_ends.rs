//! Streams that the gateway ends while they are open: what may be spent is spent, the key is gone, the network banned.

use portcullis_integration_tests::cli::run;
use portcullis_integration_tests::pubsub::{PubSub, Socket};
use portcullis_integration_tests::websocket::{SWITCHING, UPGRADE};
use portcullis_integration_tests::{After, Client, Gateway, Origin, Setup, until};
use serde_json::{Value, json};
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;
use tempfile::TempDir;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The head of a frame of the origin's, of so many bytes.
fn head_of_frame(length: u64) -> Vec<u8> {
    [&[0x82, 127], &length.to_be_bytes()[..]].concat()
}

/// Says 101 and then these bytes, and reads to the connection's end.
fn says(first: Vec<u8>) -> Origin {
    Origin::at_head(move |_, wire| {
        wire.send(SWITCHING);
        wire.send(&first);
        let mut bytes = [0u8; 4096];
        while let Ok(1..) = wire.stream().read(&mut bytes) {}
        After::Close
    })
}

/// Says 101 and then frames of 4 KiB, as many as are taken.
fn floods() -> Origin {
    Origin::at_head(|_, wire| {
        wire.send(SWITCHING);
        let frame = [head_of_frame(4096), vec![b'y'; 4096]].concat();
        while wire.send(&frame) == After::Keep {}
        After::Close
    })
}

fn held_to(origin: &Origin, plan: &str) -> Gateway {
    let filters = "filters: [{ anonymous: { plan: free, by: address } }, caps]";
    Setup::to(origin).top(&format!("plans: {{ free: {plan} }}")).host(filters).start()
}

fn upgraded(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(UPGRADE);
    assert!(client.head().starts_with("HTTP/1.1 101"));
    client
}

/// The record of an upgrade.
fn record(gateway: &Gateway) -> Value {
    gateway.record("the upgrade", |record| record["status"] == 101)
}

#[test]
fn a_tunnel_ends_between_two_frames_where_a_cap_of_bytes_runs_dry() {
    let gateway = held_to(&floods(), "{ bytes: { quota: 200KB/d } }");
    let passed = upgraded(&gateway).rest();
    let (frames, close) = passed.split_at(passed.len() - 14);
    assert_eq!(close, b"\x88\x0c\x03\xf0over_quota", "the last thing that is said");
    let frame = 10 + 4096;
    assert_eq!(frames.len() % frame, 0);
    // Pieces that were read and charged when it ran dry may not be written any more.
    assert!((100_000..400_000).contains(&frames.len()), "{} bytes", frames.len());
    let record = record(&gateway);
    assert_eq!(record["reason"], "over_quota");
    assert_eq!(record["detail"], "bytes.day of the plan free: 0 of 200000 bytes left, 1 needed");
    let refused = gateway.client().ask(UPGRADE);
    assert_eq!(refused.reason(), "over_quota");
}

#[test]
fn a_tunnel_in_the_middle_of_a_long_frame_ends_without_one_of_the_gateways() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(SWITCHING);
        wire.send(head_of_frame(1 << 40));
        while wire.send([b'y'; 4096]) == After::Keep {}
        After::Close
    });
    let gateway = held_to(&origin, "{ bytes: { quota: 200KB/d } }");
    let passed = upgraded(&gateway).rest();
    assert!(passed[10..].iter().all(|byte| *byte == b'y'), "nothing of the gateway's");
    assert!((200_000..500_000).contains(&passed.len()), "{} bytes", passed.len());
    assert_eq!(record(&gateway)["reason"], "over_quota");
}

#[test]
fn what_a_client_sends_counts_too_and_is_charged_while_the_tunnel_is_open() {
    let gateway = held_to(&says(Vec::new()), "{ bytes: { quota: 30KB/d } }");
    let mut client = upgraded(&gateway);
    client.send([b'x'; 8_000]);
    let used = |gateway: &Gateway| gateway.admin().json("/api/usage?consumer=anonymous:127.0.0.1");
    until("what passed to be charged", || {
        let used = used(&gateway);
        (used["consumers"]["anonymous:127.0.0.1"]["total"]["bytes"] == 8_000).then_some(())
    });
    client.send([b'x'; 24_000]);
    until("what passed to be charged", || (gateway.client().ask(UPGRADE).reason() == "over_quota").then_some(()));
    client.send("one more");
    assert_eq!(client.rest(), b"\x88\x0c\x03\xf0over_quota");
}

/// A gateway with a consumer that has a key, before an address.
struct Scene {
    gateway: Gateway,
    dir: TempDir,
    key: String,
    hash: String,
}

impl Scene {
    fn new(to: SocketAddr, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.secret"), SECRET).unwrap();
        let made = run(dir.path(), &["key", "new", "--secret", "keys.secret", "--format", "json"]);
        let told: Value = serde_json::from_str(&made.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (key, hash) = (text(&told["key"]), text(&told["entry"]["hash"]));
        let file = dir.path().join("consumers.ndjson");
        std::fs::write(&file, line("acme", json!({ "hash": hash }))).unwrap();
        let consumers = format!("consumers: {{ file: \"{}\", secret: \"{SECRET}\" }}", file.display());
        let filters = format!("filters: [api_key{more}]");
        let gateway = Setup::to_address(to).top(&consumers).route(&filters).start();
        Self { gateway, dir, key, hash }
    }

    fn socket(&self) -> Socket {
        Socket::open(&self.gateway, &format!("/?api-key={}", self.key))
    }

    /// Replaces the consumers in one step.
    fn consumers(&self, text: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.dir.path().join("consumers.ndjson")).unwrap();
    }

    fn revoke(&self) {
        let ended = run(self.dir.path(), &["key", "revoke", "acme", "--file", "consumers.ndjson"]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }

    fn ban(&self) {
        let admin = self.gateway.address("admin").to_string();
        let args = ["bans", "add", "127.0.0.0/8", "--for", "1h", "--reason", "abuse", "--admin", &admin];
        assert_eq!(run(Path::new("."), &args).code, 0);
    }
}

fn line(id: &str, key: Value) -> String {
    format!("{}\n", json!({ "id": id, "plan": "pro", "keys": [key] }))
}

/// What is done while the tunnel is open.
type Done<'a> = &'a dyn Fn(&Scene);

#[test]
fn a_tunnel_whose_key_is_revoked_gone_over_or_banned_is_closed_with_the_reason() {
    let over_soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 2;
    let changes: [(Done<'_>, &str, &str); 4] = [
        (&Scene::revoke, "key_forbidden", "key_expired"),
        (
            &|scene| scene.consumers(&line("other", json!({ "hash": "b3:".to_owned() + &"0".repeat(64) }))),
            "key_unknown",
            "key_unknown",
        ),
        (
            &|scene| scene.consumers(&line("acme", json!({ "hash": scene.hash, "not_after": over_soon }))),
            "key_forbidden",
            "key_expired",
        ),
        (&Scene::ban, "key_unknown", "network_banned"),
    ];
    for (change, reason, cause) in changes {
        let scene = Scene::new(says(Vec::new()).address(), "");
        let mut socket = scene.socket();
        change(&scene);
        assert_eq!(socket.closed(), (1008, reason.to_owned()));
        let record = record(&scene.gateway);
        assert_eq!((&record["reason"], &record["detail"]), (&json!(reason), &json!(cause)), "{record}");
        assert_eq!(record["consumer"], "acme");
    }
}

#[test]
fn a_tunnel_that_stands_in_the_middle_of_a_frame_or_is_not_read_is_cut_all_the_same() {
    let half = [head_of_frame(1000), b"half of it".to_vec()].concat();
    for origin in [says(half.clone()), floods()] {
        let scene = Scene::new(origin.address(), "");
        let mut client = Client::connect_narrow(scene.gateway.address("edge"), 16 * 1024);
        client.send(UPGRADE.replace("/chat", &format!("/?api-key={}", scene.key)));
        assert!(client.head().starts_with("HTTP/1.1 101"));
        assert_eq!(client.exactly(10).unwrap().len(), 10);
        scene.revoke();
        let record = record(&scene.gateway);
        assert_eq!(
            (&record["reason"], &record["detail"]),
            (&json!("key_forbidden"), &json!("key_expired")),
            "{record}"
        );
        assert!(record["bytes_out"].as_u64().unwrap() >= 10, "{record}");
    }
}

#[test]
fn a_websocket_that_the_gateway_speaks_is_closed_when_its_key_is_revoked() {
    let node = PubSub::start();
    let scene = Scene::new(node.address(), ", { rpc_websocket: { connections: 1 } }");
    let mut socket = scene.socket();
    socket.result("slotSubscribe", &json!([]));
    scene.revoke();
    let (code, said) = socket.closed();
    assert_eq!((code, said.split(':').next()), (1008, Some("key_forbidden")));
    drop(socket);
    let record = record(&scene.gateway);
    assert_eq!((&record["reason"], &record["detail"]), (&json!("key_forbidden"), &json!("key_expired")), "{record}");
    assert_eq!(record["notes"]["websocket_close"], "1008");
}
