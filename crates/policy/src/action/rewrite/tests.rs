//! Rewrites: what they make, and that it is always a clean path.

use proptest::prelude::*;

use super::*;
use crate::test_kit::path as matcher;

fn check(rewrite: &PathRewrite, matched: &PathMatcher, path: &str, expected: &str) {
    assert_eq!(rewrite.apply(path, &matched.params(path)), expected, "{rewrite:?} of {path}");
}

#[test]
fn replaces_the_whole_path() {
    check(&PathRewrite::replace("/new").unwrap(), &matcher("prefix /"), "/old/x", "/new");
    check(&PathRewrite::replace("/a//b").unwrap(), &matcher("prefix /"), "/old", "/a/b");
}

#[test]
fn swaps_leading_segments() {
    for (from, to, path, expected) in [
        ("/v1", "/v2", "/v1/x", "/v2/x"),
        ("/v1", "/v2", "/v1", "/v2"),
        ("/v1", "/v2", "/v1/", "/v2/"),
        ("/v1", "/", "/v1/x", "/x"),
        ("/v1", "/", "/v1", "/"),
        ("/v1/", "/v2/", "/v1/x", "/v2/x"),
        ("/", "/v2", "/x", "/v2/x"),
        ("/", "/v2", "/", "/v2/"),
        ("/v1", "/v2", "/v10/x", "/v10/x"),
        ("/v1", "/", "/v1//evil.com", "/evil.com"),
    ] {
        check(&PathRewrite::prefix(from, to).unwrap(), &matcher("prefix /"), path, expected);
    }
}

#[test]
fn fills_a_template_with_captures() {
    let matched = matcher("template /users/{id}/{*rest}");
    for (template, expected) in
        [("/u/{id}", "/u/42"), ("/{rest}/of/{id}", "/a/b/of/42"), ("/x-{id}.json", "/x-42.json"), ("/plain", "/plain")]
    {
        check(&PathRewrite::template(template, &matched).unwrap(), &matched, "/users/42/a/b", expected);
    }
    check(&PathRewrite::template("/{id}./x", &matched).unwrap(), &matched, "/users/%2e/b", "/x");
}

#[test]
fn replaces_the_first_match_of_a_regex() {
    for (regex, replacement, path, expected) in [
        ("^/v[0-9]+/(.*)$", "/api/$1", "/v12/x/y", "/api/x/y"),
        ("(?<year>[0-9]{4})", "y${year}", "/2024/2025", "/y2024/2025"),
        ("^/a", "/b", "/c", "/c"),
        ("/a/(.*)", "/$1/.$1", "/a/.", "/"),
        ("x", "$$", "/x", "/$"),
        ("^/", "", "/x", "/x"),
        ("^.*$", " ?#\u{e9}", "/x", "/%20%3F%23%C3%A9"),
    ] {
        check(&PathRewrite::regex(regex, replacement).unwrap(), &matcher("prefix /"), path, expected);
    }
}

#[test]
fn refuses_what_could_not_work() {
    let matched = matcher("template /users/{id}");
    let unknown = |name: &str, known: &str| RewriteError::UnknownParam { name: name.into(), known: known.into() };
    for (result, expected) in [
        (PathRewrite::replace("x"), RewriteError::Path(PathError::NoSlash)),
        (PathRewrite::replace("/x?y"), RewriteError::Path(PathError::NotPath('?', "%3F"))),
        (PathRewrite::template("/{name}", &matched), unknown("name", "id")),
        (PathRewrite::template("/{id}", &matcher("prefix /")), unknown("id", "none")),
        (PathRewrite::template("/{id", &matched), RewriteError::Brace),
        (PathRewrite::template("/id}", &matched), RewriteError::Brace),
        (PathRewrite::template("{id}", &matched), RewriteError::Path(PathError::NoSlash)),
        (PathRewrite::regex("a(b)", "$2"), RewriteError::UnknownGroup("2".into())),
        (PathRewrite::regex("a(b)", "$1x"), RewriteError::UnknownGroup("1x".into())),
        (PathRewrite::regex("a(b)", "${n}"), RewriteError::UnknownGroup("n".into())),
        (PathRewrite::regex("a(b)", "$"), RewriteError::UnknownGroup(String::new())),
    ] {
        assert_eq!(result.err(), Some(expected));
    }
    assert!(matches!(PathRewrite::regex("(", ""), Err(RewriteError::Regex(_))));
}

#[test]
fn cleans_any_text_into_a_path() {
    for (text, expected) in [
        ("", "/"),
        ("x", "/x"),
        ("//evil.com", "/evil.com"),
        ("/\\evil.com", "/%5Cevil.com"),
        ("/a/../../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a//b/", "/a/b/"),
        ("/...", "/..."),
        ("/%zz%41", "/%25zz%41"),
        ("/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x"),
    ] {
        assert_eq!(clean(text), expected, "{text}");
    }
}

#[test]
fn host_rewrites_are_names_with_or_without_a_port() {
    for (text, expected) in
        [("API.internal", "api.internal"), ("a.b:8443", "a.b:8443"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]:80")]
    {
        assert_eq!(text.parse::<HostRewrite>().unwrap().authority(), expected);
    }
    for text in ["", "a:", "a:99999", "a:+1", "a b", "a/b", ":80", "::1", "*.a.com", "a\r\nb"] {
        assert!(text.parse::<HostRewrite>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_out_is_clean_and_stays_as_it_is(text in "(/|\\.|%2e|%2F|a|\\\\|\\PC|\r|\n|%){0,12}") {
        let once = clean(&text).into_owned();
        prop_assert!(is_clean(&once), "{once}");
        prop_assert_eq!(clean(&once), once.as_str());
        let rewrite = PathRewrite::prefix("/a", "/").unwrap();
        let path = format!("/a/{text}");
        prop_assert!(is_clean(&rewrite.apply(&path, &Params::default())));
    }
}
