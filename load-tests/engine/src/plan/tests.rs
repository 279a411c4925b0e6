//! Plans that are right, and plans that are wrong in one way each.

use std::time::Duration;

use portcullis_yaml::MemoryLoader;

use super::*;
use crate::drive::Source as _;

fn read(text: &str) -> Result<Plan, String> {
    let loader = MemoryLoader::new().file("plan.yaml", text).var("KEY", "k");
    Plan::read("plan.yaml".as_ref(), &loader).map_err(|error| error.to_string())
}

const WHOLE: &str = r#"
version: 1
seed: 7
to: http://127.0.0.1:8080
warm_up: 1s
objective: 20ms
refused: [429, { status: 503, field: retry-after }]
refused_codes: [-32005]
values: { keys: [a, b] }
load:
  - constant: { rate: 100/s, for: 2s }
  - poisson: { rate: 600/m, for: 1s }
  - ramp: { from: 0/s, to: 50/s, for: 4s }
  - steps: { from: 10/s, to: 30/s, steps: 3, each: 1s, poisson: true }
requests:
  - { name: page, weight: 3, path: "/p/@{random:9}", headers: { X-Key: "@{pick:keys}" } }
  - name: balance
    path: /rpc
    jsonrpc: { method: getBalance, params: ["@{pick:keys}", { commitment: confirmed, slot: 5 }] }
pass: { failed: 0.1%, p99: 20ms }
"#;

#[test]
fn reads_a_whole_plan() {
    let plan = read(WHOLE).unwrap();
    assert_eq!((plan.seed, plan.length(), plan.warm_up), (7, Duration::from_secs(10), Duration::from_secs(1)));
    let When::Open(segments) = &plan.when else { panic!("{:?}", plan.when) };
    let rates: Vec<(f64, f64)> = segments.iter().map(|segment| (segment.from, segment.to)).collect();
    assert_eq!(rates, [(100.0, 100.0), (10.0, 10.0), (0.0, 50.0), (10.0, 10.0), (20.0, 20.0), (30.0, 30.0)]);
    assert_eq!(plan.refusals.len(), 2);
    assert_eq!(plan.pass.p99, Some(Duration::from_millis(20)));
    let mut mix = plan.mix("h");
    let number = (1..).find(|number| mix.pick(*number) == 1).unwrap();
    let mut out = Vec::new();
    mix.write(number, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("POST /rpc HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"), "{text}");
    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        (&body["id"], &body["method"], &body["params"][1]["slot"]),
        (&number.into(), &"getBalance".into(), &5.into())
    );
    assert!(body["params"][0] == "a" || body["params"][0] == "b", "{body}");
}

#[test]
fn a_closed_loop_is_the_whole_load() {
    let plan = read("version: 1\nload: [{ closed: { connections: 32, for: 5s } }]\nrequests: [{ name: a }]\n").unwrap();
    assert_eq!(plan.when, When::Closed { connections: 32, length: Duration::from_secs(5) });
    assert_eq!(plan.refusals.len(), 3, "the usual ones");
}

#[test]
fn says_everything_that_is_wrong_with_its_place() {
    for (from, to, expected) in [
        ("version: 1", "version: 2", "plan.yaml:2:10: error[plan]: version 2 is not known"),
        ("seed: 7", "sede: 7", "plan.yaml:3:1: error[unknown_key]: unknown key `sede`"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "plan.yaml:4:5: error[plan]: `127.0.0.1:8080` is not a URL"),
        ("warm_up: 1s", "warm_up: 10s", "plan.yaml:5:10: error[plan]: the warm-up is as long as the load"),
        ("rate: 100/s", "rate: 100", "error[invalid_value]: `100` is not a rate"),
        ("for: 2s", "for: 0", "a part that lasts for no time"),
        ("for: 2s", "for: 2s, burst: 3", "unknown key `burst`"),
        ("- constant", "- konstant", "did you mean `constant`?"),
        ("for: 4s", "for: 8d", "more than a week"),
        (
            "steps: { from: 10/s, to: 30/s, steps: 3, each: 1s, poisson: true }",
            "closed: { connections: 3, for: 1s }",
            "a closed loop is the whole load",
        ),
        ("@{pick:keys}\" } }", "@{pick:kyes}\" } }", "request `page`, X-Key: there is no list `kyes`"),
        ("/p/@{random:9}", "p", "`path` begins with `/`"),
        ("X-Key:", "Host:", "`Host` is no field that can be set here"),
        ("path: /rpc", "path: /rpc\n    body: x", "two bodies"),
        ("weight: 3,", "weight: 3, method: get,", "`get` is no method"),
        ("seed: 7", "in_flight: 0", "`in_flight: 0` would send nothing"),
        ("seed: 7", "timeout: 0", "no answer could come in time"),
        ("seed: 7", "protocol: websocket", "request `page`: a message on a WebSocket needs"),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let error = read(&WHOLE.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let nothing = "version: 1\nload: [{ constant: { rate: 0/s, for: 1s } }]\nrequests: [{ name: a, weight: 0 }]\n";
    let error = read(nothing).unwrap_err();
    assert!(error.contains("every rate is 0") && error.contains("every weight is 0"), "{error}");
}

/// Every plan of the docs and of `plans/` is a plan.
#[test]
fn the_plans_that_are_written_down_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let docs = std::fs::read_to_string(root.join("docs/load-tests.md")).unwrap();
    let mut blocks = docs.split("```yaml plan\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let first = blocks.next().expect("a plan in the docs");
    let files = std::fs::read_dir(root.join("load-tests/plans")).unwrap();
    let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    for text in blocks.chain(files).chain([first]) {
        read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}
