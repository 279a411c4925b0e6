//! What a node says: an answer, a list of answers, a notification; where its parts stand.
//!
//! A node is read more leniently than a client: what it says is passed on as it is, so all that matters is which call it
//! answers and whether it answers well. Text that is no JSON is no message.

use crate::json::{Cursor, JsonError, JsonFault, Key, Kind, MAX_DEPTH, Span};

#[cfg(test)]
mod tests;

/// Where the parts of a message stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Message {
    /// All of it, from brace to brace.
    pub whole: Span,
    /// The id as JSON text, `null` too.
    pub id: Option<Span>,
    /// The method of a notification, without quotes.
    pub method: Option<Span>,
    /// The params of a notification.
    pub params: Option<Span>,
    /// The result, `null` too.
    pub result: Option<Span>,
    /// The error; `None` for null.
    pub error: Option<Span>,
}

impl Message {
    /// Reads one message that is all of the text.
    ///
    /// # Errors
    /// The text is no JSON, or no object.
    pub fn read(text: &[u8]) -> Result<Self, JsonError> {
        let mut cursor = Cursor::new(text, MAX_DEPTH)?;
        let message = one(&mut cursor, text)?;
        cursor.end()?;
        Ok(message)
    }

    /// Reads a list of messages, or one, that is all of the text; `most` of them at most.
    ///
    /// # Errors
    /// The text is no JSON, or neither an object nor a list of objects, or the list is too long.
    pub fn read_all(text: &[u8], most: usize) -> Result<Vec<Self>, JsonError> {
        let mut cursor = Cursor::new(text, MAX_DEPTH)?;
        let mut messages = Vec::new();
        if cursor.kind()? == Kind::Array {
            cursor.elements(|cursor| {
                if messages.len() == most {
                    return Err(JsonError { at: cursor.at(), fault: JsonFault::Trailing });
                }
                messages.push(one(cursor, text)?);
                Ok(())
            })?;
        } else {
            messages.push(one(&mut cursor, text)?);
        }
        cursor.end()?;
        Ok(messages)
    }

    fn member(&mut self, cursor: &mut Cursor<'_>, text: &[u8], key: Key) -> Result<(), JsonError> {
        let name = key.span.of(text);
        if name == b"method" && cursor.kind()? == Kind::String {
            self.method = Some(cursor.string()?.span);
            return Ok(());
        }
        let (kind, span) = cursor.value()?;
        match name {
            b"id" => self.id = Some(span),
            b"params" => self.params = Some(span),
            b"result" => self.result = Some(span),
            b"error" => self.error = (kind != Kind::Null).then_some(span),
            _ => {}
        }
        Ok(())
    }
}

fn one(cursor: &mut Cursor<'_>, text: &[u8]) -> Result<Message, JsonError> {
    let mut message = Message::default();
    if cursor.kind()? != Kind::Object {
        return Err(JsonError { at: cursor.at(), fault: JsonFault::Value });
    }
    let start = cursor.at();
    cursor.members(|cursor, key| message.member(cursor, text, key))?;
    message.whole = Span::new(start, cursor.at());
    Ok(message)
}
