//! Tests of `body`: tables of what is taken and refused, and properties over random input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::FramingError as E;
use super::*;

#[track_caller]
fn check(input: &[u8], expected: Result<(usize, u64), FramingError>) {
    let mut validator = FramingValidator::new(Framing::Chunked);
    let found = validator.feed(input).map(|fed| (fed.consumed, validator.content()));
    assert_eq!(found, expected, "{}", input.escape_ascii());
    assert_eq!(validator.is_done(), expected.is_ok(), "{}", input.escape_ascii());
}

#[test]
fn a_message_without_content_takes_nothing() {
    for framing in [Framing::None, Framing::Length(0)] {
        let mut validator = FramingValidator::new(framing);
        assert!(validator.is_done());
        assert_eq!(validator.feed(b"GET"), Ok(Fed { consumed: 0, done: true }));
    }
}

#[test]
fn a_length_ends_where_it_says() {
    let mut validator = FramingValidator::new(Framing::Length(5));
    assert_eq!(validator.feed(b"abc"), Ok(Fed { consumed: 3, done: false }));
    assert_eq!(validator.finish(), Err(E::Truncated));
    assert_eq!(validator.feed(b"deGET"), Ok(Fed { consumed: 2, done: true }));
    assert_eq!((validator.finish(), validator.content()), (Ok(()), 5));
}

#[test]
fn accepts_well_formed_chunks() {
    let cases: [(&[u8], u64); 5] = [
        (b"0\r\n\r\n", 0),
        (b"5\r\nhello\r\n0\r\n\r\n", 5),
        (b"00A\r\n0123456789\r\n000\r\n\r\n", 10),
        (b"1;a\r\nx\r\n0;b=c;d=\"e \\\" \t\xe9\"\r\n\r\n", 1),
        (b"0\r\nX-Sum: a b\t\r\ny:\r\ntransfer-encoding-not: a\r\n\r\n", 0),
    ];
    for (message, content) in cases {
        check(message, Ok((message.len(), content)));
        check(&[message, b"GET"].concat(), Ok((message.len(), content)));
    }
}

#[test]
fn refuses_chunk_sizes_by_rule() {
    let cases: [(&[u8], FramingError); 16] = [
        (b"\r\n", E::ChunkSizeMissing),
        (b";a\r\n", E::ChunkSizeMissing),
        (b"\n", E::BareLf),
        (b" 5\r\n", E::ChunkSizeInvalid),
        (b"5 \r\n", E::ChunkSizeInvalid),
        (b"5\t;a\r\n", E::ChunkSizeInvalid),
        (b"0x5\r\n", E::ChunkSizeInvalid),
        (b"+5\r\n", E::ChunkSizeInvalid),
        (b"-5\r\n", E::ChunkSizeInvalid),
        (b"5_0\r\n", E::ChunkSizeInvalid),
        (b"g\r\n", E::ChunkSizeInvalid),
        (b"5\n", E::BareLf),
        (b"5\rx", E::BareCr),
        (b"00000000000000005\r\n", E::ChunkSizeTooLong),
        (b"8000000000000000\r\n", E::ChunkSizeTooLarge),
        (b"ffffffffffffffff\r\n", E::ChunkSizeTooLarge),
    ];
    for (input, expected) in cases {
        check(input, Err(expected));
    }
    check(b"1\r\na\r\n7fffffffffffffff\r\n", Err(E::ChunkSizeTooLarge));
}

#[test]
fn refuses_extensions_by_rule() {
    for extension in
        ["", " a", "a ", "a=", "a= b", "a =b", "=b", "a=\"b\"c", "a=b\"", "a\0", "a=\"\0\"", "a=\"\x7f\"", ";", "a,b"]
    {
        check(format!("1;{extension}\r\na\r\n0\r\n\r\n").as_bytes(), Err(E::ChunkExtensionInvalid));
    }
    check(b"1;a=\"b\r\n", Err(E::ChunkExtensionInvalid));
    check(b"1;a\n", Err(E::BareLf));
    check(b"1;a=\"\n", Err(E::BareLf));
    check(b"1;a\rb", Err(E::BareCr));
    let longest = format!("0;{}\r\n\r\n", "a".repeat(255));
    check(longest.as_bytes(), Ok((longest.len(), 0)));
    check(format!("0;{}\r\n\r\n", "a".repeat(256)).as_bytes(), Err(E::ChunkExtensionTooLong));
}

#[test]
fn refuses_more_overhead_than_the_data_excuses() {
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(250));
    let mut validator = FramingValidator::new(Framing::Chunked);
    let refused = (0..200).find(|_| validator.feed(chunk.as_bytes()).is_err());
    // Each line spends 253 bytes of which 18 are free.
    assert_eq!(refused, Some(16 * 1024 / (253 - 18)));
    assert_eq!(validator.feed(b"0"), Err(E::ChunkOverhead));
    let mut validator = FramingValidator::new(Framing::Chunked);
    let tiny = b"1\r\nx\r\n".repeat(100_000);
    assert_eq!(validator.feed(&tiny), Ok(Fed { consumed: tiny.len(), done: false }));
}

#[test]
fn refuses_data_that_is_not_followed_by_crlf() {
    check(b"1\r\nab\r\n", Err(E::ChunkDataUnterminated));
    check(b"1\r\na\n0\r\n\r\n", Err(E::ChunkDataUnterminated));
    check(b"1\r\na\rb", Err(E::ChunkDataUnterminated));
    check(b"1\r\na0\r\n\r\n", Err(E::ChunkDataUnterminated));
}

