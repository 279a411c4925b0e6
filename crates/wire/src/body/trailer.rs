//! Trailer lines of a chunked message, byte by byte.

use super::{BodyLimits, FramingError};
use crate::class::{self, CR, LF, TOKEN};

/// Longest name in [`FORBIDDEN`]; longer names are not kept.
const LONGEST: usize = 19;

/// Fields a trailer may not carry, in lower case.
const FORBIDDEN: &[&[u8]] = &[
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"keep-alive",
    b"location",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"vary",
    b"warning",
    b"www-authenticate",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Name,
    Value,
    ValueLf,
    EndLf,
}

/// Where in the trailers the last byte was.
#[derive(Debug, Clone)]
pub(super) struct Trailers {
    at: At,
    bytes: usize,
    count: usize,
    /// The name so far in lower case, as much of it as fits.
    name: [u8; LONGEST],
    name_length: usize,
}

impl Trailers {
    pub(super) const fn new() -> Self {
        Self { at: At::LineStart, bytes: 0, count: 0, name: [0; LONGEST], name_length: 0 }
    }

    /// Takes one byte. True when it was the last of the message.
    pub(super) fn step(&mut self, byte: u8, limits: &BodyLimits) -> Result<bool, FramingError> {
        match (self.at, byte) {
            (At::EndLf, LF) => return Ok(true),
            (At::LineStart, CR) => {
                self.at = At::EndLf;
                return Ok(false);
            }
            (At::ValueLf, LF) => self.at = At::LineStart,
            (At::ValueLf | At::EndLf, _) => return Err(FramingError::BareCr),
            (At::LineStart | At::Name | At::Value, LF) => return Err(FramingError::BareLf),
            (At::LineStart, _) if class::is(byte, TOKEN) => self.begin(byte, limits)?,
            (At::Name, _) if class::is(byte, TOKEN) => self.push(byte),
            (At::Name, b':') => self.end_name()?,
            (At::LineStart | At::Name, _) => return Err(FramingError::TrailerNameInvalid),
            (At::Value, CR) => self.at = At::ValueLf,
            (At::Value, _) if byte == b'\t' || !class::is_control(byte) => {}
            (At::Value, _) => return Err(FramingError::TrailerValueInvalid),
        }
        self.bytes += 1;
        if self.bytes > limits.trailer_bytes { Err(FramingError::TrailersTooLarge) } else { Ok(false) }
    }

    fn begin(&mut self, byte: u8, limits: &BodyLimits) -> Result<(), FramingError> {
        self.count += 1;
        if self.count > limits.trailers {
            return Err(FramingError::TooManyTrailers);
        }
        self.at = At::Name;
        self.name_length = 0;
        self.push(byte);
        Ok(())
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.name.get_mut(self.name_length) {
            *place = byte.to_ascii_lowercase();
        }
        self.name_length = self.name_length.saturating_add(1);
    }

    fn end_name(&mut self) -> Result<(), FramingError> {
        self.at = At::Value;
        match self.name.get(..self.name_length) {
            Some(name) if FORBIDDEN.contains(&name) => Err(FramingError::TrailerForbidden),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_names_are_in_order_and_fit() {
        assert!(FORBIDDEN.is_sorted());
        assert_eq!(FORBIDDEN.iter().map(|name| name.len()).max(), Some(LONGEST));
    }
}
