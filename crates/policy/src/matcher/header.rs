//! Header fields: by name, any of their values (RFC 9110 section 5.2; lists are not split at commas).

use std::fmt;

use http::HeaderName;
use portcullis_types::RequestView;

use crate::matcher::Mismatch;
use crate::matcher::value::{Found, ValueMatch};

/// A condition on one header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeaderMatcher {
    /// The field.
    pub name: HeaderName,
    /// What its values must be.
    pub value: ValueMatch,
}

impl HeaderMatcher {
    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        let values = view.headers.get_all(&self.name).into_iter();
        let judged = self.value.check(values.map(http::HeaderValue::as_bytes), ValueMatch::accepts);
        judged.map_err(|found| Mismatch::Header { expected: self, found: self.shown(found) })
    }

    /// Fields that carry credentials are not repeated in an explanation.
    fn shown<'a>(&self, found: Found<'a>) -> Found<'a> {
        const SECRET: [&str; 8] = ["auth", "cookie", "key", "token", "secret", "password", "session", "signature"];
        let secret = SECRET.iter().any(|part| self.name.as_str().contains(part));
        if secret && found != Found::Nothing { Found::Hidden } else { found }
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.name == other.name && self.value.covers(&other.value)
    }
}

impl fmt::Display for HeaderMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {} {}", self.name, self.value)
    }
}
