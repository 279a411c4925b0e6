//! Tests of `decode`: tables of what is taken and refused, and properties over random input.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ::http::uri::Authority;
use ::http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;
use portcullis_types::{ByteSize, Percent, Rate, Reason};
use regex::Regex;
use serde_json::json;

use crate::testing::{loader, places, read, read_with, value};
use crate::{Decode, MemoryLoader, Named, OneOrMany, Secret};

/// Holds any type under one key, since a file is a map at its top.
#[derive(Debug, PartialEq, Decode)]
struct At<T> {
    v: T,
}

fn reads<T: Decode + PartialEq + std::fmt::Debug>(text: &str, expected: T) {
    assert_eq!(value::<At<T>>(&format!("v: {text}")).v, expected, "{text}");
}

/// Checks `code message-part help-part` of the single finding.
fn refuses<T: Decode + std::fmt::Debug>(text: &str, parts: &[&str]) {
    let (_, report) = read::<At<T>>(&format!("v: {text}"));
    assert_eq!(places(&report).len(), 1, "{text}\n{report}");
    for part in parts {
        assert!(report.contains(part), "{text}: no `{part}` in\n{report}");
    }
}

#[test]
fn reads_bools_and_numbers_by_the_core_schema() {
    reads("true", true);
    reads("FALSE", false);
    refuses::<bool>("yes", &["wrong_type", "found `yes`", "write `true` or `false`"]);
    refuses::<bool>("\"true\"", &["found the string \"true\""]);
    reads("010", 10u8);
    reads("0x1F", 31u16);
    reads("0o17", 15u32);
    reads("-5", -5i32);
    reads("18446744073709551615", u64::MAX);
    reads("3", NonZeroU32::new(3).unwrap());
    reads("${PORT}", 8080u16);
    reads("\"${PORT}\"", 8080u16);
    refuses::<u16>("70000", &["invalid_value", "`70000` is out of range", "from 0 to 65535"]);
    refuses::<u64>("99999999999999999999999999999999999999999999", &["out of range"]);
    refuses::<u16>("\"80\"", &["found the string \"80\"", "remove the quotes"]);
    refuses::<u16>("1_000", &["wrong_type"]);
    refuses::<NonZeroU32>("0", &["from 1 to"]);
    reads("1.5", 1.5f64);
    reads("2", 2.0f64);
    reads("1e3", 1000.0f64);
    refuses::<f64>(".inf", &["expected a number"]);
    refuses::<f64>("inf", &["expected a number"]);
    refuses::<f64>("1e999", &["expected a number"]);
}

#[test]
fn reads_any_scalar_as_a_string() {
    reads("yes", "yes".to_owned());
    reads("010", "010".to_owned());
    reads("'no'", "no".to_owned());
    reads("\"\"", String::new());
    reads("/", '/');
    refuses::<String>("", &["expected a string, found nothing", "`\"\"` for an empty one"]);
    refuses::<String>("[a]", &["expected a string, found a list"]);
    refuses::<char>("ab", &["`ab` is not a single character"]);
}

#[test]
fn reads_quantities() {
    reads("250ms", Duration::from_millis(250));
    reads("64KiB", ByteSize::kib(64));
    reads("20%", "20%".parse::<Percent>().unwrap());
    reads("1000000/month", "1000000/month".parse::<Rate>().unwrap());
    refuses::<Duration>("5", &["`5` is not a duration", "for example `250ms`, `10s`"]);
    refuses::<Duration>("{ s: 5 }", &["expected a duration, found a map"]);
    refuses::<Duration>("999999999999d", &["is not a duration: the value is too large"]);
    refuses::<ByteSize>("64K", &["`64K` is not a size", "`64KiB`"]);
    refuses::<Percent>("120%", &["from `0%` to `100%`"]);
    refuses::<Rate>("5/fortnight", &["is not a rate"]);
    reads("no_route", "no_route".parse::<Reason>().unwrap());
    refuses::<Reason>("no_rout", &["unknown_value", "did you mean `no_route`?"]);
}

#[test]
fn reads_network_and_http_types() {
    reads("\"[::1]:80\"", "[::1]:80".parse::<SocketAddr>().unwrap());
    reads("10.0.0.1", "10.0.0.1".parse::<IpAddr>().unwrap());
    reads("10.0.0.0/8", "10.0.0.0/8".parse::<IpNet>().unwrap());
    reads("10.0.0.1", "10.0.0.1/32".parse::<IpNet>().unwrap());
    refuses::<IpNet>("10.0.0.5/8", &["bits are set past the prefix", "`10.0.0.0/8`"]);
    refuses::<SocketAddr>("localhost:80", &["is not an IP address with a port", "`0.0.0.0:8080`"]);
    reads("PURGE", Method::from_bytes(b"PURGE").unwrap());
    refuses::<Method>("get", &["did you mean `GET`?"]);
    reads("X-Id", HeaderName::from_static("x-id"));
    refuses::<HeaderName>("x id", &["is not a header name"]);
    reads("no-store", HeaderValue::from_static("no-store"));
    refuses::<HeaderValue>("\"a\\nb\"", &["only visible ASCII"]);
    reads("503", StatusCode::SERVICE_UNAVAILABLE);
    reads("\"503\"", StatusCode::SERVICE_UNAVAILABLE);
    refuses::<StatusCode>("700", &["is not a status code"]);
    reads("example.com:80", Authority::from_static("example.com:80"));
    for text in ["a@b", "a:99999", "\"a:\"", "\":80\"", "\"\""] {
        refuses::<Authority>(text, &["is not a host with an optional port"]);
    }
}

