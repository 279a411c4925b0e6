//! The path: exact, by segment prefix, by template, or by regular expression.
//!
//! Literal parts of a pattern are brought into the form a normalised path has (RFC 3986 section 6.2.2): percent
//! escapes in upper case, those of unreserved characters decoded, everything else that a path cannot hold escaped.
//! What could never match, such as a dot segment or a query, is refused.

use std::fmt;
use std::sync::Arc;

use portcullis_types::RequestView;

use crate::matcher::Mismatch;
use crate::matcher::pattern::{Pattern, PatternError};
use crate::matcher::query::hex;
use crate::matcher::template::{Params, Template, TemplateError};

/// The most bytes of a path pattern. Lengths up to this are told apart by rank.
const MAX_PATH: usize = 8192;

/// A condition on the path. Cheap to clone; clones share their text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathMatcher(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Exact(Arc<str>),
    Template(Template),
    Regex(Pattern),
    /// Without a slash at its end, so `/` is empty here.
    Prefix(Arc<str>),
}

/// The kinds of path matchers, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// A segment prefix.
    Prefix,
    /// A regular expression over the whole path.
    Regex,
    /// Segments, some of them captured.
    Template,
    /// One path.
    Exact,
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Does not start with `/`.
    #[error("a path starts with `/`")]
    NoSlash,
    /// Over 8192 bytes.
    #[error("the path is longer than 8192 bytes")]
    TooLong,
    /// A query or a fragment.
    #[error("a path has no `{0}`; match the query with `query`, or write the escape `{1}`")]
    NotPath(char, &'static str),
    /// `.` or `..` as a segment.
    #[error("`{0}` as a segment is resolved before routing, so this never matches")]
    DotSegment(String),
    /// A control character.
    #[error("the path holds a control character")]
    Control,
    /// A wrong regular expression.
    #[error(transparent)]
    Regex(#[from] PatternError),
    /// A wrong template.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl PathMatcher {
    /// This path alone.
    ///
    /// # Errors
    /// `text` is no path.
    pub fn exact(text: &str) -> Result<Self, PathError> {
        Ok(Self(Form::Exact(normal_form(text)?.into())))
    }

    /// This path and everything below it: `/a` takes `/a`, `/a/` and `/a/b`, not `/ab`. `/a/` means the same.
    ///
    /// # Errors
    /// `text` is no path.
    pub fn prefix(text: &str) -> Result<Self, PathError> {
        let path = normal_form(text)?;
        Ok(Self(Form::Prefix(path.strip_suffix('/').unwrap_or(&path).into())))
    }

    /// A template such as `/users/{id}` or `/files/{*rest}`; see [`Template`].
    ///
    /// # Errors
    /// `text` is no template.
    pub fn template(text: &str) -> Result<Self, PathError> {
        Template::new(text).map(|template| Self(Form::Template(template)))
    }

    /// A regular expression over the whole path.
    ///
    /// # Errors
    /// The expression is wrong or too large.
    pub fn regex(text: &str) -> Result<Self, PathError> {
        Ok(Self(Form::Regex(Pattern::new(text)?)))
    }

    /// Which kind this is.
    #[must_use]
    pub fn kind(&self) -> PathKind {
        match self.0 {
            Form::Exact(_) => PathKind::Exact,
            Form::Template(_) => PathKind::Template,
            Form::Regex(_) => PathKind::Regex,
            Form::Prefix(_) => PathKind::Prefix,
        }
    }

    /// The pattern in its normal form.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.0 {
            Form::Exact(text) => text,
            Form::Template(template) => template.text(),
            Form::Regex(pattern) => pattern.text(),
            Form::Prefix(text) if text.is_empty() => "/",
            Form::Prefix(text) => text,
        }
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0
    }

    /// The names a template captures, in order; none for the other kinds.
    #[must_use]
    pub fn param_names(&self) -> &[Box<str>] {
        match &self.0 {
            Form::Template(template) => template.names(),
            Form::Exact(_) | Form::Regex(_) | Form::Prefix(_) => &[],
        }
    }

    /// Whether a normalised path matches.
    #[must_use]
    #[inline]
    pub fn is_match(&self, path: &str) -> bool {
        match &self.0 {
            Form::Exact(text) => **text == *path,
            Form::Template(template) => template.captures(path).is_some(),
            Form::Regex(pattern) => pattern.is_match(path),
            Form::Prefix(text) => has_prefix(path, text),
        }
    }

    /// What a template captures of a path that matches; empty otherwise.
    #[must_use]
    pub fn params(&self, path: &str) -> Params {
        match &self.0 {
            Form::Template(template) => template.captures(path).unwrap_or_default(),
            Form::Exact(_) | Form::Regex(_) | Form::Prefix(_) => Params::default(),
        }
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        if self.is_match(view.path) { Ok(()) } else { Err(Mismatch::Path { expected: self, found: view.path }) }
    }

    /// Whether every path that `other` takes is taken by this too. `false` when that cannot be told cheaply.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Template(outer), Form::Template(inner)) => outer.covers(inner),
            (Form::Template(outer), Form::Prefix(inner)) => outer.covers_prefix(inner),
            (Form::Regex(outer), Form::Regex(_) | Form::Prefix(_)) if outer.matches_every_path() => {
                // A regex that matches something without a slash in front is not a path, but is no prefix either.
                matches!(other.0, Form::Prefix(_)) || self == other
            }
            (Form::Prefix(outer), Form::Prefix(inner)) => outer == inner || has_prefix(inner, outer),
            _ => self == other,
        }
    }
}

