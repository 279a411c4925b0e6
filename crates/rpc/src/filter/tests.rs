//! The filter in a chain without sockets, and its settings.

use http::HeaderMap;
use portcullis_filter::seam::BodyPeek;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, Services, StateStore};
use portcullis_identity::{Directory, Format};
use portcullis_types::Dialect;
use portcullis_yaml::{MemoryLoader, load, render_text};
use serde_json::{Value, json};
use std::future::Future;

use super::*;
use crate::body::Reader;

const CALL: &str = r#"{"jsonrpc":"2.0","id":"a","method":"getSlot"}"#;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

/// The filter of these settings at a place of the config, or what is said about them.
fn build_at(place: &str, yaml: &str) -> Result<Chain, String> {
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let root = loaded.root.take().expect("YAML");
    let mut watch = Vec::new();
    let mut cx = portcullis_yaml::Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let spec = register(Registry::default()).decode("jsonrpc", &root, &mut cx);
    if loaded.diagnostics.has_errors() {
        return Err(render_text(&loaded.diagnostics, &loaded.sources));
    }
    let (state, services) = (StateStore::default(), Services::default());
    let link = spec.expect("settings").build(&BuildCx { place, state: &state, clusters: &[], services: &services })?;
    Ok(Chain::new(vec![link]).expect("a chain"))
}

fn chain(yaml: &str) -> Chain {
    build_at("hosts/a/filters", yaml).expect(yaml)
}

fn refusal(yaml: &str) -> String {
    build_at("hosts/a/filters", yaml).err().unwrap_or_default()
}

/// A POST whose body was read as the gateway reads it.
fn post(body: &str) -> Exchange {
    let exchange = Exchange::post("http://rpc.example.com/", body.to_owned());
    match Reader.peek(&HeaderMap::new(), &body.to_owned().into()) {
        Some(view) => exchange.peeked(view),
        None => exchange,
    }
}

fn run(chain: &Chain, exchange: Exchange) -> Seen {
    block_on(exchange.run(chain))
}

/// Status, reason and detail.
fn outcome(seen: &Seen) -> (u16, Option<Reason>, String) {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    (seen.status, seen.reason, body["detail"].as_str().unwrap_or_default().to_owned())
}

/// A caller whose consumer may call these.
fn caller(methods: &[&str]) -> Caller {
    let line = json!({ "id": "a", "plan": "p", "methods": methods }).to_string();
    let read = Directory::new(0).rebuild_from(Format::Ndjson, &mut line.as_bytes(), Default::default());
    let (directory, _) = read.unwrap_or_else(|error| panic!("{error}"));
    Caller { id: "a".into(), plan: "p".into(), consumer: directory.by_id("a").cloned() }
}

#[test]
fn a_call_goes_on_and_the_record_says_its_method() {
    let seen = run(&chain("{ methods: solana }"), post(CALL));
    assert_eq!((seen.status, seen.reason), (200, None));
    assert_eq!(seen.upstream_body, CALL, "not a byte is changed");
    assert_eq!(seen.notes.dialect, Some(Dialect::JsonRpc));
    assert_eq!(seen.notes.annotations(), [("rpc", "getSlot".to_owned())]);
    let batch = format!("[{CALL},{CALL}]");
    assert_eq!(run(&chain("{}"), post(&batch)).notes.annotations(), [("rpc", "batch of 2".to_owned())]);
}

