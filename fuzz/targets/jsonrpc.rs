//! The scanner takes no text that serde_json refuses, and finds in it what serde_json finds; a batch in parts is the batch;
//! whatever nodes answer, the answer to a batch is a list with one answer to each call.
#![no_main]

use bytes::Bytes;
use portcullis_rpc::Body;
use portcullis_rpc::scan::Limits;
use portcullis_types::{BatchPart, BodyView};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A body, and what a node answers behind a byte that is in no JSON.
    let (text, answer) = data.iter().position(|byte| *byte == 0).map_or((data, &b""[..]), |at| data.split_at(at));
    let body = Body::read(Bytes::copy_from_slice(text), &Limits::CEILING);
    let Ok(scan) = body.scan() else { return };
    let (depth, is_batch) = (scan.depth(), scan.is_batch());
    assert!((1..=Limits::CEILING.depth).contains(&depth));
    // Numbers that no float holds are JSON all the same.
    let value = match serde_json::from_slice::<Value>(text) {
        Ok(value) => value,
        Err(error) if error.to_string().contains("out of range") => return,
        Err(error) => panic!("taken, but refused by serde_json: {error}"),
    };
    let calls: Vec<&Value> = if is_batch { value.as_array().expect("a list").iter().collect() } else { vec![&value] };
    assert_eq!(calls.len(), body.calls().len());
    for (call, found) in calls.iter().zip(body.calls()) {
        let part = |span| serde_json::from_str::<Value>(body.slice(span)).expect("JSON");
        assert_eq!(call["method"], body.slice(found.method()));
        assert_eq!(call.get("id").cloned(), found.id().map(part));
        assert_eq!(call["params"], found.params().map(part).unwrap_or_default());
    }
    let _ = (body.id(), body.least_height(), body.is_idempotent());
    let Some(batch) = body.batch() else { return };
    let all: Vec<usize> = (0..calls.len()).collect();
    assert_eq!(batch.part(&all), text);
    let (first, second): (Vec<usize>, Vec<usize>) = all.iter().partition(|place| **place % 2 == 0);
    for part in [&first, &second].into_iter().filter(|part| !part.is_empty()) {
        let value: Value = serde_json::from_slice(&batch.part(part)).expect("JSON");
        assert!(value.as_array().expect("a list").iter().eq(part.iter().map(|place| calls[*place])));
    }
    let answer = Bytes::copy_from_slice(answer.get(1..).unwrap_or_default());
    let parts = [
        BatchPart { calls: first, answer: Ok(answer) },
        BatchPart { calls: second, answer: Err(portcullis_types::Reason::UpstreamReset.into()) },
    ];
    let joined = batch.join(&parts);
    let expected = calls.iter().filter(|call| call.get("id").is_some()).count();
    let value: Value = if joined.is_empty() { Value::Array(Vec::new()) } else { numbers(&joined) };
    assert!(value.is_null() || value.as_array().expect("a list").len() == expected);
});

/// JSON that a node may have written with numbers that no float holds, or so deep that it fits into no list; null then.
fn numbers(text: &[u8]) -> Value {
    match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) if ["out of range", "recursion limit"].iter().any(|why| error.to_string().contains(why)) => {
            Value::Null
        }
        Err(error) => panic!("no JSON: {error}"),
    }
}
