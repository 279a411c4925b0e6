//! The laws under generated input: raw bytes, and inputs made of the pieces that matter to each grammar.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::h2::PREFACE;

/// Checks that names are snake_case and that no two are equal.
#[track_caller]
pub(crate) fn check_names(names: impl Iterator<Item = &'static str>) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(letter), "{name} is not snake_case");
        assert!(seen.insert(name), "{name} stands twice");
    }
    assert!(!seen.is_empty());
}

/// Inputs made of words of a grammar, so that the deep states are reached.
fn words(words: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(words), 0..most).prop_map(|words| words.concat())
}

const HEAD: &[&[u8]] = &[
    b"GET ",
    b"/",
    b"a",
    b" HTTP/1.1",
    b"\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b":",
    b" ",
    b"\t",
    b"\0",
    b"\x80",
    b"x-y: z\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"SM\r\n\r\n",
    b"\x16\x03\x01",
    b"GET http://a/ HTTP/1.0\r\n",
    b"GET / HTTP/1.1\r\n",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
const CHUNKED: &[&[u8]] = &[
    b"0\r\n",
    b"1\r\na\r\n",
    b"a\r\n0123456789\r\n",
    b"\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"5",
    b";",
    b"x",
    b"=",
    b"\"",
    b"\\",
    b" ",
    b"\t",
    b"\0",
    b"A:b\r\n",
    b"Host: a\r\n",
    b":",
    b"00000000",
    b"f",
    b"\x80",
];
const PROXY: &[&[u8]] =
    &[b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"1.2.3.4 ", b"::1 ", b"80 ", b"443", b"\r\n", b"\r", b"\n", b" "];
const V2: &[&[u8]] = &[
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21",
    b"\x20",
    b"\x11",
    b"\x21\0\x0c",
    b"\0",
    b"\x0c",
    b"\x13",
    b"\x01\0\x02h2",
    b"\x03\0\x04",
    b"\x20\0\x05",
    b"\x05",
    b"0123",
    b"abcdefgh",
    b"\x31\0\xd8",
];
const FRAMES: &[&[u8]] = &[
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    b"\0\0\0\x04\0\0\0\0\0",
    b"\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x05\0\x01\0\0\0\x01hello",
    b"\0\0\x08\x06\0\0\0\0\0pingping",
    b"\0\0\x03\x01\0\0\0\0\x01abc",
    b"\0\0\0\x09\0\0\0\0\x01",
    b"\0\0\x04\x09\x04\0\0\0\x01defg",
    b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
    b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x05\0\0\0\x01",
    b"\0\0\0\0\0\0\0\0\x01",
    b"\0\x01\0",
    b"\x20",
    b"\0\0\x02\xff\0\0\0\0\0xx",
    PREFACE,
];
const PATHS: &[&[u8]] = &[
    b"/", b"//", b".", b"..", b"%2e", b"%2E%2e", b"%2f", b"%2F", b"\\", b"%5c", b"%5C", b"%00", b"%25", b"%", b"a",
    b"B", b"%41", b";", b"..;x", b"%zz", b"?", b"#", b"%7E", b"%c3%a9", b" ",
];
const HOSTS: &[&[u8]] = &[
    b"a", b"B", b".", b"..", b":", b"80", b"0", b"1.2.3.4", b"[::1]", b"[", b"]", b"@", b"0x7f", b"xn--", b"-", b"_",
    b"%",
];
const HOPS: &[&[u8]] = &[
    b"for=",
    b"by=",
    b"host=",
    b"proto=",
    b"1.2.3.4",
    b"\"[::1]:80\"",
    b"[::1]",
    b"unknown",
    b"_x",
    b";",
    b",",
    b" ",
    b"\"",
    b"\\",
    b"a",
    b"=",
    b":80",
    b"for=1.2.3.4, ",
];
const TRACES: &[&[u8]] =
    &[b"00", b"ff", b"-", b"4bf92f3577b34da6", b"00f067aa0ba902b7", b"0000000000000000", b"01", b"G", b"A0"];

fn tls() -> impl Strategy<Value = Vec<u8>> {
    let name = select(vec!["a.example", "B.", "1.2.3.4", "a b", ""]);
    let protocols = vec(select(vec!["h2", "http/1.1", ""]), 0..3);
    (name, protocols, 1..40_usize, vec(any::<u8>(), 0..4)).prop_map(|(name, protocols, record, more)| {
        let hello = client_hello::tests::hello(Some(name), &protocols);
        let mut bytes = client_hello::tests::records(&hello, record);
        bytes.extend(more);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_laws_hold_for_raw_bytes(data in vec(any::<u8>(), 0..200)) {
        prop_assert!(head(&data) && framing(&data) && proxy_protocol(&data) && client_hello(&data));
        prop_assert!(h2(Instant::now(), &data) && path(&data) && host(&data) && forwarding(&data));
    }

    #[test]
    fn heads_are_judged_the_same_in_pieces(data in words(HEAD, 16)) {
        prop_assert!(head(&data));
    }

    #[test]
    fn framing_is_judged_the_same_in_pieces(data in words(CHUNKED, 16)) {
        prop_assert!(framing(&data));
    }

    #[test]
    fn proxy_v1_is_judged_the_same_in_pieces(data in words(PROXY, 10)) {
        prop_assert!(proxy_protocol(&data));
    }

    #[test]
    fn proxy_v2_is_judged_the_same_in_pieces(data in words(V2, 10)) {
        prop_assert!(proxy_protocol(&[b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".as_slice(), &data].concat()));
        prop_assert!(proxy_protocol(&data));
    }

    #[test]
    fn frames_are_counted_the_same_in_pieces(data in words(FRAMES, 24)) {
        prop_assert!(h2(Instant::now(), &data));
        prop_assert!(h2(Instant::now(), &[PREFACE, &data].concat()));
    }

    #[test]
    fn hellos_are_judged_the_same_in_pieces(data in tls()) {
        prop_assert!(client_hello(&data));
    }

    #[test]
    fn normalization_of_paths_is_idempotent_under_every_policy(data in words(PATHS, 14)) {
        prop_assert!(path(&[b"/".as_slice(), &data].concat()));
        prop_assert!(path(&data));
    }

    #[test]
    fn normalization_of_hosts_is_idempotent(data in words(HOSTS, 8)) {
        prop_assert!(host(&data));
    }

    #[test]
    fn forwarding_fields_are_stable(data in words(HOPS, 12), trace in words(TRACES, 10)) {
        prop_assert!(forwarding(&data) && forwarding(&trace));
    }
}

#[test]
fn there_are_54_policies() {
    assert_eq!(policies().count(), 2 * 3 * 3 * 3);
}