#[test]
fn what_is_no_json_rpc_is_refused_before_the_upstream_with_its_reason() {
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let deeper = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}"#, "[".repeat(100_000));
    let batch = format!("[{}]", vec![CALL; 101].join(","));
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":["{}"]}}"#, "x".repeat(1024 * 1024));
    for (body, status, reason, detail) in [
        ("{", 400, Reason::RpcParseError, "the text ends too early at byte 1"),
        ("hello", 400, Reason::RpcParseError, "expected JSON"),
        ("null", 400, Reason::RpcInvalidRequest, "call 0: expected an object"),
        ("\"a\"", 400, Reason::RpcInvalidRequest, "call 0: expected an object"),
        ("-7", 400, Reason::RpcInvalidRequest, "call 0: expected an object"),
        ("nullx", 400, Reason::RpcParseError, "expected the end of the text at byte 4"),
        ("[]", 400, Reason::RpcInvalidRequest, "call 0: a batch without calls"),
        (r#"{"id":1}"#, 400, Reason::RpcInvalidRequest, "call 0: expected `\"jsonrpc\":\"2.0\"`"),
        (&deep, 400, Reason::RpcParseError, "it nests 65 deep; 64 at most"),
        (&deeper, 400, Reason::RpcParseError, "nesting that is too deep at byte 172"),
        (&batch, 413, Reason::BodyTooLarge, "a batch of more than 100 calls"),
        (&large, 413, Reason::BodyTooLarge, "a body of 1048627 bytes; 1048576 at most"),
    ] {
        let seen = run(&chain("{}"), post(body));
        assert_eq!(outcome(&seen), (status, Some(reason), detail.to_owned()), "{:.80}", body);
        assert!(seen.upstream.is_none());
    }
    let encoded = Exchange::post("http://a/", "x").field("content-encoding", "gzip");
    assert_eq!(outcome(&run(&chain("{}"), encoded)).2, "a body with a content coding is not read");
}

#[test]
fn settings_say_how_much_is_taken() {
    let strict = chain("{ batch: 1, body: 100B, depth: 2 }");
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
    for (body, expected) in [
        (call("[1]"), None),
        (format!("[{}]", call("{}")), Some(Reason::RpcParseError)),
        (format!("[{CALL}]"), None),
        (format!("[{CALL},{CALL}]"), Some(Reason::BodyTooLarge)),
        (call("[[]]"), Some(Reason::RpcParseError)),
        (call(&format!("[\"{}\"]", "x".repeat(100))), Some(Reason::BodyTooLarge)),
    ] {
        assert_eq!(run(&strict, post(&body)).reason, expected, "{body}");
    }
    let none = run(&chain("{ batch: 0 }"), post(&format!("[{CALL}]")));
    assert_eq!(none.reason, Some(Reason::BodyTooLarge));
}

#[test]
fn requests_that_call_nothing_are_refused_or_pass_but_never_a_preflight_or_an_upgrade() {
    let get = || Exchange::get("http://a/health");
    let seen = run(&chain("{}"), get());
    assert_eq!(
        outcome(&seen),
        (400, Some(Reason::RpcInvalidRequest), "JSON-RPC is called by POST; this is GET".to_owned())
    );
    let passed = run(&chain("{ others: pass }"), get());
    assert_eq!((passed.reason, passed.notes.dialect), (None, None));
    let put = |body: &str| {
        let exchange = Exchange::new(http::Method::PUT, "http://a/").chunk(body.to_owned());
        let view = Reader.peek(&HeaderMap::new(), &body.to_owned().into());
        if let Some(view) = view { exchange.peeked(view) } else { exchange }
    };
    for file in ["a file", "the file", "null"] {
        assert_eq!(run(&chain("{ others: pass }"), put(file)).reason, None, "{file}");
    }
    let hidden = run(&chain("{ others: pass, deny: getSlot }"), put(CALL));
    assert_eq!(hidden.reason, Some(Reason::Denied), "a call is a call, whatever the HTTP method");
    assert_eq!(run(&chain("{}"), Exchange::new(http::Method::OPTIONS, "http://a/")).reason, None);
    assert_eq!(run(&chain("{}"), get().asks_upgrade()).reason, None);
}

#[test]
fn a_body_with_a_coding_is_refused_whatever_the_http_method() {
    for (method, settings) in [
        (http::Method::POST, "{}"),
        (http::Method::OPTIONS, "{}"),
        (http::Method::GET, "{ others: pass }"),
        (http::Method::PUT, "{ others: pass }"),
    ] {
        let encoded = Exchange::new(method.clone(), "http://a/").field("content-encoding", "gzip").chunk(CALL);
        let seen = run(&chain(settings), encoded);
        assert_eq!((seen.status, seen.reason), (400, Some(Reason::RpcParseError)), "{method}");
    }
}

#[test]
fn an_upgrade_takes_along_what_its_host_offers_and_denies() {
    let upgrade = Exchange::get("http://a/").asks_upgrade();
    let seen = run(&chain("{ methods: [solana, foo], deny: \"request*\" }"), upgrade);
    let OnHost(host) = seen.notes.get().expect("the host's settings");
    assert!(["getSlot", "foo", "requestAirdrop"].iter().all(|method| host.offers(method)) && !host.offers("bar"));
    assert!(host.denies("requestAirdrop") && !host.denies("getSlot"));
}

#[test]
fn a_post_without_a_body_is_refused_whether_its_head_says_so_or_not() {
    let empty = || Exchange::new(http::Method::POST, "http://a/");
    for exchange in [empty().field("content-length", "0"), empty()] {
        let seen = run(&chain("{ others: pass }"), exchange);
        let expected = (400, Some(Reason::RpcInvalidRequest), "the request has no body".to_owned());
        assert_eq!(outcome(&seen), expected);
    }
}

#[test]
fn methods_that_are_not_offered_are_unknown_and_denied_ones_are_forbidden() {
    let call = |method: &str| post(&CALL.replace("getSlot", method));
    let filter = chain("{ methods: [solana, \"qn_*\"], deny: [requestAirdrop, \"getB*\"] }");
    for (method, reason, status) in [
        ("getSlot", None, 200),
        ("qn_fetch", None, 200),
        ("accountSubscribe", Some(Reason::RpcMethodUnknown), 200),
        ("GETSLOT", Some(Reason::RpcMethodUnknown), 200),
        ("requestAirdrop", Some(Reason::Denied), 403),
        ("getBlock", Some(Reason::Denied), 403),
    ] {
        let seen = run(&filter, call(method));
        assert_eq!((seen.reason, seen.status), (reason, status), "{method}");
        assert_eq!(seen.upstream.is_some(), reason.is_none(), "{method}");
    }
    assert_eq!(run(&chain("{}"), call("eth_call")).reason, None, "without `methods` any passes");
    assert_eq!(run(&chain("{ methods: \"eth_*\" }"), call("getSlot")).reason, Some(Reason::RpcMethodUnknown));
}

#[test]
fn a_consumer_is_held_to_its_methods_and_an_anonymous_caller_is_not() {
    let call = |method: &str| post(&CALL.replace("getSlot", method)).shared(caller(&["getSl*"]));
    let filter = chain("{}");
    assert_eq!(run(&filter, call("getSlot")).reason, None);
    let seen = run(&filter, call("getBalance"));
    let expected = (403, Some(Reason::KeyForbidden), "rpc_method_not_allowed: `getBalance`".to_owned());
    assert_eq!(outcome(&seen), expected);
    let anonymous = Caller { consumer: None, ..caller(&["getSlot"]) };
    assert_eq!(run(&filter, post(&CALL.replace("getSlot", "getBalance")).shared(anonymous)).reason, None);
}

#[test]
fn params_of_another_shape_are_refused_unless_they_are_not_looked_at() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":[5]}"#;
    let expected = "`getBalance`: param 1: expected a string".to_owned();
    let seen = run(&chain("{ methods: solana }"), post(body));
    assert_eq!(outcome(&seen), (200, Some(Reason::RpcParamsInvalid), expected));
    assert_eq!(run(&chain("{ methods: solana, check_params: false }"), post(body)).reason, None);
    assert_eq!(run(&chain("{ methods: getBalance }"), post(body)).reason, None, "this may be another chain");
}

