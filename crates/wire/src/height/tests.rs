//! What is told of an answer's height, and what is not.

use super::*;
use proptest::prelude::*;

#[test]
fn reads_where_an_answer_comes_from() {
    for (answer, expected) in [
        (
            r#"{"jsonrpc":"2.0","result":{"context":{"apiVersion":"2.0.15","slot":312345001},"value":7},"id":1}"#,
            Some(Told::Context(312_345_001)),
        ),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":312345001},"value":"#, Some(Told::Context(312_345_001))),
        (r#" { "id" : -1.5e3 , "ok" : true , "result" : { "context" : { "slot" : 0 } } }"#, Some(Told::Context(0))),
        (r#"[{"jsonrpc":"2.0","id":null,"result":{"context":{"slot":9},"value":1}}]"#, Some(Told::Context(9))),
        (r#"{"jsonrpc":"2.0","result":312345001,"id":1}"#, Some(Told::Result(312_345_001))),
        (
            r#"{"jsonrpc":"2.0","error":{"code":-32016,"message":"Minimum context slot has not been reached","data":{"contextSlot":4321}},"id":1}"#,
            Some(Told::Context(4321)),
        ),
        (r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"behind","data":{"numSlotsBehind":42}},"id":1}"#, None),
        (r#"{"jsonrpc":"2.0","result":{"value":{},"context":{"slot":9}}}"#, None),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":312"#, None),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":1.5}}}"#, None),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":-1}}}"#, None),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":"9"}}}"#, None),
        (r#"{"jsonrpc":"2.0","result":{"context":{"slot":99999999999999999999}}}"#, None),
        (r#"{"result":{"conte\u0078t":{"slot":9}}}"#, None),
        (r#"{"jsonrpc":"2.0","result":"ok","id":1}"#, None),
        (r#"{"note":"\"result\":{\"context\":{\"slot\":9}}"}"#, None),
        ("", None),
        ("[[[[", None),
        ("<html>", None),
    ] {
        assert_eq!(told(answer.as_bytes()), expected, "{answer}");
    }
}

#[test]
fn looks_at_the_first_bytes_alone() {
    let long = format!(r#"{{"pad":"{}","result":{{"context":{{"slot":9}}}}}}"#, "x".repeat(LOOK));
    assert_eq!(told(long.as_bytes()), None);
}

proptest! {
    #[test]
    fn no_bytes_break_the_law(answer in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(crate::laws::height(&answer));
    }

    #[test]
    fn nothing_that_looks_like_an_answer_breaks_the_law(
        answer in r#"[\[{ ]{0,2}("(result|error|context|slot|data|id)"[: ]{1,2}|[{}\[\],0-9]{1,3}){0,12}"#,
    ) {
        prop_assert!(crate::laws::height(answer.as_bytes()));
    }

    /// However an answer is written, what is read is what it says; cut anywhere, it is that or nothing.
    #[test]
    fn a_part_of_an_answer_says_the_same_or_nothing(
        slot in any::<u64>(),
        version in proptest::option::of("[0-9.]{1,8}"),
        id in "[0-9]{1,9}|null|\"[a-z]{0,8}\"",
        first in any::<bool>(),
        space in "[ \n\t]{0,2}",
        cut in 0_usize..300,
    ) {
        let version = version.map_or_else(String::new, |version| format!("\"apiVersion\":{space}\"{version}\","));
        let result = format!("\"result\":{space}{{\"context\":{{{version}\"slot\":{space}{slot}}},\"value\":[1,{{}}]}}");
        let id = format!("\"id\":{id}");
        let (one, two) = if first { (&id, &result) } else { (&result, &id) };
        let answer = format!("{space}{{{one}{space},{two}}}");
        prop_assert_eq!(told(answer.as_bytes()), Some(Told::Context(slot)));
        let part = told(answer.as_bytes().get(..cut).unwrap_or(answer.as_bytes()));
        prop_assert!(part.is_none() || part == Some(Told::Context(slot)), "{:?}", part);
    }
}
