//! Messages, as they come and as they are written.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::ws::kind::Kind;

fn incoming(text: &str) -> Result<Incoming, Malformed> {
    Incoming::read(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn params_that_mean_the_same_have_one_text() {
    let cases = [
        (r#"[ "a" , { "b" : 1.0e5 , "a" : [ ] } ]"#, r#"["a",{"a":[],"b":1.0e5}]"#),
        (r#"[{"z":{"y":null,"x":" : "}}]"#, r#"[{"z":{"x":" : ","y":null}}]"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("[]", "[]"),
        (" [ true,false ] ", "[true,false]"),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text.as_bytes(), 8).as_deref(), Some(expected));
        assert_eq!(canonical(expected.as_bytes(), 8).as_deref(), Some(expected), "its own canonical text");
    }
    assert_eq!(canonical(b"[[[[]]]]", 3), None);
    assert_eq!(canonical(b"[1] 2", 3), None);
}

proptest::proptest! {
    #[test]
    fn a_canonical_text_means_what_it_meant(
        keys in proptest::collection::vec("[a-c\"\\\\é ]{0,3}", 0..5),
        numbers in proptest::collection::vec(proptest::prelude::any::<i32>(), 5),
    ) {
        let object: serde_json::Map<String, Value> = keys.into_iter().zip(numbers).map(|(k, v)| (k, json!([v]))).collect();
        let text = serde_json::to_string_pretty(&json!(["x", object])).expect("JSON");
        let canonical = canonical(text.as_bytes(), 8).expect("JSON");
        proptest::prop_assert_eq!(serde_json::from_str::<Value>(&canonical).expect("JSON"), json!(["x", object]));
    }
}

#[test]
fn a_notification_is_split_at_its_number() {
    let texts = [
        r#"{"jsonrpc":"2.0","method":"logsNotification","params":{"result":{"value":1},"subscription":24040}}"#,
        r#" { "params" : { "subscription" : 24040 , "result" : 7 } , "method" : "logsNotification" } "#,
    ];
    for text in texts {
        let Ok(Incoming::Notification(24_040, notification)) = incoming(text) else { panic!("{text}") };
        let (before, behind) = notification.parts();
        assert_eq!([before, b"24040", behind].concat(), text.as_bytes());
        assert_eq!(notification.length(), text.len() - 5);
        assert_eq!((notification.kind, notification.last), (Some(Kind::Logs), false));
        let (before, behind) = notification.shared_parts();
        assert_eq!([&before[..], &behind[..]], <[&[u8]; 2]>::from(notification.parts()));
    }
}

#[test]
fn a_signature_is_over_with_an_object_and_not_with_a_word() {
    let notification = |value: &str| {
        incoming(&format!(
            r#"{{"method":"signatureNotification","params":{{"result":{{"context":{{"slot":1}},"value":{value}}},"subscription":1}}}}"#
        ))
    };
    for (value, last) in [("\"receivedSignature\"", false), ("{\"err\":null}", true), ("{\"err\":{\"a\":1}}", true)] {
        assert!(matches!(notification(value), Ok(Incoming::Notification(1, it)) if it.last == last), "{value}");
    }
}

#[test]
fn a_ping_without_the_version_asks_for_nothing_however_it_is_written() {
    for ping in [r#"{"method":"ping"}"#, " {\n\t\"method\" : \"ping\" } ", r#"{"params":null,"method":"ping"}"#] {
        assert!(matches!(read(ping.as_bytes()), Ok(None)), "{ping}");
    }
    for other in [
        r#"{"method":"pong"}"#,
        r#"{"method":"ping","method":"ping"}"#,
        r#"{"method":"ping","id":1}"#,
        r#"{"jsonrpc":"1.0","method":"ping"}"#,
        r#"{"method":"ping"}{"#,
        r#"{"method":["ping"]}"#,
    ] {
        assert!(read(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn answers_are_told_from_what_nobody_waits_for() {
    assert!(matches!(incoming(r#"{"id":5,"result":null}"#), Ok(Incoming::Answer { id: 5, outcome: Ok(_), .. })));
    let error = r#"{"result":null,"error":{"code":1},"id":5}"#;
    assert!(matches!(incoming(error), Ok(Incoming::Answer { id: 5, outcome: Err(_), .. })));
    for other in [
        "{}",
        r#"{"id":"5","result":1}"#,
        r#"{"id":-5,"result":1}"#,
        r#"{"id":5}"#,
        r#"{"method":"x","params":{"subscription":"1"}}"#,
        r#"{"method":"x","params":{"subscription":1.5}}"#,
        r#"{"method":7,"params":{"subscription":1}}"#,
        r#"{"params":{"subscription":1}}"#,
        r#"{"method":"x","params":[1]}"#,
    ] {
        assert_eq!(incoming(other), Ok(Incoming::Other), "{other}");
    }
    for wrong in ["", "[]", "7", "{", r#"{"a":1}x"#, r#"{"method":"x","params":{"subscription":1}"#] {
        assert_eq!(incoming(wrong), Err(Malformed), "{wrong}");
    }
}

#[test]
fn errors_have_no_other_codes_than_clients_bear() {
    let failures = [
        Failure::invalid("x\"y"),
        Failure::no_json("x"),
        Failure::too_large(),
        Failure::unknown_method(),
        Failure::params("x"),
        Failure::forbidden(),
        Failure::subscriptions(5),
        Failure::overloaded(),
        Failure::no_upstream(),
        Failure::reset(),
        Failure::timeout(),
        Failure::malformed(),
    ];
    for failure in failures {
        let frame = error("\"a\"", &failure);
        let text: Value = serde_json::from_slice(&frame[if frame[1] < 126 { 2 } else { 4 }..]).expect("JSON");
        let code = text["error"]["code"].as_i64().expect("a code");
        assert!((-32603..=-32600).contains(&code), "{text}");
        assert_eq!(text["error"]["data"]["reason"], failure.reason.name());
        assert_eq!(text["id"], "a");
    }
}

#[test]
fn an_upstreams_code_that_clients_do_not_know_is_wrapped() {
    for (code, wrapped) in
        [(-32700, false), (-32602, false), (-32002, false), (-32021, false), (-32000, true), (429, true)]
    {
        let error = format!("{{\"code\":{code},\"message\":\"m\"}}");
        let frame = refusal("1", Err(&error));
        let text: Value = serde_json::from_slice(&frame[if frame[1] < 126 { 2 } else { 4 }..]).expect("JSON");
        assert_eq!(text["error"]["data"]["upstream"]["code"] == code, wrapped, "{code}");
        assert_eq!(text["error"]["code"] == code, !wrapped, "{code}");
    }
}
