//! Tests of `parse`: tables of what is taken and refused, and properties over random input.

use super::*;
use crate::loader::MemoryLoader;
use crate::render::render_text;
use crate::testing::places;

fn parse_with(text: &str, limits: &Limits) -> (Option<Node>, String) {
    let (mut sources, mut diags) = (SourceMap::new(), Diagnostics::new());
    let id = sources.add("a.yaml", text);
    let loader = MemoryLoader::new().var("PORT", "80");
    let node = parse(id, &sources, &loader, limits, &mut diags);
    (node, render_text(&diags, &sources))
}

fn tree(text: &str) -> Node {
    let (node, report) = parse_with(text, &Limits::default());
    assert_eq!(report, "", "{text}");
    node.unwrap()
}

/// The tree in a compact form with places: `line:column-line:column`.
fn shown(node: &Node) -> String {
    let span = node.span;
    let place = format!("{}:{}-{}:{}", span.start.line, span.start.column, span.end.line, span.end.column);
    let inside = match &node.value {
        Value::Null => "null".to_owned(),
        Value::Invalid => "invalid".to_owned(),
        Value::Scalar(scalar) => format!("{scalar:?}"),
        Value::Seq(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |entry: &Entry| format!("{}: {}", entry.key.text, shown(&entry.value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    };
    format!("{inside}@{place}")
}

#[test]
fn gives_every_value_its_place() {
    let check = |text, expected| assert_eq!(shown(&tree(text)), expected, "{text}");
    check("", "null@1:1-1:1");
    check("a: b # c\n", "{a: b@1:4-1:5}@1:1-1:5");
    check("a:\n  - x\n  - 'y'\nb: ~\n", "{a: [x@2:5-2:6, \"y\"@3:5-3:8]@2:3-3:8, b: null@4:4-4:5}@1:1-4:5");
    check("a: { b: [1, 2] }\n\n# end\n", "{a: {b: [1@1:10-1:11, 2@1:13-1:14]@1:9-1:15}@1:4-1:17}@1:1-1:17");
    check("é: ü", "{é: ü@1:4-1:5}@1:1-1:5");
    check("a:", "{a: null@1:2-1:2}@1:1-1:2");
    check("a: |\n  x\n  y\n", "{a: \"x\\ny\\n\"@2:3-4:1}@1:1-4:1");
    check("\u{feff}a: b\r\nc: d\r\n", "{a: b@1:4-1:5, c: d@2:4-2:5}@1:1-2:5");
}

#[test]
fn repeats_anchored_values_at_the_place_of_the_alias() {
    check_tree(
        "a: &x [1, 2]\nb: *x\n",
        "{a: [1@1:8-1:9, 2@1:11-1:12]@1:4-1:13, b: [1@1:8-1:9, 2@1:11-1:12]@2:4-2:6}@1:1-2:6",
    );
}

fn check_tree(text: &str, expected: &str) {
    assert_eq!(shown(&tree(text)), expected, "{text}");
}

#[test]
fn refuses_what_a_config_does_not_need() {
    let check = |text: &str, expected: &[&str]| {
        let (_, report) = parse_with(text, &Limits::default());
        assert_eq!(places(&report), expected, "{text}\n{report}");
    };
    check("a: 1\na: 2\nb: 3\na: 4", &["2:1 duplicate_key", "4:1 duplicate_key"]);
    check("a: 1\n---\nb: 2\n", &["2:1 syntax"]);
    check("a: b: c\n", &["1:5 syntax"]);
    check("a:\n\tb: 1\n", &["2:2 syntax"]);
    check("a: [1, 2\nb: 3\n", &["2:2 syntax"]);
    check("a: \"x\n", &["1:4 syntax"]);
    check("a: !!str 1\n", &["1:4 syntax"]);
    check("a: &x { b: *x }\n", &["1:12 syntax"]);
    check("a: *x\n", &["1:4 syntax"]);
    check("a: &x { b: 1 }\nc: { <<: *x }\n", &["2:6 syntax"]);
    check("[a, b]: 1\n? { x: 1 }\n: 2\n", &["1:1 syntax", "2:3 syntax"]);
    check(": 1\n", &["1:1 syntax"]);
    check("a: ${NONE}\nb: ${\n", &["1:4 unset_variable", "2:4 bad_expansion"]);
}

#[test]
fn finds_duplicates_in_large_maps() {
    let mut text: String = (0..50).map(|n| format!("k{n}: {n}\n")).collect();
    text.push_str("k7: again\n");
    let (node, report) = parse_with(&text, &Limits::default());
    assert_eq!(places(&report), ["51:1 duplicate_key"]);
    assert!(report.contains("a.yaml:8:1: the first is here"), "{report}");
    assert_eq!(node.unwrap().entries().len(), 50);
}

#[test]
fn helps_with_variables_in_braces() {
    let (_, report) = parse_with("a: { port: ${PORT} }\n", &Limits::default());
    assert!(report.contains("write variables in quotes"), "{report}");
    let node = tree("a: { port: \"${PORT}\", name: \"x${PORT}\" }\n");
    let inner = &node.get("a").unwrap().value;
    assert_eq!(inner.get("port").unwrap().value.scalar().unwrap().plain(), Some("80"));
    assert_eq!(inner.get("name").unwrap().value.scalar().unwrap().plain(), None);
}

#[test]
fn refuses_what_is_beyond_the_bounds() {
    let limits =
        Limits { depth: 4, nodes: 50, alias_nodes: 20, expanded_bytes: 100, file_bytes: 400, ..Limits::default() };
    let check = |text: &str, expected: &[&str]| {
        let (_, report) = parse_with(text, &limits);
        assert_eq!(places(&report), expected, "{text}\n{report}");
    };
    check("[[[[1]]]]", &[]);
    check("[[[[[1]]]]]", &["1:5 too_large"]);
    check("- - - - - 1", &["1:9 too_large"]);
    check(&"- 1\n".repeat(49), &[]);
    check(&"- 1\n".repeat(50), &["50:3 too_large"]);
    check(&"# comment\n".repeat(50), &["1:1 too_large"]);
    check(&format!("[&a {}, *a, *a]", "x".repeat(40)), &["1:51 too_large"]);
    check("a: &a [1, 1, 1, 1]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b]\n", &["2:20 too_large"]);
    check("a: &a [[1]]\nb: [*a]\n", &[]);
    check("a: &a [[1]]\nb: [*a, [*a]]\n", &["2:10 too_large"]);
}

#[test]
fn refuses_a_billion_laughs_at_once() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..10 {
        let items = vec![format!("*a{}", n - 1); 9].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    let (node, report) = parse_with(&text, &Limits::default());
    assert!(node.is_none() && report.contains("anchors and aliases make this file too large"), "{report}");
}

#[test]
fn stays_linear_on_hostile_texts() {
    // Each would take minutes if a bound or a hash were missing.
    for text in ["[".repeat(1 << 20), "{a: ".repeat(1 << 18), "- ".repeat(1 << 20), "? ".repeat(1 << 20)] {
        let (node, report) = parse_with(&text, &Limits::default());
        assert!(node.is_none() && places(&report).len() == 1, "{}", report.len());
    }
    let keys: String = (0..200_000).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(tree(&keys).entries().len(), 200_000);
    let nulls = format!("[{}]", "a: ,".repeat(100_000));
    assert_eq!(tree(&nulls).items().len(), 100_000);
}
