//! Each condition against requests that satisfy it and requests that do not, and what is said of the latter.

use super::*;
use crate::test_kit::{Request, path};

fn value(text: &str) -> ValueMatch {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("=", rest) => ValueMatch::Exact(rest.into()),
        ("^", rest) => ValueMatch::Prefix(rest.into()),
        ("~", rest) => ValueMatch::Regex(Pattern::new(rest).unwrap()),
        ("present", _) => ValueMatch::Present,
        ("absent", _) => ValueMatch::Absent,
        (other, _) => panic!("{other}"),
    }
}

fn header(name: &str, text: &str) -> Matcher {
    let header = HeaderMatcher { name: name.parse().unwrap(), value: value(text) };
    Conditions { headers: vec![header], ..Conditions::default() }.into()
}

fn query(name: &str, text: &str) -> Matcher {
    let query = QueryMatcher { name: name.into(), value: value(text) };
    Conditions { query: vec![query], ..Conditions::default() }.into()
}

fn cookie(name: &str, text: &str) -> Matcher {
    let cookie = CookieMatcher { name: name.into(), value: value(text) };
    Conditions { cookies: vec![cookie], ..Conditions::default() }.into()
}

fn methods(names: &[&str]) -> Matcher {
    let methods = MethodMatcher::new(names.iter().map(|name| name.parse().unwrap()));
    Conditions { methods, ..Conditions::default() }.into()
}

fn networks(nets: &[&str]) -> Matcher {
    let network = NetworkMatcher::new(nets.iter().map(|net| net.parse().unwrap()));
    Conditions { network, ..Conditions::default() }.into()
}

fn certificate(certificate: CertificateMatcher) -> Matcher {
    Conditions { certificate: Some(certificate), ..Conditions::default() }.into()
}

fn jsonrpc(methods: &[&str]) -> Matcher {
    Conditions {
        body: BodyMatch::jsonrpc(methods.iter().map(|method| method.parse().unwrap())),
        ..Conditions::default()
    }
    .into()
}

/// `expected` is empty for a match, else what the mismatch says.
fn check(matcher: &Matcher, request: &Request, expected: &str) {
    let judged = matcher.check(&request.view(), &RouteName::from("r"));
    let said = judged.map_err(|mismatch| mismatch.to_string()).err().unwrap_or_default();
    assert_eq!(said, expected, "{matcher}");
}

fn get() -> Request {
    Request::new("GET /a")
}

#[test]
fn the_default_takes_everything() {
    check(&Matcher::default(), &get(), "");
    assert_eq!(Matcher::default().describe(), "path prefix /");
}

#[test]
fn paths_and_methods() {
    check(&path("prefix /a").into(), &get(), "");
    check(&path("exact /b").into(), &get(), "expected path exact /b, found \"/a\"");
    check(&methods(&["POST", "GET"]), &get(), "");
    check(&methods(&["POST", "PUT"]), &get(), "expected method POST or PUT, found GET");
    check(&methods(&["GET"]), &Request::new("HEAD /a"), "expected method GET, found HEAD");
    assert_eq!(MethodMatcher::new([]), None);
}

#[test]
fn headers_hold_by_any_of_their_values() {
    let request = || get().header("x-env", "prod").header("x-env", "canary").header("x-one", "1");
    for (name, condition, expected) in [
        ("X-Env", "= canary", ""),
        ("x-env", "= can", "expected header x-env = can, found \"prod\" and 1 more"),
        ("x-env", "^ can", ""),
        ("x-env", "~ c.*y", ""),
        ("x-one", "~ 1+", ""),
        ("x-one", "~ 2", "expected header x-one ~ 2, found \"1\""),
        ("x-one", "present", ""),
        ("x-one", "absent", "expected header x-one absent, found \"1\""),
        ("x-two", "absent", ""),
        ("x-two", "present", "expected header x-two present, found none"),
        ("x-two", "= 1", "expected header x-two = 1, found none"),
    ] {
        check(&header(name, condition), &request(), expected);
    }
}

