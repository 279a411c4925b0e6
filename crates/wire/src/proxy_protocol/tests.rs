//! Tests of `proxy_protocol`: tables of what is taken and refused, and properties over random input.

use super::ProxyProtocolError as E;
use super::*;

fn inet(source: &str, destination: &str) -> ProxyAddresses<'static> {
    ProxyAddresses::Inet { source: source.parse().unwrap(), destination: destination.parse().unwrap(), datagram: false }
}

#[track_caller]
fn check(input: &[u8], expected: Result<(ProxyAddresses<'_>, usize), ProxyProtocolError>) {
    let found = match parse(input) {
        Ok(Parsed::Complete { header, len }) => Ok((header.addresses, len)),
        Ok(Parsed::NeedMore) => panic!("needs more: {}", input.escape_ascii()),
        Err(error) => Err(error),
    };
    assert_eq!(found, expected, "{}", input.escape_ascii());
}

/// A version 2 header with these bytes after its signature; the length is filled in.
fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE.as_slice(), &[command, family], &length, payload].concat()
}

#[test]
fn reads_version_1() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    check(line, Ok((inet("192.0.2.1:56324", "198.51.100.2:443"), line.len())));
    let line = b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\nGET /";
    check(line, Ok((inet("[2001:db8::1]:0", "[::1]:65535"), line.len() - 5)));
    check(b"PROXY UNKNOWN\r\n", Ok((ProxyAddresses::Unknown, 15)));
    check(b"PROXY UNKNOWN ffff::1 x y z\r\n", Ok((ProxyAddresses::Unknown, 29)));
}

#[test]
fn refuses_version_1_by_rule() {
    let cases: [(&[u8], ProxyProtocolError); 22] = [
        (b"GET / HTTP/1.1\r\n", E::SignatureMissing),
        (b"PROXI", E::SignatureMissing),
        (b"PROXY\r\n", E::SignatureMissing),
        (b"proxy TCP4", E::SignatureMissing),
        (b"PROXY UNKNOWN\n", E::V1LineEnding),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r 2\r\n", E::V1LineEnding),
        (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", E::V1Family),
        (b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", E::V1Family),
        (b"PROXY \r\n", E::V1Family),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", E::V1Fields),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", E::V1Fields),
        (b"PROXY TCP4 1.1.1.1 \xff 1 2\r\n", E::V1Fields),
        (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", E::V1Fields),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", E::V1Address),
        (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", E::V1Address),
        (b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", E::V1Address),
        (b"PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", E::V1Address),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", E::V1Port),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", E::V1Port),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", E::V1Port),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 x\r\n", E::V1Port),
        (b"\x16\x03\x01", E::SignatureMissing),
    ];
    for (input, expected) in cases {
        check(input, Err(expected));
    }
    let fits = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    check(fits.as_bytes(), Ok((ProxyAddresses::Unknown, MAX_V1)));
    assert_eq!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92]].concat()), Ok(Parsed::NeedMore));
    check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(92)).as_bytes(), Err(E::V1TooLong));
    check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(93)).as_bytes(), Err(E::V1TooLong));
}

#[test]
fn reads_version_2() {
    let v4 = v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187]);
    check(&v4, Ok((inet("192.0.2.1:80", "198.51.100.2:443"), 28)));
    check(&[v4.as_slice(), b"GET /"].concat(), Ok((inet("192.0.2.1:80", "198.51.100.2:443"), 28)));
    check(&v2(0x20, 0x00, b""), Ok((ProxyAddresses::Local, 16)));
    check(&v2(0x20, 0x11, b"whatever"), Ok((ProxyAddresses::Local, 24)));
    check(&v2(0x21, 0x00, b""), Ok((ProxyAddresses::Unknown, 16)));
    let mut v6 = vec![0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
    check(&v2(0x21, 0x21, &v6), Ok((inet("[::1]:3", "[::2]:4"), 52)));
    let mut unix = vec![0; 216];
    unix[..4].copy_from_slice(b"/a/b");
    unix[108..110].copy_from_slice(b"\0x");
    match parse(&v2(0x21, 0x31, &unix)).unwrap() {
        Parsed::Complete {
            header: ProxyHeader { addresses: ProxyAddresses::Unix { source, destination }, .. },
            ..
        } => {
            assert_eq!((source, destination.len()), (b"/a/b".as_slice(), 108));
        }
        other @ (Parsed::NeedMore | Parsed::Complete { .. }) => panic!("{other:?}"),
    }
    let datagram = ProxyAddresses::Inet {
        source: "1.1.1.1:1".parse().unwrap(),
        destination: "2.2.2.2:2".parse().unwrap(),
        datagram: true,
    };
    check(&v2(0x21, 0x12, &[1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2]), Ok((datagram, 28)));
}

