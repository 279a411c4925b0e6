//! Tests of `forwarded`: tables of what is taken and refused, and properties over random input.

use super::ForwardedError as E;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn reads_hops_of_every_shape() {
    for (hop, expected) in [
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[2001:db8::1]:443\t", "2001:db8::1"),
    ] {
        assert_eq!(parse_hop(hop), Ok(ip(expected)), "{hop}");
    }
    for hop in
        ["", "unknown", "a.example", "1.2.3", "01.2.3.4", "1.2.3.4:x", "[1.2.3.4]", "[::1", "::1]", "1.2.3.4, 5.6.7.8"]
    {
        assert_eq!(parse_hop(hop), Err(E::Address), "{hop}");
    }
}

#[test]
fn finds_the_client_behind_trusted_hops_only() {
    let trusted = |address: IpAddr| address.to_string().starts_with("10.");
    let check = |direct: &str, values: &[&str], expected: &str| {
        assert_eq!(client_address(ip(direct), values.iter().copied(), trusted), ip(expected), "{direct} {values:?}");
    };
    check("192.0.2.9", &["1.1.1.1"], "192.0.2.9");
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["1.1.1.1"], "1.1.1.1");
    check("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1");
    check("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.2"], "1.1.1.1");
    check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    check("10.0.0.1", &["1.1.1.1, garbage, 10.0.0.2"], "10.0.0.2");
    let long = "10.0.0.2,".repeat(100) + "10.0.0.3";
    check("10.0.0.1", &["1.1.1.1", &long], "10.0.0.2");
}

#[test]
fn appends_to_x_forwarded_for() {
    let mut value = String::new();
    push_x_forwarded_for(&mut value, ip("192.0.2.1"));
    push_x_forwarded_for(&mut value, ip("::1"));
    assert_eq!(value, "192.0.2.1, ::1");
}

#[test]
fn writes_forwarded_elements() {
    let mut value = String::new();
    let hop = Hop { client: Some(ip("192.0.2.1")), proto: Some("https"), ..Hop::default() };
    push_forwarded(&mut value, &hop);
    let hop = Hop {
        client: Some(ip("2001:db8::1")),
        by: Some("10.0.0.1:443".parse().unwrap()),
        host: Some("a.example:8443"),
        proto: None,
    };
    push_forwarded(&mut value, &hop);
    push_forwarded(&mut value, &Hop::default());
    assert_eq!(value, "for=192.0.2.1;proto=https, for=\"[2001:db8::1]\";by=\"10.0.0.1:443\";host=\"a.example:8443\"");
    let elements = parse_forwarded(&value).unwrap();
    assert_eq!(elements.len(), 2);
    let client = elements[1].client.as_ref().unwrap();
    assert_eq!(client.name, NodeName::Address(ip("2001:db8::1")));
}

#[test]
fn no_value_breaks_out_of_its_quotes() {
    let mut value = String::new();
    push_forwarded(&mut value, &Hop { host: Some("a\",for=\"evil\\\r\n"), ..Hop::default() });
    assert_eq!(value, "host=\"a\\\",for=\\\"evil\\\\\"");
    assert_eq!(parse_forwarded(&value).unwrap()[0].host.as_deref(), Some("a\",for=\"evil\\"));
}

#[test]
fn reads_the_examples_of_rfc_7239() {
    let node = |value: &'static str| parse_forwarded(value).unwrap().remove(0).client.unwrap();
    assert_eq!(node("for=\"_gazonk\"").name, NodeName::Obfuscated("_gazonk".into()));
    let found = node("For=\"[2001:db8:cafe::17]:4711\"");
    assert_eq!((found.name, found.port.as_deref()), (NodeName::Address(ip("2001:db8:cafe::17")), Some("4711")));
    assert_eq!(node("for=unknown").name, NodeName::Unknown);
    assert_eq!(node("for=\"192.0.2.1:_p\"").port.as_deref(), Some("_p"));
    let elements = parse_forwarded("for=192.0.2.60;proto=http;by=203.0.113.43;x=y, , for=198.51.100.17").unwrap();
    assert_eq!(elements.len(), 2);
    assert_eq!(elements[0].proto.as_deref(), Some("http"));
    assert_eq!(parse_forwarded("").unwrap(), []);
}

