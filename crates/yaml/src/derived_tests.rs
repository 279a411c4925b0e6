//! What derived code reads, refuses and describes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::testing::{loader, places, read, value};
use crate::{
    Cx, Decode, Diagnostic, Json, Named, Node, SchemaGen, Secret, Spanned, markdown_reference, schema_for,
    schema_for_document,
};

/// A gateway.
#[derive(Debug, PartialEq, Decode)]
struct Gate {
    /// The version of the format.
    version: u8,
    /// Where connections are accepted.
    #[config(default)]
    listeners: Named<Listener>,
    /// What is done with requests.
    #[config(default)]
    routes: Vec<Route>,
}

/// A place to listen at.
#[derive(Debug, PartialEq, Decode)]
#[config(validate = check_listener)]
struct Listener {
    /// The address and port.
    #[config(example = "0.0.0.0:8080")]
    bind: SocketAddr,
    /// How long a connection may be idle.
    ///
    /// Streams count as well.
    #[config(default = Duration::from_secs(75))]
    idle_timeout: Duration,
    /// Who may connect.
    token: Option<Secret>,
    #[config(flatten)]
    bounds: Bounds,
}

#[derive(Debug, PartialEq, Decode)]
struct Bounds {
    /// Connections at once.
    #[config(default = 100)]
    connections: u32,
    /// Free text.
    #[config(rename = "type", default = "plain")]
    kind: String,
}

fn check_listener(listener: &Listener, node: &Node, cx: &mut Cx<'_>) {
    if listener.bounds.connections == 0 {
        let place = node.get("connections").map_or(node.span, |entry| entry.value.span);
        cx.push(Diagnostic::error("no_connections", place, "nobody could connect"));
    }
}

#[derive(Debug, PartialEq, Decode)]
struct Route {
    name: Option<String>,
    #[config(flatten)]
    path: Option<PathMatch>,
    to: To,
    #[config(default)]
    balance: Balance,
    #[config(default, with = upper)]
    label: String,
}

mod upper {
    use super::{Cx, Decode, Json, Node, SchemaGen};

    pub(super) fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
        String::decode(node, cx).map(|text| text.to_uppercase())
    }

    pub(super) fn schema(schemas: &mut SchemaGen) -> Json {
        String::schema(schemas)
    }
}

/// One of these.
#[derive(Debug, PartialEq, Decode)]
enum PathMatch {
    /// A prefix of whole segments.
    Path(String),
    /// The whole path.
    Exact(String),
}

#[derive(Debug, PartialEq, Decode)]
enum To {
    /// A cluster by name.
    #[config(scalar)]
    Cluster(String),
    /// Several clusters by weight.
    Split(Named<u32>),
    /// An answer of the gateway's own.
    Respond {
        status: u16,
        #[config(default)]
        body: String,
    },
    /// Any of these.
    #[config(seq)]
    Any(Vec<String>),
}

#[derive(Debug, Default, PartialEq, Decode)]
enum Balance {
    #[default]
    RoundRobin,
    LeastLoaded,
    /// By a key of the request.
    Hash(HashBy),
    Compress(Compress),
    #[config(rename = "1.2")]
    OneTwo,
}

#[derive(Debug, PartialEq, Decode)]
#[config(deny_empty)]
struct HashBy {
    by: Option<String>,
}

/// With defaults for all.
#[derive(Debug, PartialEq, Decode)]
struct Compress {
    #[config(default = 6)]
    level: u8,
}

fn route(text: &str) -> Route {
    value::<Route>(text)
}

#[test]
fn reads_a_whole_config() {
    let gate: Gate = value(
        "version: 1\nlisteners:\n  edge: { bind: '0.0.0.0:80', connections: 5, type: x }\n  other: { bind: '[::]:81', idle_timeout: 1s }\n",
    );
    let edge = &gate.listeners.get("edge").unwrap().value;
    assert_eq!(
        (edge.bounds.connections, edge.bounds.kind.as_str(), edge.idle_timeout),
        (5, "x", Duration::from_secs(75))
    );
    let other = &gate.listeners.get("other").unwrap().value;
    assert_eq!(
        (other.bounds.connections, other.bounds.kind.as_str(), other.idle_timeout),
        (100, "plain", Duration::from_secs(1))
    );
}

