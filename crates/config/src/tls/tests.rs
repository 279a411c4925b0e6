//! Identities made by rcgen, read back.

use super::*;
use rcgen::{CertificateParams, DnType, KeyPair};

fn made(names: &[&str], common_name: &str) -> (String, String) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn takes_names_from_the_alternative_name() {
    let (certificate, key) = made(&["A.example.com", "*.b.example.com"], "c.example.com");
    let identity = identity(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(identity.names, ["a.example.com", "*.b.example.com"]);
    assert!(identity.not_after > SystemTime::now());
}

#[test]
fn falls_back_to_the_common_name() {
    let (certificate, key) = made(&[], "Old.example.com");
    assert_eq!(identity(certificate.as_bytes(), key.as_bytes()).unwrap().names, ["old.example.com"]);
}

#[test]
fn says_what_is_wrong() {
    let (certificate, key) = made(&["a"], "a");
    let (_, other) = made(&["b"], "b");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let check =
        |certificate: &str, key: &str| identity(certificate.as_bytes(), key.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(check(&certificate, &other), IdentityError::Mismatch);
    assert_eq!(check("", &key), IdentityError::NoCertificate);
    assert_eq!(check(&certificate, ""), IdentityError::NoKey);
    assert!(matches!(check(broken, &key), IdentityError::Certificate(_)));
}

#[test]
fn equal_identities_have_equal_fingerprints() {
    let (certificate, key) = made(&["a"], "a");
    let (other_certificate, other_key) = made(&["a"], "a");
    let fingerprint = |c: &str, k: &str| identity(c.as_bytes(), k.as_bytes()).unwrap().fingerprint;
    assert_eq!(fingerprint(&certificate, &key), fingerprint(&certificate, &key));
    assert_ne!(fingerprint(&certificate, &key), fingerprint(&other_certificate, &other_key));
}
