//! Tokens for upstreams: what they say, how long they are used, and that upstreams can check them.

use super::*;
use crate::consumer::{ConsumerSpec, Plans};
use crate::token::{KeySet, Rules, Verifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_400);

fn consumer(id: &str, plan: &str) -> Consumer {
    let spec = ConsumerSpec { id: id.to_owned(), plan: plan.to_owned(), ..ConsumerSpec::default() };
    Consumer::build(spec, &mut Plans::default()).expect("right")
}

fn es256() -> SigningKey {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("random bits");
    SigningKey::es256(pkcs8.as_ref()).expect("a key")
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn issuer(key: SigningKey, binding: Binding) -> Issuer {
    let rules = IssueRules::new("https://edge.example", "rpc-east", seconds(30), binding).expect("rules");
    Issuer::new(rules, key, 1000, 1)
}

fn part(token: &str, n: usize) -> serde_json::Value {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).expect("a part")).expect("base64url");
    serde_json::from_slice(&part).expect("JSON")
}

#[test]
fn a_token_says_who_called_and_can_be_checked_with_the_published_key() {
    let issuer = issuer(es256(), Binding::Consumer(seconds(1)));
    let token = issuer.token(&consumer("acme", "pro"), RequestId(7), NOW).expect("signed");
    let expected = serde_json::json!({
        "iss": "https://edge.example", "aud": "rpc-east", "sub": "acme", "plan": "pro",
        "iat": 1_800_000_000, "exp": 1_800_000_030, "jti": RequestId(7).to_string(),
    });
    assert_eq!(part(&token, 1), expected);
    let keys = KeySet::parse(issuer.key_set().expect("published").as_bytes()).expect("a set");
    let rules = Rules::new("https://edge.example", &["rpc-east"], Duration::ZERO, None).expect("rules");
    let verifier = Verifier::new(rules, keys, 1, [0; 32]);
    assert_eq!(verifier.verify(token.as_bytes(), NOW).map(|claims| claims.subject.clone()), Ok("acme".into()));
    let late = Timestamp::from_seconds(1_800_000_030);
    assert_eq!(verifier.verify(token.as_bytes(), late).err(), Some(crate::token::TokenError::Expired));
}

#[test]
fn a_shared_secret_signs_with_hmac_and_publishes_nothing() {
    let secret = [5; 32];
    let issuer = issuer(SigningKey::hs256(&secret).expect("long enough"), Binding::Request);
    assert_eq!(issuer.key_set(), None);
    let token = issuer.token(&consumer("acme", "pro"), RequestId(7), NOW).expect("signed");
    let (message, signature) = token.rsplit_once('.').expect("a dot");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    assert!(aws_lc_rs::hmac::verify(&key, message.as_bytes(), &signature).is_ok());
    assert_eq!(part(&token, 0)["alg"], "HS256");
    assert_eq!(SigningKey::hs256(&[5; 31]).err(), Some(SigningError::Secret));
    assert_eq!(SigningKey::es256(b"no key").err(), Some(SigningError::Key));
}

#[test]
fn a_consumers_token_is_signed_once_in_its_while() {
    let issuer = issuer(es256(), Binding::Consumer(seconds(1)));
    let acme = consumer("acme", "pro");
    let token = |millis, request| {
        issuer.token(&acme, RequestId(request), NOW.plus(Duration::from_millis(millis))).expect("signed")
    };
    let first = token(0, 1);
    assert!(Arc::ptr_eq(&first, &token(999, 2)));
    let second = token(1000, 3);
    assert_ne!(first, second);
    assert_eq!(part(&second, 1)["jti"], RequestId(3).to_string());
    // Another consumer, and the same one with another plan, have their own.
    for other in [consumer("else", "pro"), consumer("acme", "free")] {
        let token = issuer.token(&other, RequestId(4), NOW.plus(seconds(1))).expect("signed");
        assert_eq!(
            (&part(&token, 1)["sub"], &part(&token, 1)["plan"]),
            (&other.id().into(), &other.plan().name().into())
        );
    }
    // A clock that goes back never gets a token of the future.
    let back = issuer.token(&acme, RequestId(5), Timestamp::from_seconds(1_700_000_000)).expect("signed");
    assert_eq!(part(&back, 1)["iat"], 1_700_000_000);
}

#[test]
fn bound_to_its_request_each_token_is_its_own() {
    let issuer = issuer(SigningKey::hs256(&[5; 32]).expect("long enough"), Binding::Request);
    let acme = consumer("acme", "pro");
    let ids = [1, 2].map(|n| part(&issuer.token(&acme, RequestId(n), NOW).expect("signed"), 1)["jti"].clone());
    assert_eq!(ids, [RequestId(1).to_string(), RequestId(2).to_string()]);
}

#[test]
fn memory_is_bounded_by_the_consumers_that_are_remembered() {
    let issuer = issuer(SigningKey::hs256(&[5; 32]).expect("long enough"), Binding::Consumer(seconds(1)));
    let consumers: Vec<Consumer> = (0..4000).map(|n| consumer(&format!("c{n}"), "p")).collect();
    for one in &consumers {
        issuer.token(one, RequestId(1), NOW).expect("signed");
    }
    let mut held = 0;
    issuer.cache.for_each(|place| held += usize::from(place.is_some()));
    assert!(held <= issuer.cache.capacity() && issuer.cache.capacity() == 1024, "{held}");
}

#[test]
fn rules_keep_tokens_short_lived() {
    let rules = |lifetime, binding| IssueRules::new("i", "a", lifetime, binding).err();
    assert_eq!(rules(seconds(60), Binding::Consumer(seconds(30))), None);
    assert_eq!(rules(seconds(61), Binding::Request), Some(IssueRulesError::Lifetime));
    assert_eq!(rules(Duration::ZERO, Binding::Request), Some(IssueRulesError::Lifetime));
    assert_eq!(rules(Duration::from_millis(1500), Binding::Request), Some(IssueRulesError::Lifetime));
    assert_eq!(rules(seconds(10), Binding::Consumer(seconds(6))), Some(IssueRulesError::Reuse));
    assert_eq!(IssueRules::new("", "a", seconds(9), Binding::Request).err(), Some(IssueRulesError::Names));
}

#[test]
fn no_debug_shows_a_signing_key() {
    let key = SigningKey::hs256(b"a secret that is long enough to sign").expect("long enough");
    assert!(!format!("{key:?}").contains("secret that"), "{key:?}");
}
