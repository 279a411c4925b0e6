//! Text to tree.
//!
//! What is taken is YAML 1.2 less what surprises in a config: one document, no tags, no merge keys, keys are words.
//! Anchors and aliases work; what aliases add is counted, so that a few lines cannot become gigabytes. Errors inside
//! the tree (a duplicate key, a variable that is not set) are pushed and the tree goes on; only an error of syntax or
//! a bound ends it. Costs are linear in the text: duplicate keys are found by hashing, nothing is copied but what an
//! alias repeats.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as RawSpan, StrInput, Tag};

use crate::code;
use crate::diag::{Diagnostic, Diagnostics};
use crate::expand::Expander;
use crate::limits::Limits;
use crate::loader::Loader;
use crate::node::{Entry, Key, Node, Style, Value, abbreviated};
use crate::source::{Position, Source, SourceId, SourceMap, Span};

/// Maps up to this size are searched for duplicates by comparing, larger ones by hashing.
const SMALL_MAP: usize = 8;

/// Parses one text. An empty one is [`Value::Null`]. `None` after an error of syntax or a bound was pushed.
///
/// Variables are taken from `loader`; no file is read.
pub fn parse(
    id: SourceId,
    sources: &SourceMap,
    loader: &dyn Loader,
    limits: &Limits,
    diags: &mut Diagnostics,
) -> Option<Node> {
    let source = sources.get(id)?;
    if source.text().len() > limits.file_bytes {
        let message = format!("the file is larger than {} bytes", limits.file_bytes);
        diags.push(Diagnostic::error(code::TOO_LARGE, Span::start_of(id), message));
        return None;
    }
    let mut builder = Builder {
        id,
        source,
        chars: source.text().chars().count(),
        parser: Parser::new_from_str(source.text()),
        anchors: HashMap::new(),
        limits,
        nodes: 0,
        alias_nodes: 0,
        alias_bytes: 0,
        expander: Expander::new(loader, limits.expanded_bytes),
        diags,
    };
    match builder.document() {
        Ok(node) => Some(node),
        Err(Stop(diagnostic)) => {
            diags.push(*diagnostic);
            None
        }
    }
}

/// An error after which the text cannot be read on.
struct Stop(Box<Diagnostic>);

type Step<T> = Result<T, Stop>;

fn stop(diagnostic: Diagnostic) -> Stop {
    Stop(Box::new(diagnostic))
}

/// A value that an alias may repeat, and what repeating it costs.
struct Anchored {
    node: Node,
    size: Size,
}

/// How large a tree is.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    height: usize,
}

struct Builder<'a, 'd> {
    id: SourceId,
    source: &'a Source,
    /// How many characters the text has.
    chars: usize,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    limits: &'a Limits,
    nodes: usize,
    alias_nodes: usize,
    alias_bytes: usize,
    expander: Expander<'a>,
    diags: &'d mut Diagnostics,
}