#[test]
fn refuses_trailers_by_rule() {
    let cases: [(&str, FramingError); 14] = [
        ("Transfer-Encoding: chunked", E::TrailerForbidden),
        ("content-length: 5", E::TrailerForbidden),
        ("HOST: a", E::TrailerForbidden),
        ("Authorization: a", E::TrailerForbidden),
        ("proxy-authorization: a", E::TrailerForbidden),
        ("x-forwarded-for: a", E::TrailerForbidden),
        ("te: a", E::TrailerForbidden),
        ("a : b", E::TrailerNameInvalid),
        (" a: b", E::TrailerNameInvalid),
        (": b", E::TrailerNameInvalid),
        ("a", E::TrailerNameInvalid),
        ("a: \0", E::TrailerValueInvalid),
        ("a: b\nc", E::BareLf),
        ("a: b\rc", E::BareCr),
    ];
    for (trailer, expected) in cases {
        check(format!("0\r\n{trailer}\r\n\r\n").as_bytes(), Err(expected));
    }
    check(b"0\r\na: b\r\nHost: c\r\n\r\n", Err(E::TrailerForbidden));
    check(b"0\r\n\n", Err(E::BareLf));
    check(b"0\r\n\rx", Err(E::BareCr));
    check(b"0\r\na: b\r\n c\r\n\r\n", Err(E::TrailerNameInvalid));
    check(&[b"0\r\n".as_slice(), &b"a: b\r\n".repeat(33), b"\r\n"].concat(), Err(E::TooManyTrailers));
    check(format!("0\r\na: {}\r\n\r\n", "b".repeat(9000)).as_bytes(), Err(E::TrailersTooLarge));
}

#[test]
fn an_error_is_sticky_and_an_early_end_is_one() {
    let mut validator = FramingValidator::new(Framing::Chunked);
    assert_eq!(validator.feed(b"x"), Err(E::ChunkSizeInvalid));
    assert_eq!(validator.feed(b"0\r\n\r\n"), Err(E::ChunkSizeInvalid));
    assert_eq!(validator.feed(b""), Err(E::ChunkSizeInvalid));
    assert_eq!(validator.finish(), Err(E::ChunkSizeInvalid));
    let mut validator = FramingValidator::new(Framing::Chunked);
    assert_eq!(validator.feed(b"0\r\n"), Ok(Fed { consumed: 3, done: false }));
    assert_eq!(validator.finish(), Err(E::Truncated));
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(FramingError::ALL.iter().map(|error| error.name()));
}

/// What the grammar says, read in the plainest way: where the message ends, if the input holds a whole one.
fn oracle(input: &[u8]) -> Option<(usize, u64)> {
    let mut at = 0;
    let mut content = 0;
    loop {
        let line = line(input, &mut at)?;
        let text = String::from_utf8_lossy(line);
        let (size, extensions) = match text.split_once(';') {
            Some((size, extensions)) => (size.to_owned(), Some(extensions.to_owned())),
            None => (text.into_owned(), None),
        };
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        // The generator writes extensions that are `a` or `a=b`, and bad ones that are none of these.
        if extensions.is_some_and(|all| !all.split(';').all(|one| matches!(one, "a" | "a=b"))) {
            return None;
        }
        let size = usize::from_str_radix(&size, 16).ok()?;
        if size == 0 {
            break;
        }
        content += size as u64;
        at = at.checked_add(size)?;
        if input.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let line = line(input, &mut at)?;
        if line.is_empty() {
            return Some((at, content));
        }
        // No piece has a colon but these; what stands before one may have run into it.
        let name = line.strip_suffix(b": v")?;
        if name.is_empty() || !name.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
    }
}

fn line<'a>(input: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = input.get(*at..)?;
    let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += length + 2;
    rest.get(..length)
}

const PIECES: &[&[u8]] = &[
    b"0\r\n",
    b"\r\n",
    b"1\r\nx\r\n",
    b"5\r\nhello\r\n",
    b"05\r\n\r\n\r\n\r\r\n",
    b"2\r\nx\r\n",
    b"3;a\r\nabc\r\n",
    b"1;a=b;a\r\nx\r\n",
    b"1;=\r\nx\r\n",
    b"T: v\r\n",
    b"T : v\r\n",
    b"a\r\n0\r\n\r\n01234\r\n",
    b"1\nx\r\n",
    b"1\r\nx\n",
    b"g\r\n",
    b"GET",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_naive_reader(pieces in vec(select(PIECES), 0..10), cuts in vec(1..9_usize, 1..6), ended in any::<bool>()) {
        let end: &[u8] = if ended { b"0\r\n\r\n" } else { b"" };
        let input = [pieces.concat().as_slice(), end].concat();
        let mut validator = FramingValidator::new(Framing::Chunked);
        let mut rest = input.as_slice();
        let mut consumed = 0;
        let mut failed = false;
        for cut in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            match validator.feed(piece) {
                Ok(fed) => consumed += fed.consumed,
                Err(_) => failed = true,
            }
            rest = tail;
            if rest.is_empty() || failed {
                break;
            }
        }
        let found = validator.is_done().then(|| (consumed, validator.content()));
        prop_assert_eq!(found, oracle(&input), "{}", input.escape_ascii());
    }
}
