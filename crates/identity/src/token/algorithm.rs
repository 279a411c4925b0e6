//! The algorithms of signatures, a closed list of our own, so that what is not in it does not exist.

use jsonwebtoken::jwk::KeyAlgorithm;

/// The algorithms that are checked here (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    EdDsa,
}

/// Their names in headers and in keys. Those that are absent are not taken: HMAC would make a secret of a public key.
const NAMES: [(jsonwebtoken::Algorithm, KeyAlgorithm, Algorithm); 6] = [
    (jsonwebtoken::Algorithm::RS256, KeyAlgorithm::RS256, Algorithm::Rs256),
    (jsonwebtoken::Algorithm::RS384, KeyAlgorithm::RS384, Algorithm::Rs384),
    (jsonwebtoken::Algorithm::RS512, KeyAlgorithm::RS512, Algorithm::Rs512),
    (jsonwebtoken::Algorithm::ES256, KeyAlgorithm::ES256, Algorithm::Es256),
    (jsonwebtoken::Algorithm::ES384, KeyAlgorithm::ES384, Algorithm::Es384),
    (jsonwebtoken::Algorithm::EdDSA, KeyAlgorithm::EdDSA, Algorithm::EdDsa),
];

impl Algorithm {
    /// The algorithm that a header names.
    pub(super) fn of(name: jsonwebtoken::Algorithm) -> Option<Self> {
        NAMES.iter().find(|(known, _, _)| *known == name).map(|(_, _, algorithm)| *algorithm)
    }

    /// The algorithm that a key names.
    pub(super) fn of_key(name: KeyAlgorithm) -> Option<Self> {
        NAMES.iter().find(|(_, known, _)| *known == name).map(|(_, _, algorithm)| *algorithm)
    }
}
