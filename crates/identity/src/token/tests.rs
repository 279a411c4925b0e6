//! Tokens: good ones, and every way in which they are not.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::json;

mod keys;

/// An issuer with a key of each kind, made anew; RSA keys are slow to make, so that one lies in a file.
struct Issuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("random bits");
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a key")
}

impl Issuer {
    fn new() -> Self {
        let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random bits");
        Self {
            rsa: RsaKeyPair::from_pkcs8(include_bytes!("testdata/rsa2048.pk8")).expect("a key"),
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a key"),
        }
    }

    fn jwks(&self) -> serde_json::Value {
        let curve = |pair: &EcdsaKeyPair, crv: &str, kid: &str| {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            json!({"kty": "EC", "crv": crv, "kid": kid, "x": b64(x), "y": b64(y)})
        };
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let (n, e) = (b64(rsa.n), b64(rsa.e));
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "n": n, "e": e, "use": "sig"},
            {"kty": "RSA", "kid": "rs512", "n": n, "e": e, "alg": "RS512"},
            curve(&self.p256, "P-256", "p256"),
            curve(&self.p384, "P-384", "p384"),
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key())},
        ]})
    }

    fn signature(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).expect("random bits");
            signature
        };
        match alg {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "ES256" => self.p256.sign(&random, message).expect("random bits").as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).expect("random bits").as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            _ => Vec::new(),
        }
    }

    /// A token with this header and these claims, signed with the key for `alg`.
    fn sign(&self, header: &serde_json::Value, claims: &serde_json::Value) -> String {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.signature(header["alg"].as_str().unwrap_or_default(), message.as_bytes());
        format!("{message}.{}", b64(signature))
    }

    fn verifier(&self) -> Verifier {
        let rules =
            Rules::new("https://id.example", &["gateway", "other"], Duration::from_secs(30), None).expect("rules");
        self.verifier_with(rules)
    }

    fn verifier_with(&self, rules: Rules) -> Verifier {
        let keys = KeySet::parse(self.jwks().to_string().as_bytes()).expect("a set");
        Verifier::new(rules, keys, 100, [1; 32])
    }
}

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn claims() -> serde_json::Value {
    json!({"iss": "https://id.example", "sub": "user-1", "aud": "gateway", "exp": 1_800_000_060})
}

/// The claims with some set, or taken out when null.
fn with(changes: serde_json::Value) -> serde_json::Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims
}

#[test]
fn takes_a_token_of_each_algorithm() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    for (alg, kid) in [
        ("RS256", "rsa"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("RS512", "rs512"),
        ("ES256", "p256"),
        ("ES384", "p384"),
        ("EdDSA", "ed"),
    ] {
        let token = issuer.sign(&json!({"alg": alg, "kid": kid, "typ": "at+jwt"}), &claims());
        let found = verifier.verify(token.as_bytes(), NOW).unwrap_or_else(|error| panic!("{alg}: {error:?}"));
        assert_eq!((&*found.subject, &*found.issuer), ("user-1", "https://id.example"));
        // One bit of the signature, of the claims, of the header.
        for place in [token.len() - 20, token.rfind('.').expect("a dot") - 10] {
            let mut wrong = token.clone().into_bytes();
            wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
            assert!(verifier.verify(&wrong, NOW).is_err(), "{alg}");
        }
    }
}

#[test]
fn a_token_of_another_issuers_key_is_refused() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    for (alg, kid) in [("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "ed")] {
        let token = other.sign(&json!({"alg": alg, "kid": kid}), &claims());
        assert_eq!(issuer.verifier().verify(token.as_bytes(), NOW).err(), Some(TokenError::Signature), "{alg}");
    }
}