impl<'a> Builder<'a, '_> {
    /// The single document of the text.
    fn document(&mut self) -> Step<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    let message = "a second document begins here; a file holds one";
                    let help = "remove the `---`, or move what follows to a file of its own";
                    return Err(stop(Diagnostic::error(code::SYNTAX, self.span(span), message).help(help)));
                }
                Event::DocumentStart(_) => {}
                Event::StreamEnd => break,
                value @ (Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd) => root = Some(self.node(value, span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { span: Span::start_of(self.id), value: Value::Null }))
    }

    fn next(&mut self) -> Step<(Event<'a>, RawSpan)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(stop(self.syntax_error(&error))),
            None => Ok((Event::StreamEnd, RawSpan::default())),
        }
    }

    /// The value that begins with `event`. `depth` is how many lists and maps it stands in.
    fn node(&mut self, event: Event<'a>, raw: RawSpan, depth: usize) -> Step<Node> {
        let span = self.span(raw);
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            let message = format!("the file holds more than {} values", self.limits.nodes);
            return Err(stop(Diagnostic::error(code::TOO_LARGE, span, message)));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                (self.scalar(&text, style, span), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                self.check_depth(depth + 1, span)?;
                (self.sequence(span, depth + 1)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span)?;
                self.check_depth(depth + 1, span)?;
                (self.mapping(span, depth + 1)?, anchor)
            }
            Event::Alias(anchor) => (self.alias(anchor, span, depth)?, 0),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(stop(Diagnostic::error(code::SYNTAX, span, "a value is missing here"))),
        };
        if anchor != 0 {
            self.remember(anchor, &node)?;
        }
        Ok(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Literal | ScalarStyle::Folded => {
                Style::Quoted
            }
        };
        if style == Style::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Node { span, value: Value::Null };
        }
        Node { span, value: self.expander.scalar(text, style, span, self.diags) }
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Step<Node> {
        let mut items = Vec::new();
        loop {
            let (event, raw) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let span = self.extent(start, raw, items.last().map(|node: &Node| node.span));
                return Ok(Node { span, value: Value::Seq(items) });
            }
            items.push(self.node(event, raw, depth)?);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Step<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, raw) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let span = self.extent(start, raw, entries.last().map(|entry| entry.value.span));
                remove_duplicates(&mut entries, self.diags);
                return Ok(Node { span, value: Value::Map(entries) });
            }
            let key = self.key(event, raw, depth)?;
            let (event, raw) = self.next()?;
            let value = self.node(event, raw, depth)?;
            entries.extend(key.map(|key| Entry { key, value }));
        }
    }

    /// A key. `None` when it was refused: its value is still read, for the errors in it.
    fn key(&mut self, event: Event<'a>, raw: RawSpan, depth: usize) -> Step<Option<Key>> {
        let span = self.span(raw);
        let Event::Scalar(text, style, anchor, tag) = event else {
            // Reads past the list, map or alias that stands in the key's place.
            self.node(event, raw, depth)?;
            self.diags.push(Diagnostic::error(code::SYNTAX, span, "a key must be a word, not a list, map or alias"));
            return Ok(None);
        };
        self.refuse_tag(tag.as_deref(), span)?;
        if anchor != 0 {
            self.remember(anchor, &Node { span, value: Value::Invalid })?;
        }
        let problem = if text.is_empty() {
            Some(("a key is missing in front of this `:`", "write the key, or quote the text if it is a value"))
        } else if style == ScalarStyle::Plain && text == "<<" {
            Some(("merge keys (`<<`) are not supported", "repeat the keys, or use an alias for the whole value"))
        } else {
            None
        };
        match problem {
            Some((message, help)) => {
                self.diags.push(Diagnostic::error(code::SYNTAX, span, message).help(help));
                Ok(None)
            }
            None => Ok(Some(Key { span, text: text.into() })),
        }
    }

    /// Repeats an anchored value at the place of its alias, if the bounds allow it.
    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Step<Node> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the value that it repeats";
            return Err(stop(Diagnostic::error(code::SYNTAX, span, message)));
        };
        let (node, size) = (Node { span, value: node.value.clone() }, *size);
        self.charge(size, span)?;
        self.check_depth(depth + size.height, span)?;
        Ok(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node) -> Step<()> {
        let size = measure(node);
        self.charge(size, node.span)?;
        self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        Ok(())
    }

    fn charge(&mut self, size: Size, span: Span) -> Step<()> {
        self.alias_nodes += size.nodes;
        self.alias_bytes += size.bytes;
        if self.alias_nodes > self.limits.alias_nodes || self.alias_bytes > self.limits.expanded_bytes {
            let message = "anchors and aliases make this file too large";
            let help = format!("together they may repeat at most {} values", self.limits.alias_nodes);
            return Err(stop(Diagnostic::error(code::TOO_LARGE, span, message).help(help)));
        }
        Ok(())
    }

    fn check_depth(&self, depth: usize, span: Span) -> Step<()> {
        if depth <= self.limits.depth {
            return Ok(());
        }
        let message = format!("lists and maps are nested more than {} deep", self.limits.depth);
        Err(stop(Diagnostic::error(code::TOO_LARGE, span, message)))
    }

    /// Tags end the parse: their text is copied by the scanner at every use, and they mean nothing here.
    fn refuse_tag(&self, tag: Option<&Tag>, span: Span) -> Step<()> {
        let Some(tag) = tag else { return Ok(()) };
        let name = abbreviated(&tag.suffix);
        let message = format!("tags are not supported (`{name}`)");
        let help = "quote the value to make it a string; every other type follows from the key";
        Err(stop(Diagnostic::error(code::SYNTAX, span, message).help(help)))
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let at = self.source.clamp(self.position(*error.marker()));
        let span = Span { source: self.id, start: at, end: at };
        let line = self.source.line(at.line).unwrap_or_default();
        let diagnostic = Diagnostic::error(code::SYNTAX, span, error.info());
        match syntax_help(error.info(), line) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    fn span(&self, raw: RawSpan) -> Span {
        let (start, end) = (self.position(raw.start), self.position(raw.end));
        Span { source: self.id, start, end: end.max(start) }
    }

    /// The scanner gives the end of the text as a line of its own. Only there is a place outside the text, and
    /// looking at the line of every other place would cost the square of the longest line.
    fn position(&self, marker: Marker) -> Position {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = Position { line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) };
        if marker.index() >= self.chars { self.source.clamp(at) } else { at }
    }

    /// The whole of a list or map. One in brackets ends with its bracket, one in lines with its last value.
    fn extent(&self, start: Span, end: RawSpan, last: Option<Span>) -> Span {
        let end = match last {
            Some(last) if end.is_empty() => last.end,
            Some(_) | None if end.is_empty() => start.end,
            // The scanner counts the spaces after a bracket to it.
            Some(_) | None => {
                let bracket = self.position(end.start);
                Position { column: bracket.column.saturating_add(1), ..bracket }
            }
        };
        Span { end: end.max(start.end), ..start }
    }
}

