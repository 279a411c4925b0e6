//! Tests of `h2`: tables of what is taken and refused, and properties over random input.

use std::time::{Duration, Instant};

use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn limits() -> H2Limits {
    H2Limits { resets: 2, provoked_resets: 2, settings: 2, pings: 2, priorities: 2, ..H2Limits::default() }
}

/// Feeds `bytes` `times` times within one window.
#[track_caller]
fn check(limits: H2Limits, bytes: &[u8], times: usize, expected: Result<(), H2Abuse>) {
    let mut watch = H2Watch::after_preface(limits);
    let now = Instant::now();
    let found = (0..times).try_for_each(|_| watch.feed(now, bytes));
    assert_eq!(found, expected, "{} x {times}", bytes.escape_ascii());
}

#[test]
fn bounds_each_frame_that_is_cheap_to_send() {
    let cases = [
        (frame(kind::RST_STREAM, 0, 1, &[0; 4]), H2Abuse::RapidReset),
        (frame(kind::SETTINGS, 0, 0, &[0; 6]), H2Abuse::SettingsFlood),
        (frame(kind::PING, 0, 0, &[0; 8]), H2Abuse::PingFlood),
        (frame(kind::PRIORITY, 0, 1, &[0; 5]), H2Abuse::PriorityFlood),
        (frame(kind::PRIORITY_UPDATE, 0, 0, &[0; 5]), H2Abuse::PriorityFlood),
    ];
    for (bytes, abuse) in cases {
        check(limits(), &bytes, 2, Ok(()));
        check(limits(), &bytes, 3, Err(abuse));
    }
}

#[test]
fn bounds_empty_and_unknown_frames() {
    let limits = H2Limits { empty_frames: 2, other_frames: 2, ..H2Limits::default() };
    for bytes in [frame(kind::DATA, 0, 1, b""), frame(kind::HEADERS, 0, 1, b""), frame(kind::CONTINUATION, 0, 1, b"")] {
        check(limits, &bytes, 2, Ok(()));
        check(limits, &bytes, 3, Err(H2Abuse::EmptyFrameFlood));
    }
    check(limits, &frame(kind::DATA, END_STREAM, 1, b""), 50, Ok(()));
    check(limits, &frame(kind::DATA, 0, 1, b"x"), 50, Ok(()));
    for bytes in [frame(0xee, 0, 0, b"x"), frame(kind::SETTINGS, ACK, 0, b""), frame(kind::GOAWAY, 0, 0, &[0; 8])] {
        check(limits, &bytes, 2, Ok(()));
        check(limits, &bytes, 3, Err(H2Abuse::UnknownFrameFlood));
    }
}

#[test]
fn bounds_continuations_and_bytes_of_one_header_block() {
    let limits = H2Limits { continuations: 2, header_block: 10, ..H2Limits::default() };
    let block = |first: usize, continuations: &[usize]| {
        let mut bytes = frame(kind::HEADERS, 0, 1, &vec![0; first]);
        for length in continuations {
            bytes.extend(frame(kind::CONTINUATION, 0, 1, &vec![0; *length]));
        }
        bytes.extend(frame(kind::CONTINUATION, END_HEADERS, 1, b"x"));
        bytes
    };
    check(limits, &block(4, &[5]), 50, Ok(()));
    check(limits, &block(1, &[1, 1]), 1, Err(H2Abuse::ContinuationFlood));
    check(limits, &block(4, &[6]), 1, Err(H2Abuse::HeaderBlockTooLarge));
    check(limits, &frame(kind::HEADERS, END_HEADERS, 1, &[0; 11]), 1, Err(H2Abuse::HeaderBlockTooLarge));
    // Small header blocks one after another do not add up.
    check(limits, &frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0; 10]), 1000, Ok(()));
}

#[test]
fn says_which_header_block_is_open() {
    let now = Instant::now();
    let mut watch = H2Watch::after_preface(H2Limits::default());
    let mut check = |bytes: &[u8], expected| {
        watch.feed(now, bytes).unwrap();
        assert_eq!(watch.open_block(), expected, "{}", bytes.escape_ascii());
    };
    let whole = frame(kind::HEADERS, END_HEADERS, 1, b"block");
    check(b"", None);
    check(&whole, None);
    let (begin, rest) = whole.split_at(11);
    check(&begin[..8], None);
    check(&begin[8..], Some(2));
    check(rest, None);
    check(&frame(kind::HEADERS, 0, 3, b"block"), Some(3));
    check(&frame(kind::CONTINUATION, 0, 3, b"block"), Some(3));
    let (begin, rest) = (frame(kind::CONTINUATION, END_HEADERS, 3, b"end"), b"");
    check(&begin[..10], Some(3));
    check(&begin[10..], None);
    check(&frame(kind::CONTINUATION, END_HEADERS, 3, rest), None);
    // The end of one block and the beginning of the next in one read: another block.
    check(&whole[..12], Some(4));
    check(&[&whole[12..], &whole[..12]].concat(), Some(5));
    check(&whole[12..], None);
    check(&frame(kind::DATA, 0, 3, b"data")[..10], None);
}

