//! Tests of `client_hello`: tables of what is taken and refused, and properties over random input.

use super::HelloError as E;
use super::*;

fn vector_16(content: &[u8]) -> Vec<u8> {
    [u16::try_from(content.len()).unwrap().to_be_bytes().as_slice(), content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &vector_16(content)].concat()
}

fn server_name_extension(name: &str) -> Vec<u8> {
    extension(0, &vector_16(&[b"\0".as_slice(), &vector_16(name.as_bytes())].concat()))
}

fn protocols_extension(protocols: &[&str]) -> Vec<u8> {
    let mut list = Vec::new();
    for protocol in protocols {
        list.push(u8::try_from(protocol.len()).unwrap());
        list.extend(protocol.as_bytes());
    }
    extension(16, &vector_16(&list))
}

fn hello_with(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(b"\x02id\0\x02\x13\x01\x01\0");
    body.extend(vector_16(extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, length[1], length[2], length[3]], body.as_slice()].concat()
}

/// A ClientHello message that asks for these.
pub(crate) fn hello(name: Option<&str>, protocols: &[&str]) -> Vec<u8> {
    let mut extensions = extension(0x0a0a, b"grease");
    extensions.extend(name.map(server_name_extension).unwrap_or_default());
    if !protocols.is_empty() {
        extensions.extend(protocols_extension(protocols));
    }
    hello_with(&extensions)
}

/// A message in handshake records of up to `size` bytes.
pub(crate) fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [b"\x16\x03\x01".as_slice(), &vector_16(part)].concat();
    message.chunks(size).flat_map(record).collect()
}

#[track_caller]
fn check(bytes: &[u8], expected: Result<(Option<&str>, &[&str]), HelloError>) {
    let found = peek(bytes);
    let expected = expected.map(|(name, protocols)| {
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Peek::Complete(ClientHello { server_name: name.map(str::to_owned), protocols })
    });
    assert_eq!(found, expected, "{}", bytes.escape_ascii());
}

#[test]
fn reads_name_and_protocols_from_any_records() {
    let message = hello(Some("A.Example."), &["h2", "http/1.1"]);
    for size in [1, 2, 5, 60, 16384] {
        check(&records(&message, size), Ok((Some("a.example"), &["h2", "http/1.1"])));
    }
    check(&records(&hello(None, &[]), 1000), Ok((None, &[])));
    let bytes = records(&message, 50);
    for length in 0..bytes.len() {
        assert_eq!(peek(&bytes[..length]), Ok(Peek::NeedMore), "{length}");
    }
    check(&[bytes.as_slice(), b"more"].concat(), Ok((Some("a.example"), &["h2", "http/1.1"])));
}

#[test]
fn reads_a_hello_without_extensions() {
    let mut message = hello_with(b"");
    message.truncate(message.len() - 2);
    message[3] -= 2;
    check(&records(&message, 1000), Ok((None, &[])));
}

#[test]
fn refuses_what_is_not_a_hello() {
    check(b"GET / HTTP/1.1", Err(E::NotTls));
    check(b"\x16\x02", Err(E::NotTls));
    check(b"\x16\x03\x01\0\0", Err(E::RecordLength));
    check(b"\x16\x03\x01\x40\x01", Err(E::RecordLength));
    check(b"\x16\x03\x01\0\x04\x02", Err(E::NotClientHello));
    check(b"\x16\x03\x01\0\x04\x01\0\x40\x01", Err(E::TooLarge));
    check(
        &records(&hello(None, &[])[..20], 20).into_iter().chain(*b"\x17\x03\x03\0\x01x").collect::<Vec<_>>(),
        Err(E::NotTls),
    );
    let mut partial = b"\x16\x03\x01\x40\0\x01\0\x40\0".to_vec();
    partial.resize(MAX_HELLO - 1, 0);
    assert_eq!(peek(&partial), Ok(Peek::NeedMore));
    partial.push(0);
    check(&partial, Err(E::TooLarge));
    let long = hello_with(&extension(21, &[0; 16000]));
    check(&records(&long, 100), Err(E::TooLarge));
}

#[test]
fn refuses_malformed_extensions() {
    for name in ["", "1.2.3.4", "a b", "a:443", "[::1]", "a..b", "\u{e9}"] {
        check(&records(&hello(Some(name), &[]), 1000), Err(E::ServerName));
    }
    check(&records(&hello(None, &[""]), 1000), Err(E::Protocols));
    check(&records(&hello_with(&protocols_extension(&[])), 1000), Err(E::Protocols));
    check(&records(&hello_with(b"\0\0\0"), 1000), Err(E::Malformed));
    check(&records(&hello_with(b"\0\x05\0\x09"), 1000), Err(E::Malformed));
    check(&records(&hello_with(&server_name_extension("a").repeat(2)), 1000), Err(E::Repeated));
    check(&records(&hello_with(&protocols_extension(&["h2"]).repeat(2)), 1000), Err(E::Repeated));
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(HelloError::ALL.iter().map(|error| error.name()));
}
