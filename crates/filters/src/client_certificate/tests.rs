//! Whose certificate it is.

use portcullis_filter::Chain;
use portcullis_filter::testkit::Exchange;
use portcullis_types::ClientCertificate;

use crate::caller::testing::{caller, cause, hash, identities, key, services};
use crate::testing::{chain_with, check_refused, run};

fn gateway(filters: &[(&str, &str)]) -> Chain {
    let file = format!(
        "{{\"id\":\"partner\",\"plan\":\"pro\",\"certificates\":[\"CN=partner,O=Example\"],\"networks\":[\"192.0.2.0/24\"]}}\n\
         {{\"id\":\"acme\",\"plan\":\"pro\",\"keys\":[{{\"hash\":\"{}\"}}]}}\n",
        hash(&key(1))
    );
    chain_with(&services(&identities(&file)), filters)
}

fn by(subject: &str) -> Exchange {
    let certificate = ClientCertificate { subject: subject.to_owned(), names: Vec::new(), fingerprint: "0".repeat(64) };
    Exchange::get("https://a/").certificate(certificate)
}

#[test]
fn a_certificate_is_its_consumers_who_is_held_to_its_restrictions() {
    let chain = gateway(&[("client_certificate", "{}")]);
    assert_eq!(caller(&run(&chain, by("CN=partner,O=Example"))), Some(("partner".to_owned(), "pro".to_owned())));
    for (exchange, expected, status) in [
        (by("CN=partner"), "certificate_unknown", 401),
        (Exchange::get("https://a/"), "missing", 401),
        (Exchange::get("http://a/"), "missing", 401),
        (by("CN=partner,O=Example").client([203, 0, 113, 1].into()), "network_not_allowed", 403),
    ] {
        let seen = run(&chain, exchange);
        assert_eq!((cause(&seen), seen.status, caller(&seen)), (expected, status, None));
    }
}

#[test]
fn a_certificate_or_a_key_where_either_will_do() {
    let chain = gateway(&[("client_certificate", "optional: true"), ("api_key", "{}")]);
    let id = |exchange| caller(&run(&chain, exchange)).map(|(id, _)| id);
    assert_eq!(id(by("CN=partner,O=Example")).as_deref(), Some("partner"));
    assert_eq!(id(by("CN=other").field("x-api-key", &key(1))).as_deref(), Some("acme"));
    assert_eq!(id(Exchange::get("http://a/").field("x-api-key", &key(1))).as_deref(), Some("acme"));
    assert_eq!(cause(&run(&chain, by("CN=other"))), "missing");
    check_refused("client_certificate", "optinal: true", "did you mean `optional`?");
}
