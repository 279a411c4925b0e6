//! `${NAME}` and `${NAME:-default}` inside values.
//!
//! `$${` writes a literal `${`. A default may not hold `}`. What was put in is never expanded again, and never
//! shown. Only values are expanded, never keys.

use crate::code;
use crate::diag::{Diagnostic, Diagnostics};
use crate::loader::Loader;
use crate::node::{Scalar, Style, Value, abbreviated};
use crate::source::Span;

/// Expands the scalars of one file, within a budget of bytes.
pub(crate) struct Expander<'a> {
    loader: &'a dyn Loader,
    budget: usize,
}

/// One piece of a text.
enum Piece<'t> {
    Literal(&'t str),
    Variable { name: &'t str, default: Option<&'t str> },
}

impl<'a> Expander<'a> {
    pub(crate) fn new(loader: &'a dyn Loader, budget: usize) -> Self {
        Self { loader, budget }
    }

    /// The value of a scalar. [`Value::Invalid`] after an error was pushed.
    pub(crate) fn scalar(&mut self, text: &str, style: Style, span: Span, diags: &mut Diagnostics) -> Value {
        if !text.contains("${") {
            return Value::Scalar(Scalar::new(text, style));
        }
        let Some(pieces) = split(text) else {
            diags.push(bad_expansion(text, span));
            return Value::Invalid;
        };
        let mut out = String::with_capacity(text.len());
        let mut expanded = false;
        let mut failed = false;
        for piece in &pieces {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Variable { name, default } => {
                    expanded = true;
                    match self.value(name, *default, span, diags) {
                        Some(value) => out.push_str(&value),
                        None => failed = true,
                    }
                }
            }
        }
        if failed {
            return Value::Invalid;
        }
        if !expanded {
            return Value::Scalar(Scalar::new(out, style));
        }
        // A value that is one variable takes its type from the variable: in `{ port: "${PORT}" }` the quotes are
        // only there because braces mean something else without them.
        let style = if pieces.len() == 1 { Style::Plain } else { style };
        Value::Scalar(Scalar::expanded(out, text, style))
    }

    fn value(&mut self, name: &str, default: Option<&str>, span: Span, diags: &mut Diagnostics) -> Option<String> {
        let found = self.loader.env(name);
        if let Some(value) = &found {
            diags.hide(value, &format!("${{{name}}}"));
        }
        let found = found.filter(|value| !(value.is_empty() && default.is_some()));
        let Some(value) = found.or_else(|| default.map(str::to_owned)) else {
            let message = format!("the environment variable `{name}` is not set");
            let help = format!("set it, or write `${{{name}:-default}}`");
            diags.push(Diagnostic::error(code::UNSET_VARIABLE, span, message).help(help));
            return None;
        };
        let Some(rest) = self.budget.checked_sub(value.len()) else {
            diags.push(Diagnostic::error(code::TOO_LARGE, span, "the values of variables make this file too large"));
            return None;
        };
        self.budget = rest;
        Some(value)
    }
}

fn bad_expansion(text: &str, span: Span) -> Diagnostic {
    let message = format!("`{}` has a `${{` that is not `${{NAME}}` or `${{NAME:-default}}`", abbreviated(text));
    Diagnostic::error(code::BAD_EXPANSION, span, message).help("for a literal `${` write `$${`")
}

/// Cuts a text into pieces; `None` when a `${` is not well formed.
fn split(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (rest.get(..at)?, rest.get(at + 2..)?);
        if let Some(literal) = before.strip_suffix('$') {
            pieces.extend([Piece::Literal(literal), Piece::Literal("${")]);
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}')?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return None;
        }
        if !before.is_empty() {
            pieces.push(Piece::Literal(before));
        }
        pieces.push(Piece::Variable { name, default });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    Some(pieces)
}

fn is_name(name: &str) -> bool {
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::MemoryLoader;
    use crate::source::SourceMap;

    fn expand(text: &str) -> Result<(String, Style), String> {
        let loader =
            MemoryLoader::new().var("HOST", "h.example").var("PORT", "80").var("EMPTY", "").var("S", "${PORT}");
        let (mut sources, mut diags) = (SourceMap::new(), Diagnostics::new());
        let span = Span::start_of(sources.add("a", ""));
        match Expander::new(&loader, 100).scalar(text, Style::Quoted, span, &mut diags) {
            Value::Scalar(scalar) => Ok((scalar.text().to_owned(), scalar.style())),
            Value::Null | Value::Seq(_) | Value::Map(_) | Value::Invalid => Err(diags.sorted()[0].code.to_owned()),
        }
    }

    #[test]
    fn replaces_variables() {
        let check = |text, expected: &str, style| assert_eq!(expand(text), Ok((expected.to_owned(), style)), "{text}");
        check("plain $ {x}", "plain $ {x}", Style::Quoted);
        check("${PORT}", "80", Style::Plain);
        check("${HOST}:${PORT}", "h.example:80", Style::Quoted);
        check("${NONE:-a b}", "a b", Style::Plain);
        check("${EMPTY:-x}", "x", Style::Plain);
        check("${EMPTY}", "", Style::Plain);
        check("${NONE:-}", "", Style::Plain);
        check("$${PORT}", "${PORT}", Style::Quoted);
        check("a$${b}${PORT}", "a${b}80", Style::Quoted);
        check("${S}", "${PORT}", Style::Plain);
    }

    #[test]
    fn refuses_what_it_cannot_replace() {
        let check = |text: &str, code: &str| assert_eq!(expand(text), Err(code.to_owned()), "{text}");
        check("${NONE}", "unset_variable");
        check("${PORT", "bad_expansion");
        check("${}", "bad_expansion");
        check("${1A}", "bad_expansion");
        check("${A B}", "bad_expansion");
        check(&"${HOST}".repeat(50), "too_large");
    }
}
