//! The client certificate, which the listener has verified against its CA before anything here looks at it.
//!
//! A DNS name is compared without case; `*.example.com` takes one label or more, as for hosts. URI and e-mail names
//! are compared byte for byte: the path of a SPIFFE id has case.

use std::fmt;
use std::str::FromStr;

use portcullis_types::{ClientCertificate, RequestView};

use crate::host_pattern::{HostName, HostPattern, HostPatternError};
use crate::matcher::Mismatch;

/// A condition on the client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateMatcher {
    /// There is one.
    Present,
    /// Its subject, RFC 4514 text, byte for byte.
    Subject(Box<str>),
    /// One of its alternative names.
    Name(CertificateName),
    /// Its SHA-256.
    Fingerprint(Fingerprint),
}

/// An alternative name to look for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// A DNS name.
    Dns(HostName),
    /// Any DNS name with a label or more before this suffix.
    Wildcard(HostName),
    /// A URI or an e-mail address.
    Other(Box<str>),
}

/// The SHA-256 of a certificate's DER: 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(Box<str>);

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256 fingerprint: 64 hex digits, colons between bytes allowed")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let right = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if right { Ok(Self(digits.into_boxed_str())) } else { Err(FingerprintError) }
    }
}

impl FromStr for CertificateName {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        if text.contains([':', '@']) {
            return Ok(Self::Other(text.into()));
        }
        match text.parse()? {
            HostPattern::Exact(name) => Ok(Self::Dns(name)),
            HostPattern::Wildcard(suffix) => Ok(Self::Wildcard(suffix)),
            HostPattern::Default => Err(HostPatternError::MisplacedStar),
        }
    }
}

impl CertificateName {
    fn accepts(&self, name: &str) -> bool {
        match self {
            Self::Dns(expected) => name.eq_ignore_ascii_case(expected.as_str()),
            Self::Wildcard(suffix) => {
                // An e-mail address or a URI may end in the same letters and is something else.
                let start = name.len().checked_sub(suffix.as_str().len());
                !name.contains([':', '@', '/'])
                    && start.and_then(|at| name.split_at_checked(at)).is_some_and(|(labels, rest)| {
                        rest.eq_ignore_ascii_case(suffix.as_str()) && labels.len() > 1 && labels.ends_with('.')
                    })
            }
            Self::Other(expected) => name == &**expected,
        }
    }
}

impl CertificateMatcher {
    fn accepts(&self, certificate: &ClientCertificate) -> bool {
        match self {
            Self::Present => true,
            Self::Subject(subject) => certificate.subject == **subject,
            Self::Name(name) => certificate.names.iter().any(|found| name.accepts(found)),
            Self::Fingerprint(expected) => certificate.fingerprint == *expected.0,
        }
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        // Not by `view.client_certificate()`: that one borrows from the view, not from what it views.
        let found = view.downstream.tls.as_ref().and_then(|tls| tls.client.as_ref());
        if found.is_some_and(|certificate| self.accepts(certificate)) {
            return Ok(());
        }
        Err(Mismatch::Certificate { expected: self, found })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        *self == Self::Present || self == other
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for CertificateMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("client certificate present"),
            Self::Subject(subject) => write!(f, "client certificate subject = {subject}"),
            Self::Name(name) => write!(f, "client certificate name = {name}"),
            Self::Fingerprint(Fingerprint(digits)) => write!(f, "client certificate sha256 = {digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_their_kind() {
        for (pattern, name, expected) in [
            ("a.example.com", "A.example.COM", true),
            ("*.example.com", "a.b.Example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "aexample.com", false),
            ("*.example.com", "x@a.example.com", false),
            ("*.example.com", "https://a.example.com", false),
            ("*.example.com", "é.com", false),
            ("spiffe://example.com/Web", "spiffe://example.com/Web", true),
            ("spiffe://example.com/Web", "spiffe://example.com/web", false),
            ("ops@example.com", "ops@example.com", true),
        ] {
            assert_eq!(pattern.parse::<CertificateName>().unwrap().accepts(name), expected, "{pattern} {name}");
        }
        assert!("*".parse::<CertificateName>().is_err());
    }

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(colons.parse::<Fingerprint>(), plain.parse());
        assert!("ab".parse::<Fingerprint>().is_err());
        assert!("zz".repeat(32).parse::<Fingerprint>().is_err());
    }
}
