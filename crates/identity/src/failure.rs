//! Why authentication failed: one answer for who asked, the cause for the record.
//!
//! Two public answers exist. Who did not say who it is, or said it wrongly, hears `key_unknown` (401), whatever the
//! cause: nothing about keys, tokens or bans can be learnt by trying. (A request that carries nothing at all hears
//! `key_missing`: it knows that already.) Who did say who it is, and may not do this, hears `key_forbidden` (403),
//! whatever forbids it: holding a key of 256 random bits that was good once is no guess.

use std::fmt;

use portcullis_types::Reason;

use crate::check::Restriction;
use crate::credential::{ExtractError, Kind};
use crate::key::{self, KeyShape};
use crate::token::TokenError;

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It carries no credential.
    Missing,
    /// It carries something that cannot be a credential, or several that differ.
    Extract(ExtractError),
    /// The key is of our making, and mistyped.
    Mistyped,
    /// Nobody has this key.
    UnknownKey,
    /// The token is not good.
    Token(TokenError),
    /// The token is good, but nobody has its subject.
    UnknownSubject,
    /// Nobody has the subject of the client certificate.
    UnknownCertificate,
    /// The client's network failed too often just now, and checking a signature costs more than it may have.
    Throttled,
    /// The client's network is banned.
    Banned,
    /// The credential is known, and this is not allowed with it.
    Restricted(Restriction),
}

impl Failure {
    /// The failure of a key that nobody has: tells a typing mistake from a key that is gone.
    #[must_use]
    pub fn of_unknown_key(presented: &[u8]) -> Self {
        if key::shape(presented) == KeyShape::Mistyped { Self::Mistyped } else { Self::UnknownKey }
    }

    /// Every failure there is, each with a name of its own: what counters are made for.
    pub fn all() -> impl Iterator<Item = Self> {
        let kinds = [Kind::Query, Kind::Path, Kind::Header, Kind::Bearer, Kind::Basic, Kind::Token];
        let malformed = kinds.into_iter().map(|kind| Self::Extract(ExtractError::Malformed(kind)));
        let tokens = TokenError::ALL.iter().map(|error| Self::Token(*error));
        let restrictions = Restriction::ALL.iter().map(|restriction| Self::Restricted(*restriction));
        [
            Self::Missing,
            Self::Extract(ExtractError::Ambiguous),
            Self::Mistyped,
            Self::UnknownKey,
            Self::UnknownSubject,
            Self::UnknownCertificate,
            Self::Throttled,
            Self::Banned,
        ]
        .into_iter()
        .chain(malformed)
        .chain(tokens)
        .chain(restrictions)
    }

    /// What the client hears.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::KeyMissing,
            Self::Restricted(_) => Reason::KeyForbidden,
            Self::Extract(_)
            | Self::Mistyped
            | Self::UnknownKey
            | Self::Token(_)
            | Self::UnknownSubject
            | Self::UnknownCertificate
            | Self::Throttled
            | Self::Banned => Reason::KeyUnknown,
        }
    }

    /// The cause for the record and for metrics: a stable name, never a value of the request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extract(ExtractError::Ambiguous) => "ambiguous",
            Self::Extract(ExtractError::Malformed(kind)) => match kind {
                Kind::Query => "malformed_query_key",
                Kind::Path => "malformed_path_key",
                Kind::Header => "malformed_header_key",
                Kind::Bearer => "malformed_bearer",
                Kind::Basic => "malformed_basic",
                Kind::Token => "malformed_token",
            },
            Self::Mistyped => "key_mistyped",
            Self::UnknownKey => "key_unknown",
            Self::Token(error) => error.name(),
            Self::UnknownSubject => "token_subject_unknown",
            Self::UnknownCertificate => "certificate_unknown",
            Self::Throttled => "network_throttled",
            Self::Banned => "network_banned",
            Self::Restricted(restriction) => restriction.name(),
        }
    }

    /// Whether it counts against the client's network. Not what is Missing, since browsers ask without a key first;
    /// not what an operator forbade to a known consumer; and not what was answered without a look.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Extract(_)
            | Self::Mistyped
            | Self::UnknownKey
            | Self::Token(_)
            | Self::UnknownSubject
            | Self::UnknownCertificate
            | Self::Throttled => true,
            Self::Missing | Self::Banned | Self::Restricted(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Failure> {
        Failure::all().collect()
    }

    #[test]
    fn every_cause_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|failure| failure.name()).collect();
        assert_eq!(names.len(), all().len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn a_mistyped_key_is_recorded_as_such_and_answered_as_any_other() {
        let good = crate::key::ApiKey::from_entropy([1; 32]);
        for (text, expected) in [
            (good.as_str(), Failure::UnknownKey),
            (&good.as_str()[..40], Failure::Mistyped),
            ("brought-from-elsewhere", Failure::UnknownKey),
        ] {
            let failure = Failure::of_unknown_key(text.as_bytes());
            assert_eq!((failure, failure.reason()), (expected, Reason::KeyUnknown), "{text}");
        }
    }

    #[test]
    fn there_is_one_answer_for_all_who_fail_to_say_who_they_are() {
        for failure in all() {
            let expected = if failure == Failure::Missing {
                (Reason::KeyMissing, 401)
            } else if matches!(failure, Failure::Restricted(_)) {
                (Reason::KeyForbidden, 403)
            } else {
                (Reason::KeyUnknown, 401)
            };
            assert_eq!((failure.reason(), failure.reason().status()), expected, "{failure}");
        }
    }
}
