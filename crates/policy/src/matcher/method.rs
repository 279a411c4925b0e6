//! The method: one of a set. GET does not stand for HEAD; write both.

use std::fmt;

use http::Method;
use portcullis_types::RequestView;

use crate::matcher::Mismatch;

/// A set of methods, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MethodMatcher(Box<[Method]>);

impl MethodMatcher {
    /// A set of methods; `None` when there is none in it.
    #[must_use]
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Option<Self> {
        let mut methods: Vec<Method> = methods.into_iter().collect();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        (!methods.is_empty()).then(|| Self(methods.into_boxed_slice()))
    }

    /// The methods, in the order of their names.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.0
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        if self.0.contains(view.method) {
            return Ok(());
        }
        Err(Mismatch::Method { expected: self, found: view.method })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|method| self.0.contains(method))
    }
}

impl fmt::Display for MethodMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, method) in self.0.iter().enumerate() {
            write!(f, "{}{method}", if place == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}
