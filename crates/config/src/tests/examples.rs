//! Every example of `conf` is free of errors and warnings, can be made into a generation, and fits the schema.

use portcullis_yaml::{Diagnostics, Json, MemoryLoader, OsLoader, load, render_text};
use std::path::PathBuf;
use std::sync::Arc;

use super::kit::{Rooted, World, conf, read_consumers};
use crate::{consumers, schema};

/// Main files, relative to `conf`.
fn examples() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(conf())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names.push("includes/main.yaml".to_owned());
    names
}

#[test]
fn every_example_becomes_a_generation_without_a_word() {
    let names = examples();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let world = World::default();
        let loaded = world.check(&name, &Rooted(conf()));
        assert_eq!(render_text(&loaded.diagnostics, &loaded.sources), "", "{name}");
        let mut wrong = Diagnostics::new();
        let checked = loaded.candidate.as_ref().unwrap().checked();
        consumers(checked, |_, file| read_consumers(&conf(), file), &mut wrong);
        assert_eq!(render_text(&wrong, &loaded.sources), "", "{name}");
        let snapshot =
            world.activate(loaded.candidate.unwrap(), None).unwrap_or_else(|found| panic!("{name}: {found:?}"));
        assert!(!snapshot.listeners.is_empty(), "{name}");
    }
}

#[test]
fn a_cluster_that_a_filter_alone_names_is_used() {
    let text = "version: 1\nlisteners: { edge: { bind: \"127.0.0.1:8080\" } }\n\
                clusters: { rpc: { endpoints: [\"127.0.0.1:1\"] }, pubsub: { endpoints: [\"127.0.0.1:2\"] } }\n\
                hosts: [{ names: [\"*\"], routes: [{ name: all, FILTERS, to: rpc }] }]\n";
    let report = |filters: &str| {
        let loader = MemoryLoader::new().file("a.yaml", text.replace("FILTERS", filters));
        let loaded = World::default().check("a.yaml", &loader);
        render_text(&loaded.diagnostics, &loaded.sources)
    };
    assert_eq!(report("filters: [{ rpc_websocket: { to: pubsub } }]"), "");
    assert!(report("filters: [rpc_websocket]").contains("warning[unused_cluster]"));
}

#[test]
fn every_example_fits_the_schema() {
    let schema = schema(Arc::new(World::default().registry));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for name in examples() {
        let path: PathBuf = conf().join(&name);
        let mut loaded = load(&path, &OsLoader);
        let value: Json = loaded.decode(&OsLoader, None).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn the_schema_refuses_what_check_refuses() {
    let schema = schema(Arc::new(World::default().registry));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for (text, fits) in [
        ("version: 1\nlisteners: { a: { bind: '127.0.0.1:80' } }", true),
        ("listeners: {}", false),
        ("version: 1\nlistener: {}", false),
        ("version: 1\nlisteners: { a: { bind: '127.0.0.1:80', protocols: [http3] } }", false),
        ("version: 1\nhosts: [{ names: [a], routes: [{ name: a, to: b, respond: {} }] }]", false),
        ("version: 1\nhosts: [{ names: [a], filters: [{ cors: { origin: x } }] }]", false),
        ("version: 1\nhosts: [{ names: [a], filters: [compress, { cors: { origins: ['*'] } }] }]", true),
    ] {
        let loader = portcullis_yaml::MemoryLoader::new().file("a.yaml", text);
        let value = load("a.yaml".as_ref(), &loader).decode::<Json>(&loader, None).unwrap();
        assert_eq!(validator.is_valid(&value), fits, "{text}");
    }
}

/// Doc comments are the reference, so a key without one is a gap in it.
#[test]
fn every_key_is_described() {
    let schema = schema(Arc::new(World::default().registry));
    let mut missing = Vec::new();
    undescribed(&schema, "", &mut missing);
    assert!(missing.is_empty(), "{missing:#?}");
}

fn undescribed(value: &Json, path: &str, missing: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            for (key, property) in fields.get("properties").and_then(Json::as_object).into_iter().flatten() {
                let forms = value.get("required").and_then(Json::as_array).is_some_and(|keys| keys.len() == 1)
                    && fields.get("properties").and_then(Json::as_object).is_some_and(|all| all.len() == 1)
                    && value.get("description").is_some();
                if property.get("description").is_none() && !forms && !path.ends_with("/anyOf") {
                    missing.push(format!("{path}/{key}"));
                }
            }
            fields.iter().for_each(|(key, inner)| undescribed(inner, &format!("{path}/{key}"), missing));
        }
        Json::Array(items) => items.iter().for_each(|inner| undescribed(inner, path, missing)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
