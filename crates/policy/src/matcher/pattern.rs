//! A regular expression over a whole text, in linear time.
//!
//! The `regex` crate has neither look-around nor back references, so no input makes it slow. A pattern matches the
//! whole text or not at all; who wants a part writes `.*`. Equal texts are equal patterns, and clones share the
//! compiled program, so that a million sites with one rule hold it once.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The most bytes of a pattern's text.
const MAX_TEXT: usize = 4096;
/// The most memory of one compiled program, in bytes.
const MAX_PROGRAM: usize = 1 << 20;

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    literal: usize,
    regex: Regex,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is over 4096 bytes.
    #[error("the regular expression is longer than 4096 bytes")]
    TooLong,
    /// The program would take over 1 MiB.
    #[error("the regular expression compiles to more than 1 MiB; use fewer or smaller repetitions")]
    TooLarge,
    /// The syntax is wrong. Look-around and back references count as such.
    #[error("{0}")]
    Syntax(String),
}

impl Pattern {
    /// Compiles a pattern that must match the whole text.
    ///
    /// # Errors
    /// The syntax is wrong, or a bound is passed.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        // Alone first: `a)|(b` must not become valid by the group around it.
        compile(text)?;
        // The newline ends a comment of the verbose mode; outside of that mode it must not be there.
        let regex = compile(&format!("\\A(?:{text})\\z")).or_else(|_| compile(&format!("\\A(?:{text}\n)\\z")))?;
        Ok(Self(Arc::new(Compiled { text: text.into(), literal: literal_length(text), regex })))
    }

    /// The text it was made from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        text.as_bytes().starts_with(self.literal_prefix().as_bytes()) && self.0.regex.is_match(text)
    }

    /// Text that everything that matches starts with; may be shorter than it could be.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        self.0.text.get(..self.0.literal).unwrap_or_default()
    }

    /// The expression as compiled, anchors included.
    pub(crate) fn program(&self) -> &str {
        self.0.regex.as_str()
    }

    /// Whether this is one of the common spellings of "anything": `.*`, `/.*`, with or without anchors.
    pub(crate) fn matches_every_path(&self) -> bool {
        let text = self.text();
        let text = text.strip_prefix('^').unwrap_or(text);
        // `.` excludes only the newline, which no normalised path has.
        matches!(text.strip_suffix('$').unwrap_or(text), ".*" | "/.*")
    }
}

/// Compiles any regular expression under this crate's bounds.
pub(crate) fn compile(text: &str) -> Result<Regex, PatternError> {
    if text.len() > MAX_TEXT + 16 {
        return Err(PatternError::TooLong);
    }
    RegexBuilder::new(text).size_limit(MAX_PROGRAM).build().map_err(|error| {
        let too_large = matches!(error, regex::Error::CompiledTooBig(_));
        if too_large { PatternError::TooLarge } else { PatternError::Syntax(last_line(&error.to_string())) }
    })
}

/// The message of a syntax error without its drawing of the pattern: the config's report draws its own.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// How many bytes at the start are plain text. With an alternation anywhere the answer is none.
fn literal_length(text: &str) -> usize {
    if text.contains('|') {
        return 0;
    }
    let plain = |c: char| !matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$');
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    // These repeat the character before them, maybe no times.
    let repeats = text.get(end..).is_some_and(|rest| rest.starts_with(['*', '?', '{']));
    let last = text.get(..end).and_then(|plain| plain.chars().next_back()).map_or(0, char::len_utf8);
    if repeats { end - last } else { end }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_whole_text_or_not_at_all() {
        for (pattern, text, expected) in [
            ("a+", "aaa", true),
            ("a+", "aab", false),
            ("a|ab", "ab", true),
            ("/x/[0-9]+", "/x/12", true),
            ("/x/[0-9]+", "/x/12\n", false),
            ("(?i)/x", "/X", true),
            ("(?x) a b # comment", "ab", true),
            ("^a$", "a", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().is_match(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn refuses_bad_syntax_and_large_programs() {
        for text in ["(", "a)|(b", "(?=a)", "(a)\\1", "[z-a]"] {
            assert!(matches!(Pattern::new(text), Err(PatternError::Syntax(_))), "{text}");
        }
        assert_eq!(Pattern::new("(?:\\w{200}){200}"), Err(PatternError::TooLarge));
        assert_eq!(Pattern::new(&"a".repeat(5000)), Err(PatternError::TooLong));
    }

    #[test]
    fn literal_prefix_is_what_every_match_starts_with() {
        for (pattern, expected) in [
            ("/api/v[0-9]+", "/api/v"),
            ("/api/v*", "/api/"),
            ("/api/v?x", "/api/"),
            ("/api/v{0,2}", "/api/"),
            ("/api/v+", "/api/v"),
            ("/é*", "/"),
            ("/a|/b", ""),
            ("(?i)/a", ""),
            ("^/a", ""),
            ("/a\\.b", "/a"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().literal_prefix(), expected, "{pattern}");
        }
    }
}
