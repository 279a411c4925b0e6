//! The scanner: what calls a body makes, found in one walk over its bytes, which stay as they are.
//!
//! For each call it finds where its `id`, `method` and `params` stand, and it judges the whole text: RFC 8259 by
//! [`crate::json`], JSON-RPC 2.0 here. What a router and a node could read in two ways is refused rather than read in one:
//! a member of a call that stands there twice, a key of a call written with escapes (`"\u006dethod"`), a method written with
//! escapes, a version other than `"2.0"`.
//!
//! One call is held without an allocation. The work is linear in the text, and stops at the first thing that is too much:
//! bytes, nesting, items of a batch, digits of a number, characters of an id.
//!
//! Why a scanner of our own: routing by what a body calls is what this crate is for, no library judges what is judged here, and
//! none is faster where it counts. Least time of many short runs, one core of a loaded virtual machine, the whole text
//! judged by each but the last:
//!
//! | | 150 bytes, `getBalance` | 1.7 KB, a transaction | 4.8 KB, 100 addresses |
//! |---|---|---|---|
//! | this scanner | 143 ns | 357 ns | 1.33 µs |
//! | serde_json 1, `RawValue` | 148 ns | 325 ns | 1.06 µs |
//! | sonic-rs 0.5, `LazyValue` | 143 ns | 227 ns | 0.95 µs |
//! | simd-json 0.17, tape, with the copy that it writes into | 452 ns | 3.49 µs | 9.59 µs |
//! | sonic-rs, `get` of the method alone, which judges nothing behind it | 54 ns | 52 ns | 50 ns |

mod call;
mod error;
#[cfg(test)]
mod tests;

pub use call::{Call, MAX_ID, MAX_METHOD};
pub use error::{Invalid, ScanError};

use crate::json::{Cursor, JsonError, JsonFault, Kind, MAX_DEPTH};

/// How much of a body is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Nesting, the call itself counted; at most [`MAX_DEPTH`].
    pub depth: usize,
    /// Calls of a batch.
    pub batch: usize,
}

impl Limits {
    /// What no setting goes beyond.
    pub const CEILING: Self = Self { bytes: 64 * 1024 * 1024, depth: MAX_DEPTH, batch: 10_000 };
}

/// The calls of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    calls: Calls,
    depth: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Calls {
    One(Call),
    Batch(Box<[Call]>),
}

impl Scan {
    /// One call, found already. How deep it nests is not looked up again: it was judged with the whole it comes from.
    pub(crate) const fn of(call: Call) -> Self {
        Self { calls: Calls::One(call), depth: 1 }
    }

    /// The calls in order; one at least.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        match &self.calls {
            Calls::One(call) => std::slice::from_ref(call),
            Calls::Batch(calls) => calls,
        }
    }

    /// Whether it is a batch, which has a list for an answer, also when it has one call alone.
    #[must_use]
    pub const fn is_batch(&self) -> bool {
        matches!(self.calls, Calls::Batch(_))
    }

    /// How deep the text nests: 1 for a call without params.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }
}

/// Finds the calls of a body.
///
/// # Errors
/// It is too large, no JSON, or no JSON-RPC.
pub fn scan(text: &[u8], limits: &Limits) -> Result<Scan, ScanError> {
    if text.len() > limits.bytes.min(Limits::CEILING.bytes) {
        return Err(ScanError::Size { bytes: text.len(), most: limits.bytes });
    }
    let mut cursor = Cursor::new(text, limits.depth)?;
    let calls = match cursor.kind()? {
        Kind::Object => Calls::One(call::read(&mut cursor, text, 0)?),
        Kind::Array => Calls::Batch(batch(&mut cursor, text, limits.batch)?),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => {
            cursor.value()?;
            cursor.end()?;
            return Err(ScanError::Invalid { call: 0, what: Invalid::Call, id: None });
        }
    };
    cursor.end()?;
    Ok(Scan { calls, depth: cursor.deepest() })
}

fn batch(cursor: &mut Cursor<'_>, text: &[u8], most: usize) -> Result<Box<[Call]>, ScanError> {
    let mut calls = Vec::new();
    cursor.elements(|cursor| {
        if calls.len() >= most {
            return Err(ScanError::Batch { most });
        }
        calls.push(call::read(cursor, text, calls.len()).map_err(ScanError::of_many)?);
        Ok(())
    })?;
    if calls.is_empty() {
        return Err(ScanError::Invalid { call: 0, what: Invalid::EmptyBatch, id: None });
    }
    Ok(calls.into_boxed_slice())
}

impl From<JsonError> for ScanError {
    fn from(error: JsonError) -> Self {
        if error.fault == JsonFault::Depth { Self::Depth { at: error.at } } else { Self::Json(error) }
    }
}
