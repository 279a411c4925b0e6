//! The claims of a token (RFC 7519 section 4.1), and whether they will do.

use std::time::Duration;

use serde::Deserialize;

use super::{Rules, TokenError};
use crate::time::Timestamp;

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: Box<str>,
    /// `sub`.
    pub subject: Box<str>,
    /// `exp`.
    pub expires: Timestamp,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `jti`.
    pub id: Option<Box<str>>,
}

/// The claims as they stand there. Those that are not known are let be; one that stands twice is refused.
#[derive(Deserialize)]
struct Raw {
    iss: Option<Box<str>>,
    sub: Option<Box<str>>,
    aud: Option<Audience>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

impl Audience {
    fn names(&self) -> &[Box<str>] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// Seconds since 1970, with a fraction if need be (RFC 7519 section 2).
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "serde_json::Number")]
struct NumericDate(Timestamp);

impl TryFrom<serde_json::Number> for NumericDate {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, &'static str> {
        const WRONG: &str = "no time";
        if let Some(seconds) = number.as_u64() {
            return Ok(Self(Timestamp::from_seconds(seconds)));
        }
        let seconds = number.as_f64().filter(|seconds| (0.0..1e12).contains(seconds)).ok_or(WRONG)?;
        let whole = Duration::try_from_secs_f64(seconds).map_err(|_| WRONG)?;
        Ok(Self(Timestamp::default().plus(whole)))
    }
}

impl Rules {
    /// Reads and checks the claims of a token whose signature is right.
    pub(super) fn claims(&self, payload: &[u8], now: Timestamp) -> Result<Claims, TokenError> {
        let raw: Raw = serde_json::from_slice(payload).map_err(|_| TokenError::Claims)?;
        let (issuer, audience) = (raw.iss.ok_or(TokenError::Claims)?, raw.aud.ok_or(TokenError::Claims)?);
        let subject = raw.sub.filter(|subject| !subject.is_empty()).ok_or(TokenError::Claims)?;
        let expires = raw.exp.ok_or(TokenError::Claims)?.0;
        if issuer != self.issuer {
            return Err(TokenError::Issuer);
        }
        if !audience.names().iter().any(|name| self.audiences.contains(name)) {
            return Err(TokenError::Audience);
        }
        let not_before = raw.nbf.map(|date| date.0);
        let claims = Claims { issuer, subject, expires, not_before, id: raw.jti };
        self.check_times(&claims, now)?;
        if raw.iat.is_some_and(|issued| issued.0 > now.plus(self.skew)) {
            return Err(TokenError::NotYet);
        }
        if self.longest.is_some_and(|longest| expires > now.plus(longest).plus(self.skew)) {
            return Err(TokenError::LastsTooLong);
        }
        Ok(claims)
    }

    /// Whether claims are good at a time, give or take the skew.
    pub(super) fn check_times(&self, claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
        if now >= claims.expires.plus(self.skew) {
            return Err(TokenError::Expired);
        }
        let early = claims.not_before.is_some_and(|not_before| not_before > now.plus(self.skew));
        if early { Err(TokenError::NotYet) } else { Ok(()) }
    }
}

/// `iss` alone.
pub(super) fn issuer(payload: &[u8]) -> Option<Box<str>> {
    serde_json::from_slice::<Raw>(payload).ok()?.iss
}
