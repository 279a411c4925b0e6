//! Diagnostics: what is wrong, where, and what would be right.
//!
//! Everything that reads a config pushes into one [`Diagnostics`] and goes on, so that an operator sees all errors
//! at once. Invariants: codes are stable, so that tools may match on them; a value that came from the environment or
//! from a secret's file never stands in a message, for [`Diagnostics::push`] puts what the file says in its place.

use std::collections::HashSet;
use std::fmt;

use crate::source::Span;

/// Whether a config with this diagnostic may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The config is refused.
    Error,
    /// The config is used; something in it is probably not meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Whether it makes the config unusable.
    pub severity: Severity,
    /// A stable name for the kind of finding, such as `unknown_key`. The codes of this crate are in [`crate::code`].
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub message: String,
    /// The place it is about.
    pub span: Span,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that matter, each with a few words: `the first one is here`.
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error without help.
    #[must_use]
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), span, help: None, related: Vec::new() }
    }

    /// A warning without help.
    #[must_use]
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Says what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says `did you mean` if there is a suggestion; otherwise, `otherwise`.
    #[must_use]
    pub fn help_suggest(self, suggestion: Option<&str>, otherwise: impl FnOnce() -> String) -> Self {
        match suggestion {
            Some(word) => self.help(format!("did you mean `{word}`?")),
            None => self.help(otherwise()),
        }
    }

    /// Names another place.
    #[must_use]
    pub fn related(mut self, span: Span, note: impl Into<String>) -> Self {
        self.related.push((span, note.into()));
        self
    }
}

/// The collector that everything pushes into.
#[derive(Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    errors: usize,
    /// How many were not kept, because there were [`Diagnostics::MAX`] before.
    dropped: usize,
    /// Values that must not be shown, and what to show instead.
    hidden: HashSet<(String, String)>,
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diagnostics")
            .field("items", &self.items)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

impl Diagnostics {
    /// How many are kept. The rest is counted.
    pub const MAX: usize = 10_000;

    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a finding. Hidden values in its texts are replaced.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        if self.items.len() >= Self::MAX {
            self.dropped += 1;
            return;
        }
        self.redact(&mut diagnostic.message);
        diagnostic.help.iter_mut().for_each(|help| self.redact(help));
        diagnostic.related.iter_mut().for_each(|(_, note)| self.redact(note));
        self.items.push(diagnostic);
    }

    /// From now on, shows `shown` wherever `value` would stand in a message. Values shorter than six bytes are too
    /// common as parts of words to be told apart, and are left to the callers, who show [`crate::Scalar::shown`].
    pub fn hide(&mut self, value: &str, shown: &str) {
        if value.len() >= 6 {
            self.hidden.insert((value.to_owned(), shown.to_owned()));
        }
    }

    /// Whether there is an error: the config must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were pushed, those not kept included.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// How many findings were not kept.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All that are kept, by place, each once.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.items.iter().collect();
        sorted.sort_by(|a, b| (a.span, a.severity, a.code, &a.message).cmp(&(b.span, b.severity, b.code, &b.message)));
        sorted.dedup();
        sorted
    }

    /// A mark to go back to with [`Diagnostics::since_mut`] or [`Diagnostics::rewind`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.items.len(), errors: self.errors, dropped: self.dropped }
    }

    /// What was pushed since the mark.
    pub(crate) fn since_mut(&mut self, mark: Mark) -> &mut [Diagnostic] {
        self.items.get_mut(mark.len..).unwrap_or_default()
    }

    /// Forgets what was pushed since the mark.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.items.truncate(mark.len);
        self.errors = mark.errors;
        self.dropped = mark.dropped;
    }

    fn redact(&self, text: &mut String) {
        for (value, shown) in &self.hidden {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), shown);
            }
        }
    }
}

/// How much had been pushed at some moment.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    len: usize,
    errors: usize,
    dropped: usize,
}
