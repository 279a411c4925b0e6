//! The request line: `method SP target SP version`, and the authority inside a target.

use super::{AuthorityFacts, HeadError, MAX_METHOD, Span, TargetForm, Version};
use crate::class::{self, TARGET, TOKEN};
use crate::host::{Authority, HostError, HostKind, parse_authority};

/// A request line that keeps every rule about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine {
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) form: TargetForm,
    pub(super) path_and_query: Span,
    pub(super) version: Version,
    /// The authority of an absolute or authority form, and the default port of its scheme.
    pub(super) authority: Option<(AuthorityFacts, Option<u16>)>,
}

/// Parses `line`, which is the head's first line without CRLF; spans count from its first byte.
#[inline]
pub(super) fn parse(line: &[u8], max_target: usize) -> Result<RequestLine, HeadError> {
    let method_end = method_end(line)?;
    let start = method_end + 1;
    let rest = line.get(start..).unwrap_or_default();
    let length = rest.iter().position(|byte| !class::is(*byte, TARGET)).unwrap_or(rest.len());
    let end = start + length;
    let (target, after) = rest.split_at_checked(length).unwrap_or_default();
    let version = match after {
        [] => return Err(HeadError::Http09),
        [b' ', version @ ..] if length > 0 => version,
        [b' ', ..] => return Err(HeadError::RequestLineSpacing),
        [byte, ..] => return Err(bad_target_byte(*byte)),
    };
    let version = parse_version(version)?;
    if length > max_target {
        return Err(HeadError::TargetTooLong);
    }
    let method = Span { start: 0, end: method_end };
    let whole = Span { start, end };
    let mut parsed = RequestLine {
        method,
        target: whole,
        form: TargetForm::Origin,
        path_and_query: whole,
        version,
        authority: None,
    };
    let method = method.bytes(line);
    if target.first() != Some(&b'/') || method == b"CONNECT" {
        parsed.other_form(method, target)?;
    }
    Ok(parsed)
}

/// Whether a line ends in ` HTTP/x.y`: the cheap sign that it is not HTTP/0.9.
#[inline]
pub(super) fn ends_in_version(line: &[u8]) -> bool {
    matches!(line, [_, .., b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
}

/// Why a line that does not end in a version is refused.
#[cold]
pub(super) fn explain(line: &[u8], max_target: usize) -> HeadError {
    match parse(line, max_target) {
        Err(error) => error,
        Ok(_) => HeadError::VersionInvalid,
    }
}

#[inline]
fn method_end(line: &[u8]) -> Result<usize, HeadError> {
    let end = line.iter().position(|byte| !class::is(*byte, TOKEN)).unwrap_or(line.len());
    match line.get(end) {
        _ if end > MAX_METHOD => Err(HeadError::MethodTooLong),
        Some(b' ') if end == 0 => Err(HeadError::LeadingWhitespace),
        Some(b' ') => Ok(end),
        Some(byte) if class::is_control(*byte) && *byte != b'\t' => Err(HeadError::ControlByte),
        Some(_) => Err(HeadError::MethodInvalid),
        None if end == 0 => Err(HeadError::MethodInvalid),
        None => Err(HeadError::Http09),
    }
}

fn bad_target_byte(byte: u8) -> HeadError {
    match byte {
        b'#' => HeadError::TargetFragment,
        b'\t' => HeadError::RequestLineSpacing,
        _ if class::is_control(byte) => HeadError::ControlByte,
        _ => HeadError::TargetInvalid,
    }
}

#[inline]
fn parse_version(bytes: &[u8]) -> Result<Version, HeadError> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HeadError::VersionUnsupported),
        _ if bytes.iter().any(|byte| matches!(byte, b' ' | b'\t')) => Err(HeadError::RequestLineSpacing),
        _ if bytes.iter().any(|byte| class::is_control(*byte)) => Err(HeadError::ControlByte),
        _ => Err(HeadError::VersionInvalid),
    }
}

impl RequestLine {
    /// Fills in whatever is not origin form.
    fn other_form(&mut self, method: &[u8], target: &[u8]) -> Result<(), HeadError> {
        let (start, end) = (self.target.start, self.target.end);
        if method == b"CONNECT" {
            self.form = TargetForm::Authority;
            self.path_and_query = Span { start: end, end };
            let authority = target_authority(target).map_err(|error| connect_error(target, error))?;
            if authority.port.is_none() {
                return Err(HeadError::TargetAuthority);
            }
            self.authority = Some((locate(&authority, start), None));
        } else if target == b"*" {
            if method != b"OPTIONS" {
                return Err(HeadError::TargetForm);
            }
            self.form = TargetForm::Asterisk;
            self.path_and_query = Span { start: end, end };
        } else {
            self.form = TargetForm::Absolute;
            self.absolute(target)?;
        }
        Ok(())
    }

    fn absolute(&mut self, target: &[u8]) -> Result<(), HeadError> {
        let (scheme, rest) = split_scheme(target).ok_or(HeadError::TargetForm)?;
        let default_port = if scheme.eq_ignore_ascii_case(b"http") {
            80
        } else if scheme.eq_ignore_ascii_case(b"https") {
            443
        } else {
            return Err(HeadError::SchemeUnsupported);
        };
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let authority = target_authority(rest.get(..length).unwrap_or_default())?;
        let start = self.target.end - rest.len();
        self.path_and_query = Span { start: start + length, end: self.target.end };
        self.authority = Some((locate(&authority, start), Some(default_port)));
        Ok(())
    }
}

/// CONNECT with a path is a wrong form, not a bad host.
fn connect_error(target: &[u8], error: HeadError) -> HeadError {
    match target {
        [b'/', ..] | b"*" => HeadError::TargetForm,
        _ if split_scheme(target).is_some() => HeadError::TargetForm,
        _ => error,
    }
}

/// Splits `scheme "://"` off. `None` when there is no scheme (RFC 3986 section 3.1).
fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = target.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(word);
    rest.strip_prefix(b"://").filter(|_| valid).map(|rest| (scheme, rest))
}

fn target_authority(bytes: &[u8]) -> Result<Authority<'_>, HeadError> {
    parse_authority(bytes).map_err(|error| match error {
        HostError::Userinfo => HeadError::TargetUserinfo,
        HostError::Empty
        | HostError::Byte
        | HostError::NotAscii
        | HostError::EmptyLabel
        | HostError::LabelTooLong
        | HostError::TooLong
        | HostError::Ipv4
        | HostError::Ipv6
        | HostError::Port => HeadError::TargetAuthority,
    })
}

/// An authority that begins at `start`, as facts.
#[inline]
pub(super) fn locate(authority: &Authority<'_>, start: usize) -> AuthorityFacts {
    AuthorityFacts {
        host: Span { start, end: start + authority.host.len() },
        port: authority.port,
        kind: authority.kind,
    }
}

impl AuthorityFacts {
    /// The authority these facts are about.
    pub(super) fn read<'a>(&self, head: &'a [u8]) -> Authority<'a> {
        let kind: HostKind = self.kind;
        Authority { host: self.host.text(head), port: self.port, kind }
    }
}
