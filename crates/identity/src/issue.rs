//! A short-lived signed token that tells the upstream who called: the gateway's word, not the caller's.
//!
//! A JWT (RFC 7519) with `iss`, `aud`, `sub` (the consumer's id), `plan`, `iat`, `exp` at most a minute later, and
//! `jti`, the id of the request it was made for.
//!
//! An ECDSA signature costs tens of microseconds, so a token may be used for all requests of a consumer for a while
//! ([`Binding::Consumer`]): then `jti` is the id of the first of them, and the upstream can say which consumer, not
//! which request. Where it must know the request, each gets its own token ([`Binding::Request`]); HMAC makes that
//! cheap.
//!
//! Random bits for ECDSA come from the generator of `aws-lc-rs`, which the operating system seeds.

mod signing;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use portcullis_types::RequestId;

use crate::bounded::Bounded;
use crate::consumer::Consumer;
use crate::time::Timestamp;

pub use signing::{SigningError, SigningKey};

/// The longest that a token may live.
pub const MOST_LIFETIME: Duration = Duration::from_secs(60);

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// All requests of a consumer for so long, at most half its lifetime.
    Consumer(Duration),
    /// One request.
    Request,
}

/// What goes into tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueRules {
    issuer: Box<str>,
    audience: Box<str>,
    lifetime: Duration,
    binding: Binding,
}

/// Why rules are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueRulesError {
    /// No issuer or no audience.
    #[error("expected an issuer and an audience")]
    Names,
    /// Too long, or no whole second.
    #[error("a token lives from 1s to 60s, in whole seconds")]
    Lifetime,
    /// Used longer than is safe.
    #[error("a token is used for at most half its lifetime, so that the upstream never gets one about to expire")]
    Reuse,
}

impl IssueRules {
    /// # Errors
    /// [`IssueRulesError`].
    pub fn new(issuer: &str, audience: &str, lifetime: Duration, binding: Binding) -> Result<Self, IssueRulesError> {
        if issuer.is_empty() || audience.is_empty() {
            return Err(IssueRulesError::Names);
        }
        let whole = lifetime.subsec_nanos() == 0;
        if !whole || !(Duration::from_secs(1)..=MOST_LIFETIME).contains(&lifetime) {
            return Err(IssueRulesError::Lifetime);
        }
        if matches!(binding, Binding::Consumer(reuse) if reuse > lifetime / 2) {
            return Err(IssueRulesError::Reuse);
        }
        Ok(Self { issuer: issuer.into(), audience: audience.into(), lifetime, binding })
    }
}

/// Makes tokens. Shared by all workers.
pub struct Issuer {
    rules: IssueRules,
    key: SigningKey,
    cache: Bounded<Issued>,
    hashing: FixedState,
}

struct Issued {
    id: Box<str>,
    plan: Box<str>,
    at: Timestamp,
    token: Arc<str>,
}

#[derive(serde::Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    plan: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
}

impl Issuer {
    /// Remembers tokens of so many consumers. `seed` is random, once a process.
    #[must_use]
    pub fn new(rules: IssueRules, key: SigningKey, remember: usize, seed: u64) -> Self {
        let remember = if rules.binding == Binding::Request { 0 } else { remember };
        Self { rules, key, cache: Bounded::new(remember), hashing: FixedState::with_seed(seed) }
    }

    /// The key set that upstreams check these tokens with (RFC 7517); `None` for a shared secret.
    #[must_use]
    pub fn key_set(&self) -> Option<String> {
        self.key.key_set()
    }

    /// A token for a request of a consumer.
    ///
    /// # Errors
    /// The operating system has no random bits.
    pub fn token(&self, consumer: &Consumer, request: RequestId, now: Timestamp) -> Result<Arc<str>, SigningError> {
        self.token_of(consumer.id(), consumer.plan().name(), request, now)
    }

    /// The same for a caller who need be no consumer.
    ///
    /// # Errors
    /// The operating system has no random bits.
    pub fn token_of(&self, id: &str, plan: &str, request: RequestId, now: Timestamp) -> Result<Arc<str>, SigningError> {
        let Binding::Consumer(reuse) = self.rules.binding else {
            return self.sign((id, plan), request, now);
        };
        let hash = self.hashing.hash_one(id);
        let own = |issued: &Issued| *issued.id == *id && *issued.plan == *plan;
        let fresh = |issued: &Issued| now >= issued.at && now.since(issued.at) < reuse;
        let held = self.cache.with(hash, |set| {
            let found = set.iter().flatten().find(|issued| own(issued) && fresh(issued))?;
            Some(Arc::clone(&found.token))
        });
        if let Some(token) = held {
            return Ok(token);
        }
        // Signed outside the lock: two workers may sign at once, which harms nobody.
        let token = self.sign((id, plan), request, now)?;
        let issued = Issued { id: id.into(), plan: plan.into(), at: now, token: Arc::clone(&token) };
        self.cache.with(hash, |set| {
            let rank = |place: &&mut Option<Issued>| match place {
                Some(issued) if *issued.id == *id => (0, issued.at),
                None => (1, now),
                Some(issued) => (2, issued.at),
            };
            if let Some(oldest) = set.iter_mut().min_by_key(rank) {
                *oldest = Some(issued);
            }
        });
        Ok(token)
    }

    fn sign(&self, (id, plan): (&str, &str), request: RequestId, now: Timestamp) -> Result<Arc<str>, SigningError> {
        let request = request.to_hex();
        let claims = Claims {
            iss: &self.rules.issuer,
            aud: &self.rules.audience,
            sub: id,
            plan,
            iat: now.seconds(),
            exp: now.seconds().saturating_add(self.rules.lifetime.as_secs()),
            jti: std::str::from_utf8(&request).unwrap_or_default(),
        };
        self.key.sign(&claims).map(Arc::from)
    }
}
