//! Tests of `load`: tables of what is taken and refused, and properties over random input.

use super::*;
use crate::loader::MemoryLoader;
use crate::render::render_text;
use crate::testing::places;

fn load_all(files: &[(&str, &str)]) -> (Loaded, String) {
    let loader = files.iter().fold(MemoryLoader::new(), |loader, (path, text)| loader.file(*path, *text));
    let loaded = load("a.yaml".as_ref(), &loader);
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    (loaded, report)
}

fn check_places(files: &[(&str, &str)], expected: &[&str]) -> String {
    let (_, report) = load_all(files);
    assert_eq!(places(&report), expected, "{report}");
    report
}

#[test]
fn merges_maps_by_key_and_joins_lists_in_order() {
    let (loaded, report) = load_all(&[
        ("a.yaml", "version: 1\ninclude: [\"conf/*.yaml\", last.yaml]\nclusters: { x: 1 }\nhosts: [a]\n"),
        ("conf/2.yaml", "hosts: [c]\nplans: { p: 1 }\n"),
        ("conf/1.yaml", "version: 1\nclusters: { y: 2 }\nhosts: [b]\n"),
        ("conf/.hidden.yaml", "hosts: [never]\n"),
        ("last.yaml", "clusters: { z: 3 }\nhosts: [d]\n"),
    ]);
    assert_eq!(report, "");
    let root = format!("{:?}", json(&loaded.root.unwrap()));
    assert_eq!(root, "{version: 1, clusters: {x: 1, y: 2, z: 3}, hosts: [a, b, c, d], plans: {p: 1}}");
    let watch: Vec<_> = loaded.watch.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(watch, ["a.yaml", "conf", "conf/1.yaml", "conf/2.yaml", "last.yaml"]);
}

/// A tree without places.
fn json(node: &Node) -> Plain {
    match &node.value {
        Value::Map(entries) => {
            let pair = |entry: &Entry| format!("{}: {:?}", entry.key.text, json(&entry.value));
            Plain(format!("{{{}}}", entries.iter().map(pair).collect::<Vec<_>>().join(", ")))
        }
        Value::Seq(items) => Plain(format!("{:?}", items.iter().map(json).collect::<Vec<_>>())),
        Value::Scalar(scalar) => Plain(scalar.text().to_owned()),
        Value::Null => Plain("null".to_owned()),
        Value::Invalid => Plain("invalid".to_owned()),
    }
}

struct Plain(String);

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[test]
fn names_both_places_of_a_name_in_two_files() {
    let report = check_places(
        &[("a.yaml", "include: b.yaml\nclusters:\n  x: 1\n"), ("b.yaml", "clusters:\n  y: 1\n  x: 2\n")],
        &["3:3 duplicate_key"],
    );
    assert!(report.starts_with("b.yaml:3:3") && report.contains("a.yaml:3:3: the first is here"), "{report}");
}

#[test]
fn refuses_to_override() {
    check_places(&[("a.yaml", "include: b.yaml\nversion: 1\n"), ("b.yaml", "version: 2\n")], &["1:1 merge_conflict"]);
    check_places(
        &[("a.yaml", "include: b.yaml\nhosts: [x]\n"), ("b.yaml", "hosts: { x: 1 }\n")],
        &["1:1 merge_conflict"],
    );
    check_places(&[("a.yaml", "include: b.yaml\nhosts:\n"), ("b.yaml", "hosts: [x]\n")], &[]);
    check_places(&[("a.yaml", "include: b.yaml\n"), ("b.yaml", "- x\n")], &["1:1 wrong_type"]);
}

#[test]
fn refuses_cycles_and_repetition() {
    let report = check_places(&[("a.yaml", "include: \"*.yaml\"\n")], &["1:10 include"]);
    assert!(report.contains("`a.yaml` includes itself"), "{report}");
    check_places(&[("a.yaml", "include: b.yaml\n"), ("b.yaml", "include: ./a.yaml\n")], &["1:10 include"]);
    let report = check_places(&[("a.yaml", "include: [b.yaml, b.yaml]\n"), ("b.yaml", "x: 1\n")], &["1:19 include"]);
    assert!(report.contains("a.yaml:1:11: first included here"), "{report}");
}

#[test]
fn bounds_depth_and_count() {
    let names: Vec<String> = (0..12).map(|n| format!("n{n}.yaml")).collect();
    let texts: Vec<String> = (1..13).map(|n| format!("include: n{n}.yaml\n")).collect();
    let mut files = vec![("a.yaml", "include: n0.yaml\n")];
    files.extend(names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)));
    let (_, report) = load_all(&files);
    assert!(report.contains("more than 8 deep"), "{report}");

    let limits = Limits { include_files: 2, ..Limits::default() };
    let loader =
        MemoryLoader::new().file("a.yaml", "include: \"x/*\"\n").file("x/1", "").file("x/2", "").file("x/3", "");
    let loaded = load_with("a.yaml".as_ref(), &loader, &limits);
    assert_eq!(places(&render_text(&loaded.diagnostics, &loaded.sources)), ["1:10 too_large"]);
}

#[test]
fn reports_files_that_cannot_be_read_and_goes_on() {
    let (loaded, report) =
        load_all(&[("a.yaml", "include: [none.yaml, b.yaml, \"c/*\", [x]]\n"), ("b.yaml", "x: 1\n")]);
    assert_eq!(places(&report), ["1:11 file_unreadable", "1:30 include_empty", "1:37 wrong_type"], "{report}");
    assert!(loaded.root.unwrap().get("x").is_some());
    check_places(&[("other", "")], &["1:1 file_unreadable"]);
}

#[test]
fn reads_real_files_and_folders() {
    let folder = std::env::temp_dir().join(format!("portcullis-yaml-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("hosts")).unwrap();
    for (name, text) in [("a.yaml", "include: hosts/?.yaml\n"), ("hosts/1.yaml", "l: [x]"), ("hosts/2.yaml", "l: [y]")]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("bad.yaml"), b"a: \xff").unwrap();
    let loaded = load(&folder.join("a.yaml"), &crate::loader::OsLoader);
    let bad = load(&folder.join("bad.yaml"), &crate::loader::OsLoader);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(!loaded.diagnostics.has_errors());
    assert_eq!(loaded.root.unwrap().get("l").unwrap().value.items().len(), 2);
    assert!(render_text(&bad.diagnostics, &bad.sources).contains("not UTF-8"));
}
