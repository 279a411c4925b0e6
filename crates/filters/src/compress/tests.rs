//! Negotiation, what is left alone, live streams, and that every body decodes to what came.

use std::io::Read;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, Response};
use proptest::prelude::*;

use super::Coding;
use super::negotiate::negotiate;
use crate::testing::{chain, check_refused, field, run};

fn compress() -> Chain {
    chain(&[("compress", "min_size: 10B")])
}

fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).map(drop),
        "br" => brotli::BrotliDecompress(&mut &*bytes, &mut out),
        "zstd" => zstd::stream::copy_decode(bytes, &mut out),
        "" => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        other => panic!("{other} is no coding of ours"),
    }
    .expect("the body decodes");
    out
}

/// As much as can be decoded of a body that has not ended.
fn decoded_so_far(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = [0; 64];
    let mut reader: Box<dyn Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 64)),
        _ => Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder")),
    };
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        out.extend_from_slice(&buffer[..n]);
    }
    out
}

fn html(body: &'static str) -> Response {
    Response::new(StatusCode::OK)
        .with_body(HeaderValue::from_static("text/html; charset=utf-8"), body)
        .with_field(header::CONTENT_LENGTH, body.len().into())
}

fn ask(accept: &str, answer: Response) -> Seen {
    run(&compress(), Exchange::get("http://a/").field("accept-encoding", accept).answer(answer))
}

#[test]
fn weighs_accept_encoding() {
    let check = |values: &[&'static str], expected: Option<Coding>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        let offered = [Coding::Zstd, Coding::Br, Coding::Gzip];
        assert_eq!(negotiate(&headers, &offered), expected, "{values:?}");
    };
    check(&[], None);
    check(&[""], None);
    check(&["gzip"], Some(Coding::Gzip));
    check(&["GZIP"], Some(Coding::Gzip));
    check(&["x-gzip"], Some(Coding::Gzip));
    check(&["gzip, deflate, br, zstd"], Some(Coding::Zstd));
    check(&["gzip, br"], Some(Coding::Br));
    check(&["gzip", "br"], Some(Coding::Br));
    check(&["gzip;q=1.0, br;q=0.9"], Some(Coding::Gzip));
    check(&["gzip ; q=0.5 , br ;q=0.501"], Some(Coding::Br));
    check(&["*"], Some(Coding::Zstd));
    check(&["*;q=0.5, gzip;q=0.8"], Some(Coding::Gzip));
    check(&["zstd;q=0, *"], Some(Coding::Br));
    check(&["*;q=0"], None);
    check(&["gzip;q=0"], None);
    check(&["gzip;q=0.000"], None);
    check(&["identity"], None);
    check(&["identity, gzip;q=0.5"], None);
    check(&["identity;q=0.5, gzip;q=0.5"], Some(Coding::Gzip));
    check(&["identity;q=0, gzip;q=0.1"], Some(Coding::Gzip));
    check(&["gzip;q=2"], None);
    check(&["gzip;q=1.001"], None);
    check(&["gzip;q=0.1234"], None);
    check(&["gzip;q="], None);
    check(&["gzip;level=1"], None);
    check(&["deflate"], None);
}

#[test]
fn encodes_and_rewrites_the_head() {
    const BODY: &str = "hello hello hello hello hello";
    for coding in ["gzip", "br", "zstd"] {
        let answer = html(BODY)
            .with_field(header::ETAG, HeaderValue::from_static("\"v1\""))
            .with_field(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .with_field(HeaderName::from_static("content-digest"), HeaderValue::from_static("sha-256=:AA==:"));
        let seen = ask(coding, answer);
        assert_eq!(field(&seen, "content-encoding"), coding);
        assert_eq!(decoded(coding, &seen.body), BODY.as_bytes(), "{coding}");
        let names = ["content-length", "accept-ranges", "content-digest", "etag", "vary"];
        assert_eq!(names.map(|name| field(&seen, name)), ["", "", "", "W/\"v1\"", "accept-encoding"]);
    }
}

#[test]
fn leaves_alone_what_must_not_be_encoded() {
    const BODY: &str = "hello hello hello hello";
    let check = |what: &str, exchange: Exchange, vary: &str| {
        let seen = run(&compress(), exchange.field("accept-encoding", "gzip"));
        let encoded = field(&seen, "content-encoding");
        assert!(encoded.is_empty() || encoded == "br", "{what}: {encoded}");
        assert!(["", "small", BODY].contains(&str::from_utf8(&seen.body).expect(what)), "{what}");
        assert_eq!(field(&seen, "vary"), vary, "{what}");
    };
    let get = || Exchange::get("http://a/");
    let with = |name: HeaderName, value: &'static str| {
        get().answer(html(BODY).with_field(name, HeaderValue::from_static(value)))
    };
    let status = |status: StatusCode| {
        let mut answer = html(BODY);
        drop(answer.header.set_status(status));
        get().answer(answer)
    };
    check("HEAD", Exchange::new(Method::HEAD, "http://a/").answer(html(BODY)), "accept-encoding");
    check("204", status(StatusCode::NO_CONTENT), "accept-encoding");
    check("304", status(StatusCode::NOT_MODIFIED), "accept-encoding");
    check("206", status(StatusCode::PARTIAL_CONTENT), "accept-encoding");
    check("a range", with(header::CONTENT_RANGE, "bytes 0-4/9"), "");
    check("encoded already", with(header::CONTENT_ENCODING, "br"), "");
    check("no-transform", with(header::CACHE_CONTROL, "public, No-Transform"), "");
    check("small", get().answer(html("small")), "");
    check("an image", with(header::CONTENT_TYPE, "image/png"), "");
    check("no type", get().answer(Response::new(StatusCode::OK)), "");
}

