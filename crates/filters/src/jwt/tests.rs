//! Whose token it is, what is left of the request, and what a network that fails too often may cost.

use std::sync::Arc;

use portcullis_filter::testkit::Exchange;
use portcullis_filter::{Chain, Services};
use portcullis_identity::issue::Issuer;
use portcullis_identity::{Identities, Timestamp};
use portcullis_types::{Reason, RequestId};

use crate::caller::testing::{ISSUER, caller, cause, hash, identities, issuer, key, services};
use crate::caller::{Declared, now};
use crate::testing::{build_error, chain_with, check_refused, field, run, upstream_field};

fn consumers() -> String {
    let keys = hash(&key(1));
    format!(
        "{{\"id\":\"acme\",\"plan\":\"pro\",\"jwt\":[{{\"issuer\":\"{ISSUER}\",\"subject\":\"user-1\"}}]}}\n\
         {{\"id\":\"beta\",\"plan\":\"free\",\"keys\":[{{\"hash\":\"{keys}\"}}]}}\n"
    )
}

fn gateway(filters: &[(&str, &str)]) -> (Arc<Identities>, Issuer, Chain) {
    let identities = identities(&consumers());
    let issuer = issuer(&identities);
    let chain = chain_with(&services(&identities), filters);
    (identities, issuer, chain)
}

fn token(issuer: &Issuer, subject: &str, at: Timestamp) -> String {
    issuer.token_of(subject, "p", RequestId(1), at).expect("a token").to_string()
}

fn bearer(token: &str) -> Exchange {
    Exchange::get("http://a/").field("authorization", &format!("Bearer {token}"))
}

#[test]
fn a_good_token_is_its_consumers_and_never_reaches_the_upstream() {
    let (_, issuer, chain) = gateway(&[("jwt", "{}")]);
    let token = token(&issuer, "user-1", now());
    for _ in 0..2 {
        let seen = run(&chain, bearer(&token));
        assert_eq!(caller(&seen), Some(("acme".to_owned(), "pro".to_owned())), "{}", cause(&seen));
        assert_eq!(upstream_field(&seen, "authorization"), "");
    }
}

#[test]
fn everybody_who_fails_hears_the_same_and_the_record_says_why() {
    let (identities, good, chain) = gateway(&[("jwt", "{}")]);
    let other = issuer(&identities);
    let signed = token(&good, "user-1", now());
    let (head, _) = signed.rsplit_once('.').expect("three parts");
    let mut answers = Vec::new();
    for (token, expected) in [
        (token(&other, "nobody", now()), "token_subject_unknown"),
        (token(&other, "user-1", Timestamp::from_seconds(1_000_000_000)), "token_expired"),
        (signed.clone(), "token_key_unknown"),
        (format!("{head}.AAAA"), "token_key_unknown"),
        ("eyJhbGciOiJub25lIn0.e30.AAAA".to_owned(), "token_claims"),
        (format!("eyJ!.{}.x", "a"), "malformed_token"),
    ] {
        let seen = run(&chain, bearer(&token));
        assert_eq!((cause(&seen), seen.reason), (expected, Some(Reason::KeyUnknown)), "{token}");
        assert!(seen.upstream.is_none());
        answers.push((seen.status, seen.headers, seen.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[test]
fn without_a_token_it_says_how_to_ask() {
    let (_, _, chain) = gateway(&[("jwt", "{}")]);
    let seen = run(&chain, Exchange::get("http://a/"));
    assert_eq!((seen.status, cause(&seen)), (401, "missing"));
    assert_eq!(field(&seen, "www-authenticate"), "Bearer realm=\"api\"");
}

#[test]
fn a_key_or_a_token_where_either_will_do() {
    let (_, issuer, chain) = gateway(&[("api_key", "optional: true"), ("jwt", "{}")]);
    let token = token(&issuer, "user-1", now());
    let id = |exchange| caller(&run(&chain, exchange)).map(|(id, _)| id);
    assert_eq!(id(bearer(&token)).as_deref(), Some("acme"));
    assert_eq!(id(bearer(&key(1))).as_deref(), Some("beta"));
    assert_eq!(id(Exchange::get("http://a/").field("x-api-key", &key(1))).as_deref(), Some("beta"));
    // A bad one of either kind is refused, and so is nothing at all.
    assert_eq!(cause(&run(&chain, bearer(&key(2)))), "key_unknown");
    assert_eq!(cause(&run(&chain, Exchange::get("http://a/"))), "missing");
    // Where places do not overlap, the first that knows somebody has the word; the other is taken out unread.
    let (_, issuer, chain) = gateway(&[("api_key", "{ places: header, optional: true }"), ("jwt", "{}")]);
    let token = self::token(&issuer, "user-1", now());
    let seen = run(&chain, bearer(&token).field("x-api-key", &key(1)));
    assert_eq!(caller(&seen).map(|(id, _)| id).as_deref(), Some("beta"));
    assert_eq!(upstream_field(&seen, "authorization"), "");
}

#[test]
fn a_network_that_fails_too_often_has_no_signature_checked_and_its_known_tokens_pass() {
    let (identities, issuer, chain) = gateway(&[("jwt", "{}")]);
    let (known, unseen) = (token(&issuer, "user-1", now()), issuer_token(&issuer));
    assert!(caller(&run(&chain, bearer(&known))).is_some());
    for _ in 0..40 {
        run(&chain, bearer("eyJhbGciOiJub25lIn0.e30.AAAA"));
    }
    assert_eq!(cause(&run(&chain, bearer(&unseen))), "network_throttled");
    assert!(caller(&run(&chain, bearer(&known))).is_some());
    assert!(caller(&run(&chain, bearer(&unseen).client([203, 0, 113, 1].into()))).is_some());
    identities.book().throttle.lift("192.0.2.0/24".parse().expect("a network"));
    assert!(caller(&run(&chain, bearer(&issuer_token(&issuer)))).is_some());
}

/// A good token that nobody has seen.
fn issuer_token(issuer: &Issuer) -> String {
    issuer.token_of("user-1", "p", RequestId(2), now()).expect("a token").to_string()
}

#[test]
fn an_issuer_without_keys_is_the_gateways_failure() {
    let (identities, issuer, chain) = gateway(&[("jwt", "{}")]);
    let rules = identities.book().issuers[0].rules().clone();
    let empty = Arc::new(portcullis_identity::identities::TokenIssuer::new("main", rules, 0, [0; 32]));
    identities.change(|book| book.issuers = Arc::new([Arc::clone(&empty)]));
    let seen = run(&chain, bearer(&token(&issuer, "user-1", now())));
    assert_eq!((seen.status, seen.reason), (503, Some(Reason::Overloaded)));
    assert!(empty.take_wanted());
}

#[test]
fn is_not_built_for_issuers_that_are_not_declared() {
    let services = |issuers: &[&str]| {
        let issuers = issuers.iter().map(|name| (*name).to_owned()).collect();
        Services::default().with(Arc::new(Declared { consumers: true, issuers }))
    };
    assert!(build_error(&services(&[]), "jwt", "{}").contains("has no `tokens`"));
    assert!(build_error(&services(&["main"]), "jwt", "issuers: other").contains("there is no issuer `other`"));
    check_refused("jwt", "issuer: main", "did you mean `issuers`?");
}
