//! The walk over JSON: each fault at its place, bounds, and serde_json as the oracle.

use proptest::prelude::*;

use super::*;

/// Walks all of a text.
fn walk(text: &[u8]) -> Result<(Kind, usize), JsonError> {
    let mut cursor = Cursor::new(text, MAX_DEPTH)?;
    let (kind, _) = cursor.value()?;
    cursor.end()?;
    Ok((kind, cursor.deepest()))
}

/// Walks all of a text by members and elements, so that the pulled walk and the passing one are compared.
fn walk_by_parts(text: &[u8]) -> Result<usize, JsonError> {
    fn part(cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        match cursor.kind()? {
            Kind::Object => cursor.members(|cursor, _| part(cursor)),
            Kind::Array => cursor.elements(part),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => cursor.value().map(drop),
        }
    }
    let mut cursor = Cursor::new(text, MAX_DEPTH)?;
    part(&mut cursor)?;
    cursor.end()?;
    Ok(cursor.deepest())
}

#[test]
fn says_what_is_wrong_and_where() {
    use JsonFault::*;
    let rows: [(&[u8], usize, JsonFault); 34] = [
        (b"", 0, End),
        (b" ", 1, End),
        (b"{", 1, End),
        (b"[1", 2, End),
        (b"\"a", 2, End),
        (b"\"\\", 2, End),
        (b"{\"a\"", 4, End),
        (b"{\"a\":", 5, End),
        (b"[1,]", 3, Value),
        (b"[,1]", 1, Value),
        (b"{,}", 1, Key),
        (b"{\"a\":1,}", 7, Key),
        (b"{a:1}", 1, Key),
        (b"{\"a\" 1}", 5, Colon),
        (b"[1 2]", 3, Comma),
        (b"[1}", 2, Comma),
        (b"{\"a\":1]", 6, Comma),
        (b"1 1", 2, Trailing),
        (b"{}]", 2, Trailing),
        (b"tru", 0, Value),
        (b"True", 0, Value),
        (b"nul", 0, Value),
        (b"\"a\nb\"", 2, Control),
        (b"\"\x1f\"", 1, Control),
        (b"\"\\x\"", 2, Escape),
        (b"\"\\u12g4\"", 5, Escape),
        (b"\"\\ud800\"", 1, Surrogate),
        (b"\"\\udc00\"", 1, Surrogate),
        (b"\"\\ud800\\ud800\"", 1, Surrogate),
        (b"01", 1, Trailing),
        (b"-", 1, End),
        (b"[1.]", 3, Number),
        (b"[1e+]", 4, Number),
        (b"\"\xff\"", 1, Utf8),
    ];
    for (text, at, fault) in rows {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(walk(text), Err(JsonError { at, fault }), "{shown}");
    }
}

#[test]
fn a_pair_of_surrogates_is_a_character_and_del_needs_no_escape() {
    for text in
        ["\"\\ud83d\\ude00\"", "\"\u{7f}\u{80}😀\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"", "-0.0e-10", " \t\r\n1 "]
    {
        assert!(walk(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn nesting_and_digits_are_bounded_however_long_the_text_is() {
    let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
    assert_eq!(walk(&deep(MAX_DEPTH)), Ok((Kind::Array, MAX_DEPTH)));
    for n in [MAX_DEPTH + 1, 100_000] {
        assert_eq!(walk(&deep(n)), Err(JsonError { at: MAX_DEPTH, fault: JsonFault::Depth }));
        assert_eq!(walk(&"{\"a\":".repeat(n).into_bytes()).map_err(|error| error.fault), Err(JsonFault::Depth));
    }
    assert!(walk(&[b'9'; MAX_NUMBER]).is_ok());
    for start in ["", "-", "0.", "1e", "1E-"] {
        let text = format!("{start}{}", "9".repeat(1024 * 1024));
        assert_eq!(walk(text.as_bytes()), Err(JsonError { at: 0, fault: JsonFault::LongNumber }));
    }
}

#[test]
fn objects_inside_arrays_inside_objects_close_in_their_order() {
    let text = br#"{"a":[{"b":[[],{}]},{"c":{"d":[1]}}],"e":{}}"#;
    assert_eq!(walk(text), Ok((Kind::Object, 5)));
    for (from, to) in [("[]", "[}"), ("{}]", "{}}"), ("[1]", "[1")] {
        let wrong = String::from_utf8_lossy(text).replacen(from, to, 1);
        assert!(walk(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

/// Text that is JSON, or nearly: pieces of it in any order.
pub(crate) fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        " ",
        "\n",
        "\"a\"",
        "\"id\"",
        "\"method\":\"getSlot\"",
        "\"params\":[]",
        "null",
        "true",
        "false",
        "0",
        "-",
        "1",
        "9",
        ".",
        "e",
        "+",
        "1.5e3",
        "\\u0041",
        "\\ud800",
        "\\udc00",
        "é",
        "\u{0}",
        "\u{1f}",
        "\"jsonrpc\":\"2.0\"",
        "\"id\":1",
        "{}",
        "[]",
        "\\n",
        "\\u",
        "\"\\u006dethod\"",
        "12345678",
        "abcdefgh",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    prop_oneof![
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
        (any_json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
            let mut text = value.into_bytes();
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = byte;
            }
            text
        }),
    ]
}

/// JSON, as a text that was written with spaces here and there.
pub(crate) fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        (-1e10..1e10_f64).prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| serde_json::Value::from(s).to_string()),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|v| format!("[ {}]", v.join(" ,\n"))),
            proptest::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| {
                let member = |(k, v): (String, String)| format!("{} :\t{v}", serde_json::Value::from(k));
                format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_what_serde_json_takes(text in nearly_json()) {
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        // A number beyond a float is JSON all the same.
        prop_assume!(!matches!(&theirs, Err(error) if error.to_string().contains("out of range")));
        let ours = walk(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {:?}", String::from_utf8_lossy(&text), ours, theirs);
        prop_assert_eq!(walk_by_parts(&text), ours.map(|(_, depth)| depth));
    }

    #[test]
    fn every_json_is_taken_and_a_prefix_of_a_container_is_not(text in any_json(), cut in any::<prop::sample::Index>()) {
        prop_assert!(walk(text.as_bytes()).is_ok());
        if text.starts_with(['[', '{']) {
            prop_assert!(walk(&text.as_bytes()[..cut.index(text.len())]).is_err());
        }
    }
}
