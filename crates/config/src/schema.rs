//! The JSON Schema of the whole file, for editors and other tools.

use serde_json::{Value as Json, json};
use std::sync::Arc;

use portcullis_filter::Registry;
use portcullis_yaml::{SchemaGen, schema_for_document};

use crate::raw::top::Top;

/// The JSON Schema (draft 2020-12) of a config that may use the filters of a registry.
#[must_use]
pub fn schema(registry: Arc<Registry>) -> Json {
    let mut schema = schema_for_document::<Top>(SchemaGen::new().with_extension(registry));
    if let Some(fields) = schema.as_object_mut() {
        // An included file may leave the version out, the main file may not; it is read so that both can be said.
        fields.insert("required".to_owned(), json!(["version"]));
    }
    schema
}
