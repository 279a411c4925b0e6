//! Watches HTTP/2 frames as their bytes pass by, in both directions.
//!
//! The HTTP/2 implementation below us has no hooks: it answers floods and protocol errors by itself. [`H2Watch`]
//! reads the client's frame headers, skips the payloads by arithmetic, and counts what is cheap to send and dear to
//! answer; past a bound the connection is to be closed. [`H2Outbound`] reads what our side sends back, so that
//! what the implementation rejects by itself can be counted with its error code.
//!
//! Nothing here validates HTTP/2: a frame that is wrong is left to the implementation, and shows up outbound.
//! The cost is one step per frame, never per byte.

mod inbound;
mod limits;
mod outbound;
#[cfg(test)]
mod tests;

pub use inbound::H2Watch;
pub use limits::{H2Abuse, H2Counts, H2Limits};
pub use outbound::{H2ErrorCode, H2Event, H2Outbound};

/// What a client sends first on an HTTP/2 connection (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// END_STREAM of DATA and HEADERS.
const END_STREAM: u8 = 0x1;
/// ACK of SETTINGS and PING.
const ACK: u8 = 0x1;
/// END_HEADERS of HEADERS, PUSH_PROMISE and CONTINUATION.
const END_HEADERS: u8 = 0x4;

/// Bytes of a frame header.
const HEADER: usize = 9;

/// One frame header (RFC 9113 section 4.1).
#[derive(Debug, Clone, Copy)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    const fn parse(bytes: [u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s1, s2, s3, s4] = bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            stream: u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]),
        }
    }

    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Frame types.
mod kind {
    pub(super) const DATA: u8 = 0x0;
    pub(super) const HEADERS: u8 = 0x1;
    pub(super) const PRIORITY: u8 = 0x2;
    pub(super) const RST_STREAM: u8 = 0x3;
    pub(super) const SETTINGS: u8 = 0x4;
    pub(super) const PING: u8 = 0x6;
    pub(super) const GOAWAY: u8 = 0x7;
    pub(super) const WINDOW_UPDATE: u8 = 0x8;
    pub(super) const CONTINUATION: u8 = 0x9;
    pub(super) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Collects a fixed number of bytes from pieces.
#[derive(Debug, Clone)]
struct Collect<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Collect<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], filled: 0 }
    }

    /// Takes bytes off `rest`. All `N` of them, once they are there; it is then empty again.
    #[inline]
    fn take(&mut self, rest: &mut &[u8]) -> Option<[u8; N]> {
        if self.filled == 0
            && let Some((all, tail)) = rest.split_first_chunk::<N>()
        {
            *rest = tail;
            return Some(*all);
        }
        while let Some(place) = self.bytes.get_mut(self.filled) {
            let (byte, tail) = rest.split_first()?;
            *place = *byte;
            self.filled += 1;
            *rest = tail;
        }
        self.filled = 0;
        Some(self.bytes)
    }
}

/// Takes up to `left` bytes off `rest`. Returns how many are still to come.
#[inline]
fn skip(left: u32, rest: &mut &[u8]) -> u32 {
    let here = u32::try_from(rest.len()).unwrap_or(u32::MAX).min(left);
    *rest = rest.get(here as usize..).unwrap_or_default();
    left - here
}
