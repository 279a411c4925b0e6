//! A batch in parts: a request for some of its calls, cut out of the bytes of the whole; and one answer out of theirs.
//!
//! What a node says is passed on as it stands. Which answer belongs to which call is told by the id: by its text, and where
//! a node may have written the same id in another way (escapes, exponents) by its value. Ids that are not unique in a batch
//! are answered in the order in which they stand. A notification is answered by nothing.

use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use portcullis_types::{Batch, BatchPart, BodyView, ProxyError, Reason};

use crate::body::Body;
use crate::error_object;
use crate::json::Span;
use crate::message::Message;
use crate::scan::Limits;

#[cfg(test)]
mod tests;

impl Batch for Body {
    fn call(&self, at: usize) -> Option<Arc<dyn BodyView>> {
        let call = self.calls().get(at)?;
        Some(Arc::new(self.alone(call)))
    }

    fn part(&self, calls: &[usize]) -> Bytes {
        if calls.len() == self.calls().len() && calls.iter().enumerate().all(|(place, call)| place == *call) {
            return self.text().clone();
        }
        let wholes = calls.iter().filter_map(|&at| self.calls().get(at)).map(|call| call.whole().of(self.text()));
        list(wholes)
    }

    fn join(&self, parts: &[BatchPart]) -> Bytes {
        let mut answers: Vec<Option<Cow<'_, [u8]>>> = vec![None; self.calls().len()];
        for part in parts {
            self.answer(part, &mut answers);
        }
        let expected = self.calls().iter().zip(answers).filter_map(|(call, answer)| {
            let id = call.id()?;
            // A call that no part speaks of.
            let missing = || Cow::Owned(self.error(id, &Reason::Internal.into()));
            Some(answer.unwrap_or_else(missing))
        });
        let answers: Vec<_> = expected.collect();
        if answers.is_empty() { Bytes::new() } else { list(answers.iter().map(AsRef::as_ref)) }
    }
}

impl Body {
    /// Puts the answers to a part in the places of its calls.
    fn answer<'a>(&self, part: &'a BatchPart, answers: &mut [Option<Cow<'a, [u8]>>]) {
        let calls = part.calls.iter().filter_map(|&at| Some((at, self.calls().get(at)?.id()?)));
        let mut put = |at: usize, answer: Cow<'a, [u8]>| {
            if let Some(place) = answers.get_mut(at) {
                *place = Some(answer);
            }
        };
        let text = match &part.answer {
            Ok(text) => text,
            Err(error) => {
                return calls.for_each(|(at, id)| put(at, Cow::Owned(self.error(id, error))));
            }
        };
        let messages = Message::read_all(text, Limits::CEILING.batch).unwrap_or_default();
        let refusal = refusal_of_all(&messages, text);
        let mut found = by_id(&messages, text);
        for (at, id) in calls {
            let message = found.get_mut(canonical(id.of(self.text())).as_ref()).and_then(VecDeque::pop_front);
            put(
                at,
                match (message, refusal) {
                    (Some(whole), _) => Cow::Borrowed(whole.of(text)),
                    (None, Some(error)) => Cow::Owned(error_object::of_node(self.slice(id), error.str_of(text)).into()),
                    (None, None) => Cow::Owned(self.error(id, &Reason::UpstreamMalformed.into())),
                },
            );
        }
    }

    fn error(&self, id: Span, error: &ProxyError) -> Vec<u8> {
        error_object::write(Some(self.slice(id)), error).into()
    }
}

/// The error of a node that refused a part as a whole: one message, of no id.
fn refusal_of_all(messages: &[Message], text: &[u8]) -> Option<Span> {
    let [message] = messages else { return None };
    message.error.filter(|_| message.id.is_none_or(|id| id.of(text) == b"null"))
}

/// The answers, by the values of their ids, in order.
fn by_id<'a>(messages: &[Message], text: &'a [u8]) -> HashMap<Cow<'a, [u8]>, VecDeque<Span>> {
    let mut found: HashMap<_, VecDeque<_>> = HashMap::with_capacity(messages.len());
    for message in messages.iter().filter(|message| message.result.is_some() || message.error.is_some()) {
        if let Some(id) = message.id {
            found.entry(canonical(id.of(text))).or_default().push_back(message.whole);
        }
    }
    found
}

/// An id in the way that all would write it: as it stands, unless it has escapes, a fraction or an exponent.
pub(crate) fn canonical(id: &[u8]) -> Cow<'_, [u8]> {
    let plain = match id.first() {
        Some(b'"') => !id.contains(&b'\\'),
        _ => !id.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')),
    };
    let value = if plain { None } else { serde_json::from_slice::<serde_json::Value>(id).ok() };
    value.map_or(Cow::Borrowed(id), |value| Cow::Owned(value.to_string().into_bytes()))
}

/// A list of JSON texts.
pub(crate) fn list<'a>(items: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let most = items.clone().map(|item| item.len() + 1).sum::<usize>() + 2;
    let mut out = BytesMut::with_capacity(most);
    out.extend_from_slice(b"[");
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.extend_from_slice(b",");
        }
        out.extend_from_slice(item);
    }
    out.extend_from_slice(b"]");
    out.freeze()
}
