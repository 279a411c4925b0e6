//! Who calls, measured: lookups among a million keys, reloads of a million consumers, credentials out of a request,
//! tokens checked and issued, a flood of failures.
//!
//! Keys are looked up in an order that has nothing to do with where they lie, so that each lookup finds caches about
//! as cold as a busy gateway's.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up is to stop")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use portcullis_identity::credential::{Parts, Places};
use portcullis_identity::directory::Limits;
use portcullis_identity::issue::{Binding, IssueRules, Issuer, SigningKey};
use portcullis_identity::throttle::{self, Throttle};
use portcullis_identity::token::{KeySet, Rules, Verifier};
use portcullis_identity::{ApiKey, Directory, Format, HashSecret, Timestamp};
use portcullis_types::RequestId;

const CONSUMERS: u32 = 1_000_000;
const MIB: f64 = 1024.0 * 1024.0;
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn secret() -> HashSecret {
    HashSecret::from_bytes([7; 32])
}

/// A step of splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(n: u32, which: u32) -> ApiKey {
    let mut state = u64::from(n) << 8 | u64::from(which);
    let mut entropy = [0; 32];
    for chunk in entropy.as_chunks_mut::<8>().0 {
        *chunk = random(&mut state).to_le_bytes();
    }
    ApiKey::from_entropy(entropy)
}

/// A consumer with two keys, the second of version `version`.
fn line(n: u32, plan: &str, version: u32) -> String {
    let [first, second] = [0, version].map(|which| secret().hash(key(n, which).as_str().as_bytes()));
    format!(r#"{{"id":"consumer-{n}","plan":"{plan}","keys":[{{"hash":"{first}"}},{{"hash":"{second}"}}]}}"#) + "\n"
}

/// A million lines, of which so many have another plan and another second key than the others.
fn file(changed: u32) -> String {
    let every = CONSUMERS.checked_div(changed).unwrap_or(u32::MAX);
    let changed = |n: u32| n % every == every / 2;
    (0..CONSUMERS).map(|n| if changed(n) { line(n, "changed", 2) } else { line(n, "free", 1) }).collect()
}

fn reload(directory: &Directory, what: &str, text: &str) -> Directory {
    let (mut made, mut took) = (None, Duration::ZERO);
    let memory = allocation_counter::measure(|| {
        let start = Instant::now();
        made = directory.rebuild_from(Format::Ndjson, &mut text.as_bytes(), Limits::default()).ok();
        took = start.elapsed();
    });
    let (made, summary) = made.expect("a good file");
    let (held, most) = (memory.bytes_current as f64 / MIB, memory.bytes_max as f64 / MIB);
    eprintln!("{what}: {:.3} s, {held:.1} MiB more held, {most:.1} MiB at most: {summary:?}", took.as_secs_f64());
    made
}

fn directories(criterion: &mut Criterion) {
    let text = file(0);
    eprintln!("file: {:.1} MiB", text.len() as f64 / MIB);
    let directory = reload(&Directory::new(1), "first load of 1M consumers with two keys each", &text);
    drop(reload(&directory, "reload, nothing changed", &text));
    drop(reload(&directory, "reload, 1,000 changed", &file(1000)));
    eprintln!("{:.0} bytes a consumer", directory.heap_bytes() as f64 / f64::from(CONSUMERS));
    lookups(criterion, "key_among_2M", &directory, CONSUMERS);
    drop(directory);
    let half = CONSUMERS / 2;
    let text: String = (0..half).map(|n| line(n, "free", 1)).collect();
    lookups(
        criterion,
        "key_among_1M",
        &reload(&Directory::new(1), "500,000 consumers with two keys each", &text),
        half,
    );
}

fn lookups(criterion: &mut Criterion, group: &str, directory: &Directory, consumers: u32) {
    let mut state = 1;
    let mut any = || u32::try_from(random(&mut state) % u64::from(consumers)).expect("it fits");
    let known: Vec<String> = (0..1 << 18).map(|_| key(any(), 0).as_str().to_owned()).collect();
    let unknown: Vec<String> = (0..1 << 18).map(|n| key(n, 99).as_str().to_owned()).collect();
    let secret = secret();
    let mut group = criterion.benchmark_group(group);
    for (name, keys) in [("known", &known), ("unknown", &unknown)] {
        let mut keys = keys.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| directory.lookup(&secret, keys.next().map_or(b"", |key| key.as_bytes())).is_some());
        });
    }
    let mut keys = known.iter().cycle();
    group.bench_function("hash alone", |bencher| {
        bencher.iter(|| secret.hash(black_box(keys.next().map_or(b"", |key| key.as_bytes()))));
    });
    let mut keys = known.iter().cycle();
    group.bench_function("known, and its consumer read", |bencher| {
        bencher.iter(|| {
            let found = directory.lookup(&secret, keys.next().map_or(b"", |key| key.as_bytes()));
            found.map(|found| found.consumer.is_disabled())
        });
    });
    group.finish();
}

fn credentials(criterion: &mut Criterion) {
    let key = key(1, 0);
    let mut headers = HeaderMap::new();
    for name in ["host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "origin"] {
        headers.insert(name, HeaderValue::from_static("something or other"));
    }
    let mut with_header = headers.clone();
    with_header.insert("x-api-key", HeaderValue::from_str(key.as_str()).expect("ASCII"));
    let query = format!("commitment=confirmed&api-key={}&a=1", key.as_str());
    let places = Places { path: "/v1/{key}".parse().ok(), ..Places::default() };
    let mut group = criterion.benchmark_group("credential");
    for (name, query, headers) in
        [("none", None, &headers), ("header", None, &with_header), ("query", Some(&*query), &headers)]
    {
        let parts = Parts { path: "/rpc/mainnet", query, headers };
        group.bench_function(format!("extract, {name}"), |bencher| {
            bencher.iter(|| places.extract(black_box(parts)).is_ok())
        });
        let presented = query.is_some() || headers.contains_key("x-api-key");
        let presented = presented.then_some(key.as_str().as_bytes());
        group.bench_function(format!("strip, {name}"), |bencher| {
            bencher.iter(|| places.strip(black_box(parts), presented).headers.len());
        });
    }
    group.finish();
}

