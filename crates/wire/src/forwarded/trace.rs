//! `traceparent` of W3C Trace Context: read, continued, begun.

use crate::class;

/// Bytes of a version 00 value.
const LENGTH: usize = 55;
/// The flags we know: sampled, and random trace id (level 2).
const KNOWN_FLAGS: u8 = 0x03;
const SAMPLED: u8 = 0x01;

closed_error! {
    /// Why a `traceparent` was refused. The trace is then begun anew.
    pub enum TraceError {
        Length, "traceparent_length", "the value has not the length of its version";
        Version, "traceparent_version", "the version is ff or not two lower-case hexadecimal digits";
        Separator, "traceparent_separator", "the parts are not separated by hyphens";
        Hex, "traceparent_hex", "a part is not in lower-case hexadecimal digits";
        ZeroTrace, "traceparent_zero_trace", "the trace id is all zeros";
        ZeroParent, "traceparent_zero_parent", "the parent id is all zeros";
    }
}

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// Reads a value. A version above 00 is read as if it were 00, as the specification asks.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn parse(value: &[u8]) -> Result<Self, TraceError> {
        let (first, more) = value.split_first_chunk::<LENGTH>().ok_or(TraceError::Length)?;
        let [version] = hex([first[0], first[1]]).map_err(|_| TraceError::Version)?;
        match (version, more) {
            (0xff, _) => return Err(TraceError::Version),
            (0, []) | (1.., [] | [b'-', ..]) => {}
            (_, [..]) => return Err(TraceError::Length),
        }
        if [first[2], first[35], first[52]] != [b'-'; 3] {
            return Err(TraceError::Separator);
        }
        let trace_id = hex_slice::<16>(first.get(3..35).unwrap_or_default())?;
        let parent_id = hex_slice::<8>(first.get(36..52).unwrap_or_default())?;
        let [flags] = hex([first[53], first[54]])?;
        if trace_id == [0; 16] {
            return Err(TraceError::ZeroTrace);
        }
        if parent_id == [0; 8] {
            return Err(TraceError::ZeroParent);
        }
        Ok(Self { trace_id, parent_id, flags: flags & KNOWN_FLAGS })
    }

    /// Begins a trace from random bytes.
    #[must_use]
    pub fn root(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) -> Self {
        Self { trace_id: not_zero(trace_id), parent_id: not_zero(span_id), flags: 0x02 | u8::from(sampled) }
    }

    /// The same trace, one span further, from random bytes.
    #[must_use]
    pub fn child(self, span_id: [u8; 8]) -> Self {
        Self { parent_id: not_zero(span_id), ..self }
    }

    /// The id of the trace.
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The id of the span that is the parent of whoever reads this.
    #[must_use]
    pub const fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller may have recorded the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same place, for whoever decides anew whether the trace is recorded.
    #[must_use]
    pub const fn sampled(self, sampled: bool) -> Self {
        let flags = if sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
        Self { flags, ..self }
    }

    /// The value, in version 00.
    #[must_use]
    pub fn write(&self) -> [u8; LENGTH] {
        let mut out = [b'-'; LENGTH];
        let version = [0];
        let flags = [self.flags];
        let parts: [(usize, &[u8]); 4] = [(0, &version), (3, &self.trace_id), (36, &self.parent_id), (53, &flags)];
        for (start, bytes) in parts {
            let places = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<2>().0;
            for (place, byte) in places.iter_mut().zip(bytes) {
                *place = [digit(byte >> 4), digit(byte & 0xf)];
            }
        }
        out
    }
}

/// Without a branch, so that many are made at once: from 10 on, 6 more carry.
const fn digit(value: u8) -> u8 {
    value + b'0' + ((value + 6) >> 4) * (b'a' - b'0' - 10)
}

fn hex(digits: [u8; 2]) -> Result<[u8; 1], TraceError> {
    hex_slice::<1>(&digits)
}

fn hex_slice<const N: usize>(digits: &[u8]) -> Result<[u8; N], TraceError> {
    let mut out = [0; N];
    for (place, pair) in out.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| class::hex_value(digit).filter(|_| !digit.is_ascii_uppercase()));
        *place = high.ok_or(TraceError::Hex)? << 4 | low.ok_or(TraceError::Hex)?;
    }
    Ok(out)
}

/// An id of zeros means "no id"; random bytes may be that, if hardly ever.
fn not_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}
