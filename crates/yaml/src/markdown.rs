//! A reference for people, from the schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

/// A section per definition, the top first and the others in the order in which they are first used. Maps become a
/// table of key, type, default and description; enums become a table of their forms.
#[must_use]
pub fn markdown_reference(schema: &Json) -> String {
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Json::as_object).unwrap_or(&empty);
    let mut out = String::new();
    section(&mut out, "The file", schema);
    let mut done = BTreeSet::new();
    let mut next: Vec<String> = Vec::new();
    references(schema, &mut next);
    while let Some(at) = next.iter().position(|name| !done.contains(name)) {
        let name = next.remove(at);
        if let Some(definition) = definitions.get(&name) {
            section(&mut out, &name, definition);
            references(definition, &mut next);
        }
        done.insert(name);
    }
    out
}

/// The names that a schema refers to, in the order of its keys; `$defs` is not looked into.
fn references(schema: &Json, out: &mut Vec<String>) {
    match schema {
        Json::Object(fields) => {
            out.extend(reference(schema).map(str::to_owned));
            if let Some(properties) = fields.get("properties").and_then(Json::as_object) {
                for key in keys_in_order(fields) {
                    properties.get(key).into_iter().for_each(|property| references(property, out));
                }
            }
            let inside = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "$defs" | "properties" | "default"));
            inside.for_each(|(_, value)| references(value, out));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, out)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn reference(schema: &Json) -> Option<&str> {
    schema.get("$ref").and_then(Json::as_str).and_then(|text| text.strip_prefix("#/$defs/"))
}

/// The keys of a map in the order of `x-order`, then any others.
fn keys_in_order(fields: &Map<String, Json>) -> Vec<&str> {
    let properties = fields.get("properties").and_then(Json::as_object);
    let order = fields.get("x-order").and_then(Json::as_array);
    let mut keys: Vec<&str> = order.into_iter().flatten().filter_map(Json::as_str).collect();
    let rest = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
    let rest: Vec<&str> = rest.filter(|key| !keys.contains(key)).collect();
    keys.extend(rest);
    keys
}

// Writing to a string does not fail, hence the ignored results.
fn section(out: &mut String, name: &str, schema: &Json) {
    let _ = writeln!(out, "### {name}\n");
    if let Some(text) = text(schema, "description") {
        let _ = writeln!(out, "{text}\n");
    }
    if let Some(fields) = schema.as_object().filter(|fields| fields.contains_key("properties")) {
        table(out, fields);
    } else if let Some(forms) = forms(schema) {
        let _ = writeln!(out, "| form | description |\n|---|---|");
        for form in forms {
            let _ = writeln!(out, "| {} | {} |", form_text(form), cell(text(form, "description").unwrap_or_default()));
        }
        out.push('\n');
    } else {
        let _ = writeln!(out, "{}\n", type_text(schema));
    }
}

fn table(out: &mut String, fields: &Map<String, Json>) {
    let properties = fields.get("properties").and_then(Json::as_object);
    let required = fields.get("required").and_then(Json::as_array);
    let is_required = |key: &str| required.is_some_and(|names| names.iter().any(|name| name == key));
    let _ = writeln!(out, "| key | type | default | description |\n|---|---|---|---|");
    for key in keys_in_order(fields) {
        let Some(property) = properties.and_then(|properties| properties.get(key)) else { continue };
        let default = match property.get("default") {
            Some(default) => format!("`{}`", cell(&yaml_text(default))),
            None if is_required(key) => "required".to_owned(),
            None => String::new(),
        };
        let description = cell(text(property, "description").unwrap_or_default());
        let _ = writeln!(out, "| `{key}` | {} | {default} | {description} |", type_text(property));
    }
    out.push('\n');
}

/// A default as it would be written: strings without quotes.
fn yaml_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

fn forms(schema: &Json) -> Option<&Vec<Json>> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)).and_then(Json::as_array)
}

/// A form of an enum: `word`, or `key:` with the type of its value.
fn form_text(form: &Json) -> String {
    let required = form.get("required").and_then(Json::as_array).and_then(|keys| keys.first()).and_then(Json::as_str);
    let value = required.and_then(|key| form.get("properties").and_then(|properties| properties.get(key)));
    match (form.get("const"), required, value) {
        (Some(word), _, _) => format!("`{}`", yaml_text(word)),
        (None, Some(key), Some(value)) if form.get("x-order").is_none() => format!("`{key}:` {}", type_text(value)),
        (None, _, _) => type_text(form),
    }
}

/// The type in a few words, with links to the sections of named types.
fn type_text(schema: &Json) -> String {
    if let Some(name) = reference(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(title) = text(schema, "title") {
        return title.to_owned();
    }
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", yaml_text(word))).collect();
        return words.join(", ");
    }
    if let Some(forms) = forms(schema) {
        let forms: Vec<String> = forms.iter().map(form_text).collect();
        return forms.join(" or ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", type_text(items));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return format!("map of {}", type_text(values));
    }
    text(schema, "type").map_or_else(|| "any".to_owned(), |kind| if kind == "object" { "map" } else { kind }.to_owned())
}

fn text<'s>(schema: &'s Json, key: &str) -> Option<&'s str> {
    schema.get(key).and_then(Json::as_str)
}

/// Text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ")
}
