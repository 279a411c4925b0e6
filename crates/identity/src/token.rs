//! JSON Web Tokens (RFC 7519) of one issuer, checked against its published keys (RFC 7517).
//!
//! What RFC 8725 asks for, by construction:
//! - The algorithm is the key's. A token's `alg` must be one that the key with its `kid` is for; there is no `none`
//!   and no HMAC here, so a public key is never taken for a secret.
//! - Keys come from the issuer's set alone; `jwk`, `jku`, `x5u` and `x5c` in a header are never looked at. A header
//!   with `crit` is refused, and one of a `typ` that is not for access.
//! - `exp`, `iss`, `aud` and `sub` are required. Several issuers are several verifiers: one issuer's keys can never
//!   sign for another.
//!
//! Signatures are checked by `aws-lc-rs`, which TLS brings anyway, and the header and the keys are read by
//! `jsonwebtoken`. Its own `decode` is not used: it reads the clock, and wants its cryptography chosen for the whole
//! process.
//!
//! A checked token is remembered until it expires, by a hash of all of it, signature included: the second request
//! with it costs a microsecond. The memory is the verifier's: when keys are rotated a new verifier is made, and
//! forgets what the old keys had signed.

mod algorithm;
mod cache;
mod claims;
mod jwks;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::time::Timestamp;
use algorithm::Algorithm;
use cache::Cache;

pub use claims::Claims;
pub use jwks::{KeySet, KeySetError, Skipped};

/// Types of tokens that are taken (RFC 7515 section 4.1.9, RFC 9068 section 2.1); none at all is too.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];
/// The most bytes of a token.
const MOST_BYTES: usize = 16 * 1024;
/// The most clock skew.
const MOST_SKEW: Duration = Duration::from_secs(300);

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64url, or over 16 KiB.
    Malformed,
    /// The header is no JSON, or its algorithm is none that is known here.
    Header,
    /// The header asks for what is not understood here.
    Critical,
    /// A type that is not for access.
    Type,
    /// The algorithm is not the key's.
    Algorithm,
    /// The issuer has no such key. Its keys may have been rotated: worth fetching them again, not too often.
    KeyUnknown,
    /// The token names no key, and more than one could be meant.
    KeyUnnamed,
    /// The signature is wrong.
    Signature,
    /// The claims are no JSON object, or one that is needed is absent or malformed.
    Claims,
    /// Of another issuer.
    Issuer,
    /// For others.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come, or it was issued in the future.
    NotYet,
    /// It lasts longer than is accepted.
    LastsTooLong,
}

impl TokenError {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Malformed,
        Self::Header,
        Self::Critical,
        Self::Type,
        Self::Algorithm,
        Self::KeyUnknown,
        Self::KeyUnnamed,
        Self::Signature,
        Self::Claims,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::LastsTooLong,
    ];

    /// Its name in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Header => "token_header",
            Self::Critical => "token_critical",
            Self::Type => "token_type",
            Self::Algorithm => "token_algorithm",
            Self::KeyUnknown => "token_key_unknown",
            Self::KeyUnnamed => "token_key_unnamed",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet",
            Self::LastsTooLong => "token_lasts_too_long",
        }
    }
}

/// What is asked of a token beside its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    issuer: Box<str>,
    audiences: Box<[Box<str>]>,
    skew: Duration,
    longest: Option<Duration>,
}

/// Rules that would let in what they should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// No issuer.
    #[error("expected the issuer's name, as its tokens have it in `iss`")]
    Issuer,
    /// No audience: tokens for others would be taken (RFC 8725 section 3.9).
    #[error("expected at least one audience, as tokens for this gateway have it in `aud`")]
    Audience,
    /// Too much skew.
    #[error("a clock skew over 5m keeps expired tokens alive")]
    Skew,
}

impl Rules {
    /// Tokens of this issuer, for any of these audiences, with this much difference between clocks, which last at
    /// most so long from now.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn new(
        issuer: &str,
        audiences: &[&str],
        skew: Duration,
        longest: Option<Duration>,
    ) -> Result<Self, RulesError> {
        if issuer.is_empty() {
            return Err(RulesError::Issuer);
        }
        if audiences.is_empty() || audiences.iter().any(|audience| audience.is_empty()) {
            return Err(RulesError::Audience);
        }
        if skew > MOST_SKEW {
            return Err(RulesError::Skew);
        }
        let audiences = audiences.iter().map(|&audience| audience.into()).collect();
        Ok(Self { issuer: issuer.into(), audiences, skew, longest })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audiences, one of which a token must be for.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().map(|audience| &**audience)
    }

    /// How far clocks may differ.
    #[must_use]
    pub const fn skew(&self) -> Duration {
        self.skew
    }

    /// How long a token may still be good.
    #[must_use]
    pub const fn longest(&self) -> Option<Duration> {
        self.longest
    }
}

/// Checks tokens of one issuer.
pub struct Verifier {
    rules: Rules,
    keys: KeySet,
    cache: Cache,
}

impl Verifier {
    /// Remembers so many tokens. `secret` is random, and decides where they lie in memory.
    #[must_use]
    pub fn new(rules: Rules, keys: KeySet, remember: usize, secret: [u8; 32]) -> Self {
        Self { rules, keys, cache: Cache::new(remember, secret) }
    }

    /// The keys it checks with.
    #[must_use]
    pub const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The issuer whose tokens it checks.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    /// The claims of a token that was checked before and is still good. Costs a hash of the token.
    #[must_use]
    pub fn remembered(&self, token: &[u8], now: Timestamp) -> Option<Arc<Claims>> {
        let claims = self.cache.get(token)?;
        self.rules.check_times(&claims, now).is_ok().then_some(claims)
    }

    /// The claims of a good token. Costs the check of a signature; [`remembered`](Self::remembered) is asked first.
    ///
    /// # Errors
    /// What is wrong with it, in the order of the variants.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Arc<Claims>, TokenError> {
        let parts = Parts::of(token)?;
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Header)?;
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(TokenError::Critical);
        }
        if header.typ.is_some_and(|typ| !TYPES.iter().any(|taken| taken.eq_ignore_ascii_case(&typ))) {
            return Err(TokenError::Type);
        }
        let algorithm = Algorithm::of(header.alg).ok_or(TokenError::Header)?;
        let key = self.keys.find(header.kid.as_deref(), algorithm)?;
        let signature = URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| TokenError::Malformed)?;
        key.verify(algorithm, parts.signed, &signature)?;
        let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| TokenError::Malformed)?;
        let claims = Arc::new(self.rules.claims(&payload, now)?);
        self.cache.put(token, &claims, now);
        Ok(claims)
    }
}

/// The parts of a token in compact form (RFC 7515 section 7.1).
struct Parts<'a> {
    /// Header, dot and payload, which is what is signed.
    signed: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > MOST_BYTES {
            return Err(TokenError::Malformed);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Malformed);
        };
        let (signed, signature) = (token.get(..second), token.get(second + 1..));
        let payload = token.get(first + 1..second);
        match (signed, payload, signature) {
            (Some(signed), Some(payload), Some(signature)) => Ok(Self { signed, payload, signature }),
            (_, _, _) => Err(TokenError::Malformed),
        }
    }
}

/// The issuer that a token claims to be of, unchecked: good for choosing a verifier, and for nothing else.
#[must_use]
pub fn claimed_issuer(token: &[u8]) -> Option<Box<str>> {
    let payload = URL_SAFE_NO_PAD.decode(Parts::of(token).ok()?.payload).ok()?;
    claims::issuer(&payload)
}