#[test]
fn refuses_forwarded_by_rule() {
    let cases = [
        ("for", E::Pair),
        ("for=", E::Pair),
        ("f r=a", E::Pair),
        ("for =1.2.3.4", E::Pair),
        ("for=1.2.3.4 by=1.2.3.4", E::Pair),
        ("host=\"\"", E::Pair),
        ("for=[::1]", E::Pair),
        ("host=\"a", E::Quoted),
        ("host=\"a\\", E::Quoted),
        ("host=\"a\0\"", E::Quoted),
        ("for=a.example", E::Node),
        ("for=_", E::Node),
        ("for=\"[::1\"", E::Node),
        ("for=\"1.2.3.4:123456\"", E::Node),
        ("for=\"[::1]80\"", E::Node),
        ("for=1.2.3.4;for=1.2.3.4", E::Repeated),
    ];
    for (value, expected) in cases {
        assert_eq!(parse_forwarded(value), Err(expected), "{value}");
    }
    assert_eq!(parse_forwarded(&"proto=a,".repeat(65)), Err(E::TooManyHops));
    assert_eq!(parse_forwarded(&"proto=a,".repeat(64)).unwrap().len(), 64);
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn continues_a_trace() {
    let trace = TraceParent::parse(TRACE.as_bytes()).unwrap();
    assert!(trace.is_sampled());
    assert_eq!(trace.write(), TRACE.as_bytes());
    let child = trace.child([0xab; 8]);
    assert_eq!(child.write(), b"00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01".as_slice());
    assert_eq!(trace.child([0; 8]).parent_id(), [0, 0, 0, 0, 0, 0, 0, 1]);
    let root = TraceParent::root([1; 16], [2; 8], false);
    assert_eq!(root.write(), b"00-01010101010101010101010101010101-0202020202020202-02".as_slice());
    assert!(!root.is_sampled());
    assert!(root.sampled(true).is_sampled() && !trace.sampled(false).is_sampled());
    assert_eq!(trace.sampled(true), trace);
}

#[test]
fn reads_later_versions_as_the_first() {
    let later = TRACE.replacen("00", "cc", 1);
    for value in [later.clone(), format!("{later}-what-the-future-brings")] {
        assert_eq!(TraceParent::parse(value.as_bytes()).unwrap().write(), TRACE.as_bytes());
    }
    let flags = TRACE.replacen("-01", "-ff", 1);
    assert!(TraceParent::parse(flags.as_bytes()).unwrap().write().ends_with(b"-03"));
}

#[test]
fn refuses_traces_by_rule() {
    let cases = [
        (String::new(), TraceError::Length),
        (TRACE[..54].to_owned(), TraceError::Length),
        (format!("{TRACE}-x"), TraceError::Length),
        (format!("{}x", TRACE.replacen("00", "cc", 1)), TraceError::Length),
        (TRACE.replacen("00", "ff", 1), TraceError::Version),
        (TRACE.replacen("00", "0g", 1), TraceError::Version),
        (TRACE.replacen('-', "_", 1), TraceError::Separator),
        (TRACE.replacen("4b", "4B", 1), TraceError::Hex),
        (TRACE.replacen("4b", "4x", 1), TraceError::Hex),
        (TRACE.replacen("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32), 1), TraceError::ZeroTrace),
        (TRACE.replacen("00f067aa0ba902b7", &"0".repeat(16), 1), TraceError::ZeroParent),
    ];
    for (value, expected) in cases {
        assert_eq!(TraceParent::parse(value.as_bytes()), Err(expected), "{value}");
    }
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(ForwardedError::ALL.iter().map(|error| error.name()));
    crate::laws::tests::check_names(TraceError::ALL.iter().map(|error| error.name()));
}

#[test]
fn writes_every_octet_as_the_standard_library_does() {
    for octet in 0..=255u8 {
        let address = IpAddr::from([octet, 255 - octet, 0, octet / 2]);
        let mut written = String::new();
        push_x_forwarded_for(&mut written, address);
        assert_eq!(written, address.to_string());
    }
}