#[test]
fn secrets_are_not_shown_and_long_values_are_cut_and_escaped() {
    let said = "expected header authorization = a, found another value (not shown)";
    check(&header("authorization", "= a"), &get().header("authorization", "Bearer s3cret"), said);
    let said = "expected header x-api-key absent, found another value (not shown)";
    check(&header("x-api-key", "absent"), &get().header("x-api-key", "s3cret"), said);
    let said = "expected cookie sid = a, found another value (not shown)";
    check(&cookie("sid", "= a"), &get().header("cookie", "sid=s3cret"), said);
    let long = get().header("x-a", &format!("\u{e9}\"{}", "a".repeat(100)));
    let said = format!("expected header x-a = 1, found \"\u{e9}\\\"{}\"... (103 bytes)", "a".repeat(77));
    check(&header("x-a", "= 1"), &long, &said);
}

#[test]
fn queries_are_compared_decoded() {
    let request = || Request::new("GET /a?env=a%20b&env=c+d&flag&%6Bey=v%2Bw");
    for (name, condition, expected) in [
        ("env", "= a b", ""),
        ("env", "= c d", ""),
        ("env", "~ [a-d] [a-d]", ""),
        ("flag", "= ", ""),
        ("flag", "present", ""),
        ("key", "= v+w", ""),
        ("key", "^ v", ""),
        ("ENV", "present", "expected query ENV present, found none"),
        ("env", "= a", "expected query env = a, found \"a%20b\" and 1 more"),
        ("other", "absent", ""),
    ] {
        check(&query(name, condition), &request(), expected);
    }
    check(&query("a", "absent"), &get(), "");
}

#[test]
fn cookies_are_found_in_any_field() {
    let request = || get().header("cookie", "a=1; b = 2;c").header("cookie", "a=\"3\"; =x; d==");
    for (name, condition, expected) in [
        ("a", "= 1", ""),
        ("a", "= \"3\"", ""),
        ("b", "= 2", ""),
        ("c", "absent", ""),
        ("d", "= =", ""),
        ("A", "present", "expected cookie A present, found none"),
    ] {
        check(&cookie(name, condition), &request(), expected);
    }
}

#[test]
fn networks_hold_by_any_of_the_list() {
    let matcher = networks(&["10.1.2.3/8", "2001:db8::/32"]);
    for (client, expected) in [
        ("10.9.9.9", ""),
        ("::ffff:10.9.9.9", ""),
        ("2001:db8::1", ""),
        ("192.0.2.1", "expected client in 10.0.0.0/8 or 2001:db8::/32, found 192.0.2.1"),
        ("2001:db9::1", "expected client in 10.0.0.0/8 or 2001:db8::/32, found 2001:db9::1"),
    ] {
        check(&matcher, &get().client(client), expected);
    }
}

#[test]
fn certificates_hold_by_subject_name_and_fingerprint() {
    let request = || get().certificate("CN=a", &["svc.example.com", "spiffe://x/y"]);
    let name = |text: &str| CertificateMatcher::Name(text.parse().unwrap());
    let digits = "ab".repeat(32);
    for (matcher, expected) in [
        (CertificateMatcher::Present, ""),
        (CertificateMatcher::Subject("CN=a".into()), ""),
        (name("svc.example.com"), ""),
        (name("*.example.com"), ""),
        (name("spiffe://x/y"), ""),
        (CertificateMatcher::Fingerprint(digits.parse().unwrap()), ""),
        (name("b.com"), "expected client certificate name = b.com, found the certificate of \"CN=a\""),
    ] {
        check(&certificate(matcher), &request(), expected);
    }
    check(&certificate(CertificateMatcher::Present), &get(), "expected client certificate present, found none");
}