#[test]
fn says_vary_also_to_clients_that_take_no_coding() {
    let seen = ask("identity", html("hello hello hello"));
    assert_eq!([field(&seen, "content-encoding"), field(&seen, "vary")], ["", "accept-encoding"]);
    assert_eq!(&seen.body[..], b"hello hello hello");
}

#[test]
fn a_short_answer_of_the_gateways_own_is_left_alone() {
    let chain = chain(&[("compress", "min_size: 10B"), ("respond", "body: hello hello hello hello")]);
    let seen = run(&chain, Exchange::get("http://a/").field("accept-encoding", "gzip"));
    assert_eq!((field(&seen, "content-encoding").as_str(), &seen.body[..]), ("", &b"hello hello hello hello"[..]));
}

#[test]
fn keeps_a_weak_validator_and_an_identity_coding() {
    let answer = html("hello hello hello")
        .with_field(header::ETAG, HeaderValue::from_static("W/\"v1\""))
        .with_field(header::CONTENT_ENCODING, HeaderValue::from_static("identity"));
    let seen = ask("gzip", answer);
    assert_eq!([field(&seen, "etag"), field(&seen, "content-encoding")], ["W/\"v1\"", "gzip"]);
}

#[test]
fn chooses_by_media_type() {
    let check = |types: &str, content_type: &'static str, expected: bool| {
        let chain = chain(&[("compress", &format!("{{ min_size: 0, algorithms: [gzip]{types} }}"))]);
        let answer = Response::new(StatusCode::OK).with_body(HeaderValue::from_static(content_type), "x");
        let seen = run(&chain, Exchange::get("http://a/").field("accept-encoding", "gzip").answer(answer));
        assert_eq!(field(&seen, "content-encoding") == "gzip", expected, "{types} {content_type}");
    };
    check("", "text/css", true);
    check("", "TEXT/HTML;charset=utf-8", true);
    check("", "application/problem+json", true);
    check("", "application/json", true);
    check("", "image/svg+xml", true);
    check("", "application/octet-stream", false);
    check("", "text", false);
    check("", "video/mp4", false);
    check("", "application/grpc", false);
    check(", types: [application/x]", "application/x; a=b", true);
    check(", types: [application/x]", "application/xy", false);
    check(", types: [application/x]", "text/html", false);
}

#[test]
fn a_live_stream_is_decodable_chunk_by_chunk() {
    for coding in ["gzip", "br", "zstd"] {
        for content_type in ["text/event-stream", "application/x-ndjson"] {
            let answer =
                Response::new(StatusCode::OK).with_field(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            let exchange = Exchange::get("http://a/").field("accept-encoding", coding).answer(answer);
            let seen = run(&compress(), exchange.answer_chunk("data: 1\n\n").answer_chunk("data: 2\n\n").disconnects());
            assert_eq!(seen.chunks.len(), 2, "{coding}: each chunk is sent when it comes");
            assert_eq!(decoded_so_far(coding, &seen.chunks[0]), b"data: 1\n\n", "{coding}");
            assert_eq!(decoded_so_far(coding, &seen.chunks.concat()), b"data: 1\n\ndata: 2\n\n", "{coding}");
        }
    }
}

#[test]
fn a_known_length_is_not_flushed_chunk_by_chunk() {
    let answer = Response::new(StatusCode::OK)
        .with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))
        .with_field(header::CONTENT_LENGTH, HeaderValue::from_static("4000"));
    let exchange = (0..40).fold(Exchange::get("http://a/").field("accept-encoding", "gzip").answer(answer), |it, _| {
        it.answer_chunk("a".repeat(100))
    });
    let seen = run(&compress(), exchange);
    assert_eq!(decoded("gzip", &seen.body), "a".repeat(4000).as_bytes());
    assert!(seen.chunks.len() < 5, "{} chunks", seen.chunks.len());
}

#[test]
fn an_empty_body_of_unknown_length_decodes_to_nothing() {
    for coding in ["gzip", "br", "zstd"] {
        let answer =
            Response::new(StatusCode::OK).with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let seen = ask(coding, answer);
        assert_eq!(decoded(coding, &seen.body), b"", "{coding}");
    }
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("compress", yaml, expected);
    check("algorithms: []", "each once");
    check("algorithms: [gzip, br, gzip]", "each once");
    check("algorithms: [gzp]", "did you mean `gzip`?");
    check("types: [html]", "is not a media type");
    check("types: ['*/*']", "is not a media type");
    check("level: { gzip: 10 }", "expected a level from 1 to 9");
    check("level: { br: 0 }", "expected a level from 1 to 11");
    check("minsize: 1KiB", "did you mean `min_size`?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_decodes_to_what_came(
        chunks in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2_000),
            (any::<u8>(), 0usize..100_000).prop_map(|(byte, length)| vec![byte; length]),
        ], 0..8),
        coding in prop_oneof!["gzip", "br", "zstd"],
        live in any::<bool>(),
    ) {
        let whole = chunks.concat();
        let mut answer = Response::new(StatusCode::OK).with_field(header::CONTENT_TYPE, HeaderValue::from_static("text/x"));
        if !live {
            answer = answer.with_field(header::CONTENT_LENGTH, whole.len().into());
        }
        let exchange = Exchange::get("http://a/").field("accept-encoding", &coding).answer(answer);
        let exchange = chunks.into_iter().fold(exchange, |exchange, chunk| exchange.answer_chunk(chunk));
        let seen = run(&compress(), exchange);
        prop_assert_eq!(decoded(&field(&seen, "content-encoding"), &seen.body), whole);
    }
}