#[test]
fn the_algorithm_is_the_keys_and_never_none_or_a_secret() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    for (alg, kid, expected) in [
        ("none", "rsa", TokenError::Header),
        ("None", "rsa", TokenError::Header),
        ("", "rsa", TokenError::Header),
        ("HS256", "rsa", TokenError::Header),
        ("PS256", "rsa", TokenError::Header),
        ("ES512", "p256", TokenError::Header),
        ("ES256", "rsa", TokenError::Algorithm),
        ("ES256", "p384", TokenError::Algorithm),
        ("RS256", "rs512", TokenError::Algorithm),
        ("EdDSA", "p256", TokenError::Algorithm),
        ("ES256", "gone", TokenError::KeyUnknown),
    ] {
        let token = issuer.sign(&header(alg, kid), &claims());
        assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(expected), "{alg} {kid}");
    }
    // The classic: HMAC with the public key as its secret, in each form it is published in.
    let rsa = issuer.rsa.public_key();
    for secret in
        [issuer.jwks().to_string().into_bytes(), rsa.as_ref().to_vec(), issuer.p256.public_key().as_ref().to_vec()]
    {
        let message = format!("{}.{}", b64(header("HS256", "rsa").to_string()), b64(claims().to_string()));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let token = format!("{message}.{}", b64(aws_lc_rs::hmac::sign(&key, message.as_bytes())));
        assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(TokenError::Header));
    }
    // No signature at all.
    let token = format!("{}.{}.", b64(header("ES256", "p256").to_string()), b64(claims().to_string()));
    assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(TokenError::Signature));
}

#[test]
fn a_header_cannot_bring_its_own_key_or_ask_for_more() {
    let issuer = Issuer::new();
    let attacker = Issuer::new();
    let verifier = issuer.verifier();
    let own = attacker.jwks()["keys"][2].clone();
    let brought = json!({"alg": "ES256", "kid": "p256", "jwk": own, "jku": "https://evil.example/jwks", "x5u": "https://evil.example"});
    let token = attacker.sign(&brought, &claims());
    assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(TokenError::Signature));
    for (header, expected) in [
        (json!({"alg": "ES256", "kid": "p256", "crit": ["b64"], "b64": false}), TokenError::Critical),
        (json!({"alg": "ES256", "kid": "p256", "crit": []}), TokenError::Critical),
        (json!({"alg": "ES256", "kid": "p256", "zip": "DEF"}), TokenError::Critical),
        (json!({"alg": "ES256", "kid": "p256", "typ": "logout+jwt"}), TokenError::Type),
        (json!({"kid": "p256"}), TokenError::Header),
        (json!({"alg": 7}), TokenError::Header),
        (json!([]), TokenError::Header),
    ] {
        let token = issuer.sign(&header, &claims());
        assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(expected), "{header}");
    }
}

#[test]
fn a_token_without_a_name_is_taken_when_one_key_can_be_meant() {
    let issuer = Issuer::new();
    for (alg, expected) in [("ES256", None), ("EdDSA", None), ("RS256", None), ("RS512", Some(TokenError::KeyUnnamed))]
    {
        let token = issuer.sign(&json!({"alg": alg}), &claims());
        assert_eq!(issuer.verifier().verify(token.as_bytes(), NOW).err(), expected, "{alg}");
    }
}

#[test]
fn claims_must_be_there_and_be_for_us_and_now() {
    let issuer = Issuer::new();
    let rules = Rules::new(
        "https://id.example",
        &["gateway", "other"],
        Duration::from_secs(30),
        Some(Duration::from_secs(3600)),
    );
    let verifier = issuer.verifier_with(rules.expect("rules"));
    let now = NOW.seconds();
    for (changes, expected) in [
        (json!({}), None),
        (json!({"aud": ["x", "other"]}), None),
        (json!({"aud": "x"}), Some(TokenError::Audience)),
        (json!({"aud": []}), Some(TokenError::Audience)),
        (json!({"aud": null}), Some(TokenError::Claims)),
        (json!({"aud": 5}), Some(TokenError::Claims)),
        (json!({"iss": "https://id.example/"}), Some(TokenError::Issuer)),
        (json!({"iss": null}), Some(TokenError::Claims)),
        (json!({"sub": null}), Some(TokenError::Claims)),
        (json!({"sub": ""}), Some(TokenError::Claims)),
        (json!({"exp": null}), Some(TokenError::Claims)),
        (json!({"exp": "1800000060"}), Some(TokenError::Claims)),
        (json!({"exp": -1}), Some(TokenError::Claims)),
        (json!({"exp": 1e300}), Some(TokenError::Claims)),
        (json!({"exp": now}), None),
        (json!({"exp": now - 29}), None),
        (json!({"exp": now - 30}), Some(TokenError::Expired)),
        (json!({"exp": now as f64 - 29.5}), None),
        (json!({"exp": now + 3630}), None),
        (json!({"exp": now + 3631}), Some(TokenError::LastsTooLong)),
        (json!({"exp": u64::MAX}), Some(TokenError::LastsTooLong)),
        (json!({"nbf": now + 30}), None),
        (json!({"nbf": now + 31}), Some(TokenError::NotYet)),
        (json!({"iat": now + 31}), Some(TokenError::NotYet)),
        (json!({"iat": now - 9, "nbf": 0, "jti": "a", "scope": {"deep": [1]}}), None),
    ] {
        let token = issuer.sign(&json!({"alg": "ES256", "kid": "p256"}), &with(changes.clone()));
        assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), expected, "{changes}");
    }
    let twice = r#"{"iss":"https://id.example","sub":"a","sub":"b","aud":"gateway","exp":1800000060}"#;
    let message = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"p256"}"#), b64(twice));
    let token = format!("{message}.{}", b64(issuer.signature("ES256", message.as_bytes())));
    assert_eq!(verifier.verify(token.as_bytes(), NOW).err(), Some(TokenError::Claims));
}

