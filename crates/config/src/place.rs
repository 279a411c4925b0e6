//! Places of the config as `explain` shows them: the file, the line, and the lines themselves.

use portcullis_snapshot::route::Place;
use portcullis_yaml::{SourceMap, Span};

/// The place of a span, with at most `most` of its lines.
pub(crate) fn place(sources: &SourceMap, span: Span, most: u32) -> Place {
    let file = sources.path(span.source).display().to_string().into();
    let first = span.start.line;
    // A block ends where the next thing begins: at the start of a line that is not its own.
    let last = if span.end.column == 1 { span.end.line.saturating_sub(1) } else { span.end.line }.max(first);
    let source = sources.get(span.source);
    let line = |number: u32| source.and_then(|source| source.line(number));
    let shown = last.min(first.saturating_add(most.saturating_sub(1)));
    let mut lines: Vec<&str> = (first..=shown).map_while(line).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        lines.pop();
    }
    if shown < last {
        lines.push("…");
    }
    Place { file, line: first, excerpt: lines.join("\n").into() }
}

/// Lines of a listener or a cluster that `explain` shows.
const ENTRY_LINES: u32 = 20;

/// The place of a key with its value.
pub(crate) fn entry_place(sources: &SourceMap, key: Span, value: Span) -> Place {
    place(sources, Span { end: value.end, ..key }, ENTRY_LINES)
}
