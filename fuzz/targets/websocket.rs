//! Frames are read the same however they are cut into pieces; text is UTF-8; what is written is read; a message is split at
//! the number of its subscription and nowhere else.
#![no_main]

use bytes::Bytes;
use portcullis_rpc::ws::frame::{Decoder, Event, Opcode, Role, Violation, masked};
use portcullis_rpc::ws::message::{Incoming, canonical, read};

const MOST: usize = 1024;

type Read = (Vec<Event>, Option<Violation>);

fn all(role: Role, bytes: &[u8], piece: usize) -> Read {
    let mut decoder = Decoder::new(role, MOST);
    let mut events = Vec::new();
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            match decoder.feed(&mut piece) {
                Ok(event) => events.extend(event),
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

fn text(text: &Bytes) {
    assert!(std::str::from_utf8(text).is_ok());
    let _judged = read(text);
    if let Some(canon) = canonical(text, 32) {
        assert_eq!(canonical(canon.as_bytes(), 32).as_deref(), Some(&*canon));
    }
    if let Ok(Incoming::Notification(number, notification)) = Incoming::read(text.clone()) {
        let (before, behind) = notification.parts();
        assert_eq!(before.len() + behind.len(), notification.length());
        let between = text.get(before.len()..text.len() - behind.len()).unwrap_or_default();
        assert_eq!(std::str::from_utf8(between).map(str::parse), Ok(Ok(number)));
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let whole = all(role, data, data.len().max(1));
    assert_eq!(all(role, data, usize::from(first >> 1).max(1)), whole);
    for event in &whole.0 {
        if let Event::Text(it) = event {
            text(it);
        }
    }
    let payload = Bytes::copy_from_slice(data.get(..MOST).unwrap_or(data));
    let mut written = Vec::new();
    masked(Opcode::Binary, &payload, [first, 2, 3, 4], &mut written);
    assert_eq!(all(Role::Server, &written, 7), (vec![Event::Binary(payload.clone())], None));
    if std::str::from_utf8(&payload).is_ok() {
        text(&payload);
    }
});
