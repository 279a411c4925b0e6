//! What is said of changes, and what is not said.

use crate::tests::kit::World;

const BASE: &str = r#"
version: 1
listeners:
  edge: { bind: "127.0.0.1:8080" }
admin: { bind: "127.0.0.1:9901", token: "first-secret-token" }
clusters:
  web: { endpoints: ["127.0.0.1:9001", "127.0.0.1:9002"] }
  api: { endpoints: [{ address: "127.0.0.1:9003", weight: 2 }] }
hosts:
  - names: [www.example.com, example.com]
    filters: [{ headers: { response: { set: { x-a: "1" } } } }]
    routes:
      - { name: api, match: { path: /api }, to: api }
      - { name: one, match: { exact: /a, method: GET }, to: web }
      - { name: two, match: { exact: /b, method: GET }, to: web }
      - { name: web, to: web }
  - names: [other.example.com]
    routes: [{ name: all, respond: { body: hello } }]
"#;

/// The text of the diff after replacing parts of the base.
fn changed(edits: &[(&str, &str)]) -> String {
    let world = World::default();
    let mut text = BASE.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    super::diff(world.candidate(BASE).checked(), world.candidate(&text).checked()).to_string()
}

#[test]
fn another_spelling_is_no_change() {
    for edit in [
        (
            "bind: \"127.0.0.1:8080\"",
            "bind: [\"127.0.0.1:8080\"], limits: { idle_timeout: 75000ms }, protocols: [http1, h2c]",
        ),
        ("\"127.0.0.1:9001\"", "{ address: \"127.0.0.1:9001\", priority: 0, weight: 1 }"),
        ("exact: /a", "exact: /%61"),
        ("{ name: web, to: web }", "{ to: web, match: { path: / }, body_limit: 10MiB, upgrade: true, name: web }"),
        ("version: 1", "version: 1 # a comment"),
    ] {
        assert_eq!(changed(&[edit]), "no change\n", "{edit:?}");
    }
}

#[test]
fn changes_are_said_in_the_words_of_the_config() {
    let touches_web = "touches hosts: www.example.com\n\
        touches routes: www.example.com/one, www.example.com/two, www.example.com/web\n";
    let nothing = "touches no hosts\ntouches no routes\n";
    for (edit, expected) in [
        (("8080", "8081"), format!("~ listener edge: bind [127.0.0.1:8080] → [127.0.0.1:8081]\n{nothing}")),
        (
            ("127.0.0.1:8080\" }", "127.0.0.1:8080\", connect: null, half_close: true }"),
            format!("~ listener edge: half_close false → true\n{nothing}"),
        ),
        (("first-secret", "second-secret"), format!("~ settings: admin.token changed (secret)\n{nothing}")),
        (
            ("\"127.0.0.1:9002\"", "{ address: \"127.0.0.1:9002\", weight: 3 }"),
            format!("~ cluster web: endpoint 127.0.0.1:9002: weight 1 → 3\n{touches_web}"),
        ),
        (
            ("\"127.0.0.1:9002\"]", "\"127.0.0.1:9004\"]"),
            format!(
                "+ cluster web: endpoint 127.0.0.1:9004 added\n- cluster web: endpoint 127.0.0.1:9002 removed\n{touches_web}"
            ),
        ),
        (
            ("exact: /a", "exact: /c"),
            "~ host www.example.com: route one: match GET, path exact /a → GET, path exact /c\n\
             touches hosts: www.example.com\ntouches routes: www.example.com/one\n"
                .to_owned(),
        ),
        (
            ("body: hello", "body: bye"),
            "~ host other.example.com: route all: respond.body \"hello\" → \"bye\"\n\
             touches hosts: other.example.com\ntouches routes: other.example.com/all\n"
                .to_owned(),
        ),
        (
            ("other.example.com", "third.example.com"),
            "+ host third.example.com added\n- host other.example.com removed\n\
             touches hosts: other.example.com, third.example.com\n\
             touches routes: other.example.com/all, third.example.com/all\n"
                .to_owned(),
        ),
        (
            ("name: one", "name: uno"),
            "+ host www.example.com: route uno added\n- host www.example.com: route one removed\n\
             touches hosts: www.example.com\ntouches routes: www.example.com/one, www.example.com/uno\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(changed(&[edit]), expected, "{edit:?}");
    }
}

#[test]
fn a_host_is_known_by_any_of_its_names() {
    let text = changed(&[("[www.example.com, example.com]", "[example.com, www.example.com]")]);
    assert!(text.contains("names [www.example.com, example.com] → [example.com, www.example.com]"), "{text}");
    assert!(!text.contains("added") && text.contains("example.com/api"), "{text}");
}

#[test]
fn order_matters_only_among_equal_rank() {
    let swap = |one: &str, two: &str| changed(&[(one, "ONE"), (two, one), ("ONE", two)]);
    let [api, first, second, last] = [
        "{ name: api, match: { path: /api }, to: api }",
        "{ name: one, match: { exact: /a, method: GET }, to: web }",
        "{ name: two, match: { exact: /b, method: GET }, to: web }",
        "{ name: web, to: web }",
    ];
    assert_eq!(swap(api, last), "no change\n");
    assert!(swap(first, second).starts_with("~ host www.example.com: route"), "{}", swap(first, second));
    assert!(swap(first, second).contains(" moved\n"));
}

#[test]
fn settings_of_filters_are_compared_and_secrets_hidden() {
    let text = changed(&[("x-a: \"1\"", "x-a: \"2\"")]);
    assert!(text.starts_with("~ host www.example.com: filters.headers.response.set.x-a 1 → 2\n"), "{text}");
    let text = changed(&[("x-a: \"1\"", "x-token: \"2\"")]);
    assert!(text.contains("filters.headers.response.set.x-token changed (secret)"), "{text}");
    assert!(!text.contains("→ 2") && !text.contains("to 2"), "{text}");
}

#[test]
fn json_says_the_same() {
    let world = World::default();
    let text = BASE.replace("8080", "8081").replace("first-secret", "second-secret");
    let diff = super::diff(world.candidate(BASE).checked(), world.candidate(&text).checked());
    let json = diff.to_json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 2);
    assert_eq!(json["changes"][0]["secret"], true);
    assert_eq!(json["changes"][1]["to"], "[127.0.0.1:8081]");
    assert!(!json.to_string().contains("secret-token"));
}
