//! Why a route did not match: the first condition that failed, with what it expected and what it found.
//!
//! Borrowed and built without an allocation, since routing builds one for each candidate it passes over. Only its
//! `Display` writes text; what comes from the request is escaped there, and values of fields that carry credentials
//! are never written.

use std::fmt;
use std::net::IpAddr;

use http::Method;
use portcullis_types::ClientCertificate;

use crate::matcher::value::Shown;
use crate::matcher::{
    BodyFound, BodyMatch, CertificateMatcher, CookieMatcher, Found, HeaderMatcher, MethodMatcher, NetworkMatcher,
    PathMatcher, PercentageMatcher, QueryMatcher,
};

/// The first condition that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// Another path.
    Path {
        /// The condition.
        expected: &'a PathMatcher,
        /// The path.
        found: &'a str,
    },
    /// Another method.
    Method {
        /// The condition.
        expected: &'a MethodMatcher,
        /// The method.
        found: &'a Method,
    },
    /// A header field.
    Header {
        /// The condition.
        expected: &'a HeaderMatcher,
        /// Its values.
        found: Found<'a>,
    },
    /// A query parameter.
    Query {
        /// The condition.
        expected: &'a QueryMatcher,
        /// Its values, not decoded.
        found: Found<'a>,
    },
    /// A cookie.
    Cookie {
        /// The condition.
        expected: &'a CookieMatcher,
        /// Its values.
        found: Found<'a>,
    },
    /// Another client certificate, or none.
    Certificate {
        /// The condition.
        expected: &'a CertificateMatcher,
        /// The certificate.
        found: Option<&'a ClientCertificate>,
    },
    /// Another network.
    Network {
        /// The condition.
        expected: &'a NetworkMatcher,
        /// The client's address.
        found: IpAddr,
    },
    /// The body.
    Body {
        /// The condition.
        expected: &'a BodyMatch,
        /// What the body is.
        found: BodyFound<'a>,
    },
    /// Outside of the share.
    Percentage {
        /// The condition.
        expected: &'a PercentageMatcher,
    },
}

impl Mismatch<'_> {
    /// The kind of condition, one word: for counting and filtering.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Path { .. } => "path",
            Self::Method { .. } => "method",
            Self::Header { .. } => "header",
            Self::Query { .. } => "query",
            Self::Cookie { .. } => "cookie",
            Self::Certificate { .. } => "certificate",
            Self::Network { .. } => "network",
            Self::Body { .. } => "jsonrpc",
            Self::Percentage { .. } => "percentage",
        }
    }
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { expected, found } => write!(f, "expected {expected}, found {}", Shown(found.as_bytes())),
            Self::Method { expected, found } => write!(f, "expected method {expected}, found {found}"),
            Self::Header { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Query { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Cookie { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Certificate { expected, found: None } => write!(f, "expected {expected}, found none"),
            Self::Certificate { expected, found: Some(found) } => {
                write!(f, "expected {expected}, found the certificate of {}", Shown(found.subject.as_bytes()))
            }
            Self::Network { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Body { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Percentage { expected } => write!(f, "expected to be among the {expected}, found outside"),
        }
    }
}

impl fmt::Display for BodyFound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread => f.write_str("a body that was not read"),
            Self::NotJsonRpc => f.write_str("a body that is not JSON-RPC"),
            Self::Empty => f.write_str("a batch without calls"),
            Self::Method(method) => Shown(method.as_bytes()).fmt(f),
        }
    }
}
