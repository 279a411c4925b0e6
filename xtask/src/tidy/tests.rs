//! Small files that are wrong in one way each, and some that are not.

use super::*;

fn findings(path: &str, text: &str) -> Vec<String> {
    check(&[File { path: path.to_owned(), text: text.to_owned() }])
}

#[test]
fn finds_what_is_wrong() {
    let unfinished = concat!("//! A file.\nfn f() { todo", "!() }\n");
    let ignored = concat!("//! A file.\n#[ig", "nore]\nfn f() {}\n");
    let machine = concat!("See /ro", "ot/notes.\n");
    for (path, text, expected) in [
        ("crates/a/src/lib.rs", "//! A crate.\nfn f() {}\n", None),
        ("crates/a/src/lib.rs", "fn f() {}\n", Some("does not begin with `//!`")),
        ("crates/a/src/lib.rs", "// A crate.\n", Some("does not begin with `//!`")),
        ("crates/a/src/lib.rs", unfinished, Some("line 2")),
        ("crates/a/src/lib.rs", ignored, Some("line 2")),
        ("docs/a.md", machine, Some("line 1")),
        ("docs/a.md", "No head is needed here.\n", None),
        ("crates/policy/src/a.rs", "//! A file.\nfn f() { Instant::now(); }\n", Some("only computes")),
        ("crates/policy/src/a.rs", "//! Never `Instant::now`.\n", None),
        ("crates/policy/src/a/tests.rs", "//! Tests.\nfn f() { Instant::now(); }\n", None),
        ("crates/proxy/src/a.rs", "//! A file.\nfn f() { Instant::now(); }\n", None),
    ] {
        let found = findings(path, text);
        match expected {
            None => assert_eq!(found, Vec::<String>::new(), "{path} {text}"),
            Some(expected) => assert!(found.len() == 1 && found[0].contains(expected), "{path} {text}: {found:?}"),
        }
    }
}

#[test]
fn counts_lines_without_tests() {
    let head = "//! A file.\n";
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // A line.\n".repeat(600));
    let long = "// A line.\n".repeat(500);
    assert_eq!(findings("crates/a/src/a.rs", &format!("{head}{tests}")).len(), 0);
    assert_eq!(findings("crates/a/src/a.rs", &format!("{head}{long}")).len(), 1);
    assert_eq!(findings("crates/a/src/a/tests.rs", &format!("{head}{long}")).len(), 0);
}
