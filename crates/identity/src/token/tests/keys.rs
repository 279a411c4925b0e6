//! Key sets: the examples of the RFCs, and what is left out or refused.

use super::*;

const RFC_RSA: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs",
    "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV",
    "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
);
const RFC_RSA_SIGNATURE: &str = concat!(
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ",
    "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e",
    "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
);
const RFC_CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn parse(keys: &[serde_json::Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn the_signatures_of_the_rfcs_are_right() {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    for (jwk, algorithm, signed, signature) in [
        // RFC 7515 appendix A.2.
        (
            json!({"kty": "RSA", "n": RFC_RSA, "e": "AQAB"}),
            Algorithm::Rs256,
            format!("eyJhbGciOiJSUzI1NiJ9.{RFC_CLAIMS}"),
            RFC_RSA_SIGNATURE,
        ),
        // RFC 7515 appendix A.3.
        (
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
            Algorithm::Es256,
            format!("eyJhbGciOiJFUzI1NiJ9.{RFC_CLAIMS}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        // RFC 8037 appendix A.4.
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let set = parse(&[jwk]).expect("a set");
        let key = set.find(None, algorithm).expect("a key");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        assert_eq!(key.verify(algorithm, signed.as_bytes(), &signature), Ok(()), "{algorithm:?}");
        assert_eq!(key.verify(algorithm, &signed.as_bytes()[1..], &signature), Err(TokenError::Signature));
    }
}

#[test]
fn keys_that_are_of_no_use_are_left_out_and_said() {
    let good = Issuer::new().jwks()["keys"][2].clone();
    let changed = |name: &str, value: serde_json::Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let weak = json!({"kty": "RSA", "n": b64([0x81; 128]), "e": "AQAB"});
    let huge = json!({"kty": "RSA", "n": b64([0x81; 513]), "e": "AQAB"});
    let almost = json!({"kty": "RSA", "n": b64([0x7f; 256]), "e": "AQAB"});
    for (key, why) in [
        (changed("use", json!("enc")), "`use` is not `sig`"),
        (changed("key_ops", json!(["sign"])), "`key_ops` has no `verify`"),
        (changed("alg", json!("ES384")), "`alg` is not one that is checked here with such a key"),
        (changed("alg", json!("HS256")), "`alg` is not one that is checked here with such a key"),
        (changed("kid", json!("k".repeat(257))), "`kid` is too long"),
        (changed("x", json!("AAAA")), "a coordinate of the wrong length"),
        (changed("x", json!("&")), "not base64url"),
        (changed("kty", json!("new")), "a kind of key that is not checked here"),
        (json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}), "a kind of key that is not checked here"),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), "not an Ed25519 key"),
        (json!("text"), "not a JWK"),
        (weak, "an RSA key has 2048 to 4096 bits"),
        (huge, "an RSA key has 2048 to 4096 bits"),
        (almost, "an RSA key has 2048 to 4096 bits"),
    ] {
        let set = parse(&[key.clone(), good.clone()]).expect("one is good");
        assert_eq!((set.len(), set.skipped()), (1, &[Skipped { index: 0, why }][..]), "{key}");
        assert_eq!(parse(&[key]), Err(KeySetError::Empty));
    }
}

#[test]
fn sets_are_bounded_and_of_the_right_form() {
    let key = Issuer::new().jwks()["keys"][2].clone();
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(KeySetError::Form), "{text}");
    }
    assert_eq!(parse(&vec![json!({}); 65]), Err(KeySetError::TooMany));
    assert_eq!(KeySet::parse(&vec![b' '; 256 * 1024 + 1]), Err(KeySetError::TooLong));
    assert_eq!(parse(&[key.clone(), key]), Err(KeySetError::Twice));
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("{{\"keys\":[{}1{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(KeySet::parse(deep.as_bytes()), Err(KeySetError::Empty));
    let issuer = Issuer::new();
    let payload = format!("{{\"iss\":{}1{}}}", "[".repeat(3000), "]".repeat(3000));
    let message = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"p256"}"#), b64(payload));
    let token = format!("{message}.{}", b64(issuer.signature("ES256", message.as_bytes())));
    assert_eq!(issuer.verifier().verify(token.as_bytes(), NOW).err(), Some(TokenError::Claims));
}
