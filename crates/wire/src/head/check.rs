//! The judgement of a complete head: its lines one by one, then the rules that need several of them.

use super::fields::{Expect, Fields, line_end};
use super::line::{self, RequestLine, locate};
use super::{AuthorityFacts, HeadError, HeadFacts, HeadLimits, Version};
use crate::Framing;
use crate::class::{CR, LF};
use crate::host::{HostError, parse_authority};

/// Judges a complete head, from the first byte of the request line to the blank line, both included.
///
/// # Errors
/// The first rule it breaks: line by line, then Host, then framing, then Expect.
pub fn check_head(head: &[u8], limits: &HeadLimits) -> Result<HeadFacts, HeadError> {
    if head.len() > limits.bytes {
        return Err(HeadError::HeadTooLarge);
    }
    let end = line_end(head, 0)?;
    let request = line::parse(head.get(..end).unwrap_or_default(), limits.target)?;
    let mut fields = Fields::default();
    let mut next = end + 2;
    loop {
        match head.get(next..).unwrap_or_default() {
            [CR, LF] => break,
            [CR, LF, ..] => return Err(HeadError::BytesAfterHead),
            _ => next = fields.read(head, next)?,
        }
        if fields.count > limits.fields {
            return Err(HeadError::TooManyFields);
        }
    }
    assemble(head, &request, fields)
}

#[inline]
fn assemble(head: &[u8], request: &RequestLine, fields: Fields) -> Result<HeadFacts, HeadError> {
    let authority = authority(head, request, &fields)?;
    let framing = framing(request.version, &fields)?;
    let mut flags = fields.flags;
    flags.host = fields.host.is_some();
    flags.expect_continue = match (request.version, fields.expect) {
        (Version::Http11, Some(Expect::Other)) => return Err(HeadError::ExpectationUnsupported),
        (Version::Http11, Some(Expect::Continue)) => true,
        (Version::Http10, _) | (Version::Http11, None) => false,
    };
    let content = !matches!(framing, Framing::None | Framing::Length(0));
    if content && matches!(request.method.bytes(head), b"CONNECT" | b"TRACE") {
        return Err(HeadError::ContentNotAllowed);
    }
    Ok(HeadFacts {
        method: request.method,
        target: request.target,
        form: request.form,
        path_and_query: request.path_and_query,
        version: request.version,
        authority,
        upgrade: fields.upgrade,
        framing,
        flags,
        fields: fields.count,
    })
}

#[inline]
fn authority(head: &[u8], request: &RequestLine, fields: &Fields) -> Result<Option<AuthorityFacts>, HeadError> {
    let host = match fields.host {
        Some(value) => {
            let host = parse_authority(value.bytes(head)).map_err(host_error)?;
            Some((host, value.start))
        }
        None if request.version == Version::Http10 => None,
        None => return Err(HeadError::HostMissing),
    };
    match (&request.authority, host) {
        (None, None) => Ok(None),
        (None, Some((host, start))) => Ok(Some(locate(&host, start))),
        (Some((target, _)), None) => Ok(Some(*target)),
        (Some((target, default_port)), Some((host, _))) => {
            // CONNECT has no scheme to take a default from: a Host without port means the port of the target.
            let default_port = default_port.or(target.port);
            let agrees = target.read(head).agrees(&host, default_port);
            if agrees { Ok(Some(*target)) } else { Err(HeadError::HostDisagrees) }
        }
    }
}

fn host_error(error: HostError) -> HeadError {
    match error {
        HostError::Userinfo => HeadError::HostUserinfo,
        HostError::Empty
        | HostError::Byte
        | HostError::NotAscii
        | HostError::EmptyLabel
        | HostError::LabelTooLong
        | HostError::TooLong
        | HostError::Ipv4
        | HostError::Ipv6
        | HostError::Port => HeadError::HostInvalid,
    }
}

#[inline]
fn framing(version: Version, fields: &Fields) -> Result<Framing, HeadError> {
    match (fields.chunked, fields.content_length) {
        (true, Some(_)) => Err(HeadError::ContentLengthWithTransferEncoding),
        (true, None) if version == Version::Http10 => Err(HeadError::TransferEncodingOnHttp10),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::None),
    }
}
