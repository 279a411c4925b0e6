//! What the judges cost: a typical head, a path, a host, a large chunked body, a run of HTTP/2 frames.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_wire::h2::{H2Limits, H2Watch};
use portcullis_wire::{
    Framing, FramingValidator, HeadLimits, HeadScanner, PathPolicy, check_head, normalize, normalize_host,
};

/// 10 fields, about 400 bytes.
const HEAD: &[u8] = b"GET /v1/accounts/9f3c/transactions?limit=50&before=1720 HTTP/1.1\r\n\
Host: api.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
Accept: application/json, text/plain;q=0.9\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br\r\n\
Referer: https://app.example.com/\r\n\
Authorization: Bearer 0123456789abcdef0123\r\n\
Connection: keep-alive\r\n\
X-Request-Id: 5f1c2a9e77\r\n\
Content-Length: 0\r\n\r\n";

fn head(c: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Bytes(HEAD.len() as u64));
    group.bench_function("scan", |b| b.iter(|| HeadScanner::new(limits).scan(black_box(HEAD))));
    group.bench_function("check", |b| b.iter(|| check_head(black_box(HEAD), &limits)));
    group.bench_function("scan and check", |b| {
        b.iter(|| (HeadScanner::new(limits).scan(black_box(HEAD)), check_head(black_box(HEAD), &limits)));
    });
    group.finish();
}

fn names(c: &mut Criterion) {
    let policy = PathPolicy::default();
    let path = "/v1/accounts/9f3c/transactions";
    c.bench_function("path/plain", |b| b.iter(|| normalize(black_box(path), &policy)));
    let path = "/v1//accounts/./9f3c/../tr%61nsactions";
    c.bench_function("path/mended", |b| b.iter(|| normalize(black_box(path), &policy)));
    c.bench_function("host/plain", |b| b.iter(|| normalize_host(black_box("api.example.com:8443"))));
}

fn body(c: &mut Criterion) {
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    let message = [chunk.repeat(64).as_slice(), b"0\r\n\r\n"].concat();
    let mut group = c.benchmark_group("body");
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("chunks of 16 KiB", |b| {
        b.iter(|| FramingValidator::new(Framing::Chunked).feed(black_box(&message)));
    });
    group.finish();
}

fn h2(c: &mut Criterion) {
    let headers = [b"\0\0\x40\x01\x05\0\0\0\x01".as_slice(), &[0; 64]].concat();
    let frames = headers.repeat(100);
    let mut watch = H2Watch::after_preface(H2Limits::default());
    let now = Instant::now();
    c.bench_function("h2/100 HEADERS", |b| b.iter(|| watch.feed(now, black_box(&frames))));
}

criterion_group!(benches, head, names, body, h2);
criterion_main!(benches);
