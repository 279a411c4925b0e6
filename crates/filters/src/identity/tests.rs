//! What upstreams are told, and that nobody else can tell them.

use std::sync::Arc;

use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, StateStore};
use portcullis_identity::Identities;
use portcullis_identity::token::{KeySet, Rules, Verifier};
use portcullis_yaml::MemoryLoader;

use crate::caller::now;
use crate::caller::testing::{hash, identities, key, services};
use crate::testing::{chain_with, check_refused, read, run, upstream_field};

const HEADERS: &str = "headers: { consumer: x-consumer-id, plan: x-consumer-plan }";

fn gateway(settings: &str) -> (Arc<Identities>, Chain) {
    let file = format!(r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}}]}}"#, hash(&key(1)));
    let identities = identities(&file);
    let chain = chain_with(&services(&identities), &[("api_key", "optional: true"), ("identity", settings)]);
    (identities, chain)
}

fn acme() -> Exchange {
    Exchange::get("http://a/").field("x-api-key", &key(1))
}

fn told(seen: &Seen) -> [String; 4] {
    ["x-consumer-id", "x-consumer-plan", "x_consumer_id", "x-consumer_plan"].map(|name| upstream_field(seen, name))
}

#[test]
fn upstreams_are_told_in_fields_and_forgeries_are_taken_away() {
    let (_, chain) = gateway(HEADERS);
    let forged = |exchange: Exchange| {
        exchange.field("X-Consumer-Id", "root").field("x_consumer_id", "root").field("x-consumer_plan", "unlimited")
    };
    assert_eq!(told(&run(&chain, forged(acme()))), ["acme", "pro", "", ""]);
    assert_eq!(told(&run(&chain, forged(Exchange::get("http://a/")))), ["", "", "", ""]);
}

#[test]
fn upstreams_are_told_in_a_token_that_they_can_check() {
    let secret = "0123456789abcdef0123456789abcdef";
    let (_, chain) = gateway(&format!("token: {{ key: {secret}, audience: nodes, lifetime: 10s, reuse: 0s }}"));
    let seen = run(&chain, acme().field("x-caller-token", "forged").field("x_caller_token", "forged"));
    let token = upstream_field(&seen, "x-caller-token");
    assert_eq!((token.split('.').count(), upstream_field(&seen, "x_caller_token")), (3, String::new()));
    assert!(!format!("{seen:?}").contains(secret));
    assert_eq!(upstream_field(&run(&chain, Exchange::get("http://a/")), "x-caller-token"), "");
}

#[test]
fn a_private_key_signs_what_its_public_key_checks() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let pem = pair.serialize_pem();
    let yaml = "token: { key: 'file:identity.pem', audience: nodes, issuer: edge }";
    let spec =
        read("identity", yaml, MemoryLoader::new().file("identity.pem", &pem)).unwrap_or_else(|why| panic!("{why}"));
    let (identities, _) = gateway(HEADERS);
    let services = services(&identities);
    let cx =
        portcullis_filter::BuildCx { place: "t", state: &StateStore::default(), clusters: &[], services: &services };
    let api_key = read("api_key", "{}", MemoryLoader::new()).and_then(|spec| spec.build(&cx)).expect("built");
    let chain = Chain::new(vec![api_key, spec.build(&cx).expect("built")]).expect("short");
    let token = upstream_field(&run(&chain, acme()), "x-caller-token");
    let public = pair.public_key_raw();
    let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let (x, y) = (encode(&public[1..33]), encode(&public[33..65]));
    let keys = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}]}}"#);
    let rules = Rules::new("edge", &["nodes"], std::time::Duration::ZERO, None).expect("rules");
    let header = token.split('.').next().expect("a header");
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).expect("base64");
    let kid: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    let keys = keys.replace("\"kty\"", &format!("\"kid\":{},\"kty\"", kid["kid"]));
    let verifier = Verifier::new(rules, KeySet::parse(keys.as_bytes()).expect("keys"), 0, [0; 32]);
    let claims = verifier.verify(token.as_bytes(), now()).expect("a good token");
    assert_eq!((&*claims.subject, &*claims.issuer), ("acme", "edge"));
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("identity", yaml, expected);
    check("{}", "at least one key is needed");
    check("headers: {}", "at least one key is needed");
    check("token: { key: short, audience: a }", "at least 32 bytes");
    check("token: { key: '-----BEGIN EC PRIVATE KEY-----', audience: a }", "openssl genpkey");
    let long = "0123456789abcdef0123456789abcdef";
    check(&format!("token: {{ key: {long}, audience: a, lifetime: 2m }}"), "from 1s to 60s");
    check(&format!("token: {{ key: {long}, audience: a, reuse: 20s }}"), "half its lifetime");
    check(&format!("token: {{ key: {long}, audience: '' }}"), "an issuer and an audience");
    check("headers: { consumers: x-id }", "did you mean `consumer`?");
}
