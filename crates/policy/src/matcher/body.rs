//! The body, as far as a crate that understands it has read it (see `portcullis_types::BodyView`).
//!
//! A route with a body matcher takes a request only when the body was peeked and understood. All methods of a batch
//! must be in the set, so that a batch cannot carry a method past the route that guards it. A batch without calls
//! matches nothing.

use std::fmt;

use portcullis_types::RequestView;

use crate::matcher::Mismatch;

/// A condition on the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BodyMatch {
    methods: Box<[Box<str>]>,
}

/// What was found in the body instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFound<'a> {
    /// It was not peeked.
    Unread,
    /// It is not JSON-RPC.
    NotJsonRpc,
    /// A batch without calls.
    Empty,
    /// This method, the first that is not in the set.
    Method(&'a str),
}

impl BodyMatch {
    /// A JSON-RPC call, or a batch, of these methods alone; `None` when there is none.
    pub fn jsonrpc(methods: impl IntoIterator<Item = impl Into<Box<str>>>) -> Option<Self> {
        let mut methods: Vec<Box<str>> = methods.into_iter().map(Into::into).collect();
        methods.sort();
        methods.dedup();
        (!methods.is_empty()).then(|| Self { methods: methods.into_boxed_slice() })
    }

    /// The JSON-RPC methods, sorted.
    #[must_use]
    pub fn methods(&self) -> &[Box<str>] {
        &self.methods
    }

    fn has(&self, method: &str) -> bool {
        self.methods.binary_search_by(|each| (**each).cmp(method)).is_ok()
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        let found = match view.body.map(|body| (body, body.calls())) {
            None => BodyFound::Unread,
            Some((_, None)) => BodyFound::NotJsonRpc,
            Some((_, Some(0))) => BodyFound::Empty,
            Some((body, Some(calls))) => {
                let methods = (0..calls).map(|call| body.method(call).unwrap_or_default());
                match methods.into_iter().find(|method| !self.has(method)) {
                    None => return Ok(()),
                    Some(method) => BodyFound::Method(method),
                }
            }
        };
        Err(Mismatch::Body { expected: self, found })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.methods.iter().all(|method| self.has(method))
    }
}

impl fmt::Display for BodyMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("jsonrpc ")?;
        for (place, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if place == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}
