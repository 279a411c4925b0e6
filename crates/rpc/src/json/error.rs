//! Why a text is no JSON, or none that is walked.

use std::fmt;

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct JsonError {
    /// The byte, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// It is not UTF-8.
    Utf8,
    /// It ends in the middle.
    End,
    /// A value should stand here.
    Value,
    /// A key should stand here.
    Key,
    /// A colon should stand here.
    Colon,
    /// A comma or the closing bracket should stand here.
    Comma,
    /// Something stands behind the value.
    Trailing,
    /// A control character in a string.
    Control,
    /// An escape that is none.
    Escape,
    /// Half of a pair of surrogates.
    Surrogate,
    /// A number that is none.
    Number,
    /// A number of more bytes than are taken.
    LongNumber,
    /// Deeper nesting than is taken.
    Depth,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "no UTF-8",
            Self::End => "the text ends too early",
            Self::Value => "expected a value",
            Self::Key => "expected a key",
            Self::Colon => "expected a colon",
            Self::Comma => "expected a comma or a closing bracket",
            Self::Trailing => "expected the end of the text",
            Self::Control => "a control character in a string",
            Self::Escape => "an invalid escape",
            Self::Surrogate => "half of a surrogate pair",
            Self::Number => "an invalid number",
            Self::LongNumber => "a number that is too long",
            Self::Depth => "nesting that is too deep",
        })
    }
}
