//! Parts and answers of batches: spliced, joined, and against a node that answers the whole.

use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};

use super::*;

fn read(text: &str) -> Body {
    Body::read(text.to_owned().into(), &Limits::CEILING)
}

fn answered(calls: &[usize], answer: &str) -> BatchPart {
    BatchPart { calls: calls.to_vec(), answer: Ok(Bytes::copy_from_slice(answer.as_bytes())) }
}

fn failed(calls: &[usize], reason: Reason) -> BatchPart {
    BatchPart { calls: calls.to_vec(), answer: Err(reason.into()) }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

const THREE: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"a"}, {"jsonrpc":"2.0","id":"1","method":"b","params":[ 1 ]},
{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":null,"method":"c"}]"#;

#[test]
fn a_part_is_cut_out_of_the_bytes_and_the_whole_is_the_bytes() {
    let batch = read(THREE);
    assert_eq!(
        batch.part(&[1, 3]),
        r#"[{"jsonrpc":"2.0","id":"1","method":"b","params":[ 1 ]},{"jsonrpc":"2.0","id":null,"method":"c"}]"#
    );
    assert_eq!(batch.part(&[0]), r#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#);
    assert_eq!(batch.part(&[0, 1, 2, 3]).as_ptr(), batch.text().as_ptr(), "nothing is copied");
    let call = Batch::call(&batch, 1).expect("a call");
    assert_eq!((call.calls(), call.method(0), call.id()), (Some(1), Some("b"), Some("\"1\"")));
    assert!(call.batch().is_none() && Batch::call(&batch, 4).is_none());
}

#[test]
fn answers_come_in_the_order_of_the_calls_as_the_nodes_wrote_them() {
    let parts = [
        answered(&[1, 2], "[ {\"id\":\"1\", \"result\" : {\"x\":1.50}} ]\n"),
        answered(&[0, 3], r#"[{"id":null,"result":3},{"id":1,"error":{"code":-32002,"data":{"logs":[]}}}]"#),
    ];
    let expected = r#"[{"id":1,"error":{"code":-32002,"data":{"logs":[]}}},{"id":"1", "result" : {"x":1.50}},{"id":null,"result":3}]"#;
    assert_eq!(read(THREE).join(&parts), expected);
}

#[test]
fn what_has_no_answer_is_answered_by_an_error_under_its_id() {
    let parts =
        [failed(&[0], Reason::UpstreamReset), answered(&[1, 2, 3], r#"[{"id":"1","result":1},{"id":9,"result":1}]"#)];
    let answers = json(&read(THREE).join(&parts));
    let told: Vec<_> =
        answers.as_array().expect("a list").iter().map(|one| (&one["id"], &one["error"]["data"]["reason"])).collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [(&json!(1), &json!("upstream_reset")), (&json!("1"), &null), (&json!(null), &json!("upstream_malformed")),]
    );
    assert_eq!(answers[0]["error"]["code"], -32603);
}

#[test]
fn a_part_that_is_no_answer_is_one_to_none_of_its_calls() {
    let batch = read(r#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#);
    for text in ["", "<html>", "[]", "[1]", "{\"id\":1}", r#"[{"id":1,"method":"x"}]"#, r#"[{"id":"1","result":1}]"#] {
        let answers = json(&batch.join(&[answered(&[0], text)]));
        assert_eq!(answers[0]["error"]["data"]["reason"], "upstream_malformed", "{text}");
    }
    assert_eq!(json(&batch.join(&[]))[0]["error"]["data"]["reason"], "internal");
}

#[test]
fn a_node_that_refuses_a_part_as_a_whole_is_heard_by_each_call() {
    let refusal =
        r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"behind","data":{"numSlotsBehind":9}},"id":null}"#;
    let answers = json(&read(THREE).join(&[answered(&[0, 1, 2, 3], refusal)]));
    let ids: Vec<_> = answers.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!("1"), json!(null)]);
    assert_eq!(answers[1]["error"], json!({ "code": -32005, "message": "behind", "data": { "numSlotsBehind": 9 } }));
}

#[test]
fn one_id_twice_is_answered_in_order() {
    let batch = read(r#"[{"jsonrpc":"2.0","id":7,"method":"a"},{"jsonrpc":"2.0","id":7,"method":"b"}]"#);
    let both = answered(&[0, 1], r#"[{"id":7,"result":"a"},{"id":7,"result":"b"}]"#);
    assert_eq!(batch.join(&[both]), r#"[{"id":7,"result":"a"},{"id":7,"result":"b"}]"#);
}

#[test]
fn an_id_that_a_node_writes_in_another_way_is_the_same_id() {
    let batch = read(r#"[{"jsonrpc":"2.0","id":"a\/\u0041","method":"a"},{"jsonrpc":"2.0","id":1e1,"method":"b"}]"#);
    let answer = r#"[{"id":10.0,"result":2},{"id":"a/A","result":1}]"#;
    assert_eq!(batch.join(&[answered(&[0, 1], answer)]), r#"[{"id":"a/A","result":1},{"id":10.0,"result":2}]"#);
}

#[test]
fn a_batch_of_notifications_has_no_answer() {
    let batch = read(r#"[{"jsonrpc":"2.0","method":"a"}]"#);
    assert_eq!(batch.join(&[answered(&[0], "")]), "");
    assert_eq!(batch.join(&[failed(&[0], Reason::UpstreamReset)]), "");
}

fn ids() -> impl Strategy<Value = Option<String>> {
    let plain = prop_oneof![
        any::<u32>().prop_map(|n| n.to_string()),
        "[a-c]{0,3}".prop_map(|text| format!("\"{text}\"")),
        any::<String>().prop_filter("short", |text| text.len() < 30).prop_map(|text| Value::from(text).to_string()),
    ];
    proptest::option::weighted(0.8, plain)
}

proptest! {
    #[test]
    fn a_batch_in_any_two_parts_is_answered_as_a_node_would_answer_the_whole(
        (ids, first) in proptest::collection::vec(ids(), 1..12).prop_flat_map(|ids| {
            let places: Vec<usize> = (0..ids.len()).collect();
            let most = ids.len();
            (Just(ids), subsequence(places, 0..=most))
        }),
        reversed: bool,
    ) {
        let call = |(n, id): (usize, &Option<String>)| match id {
            Some(id) => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m{n}"}}"#),
            None => format!(r#"{{"jsonrpc":"2.0","method":"m{n}"}}"#),
        };
        let calls: Vec<String> = ids.iter().enumerate().map(call).collect();
        let batch = read(&format!("[{}]", calls.join(" , ")));
        // A node answers each call by its method, and notifications not at all.
        let node = |request: &[u8], reversed: bool| {
            let body = Body::read(Bytes::copy_from_slice(request), &Limits::CEILING);
            let answer = |call: &crate::scan::Call| {
                Some(format!(r#"{{"id":{},"result":"{}"}}"#, body.slice(call.id()?), body.slice(call.method())))
            };
            let mut answers: Vec<String> = body.calls().iter().filter_map(answer).collect();
            // Ids that stand there twice are told apart by their order alone.
            let mut seen: Vec<_> = body.calls().iter().map(|call| call.id().map(|id| body.slice(id))).collect();
            seen.sort();
            seen.dedup();
            if reversed && seen.len() == body.calls().len() {
                answers.reverse();
            }
            format!("[{}]", answers.join(","))
        };
        let second: Vec<usize> = (0..ids.len()).filter(|place| !first.contains(place)).collect();
        let part = |calls: &[usize]| BatchPart { calls: calls.to_vec(), answer: Ok(node(&batch.part(calls), reversed).into()) };
        let parts = [part(&first), part(&second)];
        let whole = node(batch.text(), false);
        let expected = if whole == "[]" { String::new() } else { whole };
        prop_assert_eq!(batch.join(&parts), expected);
    }
}
