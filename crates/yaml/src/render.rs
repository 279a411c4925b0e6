//! Diagnostics as text for people and as JSON for tools.
//!
//! Only text of the files is shown, never a value that was put in its place, and no login of a URL. Control characters and marks that
//! change the direction of text are replaced, so that a file cannot steer the terminal it is shown on.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::diag::{Diagnostic, Diagnostics};
use crate::logins::without_logins;
use crate::source::{SourceMap, Span};

/// The widest excerpt, in characters. Longer lines are cut around the place.
const WIDTH: usize = 120;
/// How many characters are left in front of the place when a line is cut.
const BEFORE: usize = 40;

/// All findings as text:
///
/// ```text
/// gate.yaml:12:5: error[unknown_key]: unknown key `tiemout`
///   12 |     tiemout: 5s
///      |     ^^^^^^^
///      help: did you mean `timeout`?
/// ```
#[must_use]
pub fn render_text(diagnostics: &Diagnostics, sources: &SourceMap) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        render_one(&mut out, diagnostic, sources);
    }
    if diagnostics.dropped() > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(out, "… and {} more", diagnostics.dropped());
    }
    out
}

/// One finding as text, with its excerpt.
#[must_use]
pub fn render_diagnostic(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut out = String::new();
    render_one(&mut out, diagnostic, sources);
    out
}

/// All findings as a JSON array of objects with `severity`, `code`, `message`, `file`, `line`, `column`, `end_line`,
/// `end_column`, `excerpt` (the line), `help` and `related` (objects with `file`, `line`, `column`, `message`).
#[must_use]
pub fn render_json(diagnostics: &Diagnostics, sources: &SourceMap) -> Value {
    diagnostics.sorted().into_iter().map(|diagnostic| json_one(diagnostic, sources)).collect()
}

fn render_one(out: &mut String, diagnostic: &Diagnostic, sources: &SourceMap) {
    let place = place(diagnostic.span, sources);
    let (severity, code, message) = (diagnostic.severity.as_str(), diagnostic.code, clean(&diagnostic.message));
    // Writing to a string does not fail.
    let _ = writeln!(out, "{place}: {severity}[{code}]: {message}");
    let gutter = excerpt(out, diagnostic.span, sources);
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "{:gutter$} help: {}", "", clean(help));
    }
    for (span, note) in &diagnostic.related {
        let _ = writeln!(out, "{:gutter$} {}: {}", "", self::place(*span, sources), clean(note));
    }
}

/// Writes the line and the carets under it; returns how wide the column of line numbers is.
fn excerpt(out: &mut String, span: Span, sources: &SourceMap) -> usize {
    let number = span.start.line.to_string();
    let gutter = number.len().max(3) + 1;
    let Some(line) = sources.get(span.source).and_then(|source| source.line(span.start.line)) else {
        return gutter;
    };
    if line.trim().is_empty() {
        return gutter;
    }
    let width = line.chars().count();
    let column = |column: u32| usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1).min(width);
    let start = column(span.start.column);
    let end = if span.end.line > span.start.line { line.trim_end().chars().count() } else { column(span.end.column) };
    let skip = if width > WIDTH { start.saturating_sub(BEFORE) } else { 0 };
    let shown: String = without_logins(line, ends_url).chars().skip(skip).take(WIDTH).collect();
    let (head, tail) = (if skip > 0 { "…" } else { "" }, if width > skip + WIDTH { "…" } else { "" });
    let end = end.min(skip + WIDTH).max(start + 1);
    let indent = start - skip + head.chars().count();
    let _ = writeln!(out, "{number:>gutter$} | {head}{}{tail}", clean(&shown));
    let _ = writeln!(out, "{:>gutter$} | {:indent$}{}", "", "", "^".repeat(end - start));
    gutter
}

fn place(span: Span, sources: &SourceMap) -> String {
    format!("{}:{}:{}", sources.path(span.source).display(), span.start.line, span.start.column)
}

/// Where a URL in a line ends at the latest.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'')
}

/// One character for one character, so that carets stay under what they point at.
fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if steers(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn json_one(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let span = diagnostic.span;
    let line = sources.get(span.source).and_then(|source| source.line(span.start.line));
    let related: Vec<Value> =
        diagnostic.related.iter().map(|(span, note)| json_related(*span, note, sources)).collect();
    json!({
        "severity": diagnostic.severity.as_str(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": sources.path(span.source).display().to_string(),
        "line": span.start.line,
        "column": span.start.column,
        "end_line": span.end.line,
        "end_column": span.end.column,
        "excerpt": line.map(|text| without_logins(text, ends_url).chars().take(1_000).collect::<String>()),
        "help": diagnostic.help,
        "related": related,
    })
}

fn json_related(span: Span, note: &str, sources: &SourceMap) -> Value {
    json!({
        "file": sources.path(span.source).display().to_string(),
        "line": span.start.line,
        "column": span.start.column,
        "message": note,
    })
}
