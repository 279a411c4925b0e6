//! The reader against a naive one, and what it refuses case by case.

use bytes::Bytes;
use proptest::prelude::*;

use super::encode::masked;
use super::{Decoder, Event, Opcode, Role, Violation, frame};

/// Reads all of it, in pieces of these lengths.
fn read(role: Role, most: usize, bytes: &[u8], pieces: &[usize]) -> (Vec<Event>, Option<Violation>) {
    let mut decoder = Decoder::new(role, most);
    let mut events = Vec::new();
    let mut rest = bytes;
    let mut lengths = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at(lengths.next().unwrap_or(1).clamp(1, rest.len()));
        rest = behind;
        while !piece.is_empty() {
            match decoder.feed(&mut piece) {
                Ok(event) => events.extend(event),
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

/// What a close frame with this payload says.
fn naive_close(payload: &[u8]) -> Result<Event, Violation> {
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    let allowed = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if payload.len() == 1 || code.is_some_and(|code| !allowed(code)) {
        return Err(Violation::CloseCode);
    }
    let reason = std::str::from_utf8(payload.get(2..).unwrap_or_default());
    reason.map(|_| Event::Close(code)).map_err(|_| Violation::Utf8)
}

/// RFC 6455 read word by word, from a buffer that has everything: what is whole, and what is wrong first.
fn naive(bytes: &[u8], most: usize) -> (Vec<Event>, Option<Violation>) {
    let (mut events, mut rest) = (Vec::new(), bytes);
    let mut message: Option<(bool, Vec<u8>)> = None;
    loop {
        let Some(&first) = rest.first() else { return (events, None) };
        if first & 0x70 != 0 {
            return (events, Some(Violation::Reserved));
        }
        if !matches!(first & 0xf, 0 | 1 | 2 | 8 | 9 | 10) {
            return (events, Some(Violation::Opcode));
        }
        let (fin, opcode) = (first & 0x80 != 0, first & 0xf);
        let Some(&second) = rest.get(1) else { return (events, None) };
        if second & 0x80 == 0 {
            return (events, Some(Violation::Mask));
        }
        let short = usize::from(second & 0x7f);
        if opcode >= 8 && (!fin || short > 125) {
            return (events, Some(Violation::Control));
        }
        let (bytes_of_length, least) = [(0, 0), (2, 126), (8, 65_536)][short.saturating_sub(125).min(2)];
        let Some(extended) = rest.get(2..2 + bytes_of_length) else { return (events, None) };
        let extended = extended.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
        let length = if bytes_of_length == 0 { short as u128 } else { extended };
        if length < least || length >> 63 != 0 {
            return (events, Some(Violation::Length));
        }
        let Some(mask) = rest.get(2 + bytes_of_length..6 + bytes_of_length) else { return (events, None) };
        match (opcode, &message) {
            (0, None) | (1 | 2, Some(_)) => return (events, Some(Violation::Fragments)),
            _ => {}
        }
        let before = message.as_ref().map_or(0, |(_, payload)| payload.len());
        if opcode < 8 && length > (most - before) as u128 {
            return (events, Some(Violation::TooBig));
        }
        let payload = &rest[6 + bytes_of_length..];
        let whole = payload.len() as u128 >= length;
        let payload = &payload[..payload.len().min(length as usize)];
        let payload: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if opcode < 8 {
            let (text, mut so_far) = message.take().unwrap_or((opcode == 1, Vec::new()));
            so_far.extend(&payload);
            let judged = std::str::from_utf8(&so_far);
            let broken = judged.is_err_and(|error| error.error_len().is_some() || (fin && whole));
            if text && broken {
                return (events, Some(Violation::Utf8));
            }
            message = Some((text, so_far));
        }
        if !whole {
            return (events, None);
        }
        rest = &rest[6 + bytes_of_length + length as usize..];
        match opcode {
            9 => events.push(Event::Ping(payload.into())),
            10 => events.push(Event::Pong(payload.into())),
            8 => {
                let closed = naive_close(&payload);
                events.extend(closed.clone().ok());
                return (events, closed.err());
            }
            _ if fin => {
                let (text, payload) = message.take().expect("it is there");
                let payload = Bytes::from(payload);
                events.push(if text { Event::Text(payload) } else { Event::Binary(payload) });
            }
            _ => {}
        }
    }
}

/// One frame, right or nearly so: first byte, payload, and how its length is written.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => "\\PC{0,6}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => (any::<u8>(), 120..140_usize).prop_map(|(byte, length)| vec![byte & 0x7f; length]),
        1 => (1000..5000_u16, "\\PC{0,3}").prop_map(|(code, text)| [&code.to_be_bytes(), text.as_bytes()].concat()),
    ];
    let written = prop_oneof![12 => Just(0), 1 => Just(2), 1 => Just(8)];
    (first, payload, written, any::<[u8; 4]>(), prop::bool::weighted(0.97)).prop_map(
        |(first, payload, written, key, mask)| {
            let length = payload.len() as u64;
            let (short, extended) = match (written, length) {
                (0, 0..=125) => (u8::try_from(length).unwrap(), 0),
                (0 | 2, _) => (126, 2),
                _ => (127, 8),
            };
            let mut frame = vec![first, short | if mask { 0x80 } else { 0 }];
            frame.extend(&length.to_be_bytes()[8 - extended..]);
            frame.extend(key);
            frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn reads_as_a_naive_reader_does_however_the_bytes_are_cut(
        frames in proptest::collection::vec(any_frame(), 1..6),
        cut in any::<prop::sample::Index>(),
        pieces in proptest::collection::vec(1..40_usize, 0..20),
        most in prop_oneof![Just(8_usize), Just(130), Just(4096)],
    ) {
        let mut bytes = frames.concat();
        bytes.truncate(cut.index(bytes.len() * 2) + 1);
        prop_assert_eq!(read(Role::Server, most, &bytes, &pieces), naive(&bytes, most));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(payload in proptest::collection::vec(any::<u8>(), 0..70_000), key in any::<[u8; 4]>()) {
        let expected = vec![Event::Binary(payload.clone().into())];
        prop_assert_eq!(read(Role::Client, 1 << 20, &frame(Opcode::Binary, &payload), &[3, 1, 7]), (expected.clone(), None));
        let mut bytes = Vec::new();
        masked(Opcode::Binary, &payload, key, &mut bytes);
        prop_assert_eq!(read(Role::Server, 1 << 20, &bytes, &[1, 1, 9]), (expected, None));
    }
}

#[test]
fn a_stated_length_takes_no_memory_before_its_bytes_come() {
    let info = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(Role::Server, 1 << 30);
        let head = [&[0x82, 0xff][..], &(1_u64 << 30).to_be_bytes(), &[0, 0, 0, 0], &[7; 100]].concat();
        assert_eq!(decoder.feed(&mut head.as_slice()), Ok(None));
    });
    assert!(info.bytes_max < 1024, "{info:?}");
}

#[test]
fn nothing_is_read_behind_a_close() {
    let bytes = [&[0x88, 0x80, 0, 0, 0, 0][..], &[0xff; 20]].concat();
    assert_eq!(read(Role::Server, 100, &bytes, &[]), (vec![Event::Close(None)], None));
}

#[test]
fn between_messages_nothing_is_held() {
    let mut decoder = Decoder::new(Role::Server, 1 << 20);
    assert!(decoder.is_idle());
    let mut bytes = Vec::new();
    masked(Opcode::Text, &[b'a'; 1000], [0; 4], &mut bytes);
    assert_eq!(decoder.feed(&mut &bytes[..500]), Ok(None));
    assert!(!decoder.is_idle());
    assert!(matches!(decoder.feed(&mut &bytes[500..]), Ok(Some(Event::Text(_)))));
    assert!(decoder.is_idle());
}