/// A token signed by `sign`, with a name for its algorithm.
fn token(alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = format!(r#"{{"alg":"{alg}","kid":"{alg}","typ":"JWT"}}"#);
    let claims = format!(
        r#"{{"iss":"https://id.example","sub":"auth0|0123456789","aud":["gateway"],"exp":1800003600,"iat":1800000000,"scope":"{}"}}"#,
        "read:blocks ".repeat(10)
    );
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn tokens(criterion: &mut Criterion) {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::from_pkcs8(include_bytes!("../src/token/testdata/rsa2048.pk8")).expect("a key");
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random bits");
    let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("a key");
    let ed = Ed25519KeyPair::generate_pkcs8(&random).expect("random bits");
    let ed = Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a key");
    let signed = [
        token("RS256", |message| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("random bits");
            signature
        }),
        token("ES256", |message| p256.sign(&random, message).expect("random bits").as_ref().to_vec()),
        token("EdDSA", |message| ed.sign(message).as_ref().to_vec()),
    ];
    let public = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = p256.public_key().as_ref().get(1..).and_then(|point| point.split_at_checked(32)).expect("a point");
    let keys = format!(
        r#"{{"keys":[{{"kty":"RSA","kid":"RS256","n":"{}","e":"{}"}},{{"kty":"EC","crv":"P-256","kid":"ES256","x":"{}","y":"{}"}},{{"kty":"OKP","crv":"Ed25519","kid":"EdDSA","x":"{}"}}]}}"#,
        encode(&public.n),
        encode(&public.e),
        encode(x),
        encode(y),
        encode(ed.public_key().as_ref())
    );
    let rules = Rules::new("https://id.example", &["gateway"], Duration::from_secs(30), None).expect("rules");
    let verifier = Verifier::new(rules, KeySet::parse(keys.as_bytes()).expect("a set"), 10_000, [1; 32]);
    let mut group = criterion.benchmark_group("token");
    for (name, token) in ["RS256", "ES256", "EdDSA"].into_iter().zip(&signed) {
        verifier.verify(token.as_bytes(), NOW).expect("a good token");
        group.bench_function(format!("verify {name}"), |bencher| {
            bencher.iter(|| verifier.verify(black_box(token.as_bytes()), NOW).is_ok());
        });
        group.bench_function(format!("remembered {name}, {} bytes", token.len()), |bencher| {
            bencher.iter(|| verifier.remembered(black_box(token.as_bytes()), NOW).is_some());
        });
    }
    group.finish();
}

fn issuing(criterion: &mut Criterion) {
    let text = line(1, "free", 1);
    let loaded = Directory::new(1).rebuild_from(Format::Ndjson, &mut text.as_bytes(), Limits::default());
    let (directory, _) = loaded.expect("a good file");
    let consumer = directory.by_id("consumer-1").expect("it was read");
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("random bits");
    let reused = Binding::Consumer(Duration::from_secs(1));
    let mut group = criterion.benchmark_group("issue");
    for (name, binding, secret) in [
        ("ES256, a consumer", reused, false),
        ("ES256, a request", Binding::Request, false),
        ("HS256, a request", Binding::Request, true),
    ] {
        let key = if secret { SigningKey::hs256(&[5; 32]) } else { SigningKey::es256(pkcs8.as_ref()) };
        let rules = IssueRules::new("https://edge.example", "rpc", Duration::from_secs(30), binding).expect("rules");
        let issuer = Issuer::new(rules, key.expect("a key"), 10_000, 1);
        group.bench_function(name, |bencher| bencher.iter(|| issuer.token(consumer, RequestId(1), NOW).is_ok()));
    }
    group.finish();
}

fn flood(criterion: &mut Criterion) {
    let rules = throttle::Rules { v4_prefix: 32, ..throttle::Rules::default() };
    let throttle = Throttle::new(rules, 1);
    let start = Instant::now();
    for n in 0..10_000_000_u32 {
        throttle.failed(Ipv4Addr::from(n).into(), Timestamp::from_millis(u64::from(n) / 100));
    }
    eprintln!("10M failures of 10M addresses: {:.2} s, {:?}", start.elapsed().as_secs_f64(), throttle.stats());
    let mut group = criterion.benchmark_group("throttle");
    let caller: IpAddr = Ipv4Addr::from(0xcb00_7101).into();
    group.bench_function("a good caller asks whether it is banned", |bencher| {
        bencher.iter(|| throttle.banned(black_box(caller), NOW));
    });
    group.bench_function("failure of one of 10,000 addresses", |bencher| {
        let mut n = 0_u32;
        bencher.iter(|| {
            n = (n + 1) % 10_000;
            throttle.failed(Ipv4Addr::from(0x0a00_0000 | n).into(), NOW)
        });
    });
    group.bench_function("standing", |bencher| bencher.iter(|| throttle.standing(black_box(caller), NOW)));
    group.finish();
}

criterion_group! {
    name = identity;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = directories, credentials, tokens, issuing, flood
}
criterion_main!(identity);
