//! Wrappers around other types, and values without a type.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Decode;
use super::scalars::{json_integer, parse_float};
use crate::cx::Cx;
use crate::node::{Node, Value};
use crate::schema::SchemaGen;
use crate::source::Span;

/// A value with the place it was written at.
#[derive(Debug, Clone, Copy)]
pub struct Spanned<T> {
    /// The place.
    pub span: Span,
    /// The value.
    pub value: T,
}

impl<T> Spanned<T> {
    /// Puts another value in the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { span: self.span, value: f(self.value) }
    }

    /// The same place with a reference to the value.
    pub fn as_ref(&self) -> Spanned<&T> {
        Spanned { span: self.span, value: &self.value }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Places do not count: two configs that say the same are equal.
impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::decode(node, cx).map(|value| Self { span: node.span, value })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        T::schema(schemas)
    }

    fn encode(&self) -> Option<Json> {
        self.value.encode()
    }
}

/// Left out or `null` is `None`.
impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.value {
            Value::Null => Some(None),
            Value::Scalar(_) | Value::Seq(_) | Value::Map(_) | Value::Invalid => T::decode(node, cx).map(Some),
        }
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        T::schema(schemas)
    }

    fn default_missing() -> Option<Self> {
        Some(None)
    }

    fn encode(&self) -> Option<Json> {
        self.as_ref().map_or(Some(Json::Null), T::encode)
    }
}

macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<T: Decode> Decode for $pointer<T> {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                T::decode(node, cx).map(Self::new)
            }

            fn schema(schemas: &mut SchemaGen) -> Json {
                T::schema(schemas)
            }

            fn default_missing() -> Option<Self> {
                T::default_missing().map(Self::new)
            }

            fn encode(&self) -> Option<Json> {
                T::encode(self)
            }
        }
    )*};
}

pointers!(Box, Arc);

/// A list, or a single value in place of a list of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> IntoIterator for OneOrMany<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.value {
            Value::Seq(_) => Vec::decode(node, cx).map(Self),
            Value::Null | Value::Scalar(_) | Value::Map(_) | Value::Invalid => {
                T::decode(node, cx).map(|value| Self(vec![value]))
            }
        }
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        let one = T::schema(schemas);
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }

    fn encode(&self) -> Option<Json> {
        self.0.encode()
    }
}

/// The value as JSON: plain scalars by the YAML 1.2 core schema, quoted ones as strings.
impl Decode for Json {
    fn decode(node: &Node, _: &mut Cx<'_>) -> Option<Self> {
        to_json(node)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({})
    }

    fn encode(&self) -> Option<Json> {
        Some(self.clone())
    }
}

fn to_json(node: &Node) -> Option<Json> {
    match &node.value {
        Value::Null => Some(Json::Null),
        Value::Invalid => None,
        Value::Seq(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let pair = |entry: &crate::node::Entry| Some((entry.key.text.to_string(), to_json(&entry.value)?));
            entries.iter().map(pair).collect::<Option<Map<_, _>>>().map(Json::Object)
        }
        Value::Scalar(scalar) => Some(match scalar.plain() {
            Some("true" | "True" | "TRUE") => Json::Bool(true),
            Some("false" | "False" | "FALSE") => Json::Bool(false),
            Some(text) => {
                json_integer(text).or_else(|| parse_float(text).map(|n| json!(n))).unwrap_or_else(|| json!(text))
            }
            None => json!(scalar.text()),
        }),
    }
}

/// The tree itself, copied: for what is decoded later, when its type is known.
impl Decode for Node {
    fn decode(node: &Node, _: &mut Cx<'_>) -> Option<Self> {
        Some(node.clone())
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({})
    }
}
