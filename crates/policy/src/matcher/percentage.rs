//! A stable share of the requests: the same key is in or out each time, and growing the share only adds keys.
//!
//! The hash is seeded by the route's name, so that two routes with 10 % each take different tenths. A request
//! without the key falls back to its client's address.

use std::fmt;

use portcullis_types::{Percent, RequestView, RouteName};

use crate::hash_key::HashKey;
use crate::matcher::Mismatch;
use crate::stable_hash::stable_hash;

/// A share of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PercentageMatcher {
    /// How large.
    pub percent: Percent,
    /// By what: requests that agree in it are all in or all out.
    pub key: HashKey,
}

impl PercentageMatcher {
    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>, route: &RouteName) -> Result<(), Mismatch<'a>> {
        let key = self.key.hash_or_client(view).to_le_bytes();
        let seed = stable_hash(0, route.as_str().as_bytes());
        if self.percent.contains_hash(stable_hash(seed, &key)) {
            return Ok(());
        }
        Err(Mismatch::Percentage { expected: self })
    }

    /// Only the whole covers another share: seeds differ from route to route.
    pub(crate) fn is_everything(&self) -> bool {
        self.percent == Percent::ALL
    }
}

impl fmt::Display for PercentageMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.percent, self.key)
    }
}
