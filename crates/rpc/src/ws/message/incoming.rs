//! What an upstream says.
//!
//! A notification is looked through once, whoever waits for it. All that differs from one subscriber to the next is
//! the number of the subscription, so the text is kept as it came, with the place of that number.

use bytes::Bytes;
use portcullis_types::Reason;

use crate::json::{Cursor, JsonError, Key, Kind as Json, MAX_DEPTH, Span};
use crate::ws::kind::Kind;

/// A message of an upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// To a subscription, by the upstream's number of it.
    Notification(u64, Notification),
    /// To a request of ours.
    Answer {
        /// The request.
        id: u64,
        /// Where its result stands, or its error.
        outcome: Result<Span, Span>,
        /// The whole text.
        text: Bytes,
    },
    /// Something else; nobody waits for it.
    Other,
}

/// A notification, to be sent to any number of subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    text: Bytes,
    number: Span,
    /// What it is about, if it is something known.
    pub kind: Option<Kind>,
    /// Whether the upstream ended the subscription with it.
    pub last: bool,
}

/// A message that is no JSON object: who sends it is no JSON-RPC server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's message is no JSON-RPC")]
pub struct Malformed;

impl Malformed {
    /// The reason for it.
    pub const REASON: Reason = Reason::UpstreamMalformed;
}

impl Notification {
    /// The same, shared with the text.
    #[must_use]
    pub fn shared_parts(&self) -> (Bytes, Bytes) {
        let length = self.text.len();
        (self.text.slice(..self.number.start().min(length)), self.text.slice(self.number.end().min(length)..))
    }

    /// The bytes of text besides the number.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text.len().saturating_sub(self.number.len())
    }

    /// The text before the number of the subscription, and the text behind it.
    #[must_use]
    pub fn parts(&self) -> (&[u8], &[u8]) {
        let (before, rest) = self.text.split_at(self.number.start().min(self.text.len()));
        (before, rest.get(self.number.len()..).unwrap_or_default())
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    id: Option<u64>,
    method: Option<Span>,
    result: Option<Span>,
    error: Option<Span>,
    number: Option<Span>,
    /// The kind of `params.result.value`.
    value: Option<Json>,
}

impl Incoming {
    /// Reads a message.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn read(text: Bytes) -> Result<Self, Malformed> {
        let mut found = Found::default();
        let mut cursor = Cursor::within(&text, MAX_DEPTH);
        if cursor.kind().map_err(|_| Malformed)? != Json::Object {
            return Err(Malformed);
        }
        let walked = cursor.members(|cursor, key| found.member(cursor, &text, key));
        walked.and_then(|()| cursor.end()).map_err(|_: JsonError| Malformed)?;
        Ok(found.made_of(text))
    }
}

impl Found {
    fn member(&mut self, cursor: &mut Cursor<'_>, text: &[u8], key: Key) -> Result<(), JsonError> {
        let kind = cursor.kind()?;
        if key.span.of(text) == b"params" && kind == Json::Object {
            return cursor.members(|cursor, key| self.param(cursor, text, key));
        }
        let (kind, span) = cursor.value()?;
        match (key.span.of(text), kind) {
            (b"id", Json::Number) => self.id = span.str_of(text).parse().ok(),
            (b"method", Json::String) => self.method = Some(span),
            (b"result", _) => self.result = Some(span),
            (b"error", Json::Object) => self.error = Some(span),
            _ => {}
        }
        Ok(())
    }

    fn param(&mut self, cursor: &mut Cursor<'_>, text: &[u8], key: Key) -> Result<(), JsonError> {
        match (key.span.of(text), cursor.kind()?) {
            (b"result", Json::Object) => cursor.members(|cursor, key| {
                let (kind, _) = cursor.value()?;
                if key.span.of(text) == b"value" {
                    self.value = Some(kind);
                }
                Ok(())
            }),
            (b"subscription", Json::Number) => {
                self.number = Some(cursor.value()?.1);
                Ok(())
            }
            _ => cursor.value().map(drop),
        }
    }

    fn made_of(self, text: Bytes) -> Incoming {
        let Self { id, method, result, error, number, value } = self;
        if let (Some(method), Some(number)) = (method, number)
            && let Ok(subscription) = number.str_of(&text).parse()
        {
            let kind = Kind::of_notification(method.str_of(&text).trim_matches('"'));
            // Of a signature it may be said first that it was received, which is a string.
            let last = kind == Some(Kind::Signature) && value == Some(Json::Object);
            return Incoming::Notification(subscription, Notification { text, number, kind, last });
        }
        match (id, error, result) {
            (Some(id), Some(error), _) => Incoming::Answer { id, outcome: Err(error), text },
            (Some(id), None, Some(result)) => Incoming::Answer { id, outcome: Ok(result), text },
            _ => Incoming::Other,
        }
    }
}
