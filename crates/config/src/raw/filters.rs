//! An item of a `filters:` list: a word, or a map of one key with the filter's settings.
//!
//! The settings are decoded at once, with the types of the [`Registry`] that the context brings along.

use portcullis_filter::{FilterSpec, Registry};
use portcullis_yaml::{
    Cx, Decode, Diagnostic, Form, Node, SchemaGen, Span, Value, VariantSchema, enum_schema, suggest,
};
use serde_json::{Value as Json, json};

use crate::code;

/// A filter of a list.
pub(crate) struct RawFilter {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// The settings as they were written, to be compared.
    pub(crate) settings: Node,
    /// The settings as they were read.
    pub(crate) spec: FilterSpec,
}

impl std::fmt::Debug for RawFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawFilter").field("name", &self.name).finish_non_exhaustive()
    }
}

const FORM: Form = Form::new("a filter", &["cors", "{ cors: { origins: [\"https://app.example.com\"] } }"]);

impl Decode for RawFilter {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let (name, span, settings) = match &node.value {
            Value::Scalar(word) => (word.text(), node.span, Node::empty_map(node.span)),
            Value::Map(entries) => match entries.as_slice() {
                [entry] if entry.value.value == Value::Null => {
                    (&*entry.key.text, entry.key.span, Node::empty_map(entry.key.span))
                }
                [entry] => (&*entry.key.text, entry.key.span, entry.value.clone()),
                _ => return cx.wrong_type(node, &Form::new("a map of one filter", FORM.examples)),
            },
            Value::Null | Value::Seq(_) | Value::Invalid => return cx.wrong_type(node, &FORM),
        };
        let registry: &Registry = cx.extension()?;
        if !registry.has(name) {
            let known: Vec<&str> = registry.names().collect();
            let message = format!("there is no filter `{name}`");
            let diagnostic = Diagnostic::error(code::UNKNOWN_FILTER, span, message);
            let near = suggest(name, known.iter().copied());
            return cx.fail(diagnostic.help_suggest(near, || format!("the filters are {}", known.join(", "))));
        }
        let spec = registry.decode(name, &settings, cx)?;
        Some(Self { name: name.to_owned(), span, settings, spec })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        let Some(registry) = schemas.extension::<Registry>() else { return json!({}) };
        schemas.define::<Self>("Filter", |schemas| {
            let filters = registry.schemas(schemas);
            let form = |(name, settings)| VariantSchema { name, description: "", payload: Some(settings) };
            enum_schema(
                schemas,
                "A filter: its name, or its name with settings.",
                filters.into_iter().map(form).collect(),
            )
        })
    }
}
