//! Keys whose values may be wrong without hiding what is wrong elsewhere.
//!
//! A struct is not read when one of its fields cannot be. At the levels that checks of meaning work on, that would
//! hide what else is wrong, so there such a field is [`Lax`]: its error is said, and it counts as left out.

use std::ops::Deref;

use portcullis_yaml::{Cx, Decode, Node, SchemaGen, Value};
use serde_json::Value as Json;

/// A key that may be left out, and whose value may be broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lax<T> {
    value: Option<T>,
    broken: bool,
}

impl<T> Lax<T> {
    /// Whether a value is written that could not be read.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes the value out, if there is one that could be read.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Deref for Lax<T> {
    type Target = Option<T>;

    fn deref(&self) -> &Option<T> {
        &self.value
    }
}

impl<T: Decode> Decode for Lax<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.value == Value::Null {
            return Some(Self { value: None, broken: false });
        }
        let value = T::decode(node, cx);
        Some(Self { broken: value.is_none(), value })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        T::schema(schemas)
    }

    fn default_missing() -> Option<Self> {
        Some(Self { value: None, broken: false })
    }
}
