//! The JSON Schema of the whole file, for editors and other tools.

use serde_json::Value as Json;
use std::sync::Arc;

use portcullis_filter::Registry;
use portcullis_yaml::{SchemaGen, schema_for_document};

use crate::raw::top::Top;

/// The JSON Schema (draft 2020-12) of a config that may use the filters of a registry.
#[must_use]
pub fn schema(registry: Arc<Registry>) -> Json {
    schema_for_document::<Top>(SchemaGen::new().with_extension(registry))
}

#[cfg(test)]
mod tests;
