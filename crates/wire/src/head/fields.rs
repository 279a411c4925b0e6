//! Field lines: their syntax, and what the few fields that matter to framing and routing say.

use super::{HeadError, HeadFlags, Span};
use crate::class::{self, CR, LF, TOKEN, find_control};

/// Most options that all Connection fields of a head may have; no client sends more than a few.
const MAX_OPTIONS: usize = 8;

/// Fields beside `X-Forwarded-*` and `Content-*` that Connection may not nominate.
const END_TO_END: &[&[u8]] = &[
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"x-original-forwarded-for",
    b"x-request-id",
    b"traceparent",
    b"tracestate",
    b"authorization",
    b"cookie",
    b"cache-control",
    b"expect",
];

/// What the fields of a head have said so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) count: usize,
    pub(super) host: Option<Span>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) upgrade: Option<Span>,
    pub(super) expect: Option<Expect>,
    /// Options of Connection.
    pub(super) options: usize,
    pub(super) flags: HeadFlags,
}

/// What Expect asks for. Judged once the version is known: HTTP/1.0 has no expectations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Continue,
    Other,
}

/// End of the line that begins at `from`: the position of its CR, with LF behind it.
#[inline]
pub(super) fn line_end(head: &[u8], from: usize) -> Result<usize, HeadError> {
    let mut from = from;
    loop {
        let at = find_control(head, from).ok_or(HeadError::Incomplete)?;
        match head.get(at..).unwrap_or_default() {
            [CR, LF, ..] => return Ok(at),
            [b'\t', ..] => from = at + 1,
            [CR] | [] => return Err(HeadError::Incomplete),
            [CR, ..] => return Err(HeadError::BareCr),
            [LF, ..] => return Err(HeadError::BareLf),
            [_, ..] => return Err(HeadError::ControlByte),
        }
    }
}

impl Fields {
    /// Reads the field line at `start`. Returns where the next line begins.
    #[inline]
    pub(super) fn read(&mut self, head: &[u8], start: usize) -> Result<usize, HeadError> {
        let line = head.get(start..).unwrap_or_default();
        let colon = line.iter().position(|byte| !class::is(*byte, TOKEN)).ok_or(HeadError::Incomplete)?;
        let (name, rest) = line.split_at_checked(colon).unwrap_or_default();
        if name.is_empty() || rest.first() != Some(&b':') {
            return Err(bad_name(name, rest));
        }
        let value_start = start + colon + 1;
        let end = line_end(head, value_start)?;
        self.count += 1;
        self.note(head, name, Span { start: value_start, end })?;
        Ok(end + 2)
    }

    /// Fields are told apart by length first: most lines end here without a comparison.
    #[inline]
    fn note(&mut self, head: &[u8], name: &[u8], value: Span) -> Result<(), HeadError> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(trim(head, value)),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.note_expect(trim(head, value).bytes(head));
                Ok(())
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = Some(trim(head, value));
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value.bytes(head)),
            14 if is_lookalike(name, b"content-length") => {
                if name.contains(&b'_') {
                    return Err(HeadError::FramingLookalike);
                }
                self.note_content_length(trim(head, value).bytes(head))
            }
            17 if is_lookalike(name, b"transfer-encoding") => {
                if name.contains(&b'_') {
                    return Err(HeadError::FramingLookalike);
                }
                self.note_transfer_encoding(trim(head, value).bytes(head))
            }
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: Span) -> Result<(), HeadError> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(HeadError::HostRepeated),
        }
    }

    fn note_expect(&mut self, value: &[u8]) {
        let expect = if value.eq_ignore_ascii_case(b"100-continue") { Expect::Continue } else { Expect::Other };
        if self.expect != Some(Expect::Other) {
            self.expect = Some(expect);
        }
    }

    fn note_content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        let mut repeated = false;
        for item in value.split(|byte| *byte == b',') {
            let length = parse_length(class::trim_ows(item)).ok_or(HeadError::ContentLengthInvalid)?;
            match self.content_length.replace(length) {
                None => {}
                Some(earlier) if earlier == length => repeated = true,
                Some(_) => return Err(HeadError::ContentLengthDiffers),
            }
        }
        if repeated { Err(HeadError::ContentLengthRepeated) } else { Ok(()) }
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.chunked {
            return Err(HeadError::TransferEncodingRepeated);
        }
        self.chunked = value.eq_ignore_ascii_case(b"chunked");
        if self.chunked { Ok(()) } else { Err(HeadError::TransferEncodingNotChunked) }
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in value.split(|byte| *byte == b',') {
            let option = class::trim_ows(option);
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            if option.is_empty() {
                continue;
            }
            if is(b"keep-alive") {
                self.flags.keep_alive = true;
            } else if is(b"close") {
                self.flags.close = true;
            } else if is(b"upgrade") {
                self.flags.connection_upgrade = true;
            } else if is(b"host") || is(b"content-length") || is(b"transfer-encoding") {
                return Err(HeadError::ConnectionNominatesFraming);
            } else if is_end_to_end(option) {
                return Err(HeadError::ConnectionNominatesEndToEnd);
            } else if class::is_token(option) {
                self.flags.nominates = true;
            } else {
                return Err(HeadError::ConnectionInvalid);
            }
            self.options += 1;
        }
        if self.options > MAX_OPTIONS { Err(HeadError::TooManyConnectionOptions) } else { Ok(()) }
    }
}

/// Whether an option of Connection is a field that every recipient is to see, so that it must not be nominated (RFC 9110
/// section 7.6.1): those that say who asks and on which way, those that describe the content, and what governs the
/// exchange. A hop that took one out would make the next one trust, cache or read something else than was sent.
fn is_end_to_end(option: &[u8]) -> bool {
    let begins =
        |prefix: &[u8]| option.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix));
    begins(b"x-forwarded-") || begins(b"content-") || END_TO_END.iter().any(|name| option.eq_ignore_ascii_case(name))
}

/// Digits only, below 2^63 so that no signed reader behind us overflows.
#[inline]
pub(crate) fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut length = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        length = length * 10 + u64::from(digit - b'0');
    }
    i64::try_from(length).is_ok().then_some(length)
}

/// `name` is `field`, or would be if its `_` were `-`.
#[inline]
fn is_lookalike(name: &[u8], field: &[u8]) -> bool {
    name.iter()
        .zip(field)
        .all(|(found, wanted)| found.eq_ignore_ascii_case(wanted) || (*wanted == b'-' && *found == b'_'))
}

#[inline]
fn trim(head: &[u8], value: Span) -> Span {
    let bytes = value.bytes(head);
    let lead = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let start = value.start + lead;
    Span { start, end: start + class::trim_ows(bytes).len() }
}

/// Why what stands where a name and its colon should is refused.
#[cold]
fn bad_name(name: &[u8], rest: &[u8]) -> HeadError {
    match rest {
        [b':', ..] => HeadError::FieldNameEmpty,
        [b' ' | b'\t', ..] if name.is_empty() => HeadError::ObsFold,
        [b' ' | b'\t', ..] if class::trim_ows(rest).first() == Some(&b':') => HeadError::SpaceBeforeColon,
        [b'\t', ..] => HeadError::FieldNameInvalid,
        [CR, LF, ..] => HeadError::FieldWithoutColon,
        [CR] | [] => HeadError::Incomplete,
        [CR, ..] => HeadError::BareCr,
        [LF, ..] => HeadError::BareLf,
        [byte, ..] if class::is_control(*byte) => HeadError::ControlByte,
        [..] => HeadError::FieldNameInvalid,
    }
}
