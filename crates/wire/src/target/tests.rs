//! Tests of `target`: tables of what is taken and refused, and properties over random input.

use super::PathError as E;
use super::*;

#[track_caller]
fn check(path: &str, policy: PathPolicy, expected: Result<&str, PathError>) {
    assert_eq!(normalize(path, &policy).as_deref(), expected.as_ref().copied(), "{path}");
}

#[track_caller]
fn default(path: &str, expected: Result<&str, PathError>) {
    check(path, PathPolicy::default(), expected);
}

#[test]
fn resolves_dot_segments() {
    let cases = [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/%2e/a", "/a"),
        ("/a//../b", "/b"),
        ("/a/..//b", "/b"),
        ("/...", "/..."),
        ("/..a/.b/c..", "/..a/.b/c.."),
    ];
    for (path, expected) in cases {
        default(path, Ok(expected));
    }
    for path in ["/..", "/../a", "/a/../../b", "/%2e%2e", "/a/%2e%2e/%2e%2e"] {
        default(path, Err(E::AboveRoot));
    }
    for path in ["/a/..;/b", "/a/..;x=y/b", "/.;", "/%2e%2e;/a"] {
        default(path, Err(E::DotSegmentParameter));
    }
    let refuse = PathPolicy { dot_segments: DotSegments::Refuse, ..PathPolicy::default() };
    for path in ["/a/./b", "/a/..", "/%2e%2e/a", "/."] {
        check(path, refuse, Err(E::DotSegment));
    }
    check("/.well-known/a..b", refuse, Ok("/.well-known/a..b"));
}

#[test]
fn treats_empty_segments_by_policy() {
    let policy = |double_slash| PathPolicy { double_slash, ..PathPolicy::default() };
    for (path, merged, kept) in [("//", "/", "//"), ("//a///b//", "/a/b/", "//a///b//"), ("/a//../b", "/b", "/a/b")] {
        check(path, policy(DoubleSlash::Merge), Ok(merged));
        check(path, policy(DoubleSlash::Keep), Ok(kept));
        check(path, policy(DoubleSlash::Refuse), Err(E::DoubleSlash));
    }
    check("/a/b/", policy(DoubleSlash::Refuse), Ok("/a/b/"));
}

#[test]
fn treats_encoded_slashes_by_policy() {
    let policy = |encoded_slash| PathPolicy { encoded_slash, ..PathPolicy::default() };
    default("/a%2fb", Err(E::EncodedSlash));
    check("/a%2fb", policy(EncodedSlash::Keep), Ok("/a%2Fb"));
    check("/a%2fb", policy(EncodedSlash::Decode), Ok("/a/b"));
    check("/a%2f%2Fb", policy(EncodedSlash::Decode), Ok("/a/b"));
    check("/a/%2e%2e%2fb", policy(EncodedSlash::Decode), Ok("/b"));
    for path in ["/a%2f..%2fb", "/..%2fa", "/a%2f..", "/a%2f.", "/a%2f..;x", "/a%2F%2e%2e"] {
        check(path, policy(EncodedSlash::Keep), Err(E::EncodedTraversal));
    }
    check("/a%2f...", policy(EncodedSlash::Keep), Ok("/a%2F..."));
    check("/a%2F..%2Fb", policy(EncodedSlash::Decode), Ok("/b"));
}

#[test]
fn treats_backslashes_by_policy() {
    let policy = |backslash| PathPolicy { backslash, ..PathPolicy::default() };
    for path in ["/a\\b", "/a%5cb"] {
        default(path, Err(E::Backslash));
        check(path, policy(Backslash::Keep), Ok("/a%5Cb"));
        check(path, policy(Backslash::Slash), Ok("/a/b"));
    }
    check("/a\\..\\b", policy(Backslash::Slash), Ok("/b"));
    check("/a\\..\\b", policy(Backslash::Keep), Err(E::EncodedTraversal));
}

#[test]
fn brings_percent_encodings_to_one_form() {
    default("/%41%7e%2D", Ok("/A~-"));
    default("/%c3%a9", Ok("/%C3%A9"));
    default("/%252e%252e/a", Ok("/%252e%252e/a"));
    default("/%2525", Ok("/%2525"));
    default("/%3f%23%20", Ok("/%3F%23%20"));
    default("/%00", Err(E::Nul));
    for path in ["/%", "/%4", "/%4g", "/%%41", "/%u0041", "/a%"] {
        default(path, Err(E::PercentEncoding));
    }
}

#[test]
fn refuses_bytes_that_no_path_holds() {
    for path in ["/a b", "/a?b", "/a#b", "/\u{e9}", "/\0", "/\n", "/<", "/\"", "/a\u{7f}"] {
        default(path, Err(E::Byte));
    }
    for path in ["", "a", "*", "http://a/", ".", "%2F"] {
        default(path, Err(E::NotAbsolute));
    }
}

#[test]
fn borrows_what_is_normal_already() {
    for path in ["/", "/a", "/a/b.c/", "/.well-known/x", "/a;b=c/d:e@f", "/%C3%A9", "/v1/{id}|x"] {
        let normal = normalize(path, &PathPolicy::default()).unwrap();
        assert!(matches!(normal, Cow::Borrowed(_)) && normal == path, "{path} became {normal}");
    }
}

#[test]
fn splits_the_query_off() {
    assert_eq!(split_query("/a?b?c"), ("/a", Some("b?c")));
    assert_eq!(split_query("/a?"), ("/a", Some("")));
    assert_eq!(split_query("/a"), ("/a", None));
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(PathError::ALL.iter().map(|error| error.name()));
}
