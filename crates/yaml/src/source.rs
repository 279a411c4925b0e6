//! The texts that were read, and places inside them.
//!
//! A [`Span`] is a few numbers, so that every node of a tree can carry one. The text is kept once, in the
//! [`SourceMap`], and is only cut into lines when a diagnostic has to show one. Lines end at `\n`, `\r\n` or a lone
//! `\r`, as YAML says; lines and columns count from 1, and columns count characters, not bytes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Which text a span points into; handed out by [`SourceMap::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

/// A place in a text. Line and column count from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// A stretch of one text: `start` is inside, `end` is just past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// The first character.
    pub start: Position,
    /// The character after the last one.
    pub end: Position,
}

impl Span {
    /// The empty span at the beginning of a text; for what concerns a file as a whole.
    #[must_use]
    pub const fn start_of(source: SourceId) -> Self {
        Self { source, start: Position::START, end: Position::START }
    }
}

/// One text with the path it came from.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    /// Byte offsets at which lines begin; computed when first asked for.
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// The path as it was given, or as the include named it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are; an empty text has one.
    #[must_use]
    pub fn line_count(&self) -> usize {
        self.line_starts().len()
    }

    /// A line without its line break, counted from 1.
    #[must_use]
    pub fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let starts = self.line_starts();
        let from = *starts.get(index)?;
        let to = starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(from..to).map(|line| line.trim_end_matches(['\n', '\r']))
    }

    /// The nearest place that exists in this text. The scanner reports the end of a text as a line of its own.
    #[must_use]
    pub fn clamp(&self, at: Position) -> Position {
        let last = u32::try_from(self.line_count()).unwrap_or(u32::MAX);
        let (line, column) = if at.line > last { (last, u32::MAX) } else { (at.line.max(1), at.column.max(1)) };
        let width = self.line(line).map_or(0, |text| text.chars().count());
        let width = u32::try_from(width).unwrap_or(u32::MAX);
        Position { line, column: column.min(width.saturating_add(1)) }
    }

    fn line_starts(&self) -> &[usize] {
        self.lines.get_or_init(|| line_starts(&self.text))
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let lone_return = *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        if *byte == b'\n' || lone_return {
            starts.push(at + 1);
        }
    }
    starts
}

/// All texts of one load, in the order in which they were read.
#[derive(Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// A map without texts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a text; a byte order mark in front is dropped, so that columns are those an editor shows.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> SourceId {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        // 2^32 texts do not fit in memory, so the id never saturates.
        let id = SourceId(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(Source { path: path.into(), text, lines: OnceLock::new() });
        id
    }

    /// The text of an id. `None` only for an id of another map.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(usize::try_from(id.0).ok()?)
    }

    /// The path of a text; empty for an id of another map.
    #[must_use]
    pub fn path(&self, id: SourceId) -> &Path {
        self.get(id).map_or(Path::new(""), Source::path)
    }

    /// The folder against which relative paths written in a text are resolved.
    #[must_use]
    pub fn base_dir(&self, id: SourceId) -> &Path {
        self.path(id).parent().unwrap_or(Path::new(""))
    }

    /// All texts, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceMap {
        let mut map = SourceMap::new();
        map.add("dir/a.yaml", text);
        map
    }

    #[test]
    fn cuts_lines_at_every_kind_of_break() {
        let map = source("a\nb\r\nc\rd");
        let lines: Vec<_> = (1..=5).map(|n| map.get(SourceId(0)).unwrap().line(n)).collect();
        assert_eq!(lines, [Some("a"), Some("b"), Some("c"), Some("d"), None]);
    }

    #[test]
    fn clamps_places_past_the_end() {
        let check = |text: &str, line, column, expected: (u32, u32)| {
            let map = source(text);
            let at = map.get(SourceId(0)).unwrap().clamp(Position { line, column });
            assert_eq!((at.line, at.column), expected, "{text:?} {line}:{column}");
        };
        check("", 1, 1, (1, 1));
        check("", 2, 1, (1, 1));
        check("aé", 2, 1, (1, 3));
        check("a\n", 2, 7, (2, 1));
        check("ab\nc", 1, 9, (1, 3));
    }

    #[test]
    fn drops_a_byte_order_mark() {
        assert_eq!(source("\u{feff}a").get(SourceId(0)).unwrap().text(), "a");
    }

    #[test]
    fn resolves_against_the_folder_of_the_file() {
        assert_eq!(source("").base_dir(SourceId(0)), Path::new("dir"));
    }
}
