//! The published keys of an issuer (RFC 7517): those for signatures of kinds that are checked here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::TokenError;
use super::algorithm::Algorithm;

/// The most bytes of a set.
const MOST_BYTES: usize = 256 * 1024;
/// The most keys of a set.
const MOST_KEYS: usize = 64;
/// The most bytes of a key's name.
const MOST_NAME: usize = 256;
/// Bits of an RSA modulus: fewer are weak, more take too long to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Curves of ECDSA: bytes of a coordinate, and what they are for.
const CURVES: [(EllipticCurve, usize, &[Algorithm]); 2] =
    [(EllipticCurve::P256, 32, &[Algorithm::Es256]), (EllipticCurve::P384, 48, &[Algorithm::Es384])];

/// A public key with what it may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    name: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa {
        modulus: Box<[u8]>,
        exponent: Box<[u8]>,
    },
    /// An uncompressed point, or an Ed25519 key.
    Curve(Box<[u8]>),
}

impl Key {
    /// Whether a signature is this key's.
    pub(super) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let checked = match (&self.public, algorithm) {
            (Public::Rsa { modulus, exponent }, Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512) => {
                let parameters = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
                        &RSA_PKCS1_2048_8192_SHA256
                    }
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, signed, signature)
            }
            (Public::Curve(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            (Public::Curve(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature)
            }
            (Public::Curve(point), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, point).verify(signed, signature)
            }
            (Public::Rsa { .. }, Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa)
            | (Public::Curve(_), Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512) => {
                return Err(TokenError::Algorithm);
            }
        };
        checked.map_err(|_| TokenError::Signature)
    }
}

/// A key of a set that is not used, and why. Sets hold keys for other ends too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which, from 0.
    pub index: usize,
    /// Why.
    pub why: &'static str,
}

/// The keys of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Box<[Key]>,
    skipped: Box<[Skipped]>,
}

/// Why a set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Too many bytes.
    #[error("a key set has at most {MOST_BYTES} bytes")]
    TooLong,
    /// No JSON object with `keys`.
    #[error("expected a JSON object with a list `keys` (RFC 7517 section 5)")]
    Form,
    /// Too many keys.
    #[error("a key set has at most {MOST_KEYS} keys")]
    TooMany,
    /// Nothing in it is of use.
    #[error("none of its keys is for checking signatures of RS256, RS384, RS512, ES256, ES384 or EdDSA")]
    Empty,
    /// Two keys of one name for one algorithm.
    #[error("two keys have the same `kid`")]
    Twice,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Reads a set as it was fetched. Keys of kinds that are not known are left out (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MOST_BYTES {
            return Err(KeySetError::TooLong);
        }
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(|_| KeySetError::Form)?;
        if document.keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, text) in document.keys.iter().enumerate() {
            match read(text.get()) {
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(Skipped { index, why }),
            }
        }
        let same = |one: &Key, other: &Key| {
            one.name == other.name && one.name.is_some() && one.algorithms.iter().any(|a| other.algorithms.contains(a))
        };
        if keys.iter().enumerate().any(|(n, key)| keys.iter().take(n).any(|other| same(key, other))) {
            return Err(KeySetError::Twice);
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self { keys: keys.into(), skipped: skipped.into() }) }
    }

    /// Keys that are used.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without a key of use is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Keys that are not.
    #[must_use]
    pub const fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The key that a header means.
    pub(super) fn find(&self, name: Option<&str>, algorithm: Algorithm) -> Result<&Key, TokenError> {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm);
        let Some(name) = name else {
            let mut fitting = self.keys.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(TokenError::KeyUnnamed),
                (None, _) => Err(TokenError::Algorithm),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.name.as_deref() == Some(name)).peekable();
        if named.peek().is_none() {
            return Err(TokenError::KeyUnknown);
        }
        named.find(fits).ok_or(TokenError::Algorithm)
    }
}

fn read(text: &str) -> Result<Key, &'static str> {
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| "not a JWK")?;
    let common = jwk.common;
    if common.public_key_use.is_some_and(|one| one != PublicKeyUse::Signature) {
        return Err("`use` is not `sig`");
    }
    if common.key_operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return Err("`key_ops` has no `verify`");
    }
    let (public, fitting) = public(&jwk.algorithm)?;
    let algorithms: Box<[Algorithm]> = match common.key_algorithm {
        None => fitting.into(),
        Some(named) => {
            let named = Algorithm::of_key(named).filter(|named| fitting.contains(named));
            Box::new([named.ok_or("`alg` is not one that is checked here with such a key")?])
        }
    };
    if common.key_id.as_ref().is_some_and(|name| name.len() > MOST_NAME) {
        return Err("`kid` is too long");
    }
    Ok(Key { name: common.key_id.map(Into::into), algorithms, public })
}

/// The key itself, and the algorithms that such a key can be for.
fn public(parameters: &AlgorithmParameters) -> Result<(Public, &'static [Algorithm]), &'static str> {
    if let AlgorithmParameters::RSA(rsa) = parameters {
        let (modulus, exponent) = (bytes(&rsa.n)?, bytes(&rsa.e)?);
        let spare = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        if !RSA_BITS.contains(&(modulus.len() * 8).saturating_sub(spare)) {
            return Err("an RSA key has 2048 to 4096 bits");
        }
        return Ok((Public::Rsa { modulus, exponent }, &[Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512]));
    }
    if let AlgorithmParameters::EllipticCurve(point) = parameters {
        let known = CURVES.iter().find(|(curve, _, _)| *curve == point.curve);
        let (_, size, algorithms) = known.ok_or("a curve that is not checked here")?;
        let (x, y) = (bytes(&point.x)?, bytes(&point.y)?);
        if x.len() != *size || y.len() != *size {
            return Err("a coordinate of the wrong length");
        }
        return Ok((Public::Curve([&[4], &*x, &*y].concat().into()), algorithms));
    }
    let AlgorithmParameters::OctetKeyPair(pair) = parameters else {
        return Err("a kind of key that is not checked here");
    };
    let key = bytes(&pair.x)?;
    let right = pair.curve == EllipticCurve::Ed25519 && key.len() == 32;
    if right { Ok((Public::Curve(key), &[Algorithm::EdDsa])) } else { Err("not an Ed25519 key") }
}

fn bytes(text: &str) -> Result<Box<[u8]>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map(Into::into).map_err(|_| "not base64url")
}
