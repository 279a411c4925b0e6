//! Which rule decides, and on whom.

use http::Method;
use portcullis_filter::testkit::Exchange;
use portcullis_types::Reason;

use crate::testing::{chain, check_refused, run};

const RULES: &str = "
rules:
  - name: monitoring
    allow: { networks: 192.0.2.9, path: /admin/health }
  - name: no admin
    deny: { path: /admin/ }
  - deny: { methods: [DELETE, TRACE] }
  - name: office
    allow: { networks: [10.0.0.0/8, '2001:db8::/32'] }
  - name: writes
    deny: { networks: 192.0.2.0/24, methods: POST }
default: allow
";

/// Asserts who is refused, and by which rule.
fn check(rules: &str, method: &Method, path: &str, client: &str, refused_by: Option<&str>) {
    let exchange = Exchange::new(method.clone(), &format!("http://example.com{path}"));
    let seen = run(&chain(&[("access", rules)]), exchange.client(client.parse().expect(client)));
    let rule = seen.notes.annotations().first().map(|(_, rule)| rule.as_str());
    assert_eq!(rule, refused_by, "{method} {path} {client}");
    assert_eq!(seen.reason, refused_by.map(|_| Reason::Denied));
    assert_eq!(seen.upstream.is_none(), refused_by.is_some());
}

#[test]
fn the_first_rule_that_names_a_request_decides() {
    let check = |method, path, client, refused_by| check(RULES, &method, path, client, refused_by);
    check(Method::GET, "/admin/health", "192.0.2.9", None);
    check(Method::GET, "/admin/health", "::ffff:192.0.2.9", None);
    check(Method::GET, "/admin/health/x", "192.0.2.9", None);
    check(Method::GET, "/admin/healthy", "192.0.2.9", Some("no admin"));
    check(Method::GET, "/admin", "10.0.0.1", Some("no admin"));
    check(Method::GET, "/administrator", "10.0.0.1", None);
    check(Method::DELETE, "/x", "10.0.0.1", Some("rule 3"));
    check(Method::POST, "/x", "10.0.0.1", None);
    check(Method::POST, "/x", "2001:db8::1", None);
    check(Method::POST, "/x", "192.0.2.1", Some("writes"));
    check(Method::GET, "/x", "192.0.2.1", None);
    check(Method::POST, "/x", "198.51.100.1", None);
}

#[test]
fn the_default_decides_on_the_rest() {
    let check = |rules, client, refused_by| check(rules, &Method::GET, "/", client, refused_by);
    check("{ rules: [{ allow: { networks: 10.0.0.0/8 } }], default: deny }", "10.1.1.1", None);
    check("{ rules: [{ allow: { networks: 10.0.0.0/8 } }], default: deny }", "192.0.2.1", Some("default"));
    check("rules: [{ allow: { networks: 10.0.0.0/8 } }, { name: rest, deny: all }]", "192.0.2.1", Some("rest"));
    check("default: deny", "192.0.2.1", Some("default"));
    check("rules: [{ allow: all }]", "192.0.2.1", None);
    check("{ rules: [{ deny: { path: / } }], default: allow }", "192.0.2.1", Some("rule 1"));
}

#[test]
fn tells_the_client_which_rule_it_was() {
    let seen = run(&chain(&[("access", "rules: [{ name: closed, deny: all }]")]), Exchange::get("http://a/"));
    assert_eq!(seen.status, 403);
    let body = String::from_utf8_lossy(&seen.body);
    assert!(body.contains("access rule `closed`"), "{body}");
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("access", yaml, expected);
    check("{}", "add `default: allow` or `default: deny`");
    check("rules: [{ allow: { path: /x } }]", "what happens to a request that no rule names?");
    check("rules: [{ deny: all }, { allow: { path: /x } }]", "never reached");
    check("rules: [{ name: x }]", "`allow`, `deny`");
    check("rules: [{ allow: all, deny: all }]", "cannot stand together");
    check("rules: [{ deny: {} }]", "at least one key is needed");
    check("rules: [{ deny: { network: 10.0.0.0/8 } }]", "did you mean `networks`?");
    check("rules: [{ deny: { networks: 10.0.0.1/8 } }]", "did you mean `10.0.0.0/8`");
    check("rules: [{ deny: { path: admin } }]", "it begins with `/`");
    check("rules: [{ deny: everyone }]", "unknown value");
    check("{ default: maybe }", "unknown value `maybe`");
}