#[test]
fn all_calls_of_a_batch_must_be_in_the_set() {
    let matcher = jsonrpc(&["getBlock", "getSlot"]);
    let said = |found: &str| format!("expected jsonrpc getBlock or getSlot, found {found}");
    for (request, expected) in [
        (get().calls(Some(&["getSlot"])), String::new()),
        (get().calls(Some(&["getSlot", "getBlock", "getSlot"])), String::new()),
        (get().calls(Some(&["getSlot", "send"])), said("\"send\"")),
        (get().calls(Some(&[])), said("a batch without calls")),
        (get().calls(None), said("a body that is not JSON-RPC")),
        (get(), said("a body that was not read")),
    ] {
        check(&matcher, &request, &expected);
    }
}

#[test]
fn a_pattern_takes_methods_that_begin_so_and_no_call_without_a_method() {
    let matcher = jsonrpc(&["get*", "sendTransaction"]);
    let said = |found: &str| format!("expected jsonrpc sendTransaction or get*, found {found}");
    for (request, expected) in [
        (get().calls(Some(&["getSlot", "sendTransaction"])), String::new()),
        (get().calls(Some(&["getSlot", "simulateTransaction"])), said("\"simulateTransaction\"")),
        (get().calls(Some(&["GetSlot"])), said("\"GetSlot\"")),
    ] {
        check(&matcher, &request, &expected);
    }
}

fn share(percent: &str, key: &str) -> Matcher {
    let percentage = PercentageMatcher { percent: percent.parse().unwrap(), key: key.parse().unwrap() };
    Conditions { percentage: Some(percentage), ..Conditions::default() }.into()
}

/// Which of a thousand users are in.
fn members(matcher: &Matcher, route: &str) -> Vec<bool> {
    let is_in = |n: u32| {
        let request = get().header("x-user", &n.to_string());
        matcher.check(&request.view(), &RouteName::from(route)).is_ok()
    };
    (0..1000).map(is_in).collect()
}

#[test]
fn a_percentage_is_stable_grows_and_differs_by_route() {
    let (ten, thirty) = (share("10%", "header:x-user"), share("30%", "header:x-user"));
    let members_of_ten = members(&ten, "r");
    let count = members_of_ten.iter().filter(|is_in| **is_in).count();
    assert!((70..130).contains(&count), "{count}");
    assert_eq!(members_of_ten, members(&ten, "r"));
    assert!(members_of_ten.iter().zip(members(&thirty, "r")).all(|(small, large)| !small || large));
    let both = members_of_ten.iter().zip(members(&ten, "other")).filter(|(a, b)| **a && *b).count();
    assert!(both < 30, "{both}");
    assert_eq!(ten.describe(), "path prefix /, 10% by header:x-user");
}

#[test]
fn a_percentage_without_its_key_goes_by_the_client() {
    let (by_header, by_client) = (share("50%", "header:x-user"), share("50%", "client_ip"));
    let route = RouteName::from("r");
    let mut ins = 0;
    for n in 0..100 {
        let request = get().client(&format!("192.0.2.{n}"));
        let is_in = by_header.check(&request.view(), &route).is_ok();
        assert_eq!(is_in, by_client.check(&request.view(), &route).is_ok());
        ins += usize::from(is_in);
    }
    assert!((30..70).contains(&ins), "{ins}");
}

#[test]
fn a_description_names_every_condition_in_order() {
    let mut matcher = header("x-env", "= canary");
    matcher.path = path("prefix /v1");
    matcher.conditions.methods = methods(&["POST"]).conditions.methods;
    assert_eq!(matcher.describe(), "POST, path prefix /v1, header x-env = canary");
    matcher.conditions.query = query("q", "~ a.*").conditions.query;
    matcher.conditions.cookies = cookie("c", "absent").conditions.cookies;
    matcher.conditions.network = networks(&["10.0.0.0/8"]).conditions.network;
    let expected = "POST, path prefix /v1, header x-env = canary, query q ~ a.*, cookie c absent, client in 10.0.0.0/8";
    assert_eq!(matcher.to_string(), expected);
}
