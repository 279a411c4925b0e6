//! Errors of regular expressions, with the caret inside of the expression where that can be told.

use portcullis_policy::matcher::{Pattern, PatternError};
use portcullis_yaml::{Diagnostic, Position, SourceMap, Span, Spanned};

use super::Compiler;
use crate::code;

impl Compiler<'_, '_> {
    /// A pattern, or an error at the part of it that is wrong.
    pub(super) fn pattern(&mut self, text: &Spanned<String>) -> Option<Pattern> {
        match Pattern::new(&text.value) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.bad_pattern(text, &error);
                None
            }
        }
    }

    pub(super) fn bad_pattern(&mut self, text: &Spanned<String>, error: &PatternError) {
        let span = inner_span(text, self.cx.sources()).unwrap_or(text.span);
        let message = match error {
            PatternError::Syntax(why) => format!("the regular expression is wrong: {why}"),
            PatternError::TooLong | PatternError::TooLarge => error.to_string(),
        };
        let mut diagnostic = Diagnostic::error(code::REGEX_INVALID, span, message);
        if text.value.contains("(?=") || text.value.contains("(?!") || text.value.contains("(?<") {
            diagnostic = diagnostic.help("look-around and back references are not offered: matching takes linear time");
        }
        self.cx.push(diagnostic);
    }
}

/// The place of the error inside of the expression. `None` when the text in the file is not the expression letter
/// for letter (escapes, several lines, a variable).
fn inner_span(text: &Spanned<String>, sources: &SourceMap) -> Option<Span> {
    let (start, end) = error_columns(&text.value)?;
    let line = sources.get(text.span.source)?.line(text.span.start.line)?;
    let column = usize::try_from(text.span.start.column).ok()?.checked_sub(1)?;
    let written = line.chars().skip(column);
    let quote = u32::from(written.clone().next().is_some_and(|c| matches!(c, '\'' | '"')));
    let inner = written.skip(usize::try_from(quote).ok()?);
    if !inner.take(text.value.chars().count()).eq(text.value.chars()) {
        return None;
    }
    let at = |offset: u32| Position { line: text.span.start.line, column: text.span.start.column + quote + offset };
    Some(Span { source: text.span.source, start: at(start), end: at(end.max(start + 1)) })
}

/// Where the syntax is wrong, in characters from 0.
fn error_columns(text: &str) -> Option<(u32, u32)> {
    let error = regex_syntax::Parser::new().parse(text).err()?;
    let span = match &error {
        regex_syntax::Error::Parse(error) => *error.span(),
        regex_syntax::Error::Translate(error) => *error.span(),
        _ => return None,
    };
    let offset = |position: regex_syntax::ast::Position| u32::try_from(position.column.checked_sub(1)?).ok();
    (span.start.line == 1).then(|| Some((offset(span.start)?, offset(span.end)?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_wrong_part() {
        for (text, expected) in [
            ("/a(b", Some((2, 3))),
            ("/é[", Some((2, 3))),
            ("a{2,1}", Some((1, 6))),
            (r"\p{Nope}", Some((0, 8))),
            ("fine", None),
        ] {
            assert_eq!(error_columns(text), expected, "{text}");
        }
    }
}
