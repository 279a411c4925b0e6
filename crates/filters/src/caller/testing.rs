//! A gateway's consumers, for tests: an NDJSON file, and keys by number.

use std::sync::Arc;

use portcullis_filter::Services;
use portcullis_filter::testkit::Seen;
use portcullis_identity::directory::Limits;
use portcullis_identity::identities::TokenIssuer;
use portcullis_identity::issue::{Binding, IssueRules, Issuer, SigningKey};
use portcullis_identity::token::{self, KeySet};
use portcullis_identity::{ApiKey, Caller, Format, HashSecret, Identities, throttle};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::time::Duration;

use super::Declared;

/// A key of our making.
pub(crate) fn key(n: u8) -> String {
    ApiKey::from_entropy([n; 32]).as_str().to_owned()
}

/// The hash of that key.
pub(crate) fn hash(key: &str) -> String {
    secret().hash(key.as_bytes()).to_string()
}

fn secret() -> HashSecret {
    HashSecret::from_bytes([9; 32])
}

/// Consumers out of NDJSON.
pub(crate) fn identities(ndjson: &str) -> Arc<Identities> {
    let identities = Arc::new(Identities::new([3; 32]));
    patient(&identities);
    load(&identities, ndjson);
    identities
}

/// Penalties that no test outlasts, however slow the machine.
pub(crate) fn patient(identities: &Identities) {
    let minute = Duration::from_secs(60);
    let rules = throttle::Rules { first: minute, longest: minute, ..throttle::Rules::default() };
    identities.change(|book| book.throttle = Arc::new(book.throttle.with_rules(rules, 1)));
}

/// Puts other consumers in their place.
pub(crate) fn load(identities: &Identities, ndjson: &str) {
    let directory = Arc::clone(&identities.book().directory);
    let made = directory.rebuild_from(Format::Ndjson, &mut ndjson.as_bytes(), Limits::default());
    let (directory, _) = made.unwrap_or_else(|error| panic!("{error}"));
    identities.change(|book| (book.directory, book.secret) = (Arc::new(directory), secret()));
}

/// What filters are built with.
pub(crate) fn services(identities: &Arc<Identities>) -> Services {
    let declared = Declared { consumers: true, issuers: vec!["main".to_owned()] };
    Services::default().with(Arc::clone(identities)).with(Arc::new(declared))
}

/// Who was found to call, and on which plan.
pub(crate) fn caller(seen: &Seen) -> Option<(String, String)> {
    let caller = seen.notes.get::<Caller>()?;
    assert_eq!(seen.notes.consumer, Some(Arc::clone(&caller.id)));
    Some((caller.id.to_string(), caller.plan.to_string()))
}

/// What the record says of a failure; empty when nothing failed.
pub(crate) fn cause(seen: &Seen) -> &str {
    let said = seen.notes.annotations().iter().find(|(name, _)| *name == "identity");
    said.map_or("", |(_, cause)| cause)
}

/// An issuer of tokens, trusted as `main`: its tokens are for `rpc`.
pub(crate) fn issuer(identities: &Identities) -> Issuer {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let key = SigningKey::es256(pkcs8.as_ref()).expect("a key of P-256");
    let rules = IssueRules::new(ISSUER, "rpc", Duration::from_secs(60), Binding::Request).expect("good rules");
    let issuer = Issuer::new(rules, key, 0, 1);
    let keys = KeySet::parse(issuer.key_set().expect("public keys").as_bytes()).expect("a key set");
    let rules = token::Rules::new(ISSUER, &["rpc"], Duration::ZERO, None).expect("good rules");
    let trusted = Arc::new(TokenIssuer::new("main", rules, 1024, [1; 32]));
    trusted.put(keys);
    identities.change(|book| book.issuers = Arc::new([trusted]));
    issuer
}

/// The name of that issuer.
pub(crate) const ISSUER: &str = "https://login.example.com";
