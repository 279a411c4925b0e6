//! What it costs to find the calls of a body: by the scanner, and by serde_json, which could stand in its place. Both judge
//! the whole text and find id, method and params as they are written; what serde_json does not judge (escaped keys, the
//! version, lengths, halves of surrogate pairs in what is only passed) it is not asked to.

#![expect(clippy::unwrap_used, reason = "a bench whose set-up fails must stop")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_rpc::Body;
use portcullis_rpc::scan::{Limits, scan};
use portcullis_types::BodyView;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A usual call, of about 150 bytes.
const CALL: &str = r#"{"jsonrpc":"2.0","id":"8a4c5e0c-7f3f-4f3d","method":"getBalance","params":["83astBRguLMdt2h5U1Tpdq5tjFoJ6noeGwaY3mDLVcri",{"commitment":"confirmed"}]}"#;

/// As serde_json borrows it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be found")]
struct Raw<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// A transaction of the greatest size, which is one string.
fn transaction() -> String {
    let text = "QUJD".repeat(411);
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"sendTransaction","params":["{text}",{{"encoding":"base64","maxRetries":0}}]}}"#
    )
}

/// A hundred accounts, as explorers ask for them.
fn accounts() -> String {
    let accounts = vec![r#""83astBRguLMdt2h5U1Tpdq5tjFoJ6noeGwaY3mDLVcri""#; 100].join(",");
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getMultipleAccounts","params":[[{accounts}]]}}"#)
}

fn calls(c: &mut Criterion) {
    for (name, text) in
        [("call of 153 B", CALL.to_owned()), ("transaction", transaction()), ("100 accounts", accounts())]
    {
        let mut group = c.benchmark_group(name);
        let bytes = text.as_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("scan", |b| b.iter(|| scan(black_box(bytes), &Limits::CEILING).unwrap()));
        group.bench_function("serde_json, raw values", |b| {
            b.iter(|| black_box(serde_json::from_slice::<Raw<'_>>(black_box(bytes)).unwrap()).method.len());
        });
        group.finish();
    }
}

fn bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("body");
    let call = Bytes::from_static(CALL.as_bytes());
    group.bench_function("read, method, params, dropped", |b| {
        b.iter(|| {
            let body = Body::read(black_box(&call).clone(), &Limits::CEILING);
            (body.method(0).map(str::len), body.least_height(), body.is_idempotent())
        });
    });
    let batch = Bytes::from(format!("[{}]", [CALL; 100].join(",")));
    group.throughput(Throughput::Elements(100));
    group.bench_function("batch of 100", |b| b.iter(|| Body::read(black_box(&batch).clone(), &Limits::CEILING)));
    group.finish();
}

fn abuse(c: &mut Criterion) {
    let mut group = c.benchmark_group("abuse of 10 MB");
    let call = |params: String| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
    let ids = format!(r#"{{"jsonrpc":"2.0","method":"a"{}}}"#, r#","id":1"#.repeat(1_700_000));
    let digits = call(format!("[{}]", "1".repeat(10_000_000)));
    let deep = call("[".repeat(10_000_000));
    let escapes = call(format!("[\"{}\"]", "\\ud83d\\ude00".repeat(830_000)));
    for (name, text) in [("ids", ids), ("digits", digits), ("nesting", deep), ("escapes", escapes)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| scan(black_box(text.as_bytes()), &Limits::CEILING).is_ok()));
    }
    group.finish();
}

criterion_group!(benches, calls, bodies, abuse);
criterion_main!(benches);
