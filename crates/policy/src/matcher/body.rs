//! The body, as far as a crate that understands it has read it (see `portcullis_types::BodyView`).
//!
//! A route with a body matcher takes a request only when the body was peeked and understood. All methods of a batch
//! must be in the set of names and patterns, so that a batch cannot carry a method past the route that guards it. A batch without calls
//! matches nothing.

use std::fmt;

use portcullis_types::RequestView;

use crate::matcher::{Mismatch, RpcMethod, RpcMethods};

/// A condition on the body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BodyMatch {
    methods: RpcMethods,
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
    pub fn jsonrpc(methods: impl IntoIterator<Item = RpcMethod>) -> Option<Self> {
        RpcMethods::new(methods).map(|methods| Self { methods })
    }

    /// The JSON-RPC methods.
    #[must_use]
    pub const fn methods(&self) -> &RpcMethods {
        &self.methods
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        let found = match view.body.map(|body| (body, body.calls())) {
            None => BodyFound::Unread,
            Some((_, None)) => BodyFound::NotJsonRpc,
            Some((_, Some(0))) => BodyFound::Empty,
            Some((body, Some(calls))) => {
                let methods = (0..calls).map(|call| body.method(call));
                // A call that names no method is in no set, `*` included.
                match methods.into_iter().find(|method| !method.is_some_and(|method| self.methods.has(method))) {
                    None => return Ok(()),
                    Some(method) => BodyFound::Method(method.unwrap_or_default()),
                }
            }
        };
        Err(Mismatch::Body { expected: self, found })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.methods.covers(&other.methods)
    }
}

impl fmt::Display for BodyMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jsonrpc {}", self.methods)
    }
}
