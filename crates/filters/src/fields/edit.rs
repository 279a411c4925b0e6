//! Edits of heads by typed names and values.

use http::{HeaderName, HeaderValue};
use pingora_http::{RequestHeader, ResponseHeader};
use portcullis_filter::{RequestCx, ResponseCx};

use super::Field;
use crate::template::Vars;

/// A head whose fields can be edited by typed names and values.
pub(crate) trait Head {
    fn insert(&mut self, name: &HeaderName, value: HeaderValue);
    fn append(&mut self, name: &HeaderName, value: HeaderValue);
    fn remove(&mut self, name: &HeaderName);
}

// Typed names and values cannot fail, short of the map's limit of 32,768 fields, which no head reaches: its bytes
// are bounded. So results are dropped here.
impl Head for RequestHeader {
    fn insert(&mut self, name: &HeaderName, value: HeaderValue) {
        drop(self.insert_header(name, value));
    }

    fn append(&mut self, name: &HeaderName, value: HeaderValue) {
        drop(self.append_header(name, value));
    }

    fn remove(&mut self, name: &HeaderName) {
        drop(self.remove_header(name));
    }
}

impl Head for ResponseHeader {
    fn insert(&mut self, name: &HeaderName, value: HeaderValue) {
        drop(self.insert_header(name, value));
    }

    fn append(&mut self, name: &HeaderName, value: HeaderValue) {
        drop(self.append_header(name, value));
    }

    fn remove(&mut self, name: &HeaderName) {
        drop(self.remove_header(name));
    }
}

/// A head together with what its templates take values from.
pub(crate) trait Message {
    type Head: Head;

    fn vars(&self) -> Vars<'_>;
    fn head(&mut self) -> &mut Self::Head;
}

impl Message for RequestCx<'_> {
    type Head = RequestHeader;

    fn vars(&self) -> Vars<'_> {
        Vars::of_request(self)
    }

    fn head(&mut self) -> &mut RequestHeader {
        self.request
    }
}

impl Message for ResponseCx<'_> {
    type Head = ResponseHeader;

    fn vars(&self) -> Vars<'_> {
        Vars::of_response(self)
    }

    fn head(&mut self) -> &mut ResponseHeader {
        self.response
    }
}

/// An answer in the making.
pub(crate) struct Answering<'a> {
    pub(crate) head: &'a mut ResponseHeader,
    pub(crate) vars: Vars<'a>,
}

impl Message for Answering<'_> {
    type Head = ResponseHeader;

    fn vars(&self) -> Vars<'_> {
        self.vars
    }

    fn head(&mut self) -> &mut ResponseHeader {
        self.head
    }
}

/// Puts a field in place of any of its name. When all its values come out empty, the field is taken away, so that
/// what the other side sent under this name never stands for what the gateway would say.
pub(crate) fn set(message: &mut impl Message, field: &Field) {
    let name = field.name.get();
    let mut done = false;
    for template in &field.values {
        match template.value(&message.vars()) {
            Some(value) if done => message.head().append(name, value),
            Some(value) => {
                message.head().insert(name, value);
                done = true;
            }
            None => {}
        }
    }
    if !done {
        message.head().remove(name);
    }
}

/// Adds a field beside any of its name; values that come out empty add nothing.
pub(crate) fn add(message: &mut impl Message, field: &Field) {
    for template in &field.values {
        if let Some(value) = template.value(&message.vars()) {
            message.head().append(field.name.get(), value);
        }
    }
}
