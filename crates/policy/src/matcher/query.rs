//! Query parameters, compared after decoding.
//!
//! The query is split at `&`, and a parameter at its first `=`; without one its value is empty. Names and values
//! are decoded as HTML forms encode them: `+` is a space and `%xx` is a byte; a `%` that no two hex digits follow
//! stays as it is. Nothing else is normalised, and the query is forwarded as received.

use std::fmt;

use portcullis_types::RequestView;

use crate::matcher::Mismatch;
use crate::matcher::value::ValueMatch;

/// Values up to this many bytes are decoded without an allocation.
const ON_STACK: usize = 256;

/// A condition on one query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryMatcher {
    /// The parameter's name, decoded. Case matters.
    pub name: Box<str>,
    /// What its decoded values must be.
    pub value: ValueMatch,
}

impl QueryMatcher {
    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        let accepts = |value: &ValueMatch, raw: &[u8]| decoded(raw, |bytes| value.accepts(bytes));
        let judged = self.value.check(values(view.query, &self.name), accepts);
        judged.map_err(|found| Mismatch::Query { expected: self, found })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.name == other.name && self.value.covers(&other.value)
    }
}

impl fmt::Display for QueryMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query {} {}", self.name, self.value)
    }
}

/// The values of a parameter, not decoded.
pub(crate) fn values<'v>(query: Option<&'v str>, name: &str) -> impl Iterator<Item = &'v [u8]> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        decoded(found.as_bytes(), |bytes| bytes == name.as_bytes()).then_some(value.as_bytes())
    })
}

/// Gives `f` the decoded bytes.
pub(crate) fn decoded<T>(raw: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    if !raw.iter().any(|b| matches!(b, b'%' | b'+')) {
        return f(raw);
    }
    if raw.len() <= ON_STACK {
        let mut buffer = [0u8; ON_STACK];
        let mut length = 0;
        for (byte, place) in Decoder(raw).zip(&mut buffer) {
            *place = byte;
            length += 1;
        }
        return f(buffer.get(..length).unwrap_or_default());
    }
    f(&Decoder(raw).collect::<Vec<u8>>())
}

/// The decoded bytes, one by one. Never more than the encoded ones.
struct Decoder<'a>(&'a [u8]);

impl Iterator for Decoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(if *first == b'+' { b' ' } else { *first })
    }
}

/// The value of a hex digit.
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_forms_encode() {
        let long = "%41".repeat(100);
        let long_decoded = "A".repeat(100);
        for (raw, expected) in [
            ("plain", "plain"),
            ("a+b", "a b"),
            ("a%2Bb%2b", "a+b+"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
            (long.as_str(), long_decoded.as_str()),
        ] {
            assert_eq!(decoded(raw.as_bytes(), <[u8]>::to_vec), expected.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn finds_every_value_of_a_name() {
        for (query, expected) in [
            (None, vec![]),
            (Some(""), vec![]),
            (Some("a=1&b=2&a=3"), vec!["1", "3"]),
            (Some("a"), vec![""]),
            (Some("%61=x=y"), vec!["x=y"]),
            (Some("A=1&aa=1&&=1"), vec![]),
        ] {
            let found: Vec<_> = values(query, "a").map(|v| std::str::from_utf8(v).unwrap()).collect();
            assert_eq!(found, expected, "{query:?}");
        }
    }
}
