//! Why a body makes no calls.

use std::fmt;

use super::call::{MAX_ID, MAX_METHOD};
use crate::json::{JsonError, Span};

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// It is no JSON.
    #[error("{0}")]
    Json(JsonError),
    /// It nests too deep.
    #[error("nesting that is too deep at byte {at}")]
    Depth {
        /// The byte at which it goes too deep.
        at: usize,
    },
    /// It is JSON, but no JSON-RPC.
    #[error("call {call}: {what}")]
    Invalid {
        /// The call, by its place.
        call: usize,
        /// What is wrong with it.
        what: Invalid,
        /// Its id, if it was found.
        id: Option<Span>,
    },
    /// A batch of more calls than are taken.
    #[error("a batch of more than {most} calls")]
    Batch {
        /// How many are taken.
        most: usize,
    },
    /// More bytes than are taken.
    #[error("a body of {bytes} bytes; {most} at most")]
    Size {
        /// How many it has.
        bytes: usize,
        /// How many are taken.
        most: usize,
    },
}

impl ScanError {
    /// The same error in a batch, whose answer has no id.
    pub(super) fn of_many(mut self) -> Self {
        if let Self::Invalid { id, .. } = &mut self {
            *id = None;
        }
        self
    }

    /// The id of the call that is wrong, if it is known and the body is no batch.
    #[must_use]
    pub const fn id(&self) -> Option<Span> {
        match self {
            Self::Invalid { id, .. } => *id,
            Self::Json(_) | Self::Depth { .. } | Self::Batch { .. } | Self::Size { .. } => None,
        }
    }
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It is no object.
    Call,
    /// A batch without calls.
    EmptyBatch,
    /// A member stands there twice.
    Twice(&'static str),
    /// A key is written with escapes.
    EscapedKey,
    /// `jsonrpc` is missing, or not "2.0".
    Version,
    /// `id` is neither a number, a string nor null.
    Id,
    /// `id` is too long.
    LongId,
    /// `method` is missing, or no string.
    Method,
    /// `method` is empty, or too long.
    MethodLength,
    /// `method` is written with escapes.
    EscapedMethod,
    /// `params` is neither an array nor an object.
    Params,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("expected an object"),
            Self::EmptyBatch => f.write_str("a batch without calls"),
            Self::Twice(key) => write!(f, "`{key}` stands there twice"),
            Self::EscapedKey => f.write_str("a key that is written with escapes"),
            Self::Version => f.write_str("expected `\"jsonrpc\":\"2.0\"`"),
            Self::Id => f.write_str("expected `id` to be a number, a string or null"),
            Self::LongId => write!(f, "an `id` of more than {MAX_ID} bytes"),
            Self::Method => f.write_str("expected `method` to be a string"),
            Self::MethodLength => write!(f, "expected `method` to have 1 to {MAX_METHOD} bytes"),
            Self::EscapedMethod => f.write_str("a `method` that is written with escapes"),
            Self::Params => f.write_str("expected `params` to be an array or an object"),
        }
    }
}
