//! Names and values of fields in the config.

use std::marker::PhantomData;

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Named, Node, SchemaGen, code, decode_with};
use serde_json::{Value as Json, json};

use super::{Field, FieldName, FieldTemplate};
use crate::template::Scope;

const NAME: Form = Form::new("a field that filters may edit", &["x-request-id", "cache-control"]);
const VALUE: Form = Form::new("a field value", &["no-store", "{request.id}"]);

impl Decode for FieldName {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &NAME, Self::parse)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        NAME.string_schema()
    }
}

/// Which variables the values of [`Fields`] may use.
pub trait Scoped {
    /// The variables.
    const SCOPE: Scope;
}

/// The variables of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfRequest;

/// The variables of a request and its failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfFailure;

impl Scoped for OfRequest {
    const SCOPE: Scope = Scope::Request;
}

impl Scoped for OfFailure {
    const SCOPE: Scope = Scope::Failure;
}

/// Fields by name, in the order of the config; a list gives several lines of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields<S = OfRequest> {
    fields: Vec<Field>,
    scope: PhantomData<S>,
}

impl<S> Default for Fields<S> {
    fn default() -> Self {
        Self { fields: Vec::new(), scope: PhantomData }
    }
}

impl<S> Fields<S> {
    /// The fields.
    pub fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.fields.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl<'a, S> IntoIterator for &'a Fields<S> {
    type Item = &'a Field;
    type IntoIter = std::slice::Iter<'a, Field>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<S: Scoped> Decode for Fields<S> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut fields: Vec<Field> = Vec::new();
        for entry in Named::<Node>::decode(node, cx)? {
            let name = match FieldName::parse(&entry.name) {
                Ok(name) if fields.iter().any(|field| field.name == name) => {
                    cx.error(code::DUPLICATE_KEY, entry.span, format!("`{}` stands here twice", entry.name));
                    None
                }
                Ok(name) => Some(name),
                Err(why) => {
                    let message = format!("`{}` is not {}: {why}", entry.name, NAME.what);
                    cx.fail(Diagnostic::error(code::INVALID_VALUE, entry.span, message))
                }
            };
            let values = values::<S>(&entry.value, cx);
            if let (Some(name), Some(values)) = (name, values) {
                fields.push(Field { name, values });
            }
        }
        Some(Self { fields, scope: PhantomData })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        let one = json!({ "type": ["string", "number", "boolean"], "title": "field value with variables" });
        json!({
            "type": "object",
            "additionalProperties": { "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] },
        })
    }

    fn encode(&self) -> Option<Json> {
        self.is_empty().then(|| json!({}))
    }
}

/// One value or a list of them, never an empty one.
fn values<S: Scoped>(node: &Node, cx: &mut Cx<'_>) -> Option<Box<[FieldTemplate]>> {
    let list = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
    list.iter().map(|node| decode_with(node, cx, &VALUE, |text| FieldTemplate::parse(text, S::SCOPE))).collect()
}