/// What an operator probably did, for the messages of the scanner that do not say it.
fn syntax_help(info: &str, line: &str) -> Option<&'static str> {
    if line.contains("${") && (info.contains("flow") || line.contains('{')) {
        return Some("inside `{ }` and `[ ]` write variables in quotes: `\"${NAME}\"`");
    }
    let helps = [
        ("mapping values are not allowed", "a value that holds `: ` must be quoted; otherwise check the indentation"),
        ("tab", "indent with spaces"),
        ("simple key", "check that the line has a `:` after its key, and the indentation"),
        (
            "unknown anchor",
            "an alias (`*name`) needs an anchor (`&name`) before it; quote a value that begins with `*`",
        ),
        ("recursion limit", "lists and maps are nested too deep"),
        ("did not find expected", "check the indentation, and that brackets and quotes are closed"),
        ("invalid indentation", "check the indentation"),
        ("quoted scalar", "check that the quotes are closed"),
    ];
    helps.iter().find(|(words, _)| info.contains(words)).map(|(_, help)| *help)
}

/// Keeps the first of entries with the same key; reports the others.
fn remove_duplicates(entries: &mut Vec<Entry>, diags: &mut Diagnostics) {
    if entries.len() <= SMALL_MAP {
        let mut at = 1;
        while let Some((before, [entry, ..])) = entries.split_at_checked(at) {
            if let Some(first) = before.iter().find(|first| first.key.text == entry.key.text) {
                diags.push(duplicate_key(&entry.key, &first.key));
                entries.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen: HashMap<&str, &Key> = HashMap::with_capacity(entries.len());
    let mut keep = vec![true; entries.len()];
    for (entry, keep) in entries.iter().zip(&mut keep) {
        if let Some(first) = seen.get(&*entry.key.text) {
            diags.push(duplicate_key(&entry.key, first));
            *keep = false;
        } else {
            seen.insert(&entry.key.text, &entry.key);
        }
    }
    if keep.contains(&false) {
        let mut keep = keep.into_iter();
        entries.retain(|_| keep.next().unwrap_or(true));
    }
}

/// The error for a key that stands twice, in one file or in two.
pub(crate) fn duplicate_key(second: &Key, first: &Key) -> Diagnostic {
    let message = format!("`{}` stands twice", abbreviated(&second.text));
    Diagnostic::error(code::DUPLICATE_KEY, second.span, message)
        .help("remove one of the two, or give it another name")
        .related(first.span, "the first is here")
}

fn measure(node: &Node) -> Size {
    let children = |sizes: &mut dyn Iterator<Item = Size>| {
        let zero = Size { nodes: 1, bytes: 0, height: 1 };
        sizes.fold(zero, |sum, size| Size {
            nodes: sum.nodes + size.nodes,
            bytes: sum.bytes + size.bytes,
            height: sum.height.max(size.height + 1),
        })
    };
    match &node.value {
        Value::Null | Value::Invalid => Size { nodes: 1, bytes: 0, height: 0 },
        Value::Scalar(scalar) => {
            let written = if scalar.is_expanded() { scalar.shown().len() } else { 0 };
            Size { nodes: 1, bytes: scalar.text().len() + written, height: 0 }
        }
        Value::Seq(items) => children(&mut items.iter().map(measure)),
        Value::Map(entries) => children(&mut entries.iter().map(|entry| {
            let size = measure(&entry.value);
            Size { bytes: size.bytes + entry.key.text.len(), ..size }
        })),
    }
}

#[cfg(test)]
mod tests;
