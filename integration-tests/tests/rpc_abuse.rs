//! Bodies that are made to cost: each is answered by a clear error, costs bounded CPU, and reaches no upstream.

use portcullis_integration_tests::process::cpu_time;
use portcullis_integration_tests::{Gateway, Origin, Response, Setup};
use serde_json::Value;
use std::time::Duration;

/// CPU that the gateway may spend on one body of 10 MB, in the build of tests and with everything around it.
const BOUND: Duration = Duration::from_secs(4);

/// A gateway that takes large bodies, so that they are judged and not only measured.
fn gateway(origin: &Origin) -> Gateway {
    let filters = "filters: [{ jsonrpc: { methods: solana, body: 16MiB, batch: 10000, depth: 64 } }]";
    Setup::to(origin).host(filters).route("body_limit: 16MiB").start()
}

fn post(gateway: &Gateway, body: &[u8]) -> Response {
    let head = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Type: application/json\r\nContent-Length: ";
    let mut request = format!("{head}{}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(body);
    gateway.client().ask(request)
}

/// Sends it, and returns status, code and message of the error object.
fn refused(gateway: &Gateway, body: &[u8]) -> (u16, i64, String) {
    let before = cpu_time(gateway.pid());
    let answer = post(gateway, body);
    let spent = cpu_time(gateway.pid()).saturating_sub(before);
    assert!(spent < BOUND, "{spent:?} of CPU for {} bytes", body.len());
    assert!(answer.body.len() < 2048, "an answer of {} bytes", answer.body.len());
    let json: Value = answer.json();
    let error = &json["error"];
    (
        answer.status,
        error["code"].as_i64().unwrap_or_default(),
        error["message"].as_str().unwrap_or_default().to_owned(),
    )
}

fn call(params: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getBalance","params":{params}}}"#).into_bytes()
}

#[test]
fn refuses_a_body_that_nests_deeper_than_it_may() {
    let origin = Origin::says("{}");
    let gateway = gateway(&origin);
    for levels in [65, 10_000, 5_000_000] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        let (status, code, message) = refused(&gateway, &call(&deep));
        assert_eq!((status, code), (400, -32700), "{levels} levels: {message}");
    }
    let open = "{\"a\":".repeat(2_000_000);
    let (status, code, message) = refused(&gateway, open.as_bytes());
    assert_eq!(status, 400, "{code} {message}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn refuses_ten_megabytes_of_ids() {
    let origin = Origin::says("{}");
    let gateway = gateway(&origin);
    let long = format!(r#"{{"jsonrpc":"2.0","method":"getSlot","id":"{}"}}"#, "9".repeat(10_000_000));
    let (status, code, message) = refused(&gateway, long.as_bytes());
    assert_eq!((status, code), (400, -32600), "{message}");
    let many = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#; 220_000].join(","));
    let (status, code, message) = refused(&gateway, many.as_bytes());
    assert_eq!((status, code), (413, -32600), "{message}");
    let twice = format!("{{{}\"method\":\"getSlot\"}}", "\"id\":1,".repeat(1_400_000));
    let (status, code, message) = refused(&gateway, twice.as_bytes());
    assert_eq!((status, code), (400, -32600), "{message}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn refuses_a_call_that_says_a_thing_twice() {
    let origin = Origin::says("{}");
    let gateway = gateway(&origin);
    for twice in [
        r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","method":"sendTransaction"}"#,
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"getSlot"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[],"params":[1]}"#,
        // The same word, written otherwise.
        r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","m\u0065thod":"sendTransaction"}"#,
    ] {
        let (status, code, message) = refused(&gateway, twice.as_bytes());
        assert_eq!((status, code), (400, -32600), "{twice}: {message}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn takes_huge_numbers_for_what_they_are() {
    let origin = Origin::says("{}");
    let gateway = gateway(&origin);
    for id in
        ["9".repeat(4_000_000), "1e".to_owned() + &"9".repeat(1_000_000), format!("-0.{}1", "0".repeat(1_000_000))]
    {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"getSlot"}}"#);
        let (status, code, message) = refused(&gateway, body.as_bytes());
        assert_eq!((status, code), (400, -32700), "{message}");
    }
    assert_eq!(origin.connections(), 0);
    // Of a sane length, a number that no float holds passes as it was written.
    let sane = r#"{"jsonrpc":"2.0","id":1,"method":"getBlocks","params":[18446744073709551616]}"#;
    let answer = post(&gateway, sane.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(String::from_utf8_lossy(&origin.last().body), sane);
}
