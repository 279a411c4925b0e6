//! JSON Schema (draft 2020-12) from the same types that decode.
//!
//! Named types become definitions under `$defs` and are referred to, so that recursive types work and editors show
//! one description per type. Keys are sorted, so that the text does not change from build to build; `x-order` keeps
//! the order in which a struct names its keys, for the reference.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::decode::Decode;

/// The pattern that lets `${NAME}` stand where a number or a duration is expected.
pub const VARIABLE: &str = "\\$\\{";

/// Collects the definitions while schemas are made.
#[derive(Default)]
pub struct SchemaGen {
    definitions: BTreeMap<String, Json>,
    /// The name of each type that has a definition, by the type's full name.
    names: BTreeMap<&'static str, String>,
    extension: Option<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for SchemaGen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchemaGen").field("definitions", &self.definitions.keys()).finish_non_exhaustive()
    }
}

impl SchemaGen {
    /// No definitions yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings a value along that schemas can ask for by its type, such as a registry of filters.
    #[must_use]
    pub fn with_extension(mut self, extension: Arc<dyn Any + Send + Sync>) -> Self {
        self.extension = Some(extension);
        self
    }

    /// What the caller brought along, if it is a `T`.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extension.clone().and_then(|extension| extension.downcast().ok())
    }

    /// A reference to the definition of `T`, which is made if it is not there. Two types of the same name get
    /// different definitions.
    pub fn define<T>(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Json) -> Json {
        let key = type_name::<T>();
        if let Some(known) = self.names.get(key) {
            return reference(known);
        }
        let mut unique = name.to_owned();
        let mut number = 1;
        while self.definitions.contains_key(&unique) {
            number += 1;
            unique = format!("{name}{number}");
        }
        // Taken before it is made, so that a type that holds itself refers to it.
        self.names.insert(key, unique.clone());
        self.definitions.insert(unique.clone(), Json::Null);
        let schema = make(self);
        self.definitions.insert(unique.clone(), schema);
        reference(&unique)
    }

    /// The definition a reference points to; other schemas are their own.
    #[must_use]
    pub fn resolve<'s>(&'s self, schema: &'s Json) -> &'s Json {
        let name = schema.get("$ref").and_then(Json::as_str).and_then(|text| text.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions.get(name)).unwrap_or(schema)
    }

    /// The whole schema with `root` at its top.
    #[must_use]
    pub fn finish(self, root: &Json) -> Json {
        let mut top = match self.resolve(root) {
            Json::Object(fields) => fields.clone(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
        };
        top.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        let definitions: Map<String, Json> = self.definitions.into_iter().collect();
        top.insert("$defs".to_owned(), Json::Object(definitions));
        sorted(Json::Object(top))
    }
}

/// The schema of a type.
#[must_use]
pub fn schema_for<T: Decode>() -> Json {
    let mut schemas = SchemaGen::new();
    let root = T::schema(&mut schemas);
    schemas.finish(&root)
}

