//! Where the frames of a WebSocket begin and end, in what the gateway writes to the client (RFC 6455 section 5.2).
//!
//! A close frame of our own may only stand between two frames of the upstream's. Frames are found by their heads alone:
//! payloads are skipped, whatever they hold.

use bytes::{BufMut, Bytes, BytesMut};

use portcullis_types::Reason;

/// The server is going away.
const GOING_AWAY: u16 = 1001;
/// Who is at the other end may not go on.
const POLICY: u16 = 1008;

/// A close frame of the gateway's (RFC 6455 section 5.5.1): the code, and behind it the reason's name, but for a drain.
pub(super) fn close(reason: Reason) -> Bytes {
    let (code, text) = if reason == Reason::Draining { (GOING_AWAY, "") } else { (POLICY, reason.name()) };
    let mut frame = BytesMut::with_capacity(4 + text.len());
    frame.put_u8(0x88);
    // Names of reasons are far below the 123 bytes that fit.
    frame.put_u8(u8::try_from(2 + text.len()).unwrap_or_default());
    frame.put_u16(code);
    frame.put_slice(text.as_bytes());
    frame.freeze()
}

/// The longest head of a frame: two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;

/// Follows what is written on a connection that asked for an upgrade.
#[derive(Debug, Clone)]
pub(super) enum Frames {
    /// Heads of HTTP pass: what came of the current one so far, and how much of its end was seen.
    Http { status: Vec<u8>, ending: usize },
    /// Frames pass.
    Open { head: [u8; LONGEST_HEAD], have: usize, payload: u64 },
    /// No frames came of it: the upgrade was refused.
    Refused,
}

impl Default for Frames {
    fn default() -> Self {
        Self::Http { status: Vec::new(), ending: 0 }
    }
}

/// The bytes of a status line up to the status.
const STATUS: usize = "HTTP/1.1 101".len();
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

impl Frames {
    /// Whether a frame of ours may stand here.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self, Self::Open { have: 0, payload: 0, .. })
    }

    /// Sees what was written.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let seen = self.feed_frame(bytes);
            bytes = bytes.get(seen..).unwrap_or_default();
        }
    }

    /// Sees no more than up to the next place where a frame of ours may stand; how many bytes that is.
    pub(super) fn feed_frame(&mut self, bytes: &[u8]) -> usize {
        let mut left = bytes;
        while let Some((&byte, rest)) = left.split_first() {
            match self {
                Self::Refused => return bytes.len(),
                Self::Http { .. } => {
                    self.feed_http(byte);
                    left = rest;
                }
                Self::Open { payload, .. } if *payload > 0 => {
                    let skipped = usize::try_from(*payload).unwrap_or(usize::MAX).min(left.len());
                    *payload -= skipped as u64;
                    left = left.get(skipped..).unwrap_or_default();
                }
                Self::Open { head, have, payload } => {
                    if let Some(place) = head.get_mut(*have) {
                        *place = byte;
                    }
                    *have += 1;
                    if let Some(length) = payload_length(head.get(..*have).unwrap_or_default()) {
                        (*have, *payload) = (0, length);
                    }
                    left = rest;
                }
            }
            if self.is_between() {
                break;
            }
        }
        bytes.len() - left.len()
    }

    fn feed_http(&mut self, byte: u8) {
        let Self::Http { status, ending } = self else { return };
        if status.len() < STATUS {
            status.push(byte);
        }
        *ending = match END.get(*ending) {
            Some(&wanted) if wanted == byte => *ending + 1,
            _ => usize::from(byte == b'\r'),
        };
        if *ending < END.len() {
            return;
        }
        *self = match status.get(9..) {
            Some(b"101") => Self::Open { head: [0; LONGEST_HEAD], have: 0, payload: 0 },
            Some([b'1', ..]) => Self::default(),
            _ => Self::Refused,
        };
    }
}

/// The length of the payload behind a head, once the head is whole.
fn payload_length(head: &[u8]) -> Option<u64> {
    let (&second, rest) = head.get(1..)?.split_first()?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, extended) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    (rest.len() == extended + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_says_why_but_for_a_drain() {
        assert_eq!(&*close(Reason::Draining), [0x88, 2, 0x03, 0xe9]);
        assert_eq!(&*close(Reason::OverQuota), b"\x88\x0c\x03\xf0over_quota");
        assert!(Reason::ALL.iter().all(|reason| reason.name().len() <= 123));
    }

    const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=65_535 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![7; length + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn knows_after_each_byte_whether_it_stands_between_two_frames() {
        let mut frames = Frames::default();
        frames.feed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        frames.feed(&SWITCHING[..20]);
        assert!(!frames.is_between());
        frames.feed(&SWITCHING[20..]);
        assert!(frames.is_between());
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let bytes = frame(length, false);
            for (at, byte) in bytes.iter().enumerate() {
                frames.feed(&[*byte]);
                assert_eq!(frames.is_between(), at + 1 == bytes.len(), "{length}, byte {at}");
            }
            frames.feed(&[bytes.clone(), bytes].concat());
            assert!(frames.is_between());
        }
    }

    #[test]
    fn finds_the_end_of_each_frame_among_others() {
        let mut frames = Frames::default();
        let lengths = [0, 1, 125, 126, 65_536];
        let bytes: Vec<u8> =
            [SWITCHING.to_vec()].into_iter().chain(lengths.map(|length| frame(length, false))).flatten().collect();
        let mut ends = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            at += frames.feed_frame(&bytes[at..]);
            ends.push(at);
        }
        let mut expected = vec![SWITCHING.len()];
        for length in lengths {
            expected.push(expected[expected.len() - 1] + frame(length, false).len());
        }
        assert_eq!(ends, expected);
        assert_eq!(frames.feed_frame(&frame(300, false)[..200]), 200, "one that is not whole");
    }

    #[test]
    fn a_masks_bytes_belong_to_the_head() {
        let mut frames = Frames::default();
        frames.feed(SWITCHING);
        let bytes = frame(300, true);
        frames.feed(&bytes[..bytes.len() - 1]);
        assert!(!frames.is_between());
        frames.feed(&bytes[bytes.len() - 1..]);
        assert!(frames.is_between());
    }

    #[test]
    fn a_refused_upgrade_has_no_frames() {
        let mut frames = Frames::default();
        frames.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(!frames.is_between());
    }
}