#[test]
fn a_new_window_forgets_and_an_abuse_is_sticky() {
    let reset = frame(kind::RST_STREAM, 0, 1, &[0; 4]);
    let mut watch = H2Watch::after_preface(limits());
    let mut now = Instant::now();
    for _ in 0..10 {
        assert_eq!(watch.feed(now, &reset), Ok(()));
        assert_eq!(watch.feed(now + Duration::from_secs(9), &reset), Ok(()));
        now += Duration::from_secs(10);
    }
    assert_eq!(watch.feed(now, &reset.repeat(3)), Err(H2Abuse::RapidReset));
    assert_eq!(watch.feed(now + Duration::from_secs(60), b""), Err(H2Abuse::RapidReset));
    assert_eq!(watch.counts().resets, 23);
}

#[test]
fn data_sent_earns_window_updates() {
    let limits = H2Limits { window_updates: 2, window_updates_per_data: 3, ..H2Limits::default() };
    let update = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    check(limits, &update, 2, Ok(()));
    check(limits, &update, 3, Err(H2Abuse::WindowUpdateFlood));
    let mut watch = H2Watch::after_preface(limits);
    let now = Instant::now();
    watch.observe(now, H2Event::Data { stream: 1, length: 9, end: false }).unwrap();
    assert_eq!(watch.feed(now, &update.repeat(5)), Ok(()));
    assert_eq!(watch.feed(now, &update), Err(H2Abuse::WindowUpdateFlood));
}

#[test]
fn resets_that_the_client_provokes_count_against_it() {
    let now = Instant::now();
    let reset = |code| H2Event::Reset { stream: 1, code: H2ErrorCode(code) };
    let mut watch = H2Watch::after_preface(limits());
    for code in [0x0, 0x2, 0x7, 0x8, 0x0, 0x8] {
        assert_eq!(watch.observe(now, reset(code)), Ok(()));
    }
    assert_eq!(watch.observe(now, reset(0x1)), Ok(()));
    assert_eq!(watch.observe(now, reset(0x5)), Ok(()));
    assert_eq!(watch.observe(now, reset(0x3)), Err(H2Abuse::ProvokedResets));
    assert_eq!(watch.feed(now, b""), Err(H2Abuse::ProvokedResets));
}

#[test]
fn takes_the_preface_in_pieces_and_no_other() {
    let now = Instant::now();
    let mut watch = H2Watch::new(H2Limits::default());
    for byte in PREFACE {
        assert_eq!(watch.feed(now, &[*byte]), Ok(()));
    }
    assert_eq!(watch.feed(now, &frame(kind::SETTINGS, 0, 0, b"")), Ok(()));
    assert_eq!(watch.counts().settings, 1);
    let mut watch = H2Watch::new(H2Limits::default());
    assert_eq!(watch.feed(now, b"GET / HTTP/1.1"), Err(H2Abuse::PrefaceInvalid));
}

#[test]
fn skips_payloads_that_look_like_frames() {
    let reset = frame(kind::RST_STREAM, 0, 1, &[0; 4]);
    let data = frame(kind::DATA, 0, 1, &reset.repeat(100));
    let mut watch = H2Watch::after_preface(limits());
    assert_eq!(watch.feed(Instant::now(), &data), Ok(()));
    assert_eq!((watch.counts().data, watch.counts().resets), (1, 0));
}

#[test]
fn reports_what_our_side_sends() {
    let mut bytes = frame(kind::SETTINGS, 0, 0, &[0; 6]);
    bytes.extend(frame(kind::DATA, END_STREAM, 3, b"hello"));
    bytes.extend(frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 1]));
    bytes.extend(frame(kind::GOAWAY, 0, 0, &[0x80, 0, 0, 5, 0, 0, 0, 0xb, b'w', b'h', b'y']));
    bytes.extend(frame(kind::RST_STREAM, 0, 7, &[1]));
    bytes.extend(frame(kind::DATA, 0, 7, b""));
    let mut events = Vec::new();
    H2Outbound::new().feed(&bytes, |event| events.push(event));
    let expected = [
        H2Event::Data { stream: 3, length: 5, end: true },
        H2Event::Reset { stream: 5, code: H2ErrorCode(1) },
        H2Event::GoAway { last_stream: 5, code: H2ErrorCode(0xb) },
        H2Event::Data { stream: 7, length: 0, end: false },
    ];
    assert_eq!(events, expected);
    assert_eq!(H2ErrorCode(0xb).to_string(), "enhance_your_calm (0xb)");
    assert_eq!(H2ErrorCode(0xff).name(), "unknown");
}

#[test]
fn names_of_errors_are_unique_and_stable_in_form() {
    crate::laws::tests::check_names(H2Abuse::ALL.iter().map(|error| error.name()));
}