/// The schema of a whole config file whose top is a `T`: as [`schema_for`], and takes `include`.
#[must_use]
pub fn schema_for_document<T: Decode>(mut schemas: SchemaGen) -> Json {
    let root = T::schema(&mut schemas);
    let mut schema = schemas.finish(&root);
    if let Some(Json::Object(properties)) = schema.get_mut("properties") {
        let pattern = json!({ "type": "string", "title": "pattern", "examples": ["hosts/*.yaml"] });
        let include = json!({
            "anyOf": [pattern, { "type": "array", "items": pattern }],
            "description": "Further files, merged into this one: paths relative to this file, with `*` and `?`.",
        });
        properties.insert("include".to_owned(), include);
    }
    if let Some(Json::Array(order)) = schema.get_mut("x-order") {
        order.push(json!("include"));
    }
    sorted(schema)
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// With the keys of all objects in order, whatever order the map of this build keeps.
fn sorted(value: Json) -> Json {
    match value {
        Json::Object(fields) => {
            let fields: BTreeMap<String, Json> = fields.into_iter().collect();
            Json::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => other,
    }
}

/// A key of a map, as the schema shows it.
#[derive(Debug, Clone, Default)]
pub struct Property<'a> {
    /// The key.
    pub name: &'a str,
    /// What it is for, from the field's doc comment.
    pub description: &'a str,
    /// What it is when left out, if that can be written.
    pub default: Option<Json>,
    /// A right value, as it would be written.
    pub example: Option<&'a str>,
    /// Whether it must be given.
    pub required: bool,
}

/// The schema of a map with known keys, under construction.
#[derive(Debug, Default)]
pub struct ObjectSchema {
    properties: BTreeMap<String, Json>,
    order: Vec<String>,
    required: Vec<String>,
    all_of: Vec<Json>,
}

impl ObjectSchema {
    /// No keys yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key with the schema of its value.
    pub fn property(&mut self, property: Property<'_>, schema: Json) {
        let mut fields = match schema {
            Json::Object(fields) => fields,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
        };
        if !property.description.is_empty() {
            fields.insert("description".to_owned(), json!(property.description));
        }
        if let Some(default) = property.default.filter(|default| !default.is_null()) {
            fields.insert("default".to_owned(), default);
        }
        if let Some(example) = property.example {
            fields.insert("examples".to_owned(), json!([example]));
        }
        if property.required {
            self.required.push(property.name.to_owned());
        }
        self.order.push(property.name.to_owned());
        self.properties.insert(property.name.to_owned(), Json::Object(fields));
    }

    /// Adds keys of which none is required.
    pub fn optional(&mut self, add: impl FnOnce(&mut Self)) {
        let (required, all_of) = (self.required.len(), self.all_of.len());
        add(self);
        self.required.truncate(required);
        self.all_of.truncate(all_of);
    }

    /// Demands exactly one of some keys.
    pub fn one_of(&mut self, keys: &[&str]) {
        let forms: Vec<Json> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        self.all_of.push(json!({ "oneOf": forms }));
    }

    /// The schema; no other keys are taken.
    #[must_use]
    pub fn finish(self, description: &str, deny_empty: bool) -> Json {
        let properties: Map<String, Json> = self.properties.into_iter().collect();
        let mut schema = json!({
            "type": "object", "properties": properties, "additionalProperties": false, "x-order": self.order,
        });
        if let Json::Object(fields) = &mut schema {
            if !description.is_empty() {
                fields.insert("description".to_owned(), json!(description));
            }
            if !self.required.is_empty() {
                fields.insert("required".to_owned(), json!(self.required));
            }
            if !self.all_of.is_empty() {
                fields.insert("allOf".to_owned(), json!(self.all_of));
            }
            if deny_empty {
                fields.insert("minProperties".to_owned(), json!(1));
            }
        }
        schema
    }
}

/// One form of an enum, as the schema shows it.
#[derive(Debug)]
pub struct VariantSchema<'a> {
    /// The word, or the single key. Empty for a form without one.
    pub name: &'a str,
    /// What it means, from the variant's doc comment.
    pub description: &'a str,
    /// The schema of what stands under the key, or of the form itself. `None` for a word alone.
    pub payload: Option<Json>,
}

/// The schema of an enum.
#[must_use]
pub fn enum_schema(schemas: &SchemaGen, description: &str, variants: Vec<VariantSchema<'_>>) -> Json {
    let words_only = variants.iter().all(|variant| variant.payload.is_none());
    let described = variants.iter().any(|variant| !variant.description.is_empty());
    let mut schema = if words_only && !described {
        let words: Vec<Json> = variants.iter().flat_map(|variant| spellings(variant.name)).collect();
        json!({ "enum": words })
    } else {
        let forms: Vec<Json> = variants.into_iter().flat_map(|variant| forms(schemas, variant)).collect();
        json!({ (if words_only { "oneOf" } else { "anyOf" }): forms })
    };
    if let (Json::Object(fields), false) = (&mut schema, description.is_empty()) {
        fields.insert("description".to_owned(), json!(description));
    }
    schema
}

/// A word that looks like a number may be written without quotes; an editor then reads a number.
fn spellings(name: &str) -> Vec<Json> {
    let number = name.parse::<f64>().ok().filter(|number| number.is_finite());
    std::iter::once(json!(name)).chain(number.map(|number| json!(number))).collect()
}

fn forms(schemas: &SchemaGen, variant: VariantSchema<'_>) -> Vec<Json> {
    let with_description = |mut schema: Json| {
        if let (Json::Object(fields), false) = (&mut schema, variant.description.is_empty()) {
            fields.insert("description".to_owned(), json!(variant.description));
        }
        schema
    };
    let words = || spellings(variant.name).into_iter().map(|word| with_description(json!({ "const": word })));
    let Some(payload) = variant.payload.clone() else { return words().collect() };
    if variant.name.is_empty() {
        return vec![with_description(payload)];
    }
    let resolved = schemas.resolve(&payload);
    let may_be_empty = resolved.get("type") == Some(&json!("object"))
        && ["required", "allOf", "minProperties"].iter().all(|key| resolved.get(*key).is_none());
    let object = with_description(json!({
        "type": "object", "properties": { (variant.name): payload },
        "required": [variant.name], "additionalProperties": false,
    }));
    let mut forms: Vec<Json> = if may_be_empty { words().collect() } else { Vec::new() };
    forms.push(object);
    forms
}