#[test]
fn refuses_regexes_that_are_wrong_or_too_large() {
    assert!(value::<At<Regex>>("v: ^/v[0-9]+$").v.is_match("/v12"));
    refuses::<Regex>("\"a(b\"", &["is not a regular expression: unclosed group"]);
    refuses::<Regex>("(a{1000}){1000}", &["too large when compiled"]);
    refuses::<Regex>("(?=a)b", &["look-around"]);
}

#[test]
fn keeps_the_good_items_of_lists_and_maps() {
    let (read_value, report) = read::<At<Vec<u8>>>("v: [1, x, 3, y]");
    assert_eq!(read_value.unwrap().v, [1, 3]);
    assert_eq!(places(&report), ["1:8 wrong_type", "1:14 wrong_type"]);

    let (read_value, report) = read::<At<Named<u8>>>("v: { b: 1, a: x, c: 2 }");
    let named = read_value.unwrap().v;
    assert_eq!(named.names().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(named.get("c").map(|entry| entry.value), Some(2));
    assert_eq!((named.declares("a"), named.declares("d"), named.get("a").is_none()), (true, false, true));
    assert_eq!(places(&report), ["1:15 wrong_type"]);

    reads("{ a: 1 }", BTreeMap::from([("a".to_owned(), 1u8)]));
    reads("[1, 2]", OneOrMany(vec![1u8, 2]));
    reads("1", OneOrMany(vec![1u8]));
    refuses::<Vec<u8>>("1", &["expected a list, found `1`"]);
    refuses::<Named<u8>>("", &["expected a map, found nothing"]);
}

#[test]
fn reads_json_by_the_core_schema() {
    reads(
        "{ a: [1, -2, 1.5, true, ~, yes, '1', 18446744073709551615] }",
        json!({ "a": [1, -2, 1.5, true, null, "yes", "1", 18_446_744_073_709_551_615_u64] }),
    );
}

#[test]
fn resolves_paths_against_the_file_they_are_written_in() {
    let loader =
        MemoryLoader::new().file("etc/a.yaml", "include: hosts/b.yaml").file("etc/hosts/b.yaml", "v: certs/x.pem");
    let mut loaded = crate::load("etc/a.yaml".as_ref(), &loader);
    let read_value: Option<At<PathBuf>> = loaded.decode(&loader, None);
    assert_eq!(read_value.unwrap().v, PathBuf::from("etc/hosts/certs/x.pem"));
    reads("/abs", PathBuf::from("/abs"));
    refuses::<PathBuf>("''", &["is not a path"]);
}

#[test]
fn reads_secrets_and_never_shows_them() {
    let files = |text: &str| loader(text).file("t", "from-a-file\r\n");
    let secret = |text: &str| read_with::<At<Secret>>(&files(text));
    for (text, expected, path) in [
        ("v: literal", "literal", None),
        ("v: ${TOKEN}", "very-secret-token", None),
        ("v: file:t", "from-a-file", Some("t")),
    ] {
        let (read_value, report) = secret(text);
        let read_value = read_value.unwrap().v;
        assert_eq!((read_value.expose(), read_value.path()), (expected, path.map(std::path::Path::new)));
        assert_eq!((report, format!("{read_value:?}")), (String::new(), "***".to_owned()));
    }
    let (_, report) = secret("v: file:none");
    assert!(report.contains("file_unreadable") && report.contains("cannot read `none`"), "{report}");
    let mut loaded = crate::load("a.yaml".as_ref(), &files("v: file:t"));
    let _: Option<At<Secret>> = loaded.decode(&files(""), None);
    assert_eq!(loaded.watch, [PathBuf::from("a.yaml"), PathBuf::from("t")]);
}

#[test]
fn never_echoes_a_value_from_the_environment() {
    fn check<T: Decode>() {
        let (_, report) = read::<At<T>>("v: ${TOKEN}");
        assert!(!report.is_empty() && !report.contains("very-secret-token") && report.contains("${TOKEN}"), "{report}");
    }
    check::<bool>();
    check::<u16>();
    check::<f64>();
    check::<Duration>();
    check::<SocketAddr>();
    check::<StatusCode>();
    check::<Reason>();
    check::<Vec<u8>>();
    check::<Loud>();
}

/// Repeats what it was given in its error.
#[derive(Debug, Decode)]
#[config(from_str, expected = "a loud thing", example = "LOUD")]
struct Loud;

impl std::str::FromStr for Loud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "LOUD" { Ok(Self) } else { Err(format!("{text} is too quiet")) }
    }
}

#[test]
fn reports_what_a_parser_says() {
    refuses::<Loud>("soft", &["`soft` is not a loud thing: soft is too quiet", "for example `LOUD`"]);
}
