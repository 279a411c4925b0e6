//! The framing of a response, judged by its fields: a smuggling upstream is refused before its bytes are forwarded.
//!
//! The head of a response is parsed elsewhere; this looks at names and values alone. Looser than for requests in
//! one point: a Content-Length repeated with one value is accepted (RFC 9110 section 8.6), since servers do it and
//! the gateway writes its own framing downstream.

use crate::class;
use crate::head::parse_length;

closed_error! {
    /// Why the framing of a response was refused.
    pub enum ResponseError {
        ContentLengthInvalid, "response_content_length_invalid", "Content-Length is not a number of bytes below 2^63";
        ContentLengthDiffers, "response_content_length_differs", "Content-Length is given with several values";
        ContentLengthWithTransferEncoding, "response_content_length_with_transfer_encoding",
            "Content-Length and Transfer-Encoding stand together";
        TransferEncodingNotChunked, "response_transfer_encoding_not_chunked",
            "Transfer-Encoding is anything but one final `chunked`";
        TransferEncodingRepeated, "response_transfer_encoding_repeated", "Transfer-Encoding stands more than once";
        TransferEncodingWithoutContent, "response_transfer_encoding_without_content",
            "Transfer-Encoding stands in a 1xx or 204 response";
    }
}

/// How the fields of a response say its content ends. The method of the request (HEAD, CONNECT) and the statuses
/// without content may overrule it (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// Exactly this many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Whatever comes until the connection closes.
    UntilClose,
}

/// Judges the fields of a response with this status. Names may come in any case.
///
/// # Errors
/// The first rule broken, in the order of the fields; Content-Length with Transfer-Encoding last.
pub fn check_response_framing<'a>(
    status: u16,
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<ResponseFraming, ResponseError> {
    let mut length = None;
    let mut chunked = false;
    for (name, value) in fields {
        if name.len() == 14 && name.eq_ignore_ascii_case(b"content-length") {
            note_length(&mut length, value)?;
        } else if name.len() == 17 && name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked {
                return Err(ResponseError::TransferEncodingRepeated);
            }
            if !class::trim_ows(value).eq_ignore_ascii_case(b"chunked") {
                return Err(ResponseError::TransferEncodingNotChunked);
            }
            chunked = true;
        }
    }
    match (chunked, length) {
        (true, Some(_)) => Err(ResponseError::ContentLengthWithTransferEncoding),
        (true, None) if status < 200 || status == 204 => Err(ResponseError::TransferEncodingWithoutContent),
        (true, None) => Ok(ResponseFraming::Chunked),
        (false, Some(length)) => Ok(ResponseFraming::Length(length)),
        (false, None) => Ok(ResponseFraming::UntilClose),
    }
}

fn note_length(seen: &mut Option<u64>, value: &[u8]) -> Result<(), ResponseError> {
    for item in value.split(|byte| *byte == b',') {
        let length = parse_length(class::trim_ows(item)).ok_or(ResponseError::ContentLengthInvalid)?;
        if seen.replace(length).is_some_and(|earlier| earlier != length) {
            return Err(ResponseError::ContentLengthDiffers);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, fields: &[(&str, &str)], expected: Result<ResponseFraming, ResponseError>) {
        let fields_bytes = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(check_response_framing(status, fields_bytes), expected, "{fields:?}");
    }

    #[test]
    fn reads_the_framing_of_good_responses() {
        check(200, &[("Content-Length", "5")], Ok(ResponseFraming::Length(5)));
        check(200, &[("content-length", "5, 5"), ("Content-Length", "5")], Ok(ResponseFraming::Length(5)));
        check(200, &[("transfer-encoding", " Chunked ")], Ok(ResponseFraming::Chunked));
        check(200, &[("content-type", "a")], Ok(ResponseFraming::UntilClose));
        check(204, &[("content-length", "0")], Ok(ResponseFraming::Length(0)));
    }

    #[test]
    fn refuses_framing_that_two_parsers_read_in_two_ways() {
        use ResponseError as E;
        check(200, &[("content-length", "5"), ("content-length", "6")], Err(E::ContentLengthDiffers));
        check(200, &[("content-length", "5, 6")], Err(E::ContentLengthDiffers));
        for bad in ["", "+5", "0x5", "-1", "5 5", "5;", "9223372036854775808", "99999999999999999999"] {
            check(200, &[("content-length", bad)], Err(E::ContentLengthInvalid));
        }
        let both = [("content-length", "5"), ("transfer-encoding", "chunked")];
        check(200, &both, Err(E::ContentLengthWithTransferEncoding));
        for bad in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "\"chunked\"", ""] {
            check(200, &[("transfer-encoding", bad)], Err(E::TransferEncodingNotChunked));
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        check(200, &twice, Err(E::TransferEncodingRepeated));
        check(204, &[("transfer-encoding", "chunked")], Err(E::TransferEncodingWithoutContent));
        check(101, &[("transfer-encoding", "chunked")], Err(E::TransferEncodingWithoutContent));
    }

    #[test]
    fn names_of_errors_are_unique_and_stable_in_form() {
        crate::laws::tests::check_names(ResponseError::ALL.iter().map(|error| error.name()));
    }
}
