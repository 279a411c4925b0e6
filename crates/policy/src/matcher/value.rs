//! What a named value must be: shared by header, query and cookie matchers.
//!
//! A name may come with several values (a repeated field, `?a=1&a=2`). A condition holds when any of them
//! satisfies it; `absent` holds when there is none.

use std::fmt;

use crate::matcher::pattern::Pattern;

/// A condition on the values of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// A value equals this, byte for byte.
    Exact(Box<str>),
    /// A value starts with this.
    Prefix(Box<str>),
    /// The whole of a value matches this. A value that is not UTF-8 does not.
    Regex(Pattern),
    /// There is a value, maybe empty.
    Present,
    /// There is none.
    Absent,
}

/// What was found where a condition did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// No value.
    Nothing,
    /// A value; the first of `count`.
    Value {
        /// The bytes as received.
        first: &'a [u8],
        /// How many values there were.
        count: usize,
    },
    /// A value that may be a secret and is not shown.
    Hidden,
}

impl ValueMatch {
    /// Whether one value satisfies the condition. `Absent` is satisfied by none.
    #[must_use]
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => value == expected.as_bytes(),
            Self::Prefix(expected) => value.starts_with(expected.as_bytes()),
            Self::Regex(pattern) => std::str::from_utf8(value).is_ok_and(|text| pattern.is_match(text)),
            Self::Present => true,
            Self::Absent => false,
        }
    }

    /// Judges the values of a name; `accepts` lets the caller decode a value before [`Self::accepts`].
    pub(crate) fn check<'v>(
        &self,
        values: impl Iterator<Item = &'v [u8]>,
        accepts: impl Fn(&Self, &[u8]) -> bool,
    ) -> Result<(), Found<'v>> {
        let mut found = Found::Nothing;
        for value in values {
            if accepts(self, value) {
                return Ok(());
            }
            found = match found {
                Found::Value { first, count } => Found::Value { first, count: count.saturating_add(1) },
                Found::Nothing | Found::Hidden => Found::Value { first: value, count: 1 },
            };
        }
        match (self, found) {
            (Self::Absent, Found::Nothing) => Ok(()),
            (_, found) => Err(found),
        }
    }

    /// Whether whatever satisfies `other` satisfies this too. `false` when that cannot be told.
    #[must_use]
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Exact(_) | Self::Prefix(_) | Self::Regex(_)) => true,
            (Self::Prefix(prefix), Self::Exact(text) | Self::Prefix(text)) => text.starts_with(&**prefix),
            (Self::Regex(pattern), Self::Exact(text)) => pattern.is_match(text),
            _ => self == other,
        }
    }
}

impl fmt::Display for ValueMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "= {text}"),
            Self::Prefix(text) => write!(f, "starts with {text}"),
            Self::Regex(pattern) => write!(f, "~ {pattern}"),
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
        }
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Value { first, count: 1 } => Shown(first).fmt(f),
            Self::Value { first, count } => write!(f, "{} and {} more", Shown(first), count - 1),
            Self::Hidden => f.write_str("another value (not shown)"),
        }
    }
}

/// Bytes of a request, safe in a terminal and in a log: escaped and cut after 80 characters.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        let cut = self.0.get(..MOST).unwrap_or(self.0);
        write!(f, "\"{}\"", String::from_utf8_lossy(cut).escape_debug())?;
        if cut.len() < self.0.len() { write!(f, "... ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}
