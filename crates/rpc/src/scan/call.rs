//! One call: its members by name, each once.

use super::error::{Invalid, ScanError};
use crate::json::{Cursor, JsonError, Key, Kind, Span};

/// The most bytes of an id, its quotes counted.
pub const MAX_ID: usize = 256;
/// The most bytes of a method's name.
pub const MAX_METHOD: usize = 128;

/// Where the parts of a call stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    whole: Span,
    id: Option<Span>,
    method: Span,
    params: Option<Span>,
}

impl Call {
    /// All of it, from brace to brace.
    #[must_use]
    pub const fn whole(&self) -> Span {
        self.whole
    }

    /// Its id as JSON text, `null` too; `None` for a notification, which has no answer.
    #[must_use]
    pub const fn id(&self) -> Option<Span> {
        self.id
    }

    /// Its method, without quotes: it has no escapes.
    #[must_use]
    pub const fn method(&self) -> Span {
        self.method
    }

    /// Its params, an array or an object; `None` when there are none, or null.
    #[must_use]
    pub const fn params(&self) -> Option<Span> {
        self.params
    }

    /// The same call in the text that begins where it does.
    #[must_use]
    pub fn alone(&self) -> Self {
        let from = self.whole.start();
        let back = |span: Span| Span::new(span.start().saturating_sub(from), span.end().saturating_sub(from));
        Self {
            whole: back(self.whole),
            id: self.id.map(back),
            method: back(self.method),
            params: self.params.map(back),
        }
    }
}

/// What was found of a call so far.
#[derive(Default)]
struct Found {
    version: bool,
    id: Option<Span>,
    method: Option<Span>,
    /// `Some(None)` for null.
    params: Option<Option<Span>>,
    /// The first thing that is wrong; the walk goes on, for the id to be found.
    wrong: Option<Invalid>,
}

/// Reads the call in front of the cursor.
pub(super) fn read(cursor: &mut Cursor<'_>, text: &[u8], place: usize) -> Result<Call, ScanError> {
    let invalid = |what, id| ScanError::Invalid { call: place, what, id };
    if cursor.kind()? != Kind::Object {
        return Err(invalid(Invalid::Call, None));
    }
    let start = cursor.at();
    let mut found = Found::default();
    cursor.members(|cursor, key| found.member(cursor, text, key))?;
    let whole = Span::new(start, cursor.at());
    let Found { version, id, method, params, wrong } = found;
    match (wrong, method) {
        (Some(what), _) => Err(invalid(what, id)),
        (None, _) if !version => Err(invalid(Invalid::Version, id)),
        (None, None) => Err(invalid(Invalid::Method, id)),
        (None, Some(method)) => Ok(Call { whole, id, method, params: params.flatten() }),
    }
}

impl Found {
    fn wrong(&mut self, what: Invalid) {
        self.wrong.get_or_insert(what);
    }

    fn member(&mut self, cursor: &mut Cursor<'_>, text: &[u8], key: Key) -> Result<(), JsonError> {
        if key.escaped {
            self.wrong(Invalid::EscapedKey);
        }
        match key.span.of(text) {
            b"jsonrpc" => self.version(cursor, text),
            b"id" => self.id(cursor),
            b"method" => self.method(cursor),
            b"params" => self.params(cursor),
            _ => cursor.value().map(drop),
        }
    }

    fn version(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), JsonError> {
        let (_, span) = cursor.value()?;
        if self.version {
            self.wrong(Invalid::Twice("jsonrpc"));
        } else if span.of(text) == b"\"2.0\"" {
            self.version = true;
        } else {
            self.wrong(Invalid::Version);
        }
        Ok(())
    }

    fn id(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        let (kind, span) = cursor.value()?;
        if self.id.is_some() {
            self.wrong(Invalid::Twice("id"));
        } else if !matches!(kind, Kind::Number | Kind::String | Kind::Null) {
            self.wrong(Invalid::Id);
        } else if span.len() > MAX_ID {
            self.wrong(Invalid::LongId);
        } else {
            self.id = Some(span);
        }
        Ok(())
    }

    fn method(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        if cursor.kind()? != Kind::String {
            self.wrong(Invalid::Method);
            return cursor.value().map(drop);
        }
        let name = cursor.string()?;
        if self.method.is_some() {
            self.wrong(Invalid::Twice("method"));
        } else if name.escaped {
            self.wrong(Invalid::EscapedMethod);
        } else if name.span.is_empty() || name.span.len() > MAX_METHOD {
            self.wrong(Invalid::MethodLength);
        } else {
            self.method = Some(name.span);
        }
        Ok(())
    }

    fn params(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        let (kind, span) = cursor.value()?;
        if self.params.is_some() {
            self.wrong(Invalid::Twice("params"));
        }
        match kind {
            Kind::Array | Kind::Object => self.params = Some(Some(span)),
            Kind::Null => self.params = Some(None),
            Kind::Bool | Kind::Number | Kind::String => self.wrong(Invalid::Params),
        }
        Ok(())
    }
}
