//! Cookies, as RFC 6265 section 5.4 has them sent: `name=value` pairs between semicolons, names with their case.
//!
//! Values are compared as received, quotes included. A cookie's value is most often a session, so an explanation
//! never shows it.

use std::fmt;

use http::header::COOKIE;
use portcullis_types::RequestView;

use crate::matcher::Mismatch;
use crate::matcher::value::{Found, ValueMatch};

/// A condition on one cookie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CookieMatcher {
    /// The cookie's name. Case matters.
    pub name: Box<str>,
    /// What its values must be.
    pub value: ValueMatch,
}

impl CookieMatcher {
    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        self.value.check(values(view, &self.name), ValueMatch::accepts).map_err(|found| Mismatch::Cookie {
            expected: self,
            found: if found == Found::Nothing { found } else { Found::Hidden },
        })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.name == other.name && self.value.covers(&other.value)
    }
}

impl fmt::Display for CookieMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cookie {} {}", self.name, self.value)
    }
}

/// The values of a cookie, over all Cookie fields (HTTP/2 may split them, RFC 9113 section 8.2.3).
pub(crate) fn values<'v>(view: &RequestView<'v>, name: &str) -> impl Iterator<Item = &'v [u8]> {
    let fields = view.headers.get_all(COOKIE).into_iter();
    fields.flat_map(|field| field.as_bytes().split(|b| *b == b';')).filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (found, value) = pair.split_at(equals);
        (found.trim_ascii_end() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii_start())
    })
}
