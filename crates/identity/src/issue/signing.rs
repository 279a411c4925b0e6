//! Keys that tokens are signed with, and the compact form of what they sign (RFC 7515 section 7.1).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// The fewest bytes of a shared secret: those of the hash (RFC 7518 section 3.2).
const FEWEST_SECRET: usize = 32;

/// A key to sign with. Its `Debug` hides it.
pub struct SigningKey {
    kind: Kind,
    /// The header, encoded.
    header: Box<str>,
    name: Box<str>,
}

enum Kind {
    Es256(Box<EcdsaKeyPair>, SystemRandom),
    Hs256(Box<hmac::Key>),
}

/// Why a key cannot be used, or nothing be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Not a private P-256 key.
    #[error("expected a private P-256 key, PKCS #8 in DER")]
    Key,
    /// A secret that can be guessed.
    #[error("a secret has at least {FEWEST_SECRET} bytes")]
    Secret,
    /// Something failed within.
    #[error("signing failed")]
    Failed,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

impl SigningKey {
    /// A private P-256 key (PKCS #8, DER), for ES256. Its name is a hash of the public key.
    ///
    /// # Errors
    /// [`SigningError::Key`].
    pub fn es256(pkcs8: &[u8]) -> Result<Self, SigningError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        let pair = pair.map_err(|_| SigningError::Key)?;
        let name = name(pair.public_key().as_ref());
        Self::new(Kind::Es256(Box::new(pair), random), "ES256", name)
    }

    /// A secret of at least 32 bytes, shared with the upstream, for HS256.
    ///
    /// # Errors
    /// [`SigningError::Secret`].
    pub fn hs256(secret: &[u8]) -> Result<Self, SigningError> {
        if secret.len() < FEWEST_SECRET {
            return Err(SigningError::Secret);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let name = name(hmac::sign(&key, b"portcullis key name").as_ref());
        Self::new(Kind::Hs256(Box::new(key)), "HS256", name)
    }

    fn new(kind: Kind, alg: &str, name: Box<str>) -> Result<Self, SigningError> {
        let header = encode(&Header { alg, typ: "JWT", kid: &name })?.into();
        Ok(Self { kind, header, name })
    }

    /// The public half as a key set; `None` for a secret.
    pub(super) fn key_set(&self) -> Option<String> {
        let Kind::Es256(pair, _) = &self.kind else { return None };
        let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let (name, rest) = (&self.name, r#""use":"sig","alg":"ES256""#);
        Some(format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{name}",{rest}}}]}}"#))
    }

    /// The token of these claims.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        let mut token = format!("{}.{}", self.header, encode(claims)?);
        let signature = match &self.kind {
            Kind::Es256(pair, random) => {
                let signature = pair.sign(random, token.as_bytes()).map_err(|_| SigningError::Failed)?;
                URL_SAFE_NO_PAD.encode(signature.as_ref())
            }
            Kind::Hs256(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, token.as_bytes()).as_ref()),
        };
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

fn encode(value: &impl Serialize) -> Result<String, SigningError> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| SigningError::Failed)
}

/// The first 96 bits of a hash, as text.
fn name(bytes: &[u8]) -> Box<str> {
    let hash = digest::digest(&digest::SHA256, bytes);
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..12).unwrap_or_default()).into()
}