impl Default for PathMatcher {
    /// Every path: the prefix `/`.
    fn default() -> Self {
        Self(Form::Prefix(Arc::from("")))
    }
}

/// Whether `path` is `prefix` or lies below it. `prefix` has no slash at its end.
#[inline]
pub(crate) fn has_prefix(path: &str, prefix: &str) -> bool {
    let rest = path.as_bytes().strip_prefix(prefix.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/'))) && path.starts_with('/')
}

impl fmt::Display for PathMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind() {
            PathKind::Exact => "exact",
            PathKind::Template => "template",
            PathKind::Regex => "regex",
            PathKind::Prefix => "prefix",
        };
        write!(f, "path {kind} {}", self.text())
    }
}

/// A literal path in the form that normalised paths have.
pub(crate) fn normal_form(text: &str) -> Result<String, PathError> {
    if !text.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    let path = normal_literal(text)?;
    if let Some(segment) = path.split('/').find(|segment| matches!(*segment, "." | "..")) {
        return Err(PathError::DotSegment(segment.to_owned()));
    }
    Ok(path)
}

/// Text of a path in that form, without a look at its segments.
pub(crate) fn normal_literal(text: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0);
                if is_unreserved(value) {
                    out.push(char::from(value))
                } else {
                    push_escaped(&mut out, value)
                }
                rest = tail;
            }
            (b'?', _) => return Err(PathError::NotPath('?', "%3F")),
            (b'#', _) => return Err(PathError::NotPath('#', "%23")),
            (0..=0x1f | 0x7f, _) => return Err(PathError::Control),
            (byte, _) if is_path_byte(*byte) => out.push(char::from(*byte)),
            (byte, _) => push_escaped(&mut out, *byte),
        }
        if out.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
    }
    Ok(out)
}

/// Writes `%XX`.
pub(crate) fn push_escaped(out: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or('0');
    out.extend(['%', digit(byte >> 4), digit(byte)]);
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 section 3.3 without escapes, and the slash.
pub(crate) const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_ends_at_a_segment() {
        for (prefix, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a", "/", false),
            ("/a/", "/a", true),
            ("/a/", "/ab", false),
            ("/", "/", true),
            ("/", "/x/y", true),
            ("/", "*", false),
            ("/", "", false),
        ] {
            assert_eq!(PathMatcher::prefix(prefix).unwrap().is_match(path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn literals_are_brought_to_normal_form() {
        for (text, expected) in [
            ("/a", "/a"),
            ("/%61%2fb", "/a%2Fb"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a b", "/a%20b"),
            ("/100%", "/100%25"),
            ("/a|b\\", "/a%7Cb%5C"),
        ] {
            assert_eq!(PathMatcher::exact(text).unwrap().text(), expected);
        }
    }

    #[test]
    fn refuses_what_no_normalised_path_is() {
        for (text, expected) in [
            ("", PathError::NoSlash),
            ("a", PathError::NoSlash),
            ("/a?b", PathError::NotPath('?', "%3F")),
            ("/a#b", PathError::NotPath('#', "%23")),
            ("/a/../b", PathError::DotSegment("..".to_owned())),
            ("/%2e", PathError::DotSegment(".".to_owned())),
            ("/a\n", PathError::Control),
        ] {
            assert_eq!(PathMatcher::exact(text), Err(expected), "{text}");
        }
        assert_eq!(PathMatcher::prefix(&"/a".repeat(5000)), Err(PathError::TooLong));
        assert!(PathMatcher::regex("(").is_err());
    }

    #[test]
    fn covers_only_what_it_surely_takes() {
        let read = |text: &str| match text.split_once(' ').unwrap() {
            ("exact", path) => PathMatcher::exact(path).unwrap(),
            ("template", path) => PathMatcher::template(path).unwrap(),
            ("regex", path) => PathMatcher::regex(path).unwrap(),
            (_, path) => PathMatcher::prefix(path).unwrap(),
        };
        for (outer, inner, expected) in [
            ("exact /a", "exact /a", true),
            ("exact /a", "exact /b", false),
            ("prefix /", "prefix /a", true),
            ("prefix /a", "prefix /ab", false),
            ("regex /.*", "prefix /a", true),
            ("regex .*", "prefix /", true),
            ("regex /a.*", "prefix /a", false),
            ("regex /.*", "regex .*", false),
            ("template /{*rest}", "prefix /a", true),
            ("template /{*rest}", "prefix /", false),
            ("template /a/{*rest}", "prefix /a", false),
            ("template /a/{*rest}", "prefix /a/b", true),
            ("template /a/{x}", "template /a/{y}", true),
            ("template /a/{x}", "template /a/{*y}", false),
            ("template /a/{*x}", "template /a/{y}", true),
            ("template /{x}/b", "template /a/{y}", false),
        ] {
            assert_eq!(read(outer).covers(&read(inner)), expected, "{outer} over {inner}");
        }
    }
}