#[test]
fn a_batch_with_an_unknown_method_is_answered_by_a_list_in_which_all_are_refused() {
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"getSlot"},{"jsonrpc":"2.0","method":"getSlot"},
        {"jsonrpc":"2.0","id":"x","method":"nope"}]"#;
    let seen = run(&chain("{ methods: solana }"), post(batch));
    assert_eq!((seen.status, seen.reason), (200, Some(Reason::RpcMethodUnknown)));
    let answers: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let told: Vec<_> =
        answers.as_array().expect("a list").iter().map(|one| (&one["id"], &one["error"]["code"])).collect();
    assert_eq!(told, [(&json!(1), &json!(-32600)), (&json!("x"), &json!(-32601))]);
    assert_eq!(answers[0]["error"]["data"]["detail"], "not carried out, since call 2 of the batch was refused");
    assert_eq!(answers[1]["error"]["data"]["detail"], "call 2: method `nope`");
}

#[test]
fn a_batch_that_http_refuses_is_one_error() {
    let batch = format!("[{CALL},{}]", CALL.replace("getSlot", "getBalance"));
    let seen = run(&chain("{ deny: getBalance }"), post(&batch));
    let expected = "call 1: method `getBalance` is not offered on this host".to_owned();
    assert_eq!(outcome(&seen), (403, Some(Reason::Denied), expected));
}

#[test]
fn a_batch_of_notifications_is_refused_in_silence() {
    let seen = run(&chain("{ methods: solana }"), post(r#"[{"jsonrpc":"2.0","method":"nope"}]"#));
    assert_eq!((seen.status, &seen.body[..]), (200, &b""[..]));
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    for (yaml, expected) in [
        ("{ methods: [] }", "no method is named"),
        ("{ methods: \"g*t\" }", "is not `solana`, a method or a pattern for some"),
        ("{ methods: solana, deny: getBlok }", "`getBlok` is none of the `methods` that are offered"),
        ("{ batch: 10001 }", "expected 0 to 10000"),
        ("{ depth: 0 }", "expected 1 to 127"),
        ("{ depth: 128 }", "expected 1 to 127"),
        ("{ body: 65MiB }", "expected 1B to 64MiB"),
        ("{ body: 0B }", "expected 1B to 64MiB"),
        ("{ others: drop }", "others"),
        ("{ method: solana }", "method"),
    ] {
        let said = refusal(yaml);
        assert!(said.contains(expected), "{yaml}: {said}");
    }
    assert_eq!(refusal("{ methods: [solana, getBlok], deny: [getBlok, getBlock, \"x*\"] }"), "");
}

#[test]
fn it_belongs_to_a_host() {
    let why = build_at("hosts/a/routes/b/filters", "{}").err().unwrap_or_default();
    assert!(why.contains("in the `filters` of the host"), "{why}");
}

#[test]
fn it_asks_for_bodies_as_large_as_it_takes() {
    let JsonRpcConfig { body, .. } = config("{ body: 10MiB }");
    assert_eq!(JsonRpc { config: config("{ body: 10MiB }").into() }.peek_limit(), body);
    assert_eq!((body, config("{}").body), (10 << 20, 1 << 20));
}

fn config(yaml: &str) -> JsonRpcConfig {
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let root = loaded.root.take().expect("YAML");
    let mut watch = Vec::new();
    let mut cx = portcullis_yaml::Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    portcullis_yaml::Decode::decode(&root, &mut cx).expect("settings")
}
