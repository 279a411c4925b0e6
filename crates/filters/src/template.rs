//! Text with variables, as `headers`, `respond`, `redirect` and `errors` take it.
//!
//! `{name}` stands for a value of the request, `{{name}}` for the text `{name}` itself. Any other brace is text, so
//! that JSON and CSS need no escapes. A name that is no variable is an error when the config is read.
//!
//! Invariants: a template is parsed once, at load; what it is rendered into says how values are escaped, and no
//! value can leave its place: no line break enters a field, no quote a JSON string, no tag a page, no authority a
//! Location.

mod escape;
mod variable;

#[cfg(test)]
mod tests;

use portcullis_yaml::suggest;

pub use escape::Escape;
pub use variable::{Failure, Vars};

pub(crate) use variable::{Scratch, Variable};

/// Which variables a template may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of a request.
    Request,
    /// Those of a request, and of its failure: `reason`, `title`, `detail`, `status`.
    Failure,
}

/// Text with variables, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Stands for itself.
    Text(Box<str>),
    /// Stands for a value.
    Variable(Variable),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// A sentence for the operator that names the first variable that is none.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            let (token, tail) = token(after);
            match token {
                Token::Brace => plain.push('{'),
                Token::Escaped(name) => plain.extend(["{", name, "}"]),
                Token::Variable(name) => {
                    let variable = Variable::parse(name, scope).ok_or_else(|| unknown(name, scope))?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain).into()));
                    }
                    parts.push(Part::Variable(variable));
                }
            }
            rest = tail;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// The text of a template without variables.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            [Part::Variable(_)] | [_, _, ..] => None,
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Renders the template onto the end of `out`. A variable without a value leaves nothing.
    pub fn render(&self, vars: &Vars<'_>, escape: Escape, out: &mut Vec<u8>) {
        let mut scratch = Scratch::default();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => escape.push(variable, variable.value(vars, &mut scratch), out),
            }
        }
    }
}

enum Token<'a> {
    /// A brace that opens nothing.
    Brace,
    /// `{{name}}`.
    Escaped(&'a str),
    /// `{name}`.
    Variable(&'a str),
}

/// What stands behind an opening brace, and what follows it.
fn token(after: &str) -> (Token<'_>, &str) {
    let found = match after.strip_prefix('{') {
        Some(inner) => name(inner, "}}").map(|(name, tail)| (Token::Escaped(name), tail)),
        None => name(after, "}").map(|(name, tail)| (Token::Variable(name), tail)),
    };
    found.unwrap_or((Token::Brace, after))
}

/// A name that ends with `close`: a lower-case letter, then letters, digits, `_`, `.` and `-`.
fn name<'a>(text: &'a str, close: &str) -> Option<(&'a str, &'a str)> {
    let (name, tail) = text.split_once(close)?;
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    (begins && fits).then_some((name, tail))
}

fn unknown(name: &str, scope: Scope) -> String {
    let near = suggest(name, Variable::names(scope));
    let hint = near.map_or_else(
        || format!("the variables are {}", Variable::listed(scope)),
        |near| format!("did you mean `{{{near}}}`?"),
    );
    format!("`{{{name}}}` is no variable: {hint} (for the text itself, write `{{{{{name}}}}}`)")
}
