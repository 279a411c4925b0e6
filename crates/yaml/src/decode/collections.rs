//! Lists and maps with any keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::{Decode, Form};
use crate::cx::Cx;
use crate::node::{Node, Value};
use crate::schema::SchemaGen;
use crate::source::Span;
use crate::support::decode_entry;

const LIST: Form = Form::new("a list", &["[a, b]"]);
const MAP: Form = Form::new("a map", &["{ name: value }"]);

/// Items that cannot be read are left out, after their errors were pushed.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let items = match &node.value {
            Value::Seq(items) => items,
            Value::Null | Value::Scalar(_) | Value::Map(_) | Value::Invalid => {
                return cx.wrong_type(node, &LIST);
            }
        };
        let mut values = Vec::with_capacity(items.len());
        values.extend(items.iter().filter_map(|item| T::decode(item, cx)));
        Some(values)
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        json!({ "type": "array", "items": T::schema(schemas) })
    }

    fn encode(&self) -> Option<Json> {
        self.iter().map(T::encode).collect()
    }
}

/// A map with keys of the operator's choice, in the order of the text. Keys are unique.
#[derive(Debug, Clone)]
pub struct Named<V> {
    entries: Vec<NamedEntry<V>>,
    /// Places in `entries`, sorted by name.
    by_name: Vec<usize>,
    /// Names whose values could not be read.
    broken: BTreeSet<String>,
}

/// An entry of a [`Named`].
#[derive(Debug, Clone)]
pub struct NamedEntry<V> {
    /// The key.
    pub name: String,
    /// The place of the key.
    pub span: Span,
    /// The value.
    pub value: V,
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_name: Vec::new(), broken: BTreeSet::new() }
    }
}

impl<V> Named<V> {
    /// The entries in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, NamedEntry<V>> {
        self.entries.iter()
    }

    /// The names in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// How many entries could be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a name, by binary search.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&NamedEntry<V>> {
        let name_at = |at: &usize| self.entries.get(*at).map_or("", |entry| entry.name.as_str());
        let found = self.by_name.binary_search_by(|at| name_at(at).cmp(name)).ok()?;
        self.entries.get(*self.by_name.get(found)?)
    }

    /// Whether the name stands in the text, also if its value could not be read. A check for unknown names should
    /// ask this, or it would report the consequence of an error as another error.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.get(name).is_some() || self.broken.contains(name)
    }
}

impl<V> FromIterator<NamedEntry<V>> for Named<V> {
    /// Names must be unique; of equal ones, [`Named::get`] finds any.
    fn from_iter<I: IntoIterator<Item = NamedEntry<V>>>(iter: I) -> Self {
        let entries: Vec<NamedEntry<V>> = iter.into_iter().collect();
        let mut keyed: Vec<(&str, usize)> =
            entries.iter().enumerate().map(|(at, entry)| (entry.name.as_str(), at)).collect();
        keyed.sort_unstable();
        let by_name = keyed.into_iter().map(|(_, at)| at).collect();
        Self { entries, by_name, broken: BTreeSet::new() }
    }
}

impl<V> IntoIterator for Named<V> {
    type Item = NamedEntry<V>;
    type IntoIter = std::vec::IntoIter<NamedEntry<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, V> IntoIterator for &'a Named<V> {
    type Item = &'a NamedEntry<V>;
    type IntoIter = std::slice::Iter<'a, NamedEntry<V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Equal when names and values are, in the same order. Places do not count.
impl<V: PartialEq> PartialEq for Named<V> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&NamedEntry<V>, &NamedEntry<V>)| a.name == b.name && a.value == b.value;
        self.len() == other.len() && self.iter().zip(other).all(same)
    }
}

impl<V: Eq> Eq for Named<V> {}

/// Entries whose values cannot be read are left out, after their errors were pushed.
impl<V: Decode> Decode for Named<V> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else { return cx.wrong_type(node, &MAP) };
        let mut broken = BTreeSet::new();
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            match decode_entry::<V>(entry, cx, None) {
                Some(value) => read.push(NamedEntry { name: entry.key.text.to_string(), span: entry.key.span, value }),
                None => {
                    broken.insert(entry.key.text.to_string());
                }
            }
        }
        Some(Self { broken, ..read.into_iter().collect() })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        json!({ "type": "object", "additionalProperties": V::schema(schemas) })
    }

    fn encode(&self) -> Option<Json> {
        let pairs = self.iter().map(|entry| Some((entry.name.clone(), entry.value.encode()?)));
        pairs.collect::<Option<Map<_, _>>>().map(Json::Object)
    }
}

impl<V: Decode> Decode for BTreeMap<String, V> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else { return cx.wrong_type(node, &MAP) };
        let pair = |entry: &crate::node::Entry| {
            decode_entry::<V>(entry, cx, None).map(|value| (entry.key.text.to_string(), value))
        };
        Some(entries.iter().filter_map(pair).collect())
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        json!({ "type": "object", "additionalProperties": V::schema(schemas) })
    }

    fn encode(&self) -> Option<Json> {
        let pairs = self.iter().map(|(key, value)| Some((key.clone(), value.encode()?)));
        pairs.collect::<Option<Map<_, _>>>().map(Json::Object)
    }
}