#[test]
fn a_key_with_nothing_after_it_is_left_out() {
    assert!(value::<Gate>("version: 1\nlisteners:\nroutes:\n").routes.is_empty());
    assert_eq!(
        read::<Gate>("version:\n").1.lines().next().unwrap(),
        "a.yaml:1:8: error[wrong_type]: expected an integer, found nothing"
    );
}

#[test]
fn reports_every_error_at_once() {
    let text = "\
version: one
lisneters: {}
listeners:
  edge:
    bind: localhost
    idle_timeout: 5
    conections: 3
  bare: {}
  list: [x]
  none: { bind: '0.0.0.0:1', connections: 0 }
routes:
  - { to: { splt: { a: 1 } } }
  - { to: a, balance: least_loadd }
  - { to: a, balance: { hash: {} } }
  - { path: /, exact: /x, to: a }
  - name: x
";
    let (_, report) = read::<Gate>(text);
    let expected = [
        "1:10 wrong_type",
        "2:1 unknown_key",
        "5:11 invalid_value",
        "6:19 invalid_value",
        "7:5 unknown_key",
        "8:3 missing_key",
        "9:9 wrong_type",
        "10:43 no_connections",
        "12:13 unknown_key",
        "13:23 unknown_value",
        "14:25 missing_key",
        "15:16 conflicting_keys",
        "16:5 missing_key",
    ];
    assert_eq!(places(&report), expected, "{report}");
    for part in [
        "help: did you mean `listeners`?",
        "help: for example `bind: 0.0.0.0:8080`",
        "help: did you mean `connections`?",
        "the key `bind` is missing",
        "did you mean `split`?",
        "did you mean `least_loaded`?",
        "a.yaml:15:7: the first is here",
        "expected a map, found a list",
        "the keys are `bind`, `idle_timeout`, `token`, `connections`, `type`",
    ] {
        assert!(report.contains(part), "no `{part}` in\n{report}");
    }
}

#[test]
fn shows_the_line_with_carets() {
    let (_, report) = read::<Gate>("version: 1\nlisteners:\n\tedge: x\n");
    assert!(report.contains("syntax"));
    let (_, report) = read::<Gate>("version: 1\nroutes: # all\n  - { to: é, tiemout: 5s } # x\n");
    let expected = "\
a.yaml:3:14: error[unknown_key]: unknown key `tiemout`
   3 |   - { to: é, tiemout: 5s } # x
     |              ^^^^^^^
     help: the keys are `name`, `path`, `exact`, `to`, `balance`, `label`
";
    assert_eq!(report, expected);
}

#[test]
fn reads_each_form_of_an_enum() {
    let check = |text: &str, expected: To| assert_eq!(route(&format!("to: {text}")).to, expected, "{text}");
    check("archive", To::Cluster("archive".to_owned()));
    check("[a, b]", To::Any(vec!["a".to_owned(), "b".to_owned()]));
    check("{ respond: { status: 404 } }", To::Respond { status: 404, body: String::new() });
    let To::Split(split) = route("to: { split: { a: 95, b: 5 } }").to else { panic!("no split") };
    assert_eq!(split.iter().map(|entry| entry.value).collect::<Vec<_>>(), [95, 5]);

    let check = |text: &str, expected: Balance| {
        assert_eq!(route(&format!("to: x\nbalance: {text}")).balance, expected, "{text}")
    };
    check("", Balance::RoundRobin);
    check("least_loaded", Balance::LeastLoaded);
    check("{ least_loaded: }", Balance::LeastLoaded);
    check("{ least_loaded: {} }", Balance::LeastLoaded);
    check("{ hash: { by: x } }", Balance::Hash(HashBy { by: Some("x".to_owned()) }));
    check("compress", Balance::Compress(Compress { level: 6 }));
    check("{ compress: }", Balance::Compress(Compress { level: 6 }));
    check("{ compress: { level: 1 } }", Balance::Compress(Compress { level: 1 }));
    check("1.2", Balance::OneTwo);
}

