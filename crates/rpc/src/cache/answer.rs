//! An answer that is given out under other ids than its own.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::canonical;
use crate::json::Span;
use crate::message::Message;

/// A whole answer with a result.
#[derive(Debug)]
pub(super) struct Answer {
    text: Bytes,
    id: Span,
    result: Span,
}

impl Answer {
    /// The answer to a call of this id, if that is what the text is, and it has a result.
    pub(super) fn read(text: Bytes, id: &[u8]) -> Option<Self> {
        let message = Message::read(&text).ok()?;
        let own = message.id.filter(|own| canonical(own.of(&text)) == canonical(id))?;
        let result = message.result.filter(|_| message.error.is_none())?;
        Some(Self { text, id: own, result })
    }

    /// The answer under another id.
    pub(super) fn under(&self, id: &[u8]) -> Bytes {
        if self.id.of(&self.text) == id {
            return self.text.clone();
        }
        let mut out = BytesMut::with_capacity(self.text.len() + id.len());
        out.put_slice(self.text.get(..self.id.start()).unwrap_or_default());
        out.put_slice(id);
        out.put_slice(self.text.get(self.id.end()..).unwrap_or_default());
        out.freeze()
    }

    /// Its result.
    pub(super) fn result(&self) -> &[u8] {
        self.result.of(&self.text)
    }

    /// Bytes it has.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str, id: &str) -> Option<Answer> {
        Answer::read(Bytes::from_static(text.as_bytes()), id.as_bytes())
    }

    #[test]
    fn an_answer_is_given_out_under_any_id_with_its_type() {
        let answer = read("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"id\":1}}\n", "1").expect("an answer");
        for id in ["1", "\"1\"", "null", "\"a\\u0041\"", "-1.5e3"] {
            let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"id\":1}}}}\n");
            assert_eq!(answer.under(id.as_bytes()), expected);
        }
    }

    #[test]
    fn what_answers_another_call_or_errs_is_no_answer() {
        for text in [
            r#"{"jsonrpc":"2.0","id":2,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":"1","result":1}"#,
            r#"{"jsonrpc":"2.0","result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"[{"jsonrpc":"2.0","id":1,"result":1}]"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1"#,
        ] {
            assert!(read(text, "1").is_none(), "{text}");
        }
        assert!(read(r#"{"id":1000.0,"result":null}"#, "1e3").is_some());
    }
}