#[test]
fn refuses_version_2_by_rule() {
    check(b"\r\nG", Err(E::SignatureMissing));
    check(&v2(0x11, 0x11, &[0; 12]), Err(E::V2Version));
    check(&v2(0x22, 0x11, &[0; 12]), Err(E::V2Command));
    check(&v2(0x21, 0x13, &[0; 12]), Err(E::V2Family));
    check(&v2(0x21, 0x41, &[0; 12]), Err(E::V2Family));
    check(&v2(0x21, 0x11, &[0; 11]), Err(E::V2AddressTruncated));
    check(&v2(0x21, 0x21, &[0; 35]), Err(E::V2AddressTruncated));
    check(&v2(0x21, 0x31, &[0; 215]), Err(E::V2AddressTruncated));
    check(&v2(0x21, 0x11, &[0; 4097]), Err(E::V2TooLong));
    // Refused by its length, before it comes.
    check(&v2(0x21, 0x11, &[0; 4097])[..16], Err(E::V2TooLong));
    for tlv in [b"\x01".as_slice(), b"\x01\0\x05abcd", b"\x20\0\x07\0\0\0\0\0\x21\0"] {
        check(&v2(0x21, 0x00, tlv), Err(E::V2TlvTruncated));
    }
    for tlv in [b"\x03\0\x03abc".as_slice(), b"\x20\0\x04\0\0\0\0"] {
        check(&v2(0x21, 0x00, tlv), Err(E::V2TlvInvalid));
    }
    check(&v2(0x21, 0x00, &[b"\x05\0\x81".as_slice(), &[0; 129]].concat()), Err(E::V2TlvInvalid));
    check(&v2(0x21, 0x00, b"\x03\0\x04abcd"), Err(E::V2Checksum));
}

#[test]
fn reads_the_tlvs() {
    let ssl = b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02me";
    let tlvs: [(u8, &[u8]); 5] = [(1, b"h2"), (2, b"a.example"), (5, b"id"), (0x20, ssl), (4, b"")];
    let mut bytes = Vec::new();
    encode_v2(&inet("1.1.1.1:1", "2.2.2.2:2"), &tlvs, true, &mut bytes).unwrap();
    let Ok(Parsed::Complete { header, len }) = parse(&bytes) else { panic!("{:?}", parse(&bytes)) };
    assert_eq!(len, bytes.len());
    let found: Vec<Tlv<'_>> = header.tlvs.collect();
    assert_eq!(found[..3], [Tlv::Alpn(b"h2"), Tlv::Authority(b"a.example"), Tlv::UniqueId(b"id")]);
    let Tlv::Ssl(ssl) = found[3] else { panic!("{found:?}") };
    assert_eq!((ssl.client, ssl.verified), (7, true));
    assert_eq!((ssl.version(), ssl.common_name()), (Some(b"TLSv1.3".as_slice()), Some(b"me".as_slice())));
    assert_eq!(found[4], Tlv::Other(4, b""));
    assert!(matches!(found[5], Tlv::Crc32c(_)) && found.len() == 6);
}

#[test]
fn a_changed_bit_breaks_the_checksum() {
    let mut bytes = Vec::new();
    encode_v2(&inet("1.1.1.1:1", "2.2.2.2:2"), &[(5, b"id")], true, &mut bytes).unwrap();
    for at in 16..28 {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        check(&changed, Err(E::V2Checksum));
    }
}

#[test]
fn writes_what_it_reads() {
    let pairs = [("1.2.3.4:5", "6.7.8.9:10"), ("[::1]:5", "[2001:db8::1]:10")];
    for (source, destination) in pairs {
        let mut bytes = Vec::new();
        encode_v1(Some((source.parse().unwrap(), destination.parse().unwrap())), &mut bytes);
        check(&bytes, Ok((inet(source, destination), bytes.len())));
    }
    let mut bytes = Vec::new();
    encode_v1(Some(("1.2.3.4:5".parse().unwrap(), "[::1]:5".parse().unwrap())), &mut bytes);
    assert_eq!(bytes, b"PROXY UNKNOWN\r\n");
    let mut bytes = Vec::new();
    encode_v2(&inet("1.2.3.4:5", "[::1]:6"), &[], false, &mut bytes).unwrap();
    check(&bytes, Ok((inet("[::ffff:1.2.3.4]:5", "[::1]:6"), 52)));
}

#[test]
fn refuses_to_write_what_no_one_may_read() {
    let mut bytes = Vec::new();
    let long = vec![0; 4096];
    let too_long = encode_v2(&ProxyAddresses::Unknown, &[(4, &long)], false, &mut bytes);
    assert_eq!(too_long, Err(EncodeError::TooLong));
    let path = ProxyAddresses::Unix { source: &long[..109], destination: b"" };
    assert_eq!(encode_v2(&path, &[], false, &mut bytes), Err(EncodeError::PathTooLong));
    assert!(bytes.is_empty());
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(ProxyProtocolError::ALL.iter().map(|error| error.name()));
    crate::laws::tests::check_names(EncodeError::ALL.iter().map(|error| error.name()));
}