#[test]
fn refuses_wrong_forms_of_an_enum() {
    let check = |text: &str, code: &str, part: &str| {
        let (_, report) = read::<Route>(&format!("to: x\nbalance: {text}"));
        assert!(places(&report).len() == 1 && report.contains(code) && report.contains(part), "{text}\n{report}");
    };
    check("[a]", "wrong_type", "write one of `round_robin`, `least_loaded`, `hash: …`");
    check("{ least_loaded: 5 }", "wrong_type", "`least_loaded` takes no settings");
    check("hash", "wrong_type", "write `hash: …` with its settings");
    check("{ hash: { by: a }, compress: }", "conflicting_keys", "only one key");
    check("{ compress: { levle: 1 } }", "unknown_key", "did you mean `level`?");
    check("{ compress: { level: x } }", "wrong_type", "expected an integer");
    check("{}", "missing_key", "a key is missing");
}

#[test]
fn reads_flattened_enums() {
    assert_eq!(route("{ to: x, exact: /a }").path, Some(PathMatch::Exact("/a".to_owned())));
    assert_eq!(route("{ to: x }").path, None);
    assert_eq!(route("{ to: x, label: abc }").label, "ABC");
}

/// Must be even.
#[derive(Debug, PartialEq, Decode)]
#[config(try_from = Spanned<u8>)]
struct Even(u8);

impl TryFrom<Spanned<u8>> for Even {
    type Error = String;

    fn try_from(raw: Spanned<u8>) -> Result<Self, String> {
        if raw.value.is_multiple_of(2) { Ok(Self(raw.value)) } else { Err(format!("{} is odd", raw.value)) }
    }
}

/// A number of things.
#[derive(Debug, PartialEq, Decode)]
struct Count(u8);

#[derive(Debug, PartialEq, Decode)]
struct Empty;

#[derive(Debug, PartialEq, Decode)]
struct Small {
    even: Even,
    count: Count,
    #[config(default = Empty)]
    empty: Empty,
}

#[test]
fn converts_and_looks_through() {
    assert_eq!(value::<Small>("even: 2\ncount: 3\nempty: {}"), Small { even: Even(2), count: Count(3), empty: Empty });
    let (_, report) = read::<Small>("even: 3\ncount: x\nempty: { a: 1 }");
    assert_eq!(places(&report), ["1:7 invalid_value", "2:8 wrong_type", "3:10 unknown_key"], "{report}");
}

/// Asks for what the caller brought along.
#[derive(Debug)]
struct Known(&'static str);

impl Decode for Known {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let words: &Vec<&'static str> = cx.extension()?;
        let text = node.scalar()?.text();
        words.iter().find(|word| **word == text).map(|word| Self(word))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({})
    }
}

#[test]
fn decoders_see_what_the_caller_brought_along() {
    let loader = loader("[b]");
    let (mut sources, mut diags, mut watch) = (crate::SourceMap::new(), crate::Diagnostics::new(), Vec::new());
    let id = sources.add("a.yaml", "[b]");
    let node = crate::parse(id, &sources, &loader, &crate::Limits::default(), &mut diags).unwrap();
    let words = vec!["a", "b"];
    let mut cx = Cx::new(&mut diags, &sources, &loader, &mut watch).with_extension(&words);
    let known = Vec::<Known>::decode(&node, &mut cx).unwrap();
    assert_eq!(known.first().map(|known| known.0), Some("b"));
}

