//! A walk over JSON text (RFC 8259) that borrows everything and builds nothing.
//!
//! It judges the grammar of the whole text, also of what nobody asks for: escapes, pairs of surrogates, control
//! characters, numbers. Nesting is held in one word of bits, so that neither the stack nor the heap grows with it, and each
//! byte is looked at once. What a caller wants of the text it gets as [`Span`]s.
//!
//! Duplicate keys are not judged here, since most of them do no harm: whoever reads an object knows which matter to it.

mod cursor;
mod error;
mod span;
#[cfg(test)]
pub(crate) mod tests;

pub use cursor::{Cursor, Key, Kind, MAX_DEPTH, MAX_NUMBER};
pub use error::{JsonError, JsonFault};
pub use span::Span;
