//! The tree a text becomes: scalars, lists and maps, each with its place.
//!
//! Types are not guessed here. A plain `5` is a scalar with the text `5`; whether it is a number, a string or a
//! duration is for the decoder of the expected type to say. Invariants: keys of a map are unique and not empty, and
//! the tree is no deeper than [`crate::Limits::depth`], so that recursion over it is safe.

use crate::source::Span;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value stands. For the value of an alias, where the alias stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// A single value that is not a list or a map.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Entry>),
    /// Something that was already reported as an error; decoders pass over it in silence.
    Invalid,
}

/// The text of a scalar, after `${NAME}` was replaced.
#[derive(Clone, PartialEq)]
pub struct Scalar {
    text: Box<str>,
    /// The text before `${NAME}` was replaced, if anything was.
    written: Option<Box<str>>,
    style: Style,
}

/// Whether a scalar was quoted. A quoted one is always a string, so that `"no"` and `"010"` are what they look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes, or nothing but one `${NAME}`, quoted or not.
    Plain,
    /// In quotes, or a block (`|`, `>`).
    Quoted,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key of a map with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where the key stands.
    pub span: Span,
    /// The key itself. Nothing is replaced in keys.
    pub text: Box<str>,
}

impl Scalar {
    /// A scalar as it stands in the text.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>, style: Style) -> Self {
        Self { text: text.into(), written: None, style }
    }

    /// A scalar in which something was replaced: `written` is what the file says.
    #[must_use]
    pub fn expanded(text: impl Into<Box<str>>, written: impl Into<Box<str>>, style: Style) -> Self {
        Self { text: text.into(), written: Some(written.into()), style }
    }

    /// The value. It may hold a secret from the environment: use [`Scalar::shown`] in messages.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What may be shown to a person: the text as it stands in the file.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    /// Whether the value came, in part, from the environment.
    #[must_use]
    pub fn is_expanded(&self) -> bool {
        self.written.is_some()
    }

    /// Whether it was quoted.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// The text, if it could be a number or a bool: not quoted.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self.style {
            Style::Plain => Some(&self.text),
            Style::Quoted => None,
        }
    }
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the replaced value: a tree may end in a log.
        match self.style {
            Style::Plain => f.write_str(self.shown()),
            Style::Quoted => write!(f, "{:?}", self.shown()),
        }
    }
}

impl Node {
    /// An empty map; stands for a value that was left out.
    #[must_use]
    pub fn empty_map(span: Span) -> Self {
        Self { span, value: Value::Map(Vec::new()) }
    }

    /// The entries of a map; empty for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::Seq(_) | Value::Invalid => &[],
        }
    }

    /// The items of a list; empty for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            Value::Null | Value::Scalar(_) | Value::Map(_) | Value::Invalid => &[],
        }
    }

    /// The scalar, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::Seq(_) | Value::Map(_) | Value::Invalid => None,
        }
    }

    /// The value of a key, looked for from the front.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key.text == key)
    }

    /// What a message says was found: `a list`, `the number 5`. Never an expanded value.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Seq(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => describe_scalar(scalar),
            Value::Invalid => "an invalid value".to_owned(),
        }
    }
}

fn describe_scalar(scalar: &Scalar) -> String {
    let shown = abbreviated(scalar.shown());
    match scalar.style {
        Style::Quoted => format!("the string \"{shown}\""),
        Style::Plain => format!("`{shown}`"),
    }
}

/// The text cut to what fits into a message.
pub(crate) fn abbreviated(text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
