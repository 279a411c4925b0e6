//! What our side sends.

use std::fmt;

use super::{Collect, END_STREAM, Frame, HEADER, kind, skip};

/// An HTTP/2 error code (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct H2ErrorCode(pub u32);

impl H2ErrorCode {
    /// The stable name, for logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0 => "no_error",
            0x1 => "protocol_error",
            0x2 => "internal_error",
            0x3 => "flow_control_error",
            0x4 => "settings_timeout",
            0x5 => "stream_closed",
            0x6 => "frame_size_error",
            0x7 => "refused_stream",
            0x8 => "cancel",
            0x9 => "compression_error",
            0xa => "connect_error",
            0xb => "enhance_your_calm",
            0xc => "inadequate_security",
            0xd => "http_1_1_required",
            _ => "unknown",
        }
    }

    /// Whether the one who gets this code is told that it broke a rule.
    #[must_use]
    pub const fn is_fault_of_the_other_side(self) -> bool {
        matches!(self.0, 0x1 | 0x3 | 0x5 | 0x6 | 0x9 | 0xb)
    }
}

impl fmt::Display for H2ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.name(), self.0)
    }
}

/// One thing our side sent that is worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum H2Event {
    /// A DATA frame.
    Data {
        /// Its stream.
        stream: u32,
        /// Bytes of its payload.
        length: u32,
        /// Whether it ends the stream.
        end: bool,
    },
    /// RST_STREAM: one request was rejected or given up.
    Reset {
        /// Its stream.
        stream: u32,
        /// Why.
        code: H2ErrorCode,
    },
    /// GOAWAY: the connection ends.
    GoAway {
        /// The last stream that was or will be answered.
        last_stream: u32,
        /// Why.
        code: H2ErrorCode,
    },
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    /// The four bytes of a RST_STREAM.
    Reset(Frame),
    /// The first eight bytes of a GOAWAY.
    GoAway(Frame),
    Payload(u32),
}

/// Reads the frames that our side sends.
#[derive(Debug, Clone)]
pub struct H2Outbound {
    state: State,
    header: Collect<HEADER>,
    reset: Collect<4>,
    go_away: Collect<8>,
}

impl Default for H2Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl H2Outbound {
    /// A reader from the first byte of a connection. A server sends no preface but SETTINGS.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Header, header: Collect::new(), reset: Collect::new(), go_away: Collect::new() }
    }

    /// Reads the next bytes and hands every event to `seen`, in order.
    pub fn feed(&mut self, bytes: &[u8], mut seen: impl FnMut(H2Event)) {
        let mut rest = bytes;
        loop {
            self.state = match self.state {
                State::Header => {
                    let Some(header) = self.header.take(&mut rest) else { return };
                    begin(Frame::parse(header), &mut seen)
                }
                State::Reset(frame) => {
                    let Some(payload) = self.reset.take(&mut rest) else { return };
                    let code = H2ErrorCode(u32::from_be_bytes(payload));
                    seen(H2Event::Reset { stream: frame.stream, code });
                    State::Payload(frame.length.saturating_sub(4))
                }
                State::GoAway(frame) => {
                    let Some([a, b, c, d, code @ ..]) = self.go_away.take(&mut rest) else { return };
                    let last_stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
                    seen(H2Event::GoAway { last_stream, code: H2ErrorCode(u32::from_be_bytes(code)) });
                    State::Payload(frame.length.saturating_sub(8))
                }
                State::Payload(left) => match skip(left, &mut rest) {
                    0 => State::Header,
                    left => {
                        self.state = State::Payload(left);
                        return;
                    }
                },
            };
        }
    }
}

fn begin(frame: Frame, seen: &mut impl FnMut(H2Event)) -> State {
    match frame.kind {
        kind::RST_STREAM if frame.length >= 4 => State::Reset(frame),
        kind::GOAWAY if frame.length >= 8 => State::GoAway(frame),
        kind::DATA => {
            seen(H2Event::Data { stream: frame.stream, length: frame.length, end: frame.has(END_STREAM) });
            State::Payload(frame.length)
        }
        _ => State::Payload(frame.length),
    }
}
