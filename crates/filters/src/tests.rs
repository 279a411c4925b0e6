//! The registry is whole, and every key of every filter is documented.

use portcullis_yaml::SchemaGen;
use serde_json::Value as Json;

use crate::registry;

#[test]
fn every_filter_is_registered() {
    let names: Vec<_> = registry().names().collect();
    assert_eq!(
        names,
        [
            "access",
            "anonymous",
            "api_key",
            "caps",
            "client_certificate",
            "compress",
            "cors",
            "errors",
            "fault",
            "headers",
            "identity",
            "jwt",
            "limits",
            "redirect",
            "respond"
        ]
    );
}

/// The paths of all keys in a schema, with whether each is described.
fn keys(schemas: &SchemaGen, schema: &Json, path: &str, depth: usize, out: &mut Vec<(String, bool)>) {
    let described = schema.get("description").is_some();
    let schema = schemas.resolve(schema);
    if depth > 8 {
        return;
    }
    out.push((path.to_owned(), described || schema.get("description").is_some()));
    let properties = schema.get("properties").and_then(Json::as_object);
    for (name, property) in properties.into_iter().flatten() {
        keys(schemas, property, &format!("{path}/{name}"), depth + 1, out);
    }
    for form in ["anyOf", "oneOf"].iter().filter_map(|of| schema.get(of)?.as_array()).flatten() {
        let properties = schemas.resolve(form).get("properties").and_then(Json::as_object);
        for (name, property) in properties.into_iter().flatten() {
            keys(schemas, property, &format!("{path}/{name}"), depth + 1, out);
        }
    }
    if let Some(items) = schema.get("items") {
        let mut inner = Vec::new();
        keys(schemas, items, &format!("{path}[]"), depth + 1, &mut inner);
        out.extend(inner.into_iter().skip(1));
    }
}

#[test]
fn every_key_is_described() {
    let mut schemas = SchemaGen::new();
    for (name, schema) in registry().schemas(&mut schemas) {
        let mut found = Vec::new();
        keys(&schemas, &schema, name, 0, &mut found);
        assert!(found.len() > 1, "{name}: {found:?}");
        let bare: Vec<_> = found.iter().filter(|(_, described)| !described).collect();
        assert!(bare.is_empty(), "without a description: {bare:?}");
    }
}