#[test]
fn describes_the_type_as_json_schema() {
    let schema = schema_for_document::<Gate>(SchemaGen::new());
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["description"], "A gateway.");
    assert_eq!(schema["required"], json!(["version"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["x-order"], json!(["version", "listeners", "routes", "include"]));
    assert!(schema["properties"]["include"]["anyOf"].is_array());

    let listener = &schema["$defs"]["Listener"];
    assert_eq!(listener["x-order"], json!(["bind", "idle_timeout", "token", "connections", "type"]));
    assert_eq!(listener["required"], json!(["bind"]));
    assert_eq!(listener["properties"]["bind"]["examples"], json!(["0.0.0.0:8080"]));
    let idle = &listener["properties"]["idle_timeout"];
    assert_eq!((&idle["default"], &idle["title"]), (&json!("75s"), &json!("duration")));
    assert_eq!(idle["description"], "How long a connection may be idle.\n\nStreams count as well.");
    assert_eq!(listener["properties"]["type"]["default"], "plain");

    let route = &schema["$defs"]["Route"];
    assert_eq!(route["required"], json!(["to"]));
    assert_eq!(route.get("allOf"), None, "the path is optional");
    assert_eq!(route["properties"]["exact"]["description"], "The whole path.");
    assert_eq!(route["properties"]["balance"]["default"], "round_robin");

    let balance = &schema["$defs"]["Balance"]["anyOf"];
    assert_eq!(balance[0], json!({ "const": "round_robin" }));
    assert_eq!(balance[2]["properties"]["hash"], json!({ "$ref": "#/$defs/HashBy" }));
    assert_eq!(
        (&balance[3], &balance[5]["const"], &balance[6]["const"]),
        (&json!({ "const": "compress" }), &json!("1.2"), &json!(1.2))
    );
    assert_eq!(schema["$defs"]["ToRespond"]["required"], json!(["status"]));
}

#[derive(Debug, Decode)]
struct Tree {
    #[config(default)]
    children: Vec<Tree>,
    #[config(flatten)]
    path: PathMatch,
}

/// Words only.
#[derive(Debug, Decode)]
enum Words {
    One,
    Two,
}

mod other {
    use crate::Decode;

    /// Has the name of another type.
    #[derive(Debug, Decode)]
    pub(super) enum Words {
        /// Described.
        Three,
    }
}

#[derive(Debug, Decode)]
struct TwoWords {
    _a: Words,
    _b: other::Words,
}

#[test]
fn schemas_of_recursive_and_equally_named_types() {
    let tree: Tree = value("path: /\nchildren: [{ exact: /a, children: [{ path: /b }] }]");
    assert!(matches!(tree.path, PathMatch::Path(_)) && tree.children.len() == 1);
    let schema = schema_for::<Tree>();
    assert_eq!(schema["properties"]["children"]["items"], json!({ "$ref": "#/$defs/Tree" }));
    assert_eq!(schema["allOf"], json!([{ "oneOf": [{ "required": ["path"] }, { "required": ["exact"] }] }]));

    let schema = schema_for::<TwoWords>();
    assert_eq!(schema["$defs"]["Words"], json!({ "description": "Words only.", "enum": ["one", "two"] }));
    assert_eq!(schema["$defs"]["Words2"]["oneOf"], json!([{ "const": "three", "description": "Described." }]));
}

#[test]
fn writes_a_reference_from_the_schema() {
    let text = markdown_reference(&schema_for_document::<Gate>(SchemaGen::new()));
    let parts = [
        "### The file\n\nA gateway.\n\n| key | type | default | description |\n|---|---|---|---|\n| `version` | integer | required | The version of the format. |\n",
        "| `listeners` | map of [Listener](#listener) | `{}` | Where connections are accepted. |",
        "| `idle_timeout` | duration | `75s` | How long a connection may be idle.<br>Streams count as well. |",
        "| `balance` | [Balance](#balance) | `round_robin` |  |",
        "| `hash:` [HashBy](#hashby) | By a key of the request. |",
        "| `split:` map of integer | Several clusters by weight. |",
        "| string | A cluster by name. |",
        "| list of string | Any of these. |",
    ];
    for part in parts {
        assert!(text.contains(part), "no {part}\nin\n{text}");
    }
    let sections: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(sections, ["The file", "Listener", "Route", "To", "Balance", "ToRespond", "HashBy", "Compress"]);
}

#[test]
fn renders_findings_for_tools() {
    let loader = loader("version: 1\nlisteners:\n  a: { bnid: 1 }\n");
    let mut loaded = crate::load("a.yaml".as_ref(), &loader);
    let _: Option<Gate> = loaded.decode(&loader, None);
    let report = crate::render_json(&loaded.diagnostics, &loaded.sources);
    assert_eq!(
        report[1],
        json!({
            "severity": "error", "code": "unknown_key", "message": "unknown key `bnid`", "file": "a.yaml",
            "line": 3, "column": 8, "end_line": 3, "end_column": 12, "excerpt": "  a: { bnid: 1 }",
            "help": "did you mean `bind`?", "related": [],
        })
    );
}
