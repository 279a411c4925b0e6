//! Tests of `host`: tables of what is taken and refused, and properties over random input.

use super::*;

#[track_caller]
fn check(input: &str, expected: Result<(&str, Option<u16>), HostError>) {
    let found = normalize_host(input);
    let found = found.as_ref().map(|normal| (normal.host.as_ref(), normal.port)).map_err(|error| *error);
    assert_eq!(found, expected, "{input:?}");
}

#[test]
fn normalizes_names_and_addresses() {
    check("example.com", Ok(("example.com", None)));
    check("Example.COM.", Ok(("example.com", None)));
    check("a_b.example:8080", Ok(("a_b.example", Some(8080))));
    check("localhost:1", Ok(("localhost", Some(1))));
    check("127.0.0.1:65535", Ok(("127.0.0.1", Some(65535))));
    check("[::1]", Ok(("[::1]", None)));
    check("[0:0:0:0:0:0:0:1]:443", Ok(("[::1]", Some(443))));
    check("[2001:DB8::A]", Ok(("[2001:db8::a]", None)));
    check("xn--bcher-kva.example", Ok(("xn--bcher-kva.example", None)));
    check("1.2.3.4.example", Ok(("1.2.3.4.example", None)));
    check("0xyz.example.0x.z", Ok(("0xyz.example.0x.z", None)));
}

#[test]
fn refuses_what_is_not_a_host() {
    check("", Err(HostError::Empty));
    check(".", Err(HostError::EmptyLabel));
    check(":80", Err(HostError::Empty));
    check("a..b", Err(HostError::EmptyLabel));
    check(".a", Err(HostError::EmptyLabel));
    check("a..", Err(HostError::EmptyLabel));
    check("user@example.com", Err(HostError::Userinfo));
    check("user:pass@example.com", Err(HostError::Userinfo));
    check("a b", Err(HostError::Byte));
    check("a,b", Err(HostError::Byte));
    check("a%20b", Err(HostError::Byte));
    check("a/b", Err(HostError::Byte));
    check("*.example.com", Err(HostError::Byte));
    check("bücher.example", Err(HostError::NotAscii));
}

#[test]
fn refuses_numbers_that_resolvers_read_as_addresses() {
    for host in ["127.1", "1", "0x7f.0.0.0x1", "256.1.1.1", "01.2.3.4", "1.2.3.4.5", "a.0x"] {
        check(host, Err(HostError::Ipv4));
    }
}

#[test]
fn refuses_bad_ipv6_literals() {
    for host in ["[::1", "[]", "[::g]", "[fe80::1%25eth0]", "[v1.a]", "[1.2.3.4]"] {
        check(host, Err(HostError::Ipv6));
    }
    check("[::1]x", Err(HostError::Port));
    check("::1", Err(HostError::Empty));
}

#[test]
fn refuses_bad_ports() {
    for host in ["a:", "a:0", "a:65536", "a:080", "a:+80", "a:8 0", "a:80:80", "a:123456", "[::1]:"] {
        check(host, Err(HostError::Port));
    }
}

#[test]
fn bounds_names_and_labels() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    check(&name, Ok((&name, None)));
    check(&format!("{name}."), Ok((&name, None)));
    check(&format!("{name}a"), Err(HostError::TooLong));
    check(&"a".repeat(64), Err(HostError::LabelTooLong));
}

#[test]
fn borrows_what_is_normal_already() {
    for host in ["example.com:80", "10.0.0.1", "[::1]:80"] {
        assert!(matches!(normalize_host(host).unwrap().host, Cow::Borrowed(_)), "{host}");
    }
}

#[test]
fn agrees_without_case_and_with_the_default_port() {
    let parse = |text: &'static str| parse_authority(text.as_bytes()).unwrap();
    assert!(parse("A.example").agrees(&parse("a.EXAMPLE:80"), Some(80)));
    assert!(!parse("a.example").agrees(&parse("a.example:81"), Some(80)));
    assert!(!parse("a.example").agrees(&parse("b.example"), None));
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(HostError::ALL.iter().map(|error| error.name()));
}