#[test]
fn what_is_no_token_is_refused() {
    let verifier = Issuer::new().verifier();
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "eyJ.\u{e9}.x",
        "####.####.####",
        &".".repeat(9000),
        &format!("eyJ.{}.a", "a".repeat(17_000)),
    ] {
        assert!(
            matches!(verifier.verify(text.as_bytes(), NOW), Err(TokenError::Malformed | TokenError::Header)),
            "{text:.20}"
        );
    }
}

#[test]
fn a_good_token_is_remembered_until_it_expires() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let token = issuer.sign(&json!({"alg": "ES256", "kid": "p256"}), &claims());
    assert_eq!(verifier.remembered(token.as_bytes(), NOW), None);
    let claims = verifier.verify(token.as_bytes(), NOW).expect("good");
    let remembered = verifier.remembered(token.as_bytes(), NOW).expect("remembered");
    assert!(Arc::ptr_eq(&claims, &remembered));
    // The claims alone are not enough: the signature is part of what is remembered.
    let (unsigned, _) = token.rsplit_once('.').expect("a dot");
    assert_eq!(verifier.remembered(format!("{unsigned}.AAAA").as_bytes(), NOW), None);
    let end = Timestamp::from_seconds(1_800_000_090);
    assert!(verifier.remembered(token.as_bytes(), Timestamp::from_millis(end.millis() - 1)).is_some());
    assert_eq!(verifier.remembered(token.as_bytes(), end), None);
    // Rotation makes another verifier, which remembers nothing.
    assert_eq!(issuer.verifier().remembered(token.as_bytes(), NOW), None);
}

#[test]
fn what_is_not_good_is_not_remembered_and_memory_is_bounded() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier();
    let header = json!({"alg": "EdDSA", "kid": "ed"});
    let bad = issuer.sign(&header, &with(json!({"aud": "x"})));
    assert!(verifier.verify(bad.as_bytes(), NOW).is_err() && verifier.remembered(bad.as_bytes(), NOW).is_none());
    let tokens: Vec<String> = (0..1500).map(|n| issuer.sign(&header, &with(json!({"jti": n.to_string()})))).collect();
    for token in &tokens {
        verifier.verify(token.as_bytes(), NOW).expect("good");
        assert!(verifier.remembered(token.as_bytes(), NOW).is_some(), "the newest has its place");
    }
    let held = tokens.iter().filter(|token| verifier.remembered(token.as_bytes(), NOW).is_some()).count();
    assert!((300..=512).contains(&held), "{held}");
}

#[test]
fn the_claimed_issuer_is_read_unchecked() {
    let issuer = Issuer::new();
    let token = issuer.sign(&json!({"alg": "none"}), &claims());
    assert_eq!(claimed_issuer(token.as_bytes()).as_deref(), Some("https://id.example"));
    assert_eq!(claimed_issuer(b"a.b.c"), None);
}

#[test]
fn rules_that_would_let_in_too_much_are_refused() {
    let rules =
        |issuer: &str, audiences: &[&str], skew| Rules::new(issuer, audiences, Duration::from_secs(skew), None).err();
    assert_eq!(rules("a", &["b"], 300), None);
    assert_eq!(rules("", &["b"], 0), Some(RulesError::Issuer));
    assert_eq!(rules("a", &[], 0), Some(RulesError::Audience));
    assert_eq!(rules("a", &[""], 0), Some(RulesError::Audience));
    assert_eq!(rules("a", &["b"], 301), Some(RulesError::Skew));
}
