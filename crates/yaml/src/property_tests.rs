//! Properties: whatever the text, nothing panics, and every finding points into its text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::{
    Decode, Diagnostics, Json, Limits, MemoryLoader, Named, Secret, SourceMap, Span, Spanned, load, parse, render_json,
    render_text,
};

/// Has a field of every kind of decoder.
#[derive(Debug, Decode)]
struct All {
    version: u8,
    #[config(default)]
    names: Named<Spanned<Item>>,
    #[config(default)]
    items: Vec<Item>,
    #[config(default)]
    json: Option<Json>,
}

#[derive(Debug, Decode)]
struct Item {
    name: Option<String>,
    wait: Option<Duration>,
    secret: Option<Secret>,
    #[config(flatten)]
    kind: Option<Kind>,
    to: Option<To>,
    regex: Option<regex::Regex>,
    map: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Decode)]
enum Kind {
    Left(u16),
    Right(bool),
}

#[derive(Debug, Decode)]
enum To {
    Word,
    Under(Box<Item>),
    #[config(seq)]
    Many(Vec<To>),
    #[config(scalar)]
    Text(std::net::IpAddr),
}

const GOOD: &str = "\
version: 1 # comment
names:
  first: { name: \"${NAME}\", wait: 5s, to: word }
  second:
    secret: file:secret
    left: 5
    to: { under: { right: true, map: { a: 1.5 } } }
items:
  - &anchor
    regex: ^/v[0-9]+$
    to: [word, 10.0.0.1]
  - *anchor
  - name: |
      several
      lines é ü
include: \"more/*.yaml\"
json: { a: [1, ~, 'x'], b: >-
  folded }
";

const PIECES: [&str; 40] = [
    "a",
    "version",
    "names",
    "items",
    "to",
    "1",
    "5s",
    "true",
    "~",
    "'",
    "\"",
    "\\",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\r\n",
    "\r",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    " #",
    "&x ",
    "*x",
    "|\n",
    ">-\n",
    "? ",
    "<<",
    "!!str ",
    "---\n",
    "...\n",
    "${NAME}",
    "${",
    "é\u{feff}\u{2028}",
    "%YAML 1.2\n",
];

fn world(text: &str) -> MemoryLoader {
    MemoryLoader::new()
        .file("a.yaml", text)
        .file("more/b.yaml", "names: { first: {}, third: { wait: x } }\nitems: [{ nam: x }]\n")
        .file("secret", "top-secret-value\n")
        .var("NAME", "expanded-secret")
}

fn assert_inside(span: Span, sources: &SourceMap) {
    let source = sources.get(span.source).expect("a source");
    for at in [span.start, span.end] {
        let line = source.line(at.line).unwrap_or_else(|| panic!("line of {span:?} in {:?}", source.text()));
        let width = line.chars().count();
        assert!(at.column >= 1 && at.column as usize <= width + 1, "{span:?} in {:?}", source.text());
    }
    assert!(span.start <= span.end, "{span:?}");
}

/// Loads, decodes and renders; checks what must hold for any text.
fn check(text: &str) {
    let loader = world(text);
    let mut loaded = load("a.yaml".as_ref(), &loader);
    let value: Option<All> = loaded.decode(&loader, None);
    assert!(value.is_some() || loaded.diagnostics.has_errors(), "no value and no error: {text:?}");
    for diagnostic in loaded.diagnostics.sorted() {
        assert_inside(diagnostic.span, &loaded.sources);
        diagnostic.related.iter().for_each(|(span, _)| assert_inside(*span, &loaded.sources));
    }
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    let tools = render_json(&loaded.diagnostics, &loaded.sources).to_string();
    for secret in ["expanded-secret", "top-secret-value"] {
        assert!(!report.contains(secret) && !tools.contains(secret), "{report}");
    }
    assert!(!report.chars().any(|c| c.is_control() && c != '\n'), "{report:?}");
}

/// Writes any JSON value as YAML in one line.
fn arb_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[^$]{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map("[^$]{1,8}", inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// YAML in lines; strings are quoted by JSON's rules, which are those of YAML's double quotes.
fn write_yaml(out: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                write!(out, "\n{:indent$}{}:", "", Json::from(key.as_str())).unwrap();
                write_yaml(out, value, indent + 2);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                write!(out, "\n{:indent$}-", "").unwrap();
                write_yaml(out, item, indent + 2);
            }
        }
        other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_)) => {
            write!(out, " {other}").unwrap();
        }
    }
}

fn parse_json(text: &str) -> (Option<Json>, String) {
    let (mut sources, mut diags, loader, mut watch) =
        (SourceMap::new(), Diagnostics::new(), MemoryLoader::new(), Vec::new());
    let id = sources.add("a.yaml", text);
    let node = parse(id, &sources, &loader, &Limits::default(), &mut diags);
    let value =
        node.and_then(|node| Json::decode(&node, &mut crate::Cx::new(&mut diags, &sources, &loader, &mut watch)));
    (value, render_text(&diags, &sources))
}

#[test]
fn the_text_that_is_mutated_is_good() {
    let loader = world(GOOD).file("more/b.yaml", "");
    let mut loaded = load("a.yaml".as_ref(), &loader);
    let value: Option<All> = loaded.decode(&loader, None);
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources), "");
    assert_eq!(value.map(|all| (all.names.len(), all.items.len(), all.version)), Some((2, 3, 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_text_is_read_or_refused_with_places_inside_it(text in "\\PC{0,80}") {
        check(&text);
    }

    #[test]
    fn any_sequence_of_yaml_pieces_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn a_mutated_config_is_read_or_refused(edits in prop::collection::vec((any::<Index>(), any::<Index>(), 0..4usize), 1..6)) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, piece, removed) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            let piece = PIECES[piece.index(PIECES.len())];
            text.splice(at..end, piece.chars());
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_tree_written_as_yaml_is_read_back(value in arb_json()) {
        let mut text = String::new();
        write_yaml(&mut text, &value, 0);
        prop_assert_eq!(parse_json(&text), (Some(value), String::new()), "{}", text);
    }

    #[test]
    fn any_tree_is_decoded_or_refused(value in arb_json()) {
        let mut text = "version: 1\nitems:".to_owned();
        write_yaml(&mut text, &Json::from(vec![value]), 2);
        check(&text);
    }
}
