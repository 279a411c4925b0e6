//! Whose key it is, what is left of the request, and what everybody else hears.

use std::sync::Arc;

use http::Method;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, Explained, Services};
use portcullis_identity::Identities;
use portcullis_types::Reason;

use crate::caller::Declared;
use crate::caller::testing::{caller, cause, hash, identities, key, load, services};
use crate::testing::{build_error, chain_with, check_refused, field, run, upstream_field};

fn acme() -> String {
    format!(r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}}]}}"#, hash(&key(1)))
}

fn gateway(consumers: &str, settings: &str) -> (Arc<Identities>, Chain) {
    let identities = identities(consumers);
    let chain = chain_with(&services(&identities), &[("api_key", settings)]);
    (identities, chain)
}

fn target(seen: &Seen) -> String {
    seen.upstream.as_ref().expect("the upstream was asked").uri.to_string()
}

#[test]
fn a_key_is_found_in_every_place_and_never_reaches_the_upstream() {
    let all = "{ places: [query, header, bearer, basic, path], path: '/rpc/{key}', basic: password }";
    let (_, chain) = gateway(&acme(), all);
    let key = key(1);
    let basic = base64(&format!("anyone:{key}"));
    for (url, name, value, left) in [
        (format!("http://a/x?api-key={key}&b=1"), "x-other", "1".to_owned(), "/x?b=1"),
        (format!("http://a/x?%61pi%2Dkey={key}"), "x-other", "1".to_owned(), "/x"),
        (format!("http://a/rpc/{key}/tail?b=1"), "x-other", "1".to_owned(), "/rpc/tail?b=1"),
        ("http://a/x".to_owned(), "x-api-key", key.clone(), "/x"),
        ("http://a/x".to_owned(), "authorization", format!("Bearer {key}"), "/x"),
        ("http://a/x".to_owned(), "authorization", format!("Basic {basic}"), "/x"),
        (format!("http://a/x?api-key={key}"), "referer", format!("https://app/?k={key}"), "/x"),
    ] {
        let seen = run(&chain, Exchange::get(&url).field(name, &value).field("x_api_key", &key));
        assert_eq!(caller(&seen), Some(("acme".to_owned(), "pro".to_owned())), "{url} {name}");
        assert_eq!(target(&seen), left);
        let upstream = seen.upstream.as_ref().expect("the upstream was asked");
        assert!(!format!("{upstream:?}").contains(&key), "{url} {name}");
        assert!(!upstream.headers.contains_key("x_api_key"));
    }
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[test]
fn everybody_who_fails_hears_the_same_and_the_record_says_why() {
    let (_, chain) = gateway(&acme(), "{}");
    let other = key(2);
    let mistyped = format!("{}x", &key(1)[..51]);
    let mut answers = Vec::new();
    for (text, expected) in [
        (other.as_str(), "key_unknown"),
        (mistyped.as_str(), "key_mistyped"),
        ("short", "malformed_header_key"),
        ("brought-from-elsewhere-0001", "key_unknown"),
    ] {
        let seen = run(&chain, Exchange::get("http://a/").field("x-api-key", text));
        assert_eq!((cause(&seen), seen.reason), (expected, Some(Reason::KeyUnknown)), "{text}");
        assert!(seen.upstream.is_none() && caller(&seen).is_none());
        assert!(!format!("{:?} {:?}", seen.headers, seen.body).contains(text));
        answers.push((seen.status, seen.headers, seen.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(answers[0].0, 401);
}

#[test]
fn a_refusal_says_how_to_ask() {
    let (_, chain) = gateway(&acme(), "{ places: [header, basic] }");
    let seen = run(&chain, Exchange::get("http://a/"));
    assert_eq!((seen.status, seen.reason, cause(&seen)), (401, Some(Reason::KeyMissing), "missing"));
    assert_eq!(field(&seen, "www-authenticate"), "Basic realm=\"api\", charset=\"UTF-8\"");
}

#[test]
fn two_keys_that_differ_are_refused_and_the_same_one_twice_is_fine() {
    let (_, chain) = gateway(&acme(), "{}");
    let twice = |second: &str| Exchange::get(&format!("http://a/?api-key={}", key(1))).field("x-api-key", second);
    let seen = run(&chain, twice(&key(1)));
    assert!(caller(&seen).is_some());
    let seen = run(&chain, twice(&key(2)));
    assert_eq!((cause(&seen), seen.status), ("ambiguous", 401));
}

#[test]
fn a_consumer_is_held_to_its_restrictions() {
    let line = format!(
        r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}},{{"hash":"{}","not_after":"2001-01-01T00:00:00Z"}}],
            "networks":["192.0.2.0/24"],"hosts":["rpc.example.com"],"origins":["https://app.example.com"],
            "methods":["POST"]}}"#,
        hash(&key(1)),
        hash(&key(2))
    )
    .replace('\n', " ");
    let (identities, chain) = gateway(&line, "{}");
    let ask = |method, url, n| {
        Exchange::new(method, url).field("x-api-key", &key(n)).field("origin", "https://app.example.com")
    };
    let good = || ask(Method::POST, "http://rpc.example.com/", 1);
    assert!(caller(&run(&chain, good())).is_some());
    let plain = Exchange::new(Method::POST, "http://rpc.example.com/").field("x-api-key", &key(1));
    for (exchange, expected) in [
        (ask(Method::GET, "http://rpc.example.com/", 1), "http_method_not_allowed"),
        (plain, "origin_not_allowed"),
        (ask(Method::POST, "http://www.example.com/", 1), "host_not_allowed"),
        (good().client([203, 0, 113, 1].into()), "network_not_allowed"),
        (ask(Method::POST, "http://rpc.example.com/", 2), "key_expired"),
    ] {
        let seen = run(&chain, exchange);
        assert_eq!((cause(&seen), seen.status, seen.reason), (expected, 403, Some(Reason::KeyForbidden)));
        assert!(caller(&seen).is_none());
    }
    load(&identities, &line.replace(r#""plan":"pro""#, r#""plan":"pro","disabled":true"#));
    assert_eq!(cause(&run(&chain, good())), "consumer_disabled");
}

#[test]
fn a_key_that_is_gone_from_the_file_is_refused_by_chains_that_stand_already() {
    let (identities, chain) = gateway(&acme(), "{}");
    let ask = || Exchange::get("http://a/").field("x-api-key", &key(1));
    assert!(caller(&run(&chain, ask())).is_some());
    load(&identities, "");
    assert_eq!(cause(&run(&chain, ask())), "key_unknown");
}

#[test]
fn what_is_optional_may_be_absent_and_must_be_good_when_it_is_there() {
    let (_, chain) = gateway(&acme(), "optional: true");
    let seen = run(&chain, Exchange::get("http://a/"));
    assert_eq!((seen.status, caller(&seen)), (200, None));
    let seen = run(&chain, Exchange::get("http://a/").field("x-api-key", &key(2)));
    assert_eq!(seen.status, 401);
}

#[test]
fn a_token_after_bearer_is_left_for_whoever_reads_tokens() {
    let (_, chain) = gateway(&acme(), "optional: true");
    let seen = run(&chain, Exchange::get("http://a/").field("authorization", "Bearer eyJa.eyJb.c"));
    assert_eq!(upstream_field(&seen, "authorization"), "Bearer eyJa.eyJb.c");
    // Beside a key, it is a second credential that differs.
    let both = Exchange::get("http://a/").field("authorization", "Bearer eyJa.eyJb.c").field("x-api-key", &key(1));
    assert_eq!(cause(&run(&chain, both)), "ambiguous");
}

#[test]
fn a_banned_network_is_refused_with_a_good_key_and_hears_what_others_hear() {
    let (identities, chain) = gateway(&acme(), "{}");
    let ask = |n| Exchange::get("http://a/").field("x-api-key", &key(n));
    let unknown = run(&chain, ask(2));
    let now = crate::caller::now();
    identities.book().throttle.ban("192.0.2.0/24".parse().expect("a network"), None, "abuse", now).expect("a ban");
    let seen = run(&chain, ask(1));
    assert_eq!((cause(&seen), caller(&seen)), ("network_banned", None));
    assert_eq!((seen.status, &seen.headers, &seen.body), (unknown.status, &unknown.headers, &unknown.body));
    assert!(caller(&run(&chain, ask(1).client([198, 51, 100, 1].into()))).is_some());
    let bans = identities.book().throttle.bans(now);
    assert_eq!((bans.len(), bans[0].refused), (1, 1));
}

#[test]
fn failures_count_against_their_network_and_explaining_counts_nothing() {
    let (identities, chain) = gateway(&acme(), "{}");
    let ask = || Exchange::get("http://a/").field("x-api-key", &key(2));
    let failures = || identities.counts().failures().map(|(_, count)| count).sum::<u64>();
    for _ in 0..40 {
        assert_eq!(run(&chain, ask().shared(Explained)).status, 401);
    }
    assert_eq!((failures(), identities.book().throttle.bans(crate::caller::now()).len()), (0, 0));
    for _ in 0..40 {
        run(&chain, ask());
    }
    assert_eq!((failures(), identities.book().throttle.bans(crate::caller::now()).len()), (40, 1));
    // A good key passes from there all the same.
    assert!(caller(&run(&chain, Exchange::get("http://a/").field("x-api-key", &key(1)))).is_some());
}

#[test]
fn is_not_built_where_no_consumers_are_declared() {
    let why = build_error(&Services::default().with(Arc::new(Declared::default())), "api_key", "{}");
    assert!(why.contains("the config has no `consumers`"), "{why}");
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("api_key", yaml, expected);
    check("places: [cookie]", "unknown value `cookie`");
    check("places: [path]", "add `path: \"/v1/{key}\"`");
    check("path: /v1/key", "expected a path that ends with `/{key}`");
    check("{ places: [header], query: key }", "`places` leaves `query` out");
    check("{ places: [header], basic: user }", "`places` leaves `basic` out");
    check("query: 'api key'", "letters, digits");
    check("optionl: true", "did you mean `optional`?");
}

#[test]
fn the_key_is_taken_out_of_a_head_that_another_route_goes_on_with_too() {
    let key = key(1);
    let identities = identities(&format!(r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}}]}}"#, hash(&key)));
    let chain = chain_with(&services(&identities), &[("api_key", "path: '/v1/{key}'")]);
    let request = Exchange::get(&format!("http://a/v1/{key}/x?b=1")).shared(portcullis_filter::Withheld::default());
    let seen = run(&chain, request);
    let mut kept = pingora_http::RequestHeader::build("GET", format!("/v1/{key}/x?api-key={key}&b=1").as_bytes(), None)
        .expect("a head");
    kept.insert_header("x-api-key", &key).expect("a field");
    kept.insert_header("referer", format!("http://a/?k={key}")).expect("a field");
    seen.notes.get::<portcullis_filter::Withheld>().expect("it is there").apply(&mut kept);
    assert_eq!((kept.uri.to_string(), kept.headers.len()), ("/v1/x?b=1".to_owned(), 0));
}
