//! What calls a body makes: each fault, bounds, and serde_json as the oracle.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::Span;

const LIMITS: Limits = Limits { bytes: 1024, depth: 16, batch: 3 };

fn part(text: &str, span: Option<Span>) -> Option<&str> {
    span.map(|span| span.str_of(text.as_bytes()))
}

fn invalid(text: &str) -> (Invalid, Option<&str>) {
    match scan(text.as_bytes(), &LIMITS) {
        Err(ScanError::Invalid { call: 0, what, id }) => (what, part(text, id)),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_call_is_found_with_its_parts_as_they_are_written() {
    let text = r#" { "jsonrpc" : "2.0", "id": "a\u0041" , "method":"getSlot","params" : [ {"a":[]} ], "more": {} } "#;
    let found = scan(text.as_bytes(), &LIMITS).expect("a call");
    let [call] = found.calls() else { panic!("{found:?}") };
    assert_eq!(part(text, call.id()), Some(r#""a\u0041""#));
    assert_eq!(call.method().str_of(text.as_bytes()), "getSlot");
    assert_eq!(part(text, call.params()), Some(r#"[ {"a":[]} ]"#));
    assert_eq!(call.whole().str_of(text.as_bytes()), text.trim());
    assert_eq!((found.is_batch(), found.depth()), (false, 4));
}

#[test]
fn ids_keep_their_type_and_a_notification_has_none() {
    for (id, expected) in [
        (r#","id":1"#, Some("1")),
        (r#","id":1.50"#, Some("1.50")),
        (r#","id":18446744073709551616"#, Some("18446744073709551616")),
        (r#","id":"1""#, Some("\"1\"")),
        (r#","id":null"#, Some("null")),
        ("", None),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"ping"{id}}}"#);
        let found = scan(text.as_bytes(), &LIMITS).expect("a call");
        assert_eq!(part(&text, found.calls()[0].id()), expected);
        assert_eq!(found.calls()[0].params(), None);
    }
}

#[test]
fn a_batch_has_its_calls_in_order_and_a_batch_of_one_is_a_batch() {
    let text = r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b","params":null}]"#;
    let found = scan(text.as_bytes(), &LIMITS).expect("a batch");
    let methods: Vec<_> = found.calls().iter().map(|call| call.method().str_of(text.as_bytes())).collect();
    assert_eq!((methods, found.is_batch(), found.depth()), (vec!["a", "b"], true, 2));
    let alone = found.calls()[1].alone();
    let bytes = found.calls()[1].whole().str_of(text.as_bytes());
    assert_eq!((alone.method().str_of(bytes.as_bytes()), alone.params()), ("b", None));
    assert!(scan(br#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#, &LIMITS).expect("a batch").is_batch());
}

#[test]
fn what_is_no_call_is_refused_with_the_id_that_was_found() {
    let long = |n: usize| "a".repeat(n);
    let (id, method) = (long(MAX_ID - 1), long(MAX_METHOD + 1));
    let rows = [
        (r#"1"#.to_owned(), Invalid::Call, None),
        (r#"[]"#.to_owned(), Invalid::EmptyBatch, None),
        (r#"[1]"#.to_owned(), Invalid::Call, None),
        (r#"[[]]"#.to_owned(), Invalid::Call, None),
        (r#"[{"id":1}]"#.to_owned(), Invalid::Version, None),
        (r#"{"id":1}"#.to_owned(), Invalid::Version, Some("1")),
        (r#"{"jsonrpc":"1.0","method":"a","id":1}"#.to_owned(), Invalid::Version, Some("1")),
        (r#"{"jsonrpc":2.0,"method":"a","id":1}"#.to_owned(), Invalid::Version, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1}"#.to_owned(), Invalid::Method, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#.to_owned(), Invalid::Method, Some("1")),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#.to_owned(), Invalid::MethodLength, Some("1")),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#), Invalid::MethodLength, Some("1")),
        (r#"{"jsonrpc":"2.0","method":"get\u0053lot","id":1}"#.to_owned(), Invalid::EscapedMethod, Some("1")),
        (r#"{"jsonrpc":"2.0","\u006dethod":"a","method":"b","id":1}"#.to_owned(), Invalid::EscapedKey, Some("1")),
        (r#"{"jsonrpc":"2.0","method":"a","m\u0065thod":"b","id":1}"#.to_owned(), Invalid::EscapedKey, Some("1")),
        (r#"{"jsonrpc":"2.0","method":"a","method":"a","id":1}"#.to_owned(), Invalid::Twice("method"), Some("1")),
        (r#"{"jsonrpc":"2.0","method":"a","id":1,"id":2}"#.to_owned(), Invalid::Twice("id"), Some("1")),
        (
            r#"{"jsonrpc":"2.0","method":"a","params":null,"params":[],"id":1}"#.to_owned(),
            Invalid::Twice("params"),
            Some("1"),
        ),
        (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","method":"a","id":1}"#.to_owned(), Invalid::Twice("jsonrpc"), Some("1")),
        (r#"{"jsonrpc":"2.0","method":"a","id":[1]}"#.to_owned(), Invalid::Id, None),
        (r#"{"jsonrpc":"2.0","method":"a","id":true}"#.to_owned(), Invalid::Id, None),
        (format!(r#"{{"jsonrpc":"2.0","method":"a","id":"{id}"}}"#), Invalid::LongId, None),
        (r#"{"jsonrpc":"2.0","method":"a","params":"x","id":1}"#.to_owned(), Invalid::Params, Some("1")),
    ];
    for (text, what, id) in rows {
        assert_eq!(invalid(&text), (what, id), "{text}");
    }
}

#[test]
fn json_that_is_none_is_no_call_whatever_was_found_before() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"a""#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":01,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":["\ud800"]}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"a"},]"#,
        "\u{feff}{}",
        "",
    ] {
        let error = scan(text.as_bytes(), &LIMITS).expect_err(text);
        assert!(matches!(error, ScanError::Json(_)), "{text}: {error}");
        assert_eq!(error.id(), None);
    }
}

#[test]
fn what_is_too_much_is_said_at_once() {
    let call = r#"{"jsonrpc":"2.0","method":"a"}"#;
    let batch = |n: usize| format!("[{}]", vec![call; n].join(","));
    assert_eq!(scan(batch(3).as_bytes(), &LIMITS).map(|found| found.calls().len()), Ok(3));
    assert_eq!(scan(batch(4).as_bytes(), &LIMITS), Err(ScanError::Batch { most: 3 }));
    assert_eq!(scan(&[b' '; 1025], &LIMITS), Err(ScanError::Size { bytes: 1025, most: 1024 }));
    let deep = format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}{}}}"#, "[".repeat(16), "]".repeat(16));
    assert_eq!(scan(deep.as_bytes(), &LIMITS), Err(ScanError::Depth { at: 54 }));
}

#[test]
fn ten_megabytes_of_anything_are_refused_by_what_is_wrong_with_them() {
    let wide = Limits { bytes: 32 << 20, ..Limits::CEILING };
    let ids = format!(r#"[{}]"#, vec![r#"{"id":1}"#; 1 << 20].join(","));
    assert!(matches!(scan(ids.as_bytes(), &wide), Err(ScanError::Invalid { what: Invalid::Version, .. })));
    let ids = format!(r#"{{"jsonrpc":"2.0","method":"a"{}}}"#, r#","id":1"#.repeat(1 << 20));
    assert!(matches!(scan(ids.as_bytes(), &wide), Err(ScanError::Invalid { what: Invalid::Twice("id"), .. })));
    let id = format!(r#"{{"jsonrpc":"2.0","method":"a","id":"{}"}}"#, "1".repeat(10 << 20));
    assert!(matches!(scan(id.as_bytes(), &wide), Err(ScanError::Invalid { what: Invalid::LongId, .. })));
    let digits = format!(r#"{{"jsonrpc":"2.0","method":"a","id":{}}}"#, "1".repeat(1 << 20));
    assert!(
        matches!(scan(digits.as_bytes(), &wide), Err(ScanError::Json(error)) if error.fault == JsonFault::LongNumber)
    );
    let calls = format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"a"}"#; 20_000].join(","));
    assert_eq!(scan(calls.as_bytes(), &wide), Err(ScanError::Batch { most: 10_000 }));
}

/// What serde_json makes of a call: its id, method and params, if it is one.
fn theirs(call: &Value) -> Option<(Option<Value>, String, Option<Value>)> {
    let members = call.as_object()?;
    let id = members.get("id").cloned();
    let sound = members.get("jsonrpc")? == "2.0"
        && id.as_ref().is_none_or(|id| id.is_number() || id.is_string() || id.is_null())
        && members.get("params").is_none_or(|params| params.is_array() || params.is_object() || params.is_null());
    let method = members.get("method")?.as_str().filter(|method| sound && !method.is_empty())?;
    Some((id, method.to_owned(), members.get("params").filter(|params| !params.is_null()).cloned()))
}

fn a_call() -> impl Strategy<Value = String> {
    let json = crate::json::tests::any_json;
    let member = |key: &'static str, values: Vec<&'static str>| {
        prop_oneof![
            8 => proptest::sample::select(values).prop_map(str::to_owned),
            1 => json(),
        ]
        .prop_map(move |value| format!("\"{key}\" : {value}"))
    };
    let members = (
        member("jsonrpc", vec!["\"2.0\""]),
        proptest::option::of(member("id", vec!["1", "\"a\"", "null", "-1.5"])),
        member("method", vec!["\"getSlot\"", "\"é\""]),
        proptest::option::of(json().prop_map(|value| format!("\"params\":[{value}]"))),
        proptest::option::of(member("params2", vec!["{}"])),
    );
    members.prop_flat_map(|(version, id, method, params, more)| {
        let members: Vec<String> = [Some(version), id, Some(method), params, more].into_iter().flatten().collect();
        Just(members).prop_shuffle().prop_map(|members| format!("{{{}}}", members.join(" , ")))
    })
}

proptest! {
    #[test]
    fn finds_in_a_call_what_serde_json_finds(text in a_call()) {
        let found = scan(text.as_bytes(), &Limits::CEILING);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        match (found, theirs(&value)) {
            (Ok(found), Some((id, method, params))) => {
                let call = found.calls()[0];
                let value = |span: Span| serde_json::from_slice::<Value>(span.of(text.as_bytes())).expect("JSON");
                prop_assert_eq!(call.id().map(value), id);
                prop_assert_eq!(call.method().str_of(text.as_bytes()), method);
                prop_assert_eq!(call.params().map(value), params);
            }
            // Stricter than JSON: long ids, methods with escapes.
            (Err(ScanError::Invalid { what: Invalid::LongId | Invalid::EscapedMethod | Invalid::MethodLength, .. }), _)
            | (Err(ScanError::Invalid { .. }), None) => {}
            (found, theirs) => prop_assert!(false, "{text}: {found:?} {theirs:?}"),
        }
    }

    #[test]
    fn never_takes_what_serde_json_refuses(text in crate::json::tests::nearly_json()) {
        let value = serde_json::from_slice::<Value>(&text);
        if let Ok(found) = scan(&text, &Limits::CEILING) {
            prop_assume!(!matches!(&value, Err(error) if error.to_string().contains("out of range")));
            let value = value.expect("JSON");
            let calls = value.as_array().map_or_else(|| vec![&value], |calls| calls.iter().collect());
            prop_assert_eq!(calls.len(), found.calls().len());
            prop_assert!(calls.into_iter().all(|call| theirs(call).is_some()));
        }
    }
}
