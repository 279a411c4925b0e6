//! Paths in the one form that is routed on and forwarded, so that no two parsers see two paths.
//!
//! Always: a path begins with `/` and holds the bytes a request target may (see [`crate::head`]) but `?`; a percent
//! sign begins two hexadecimal digits, which are written in upper case; an encoded NUL is refused; an encoded
//! unreserved character (RFC 3986 section 2.3) is decoded, so `%2e%2e` is a dot segment and `%41` is `A`. Nothing is
//! decoded twice: `%252e` stays. A path that climbs above its root is refused, and so is a dot segment with a
//! parameter (`..;x`), which some applications resolve and others do not.
//!
//! By policy, with the defaults of [`PathPolicy`]: dot segments, double slashes, encoded slashes, backslashes. The
//! defaults follow what edge proxies recommend for the open internet: dot segments are resolved and slashes merged,
//! as nginx does and Envoy advises for the edge; encoded slashes and backslashes are refused, as Apache and Traefik
//! do, because whether they separate segments is the application's choice. Hosts whose names hold slashes (package
//! registries, object stores) set `encoded_slash` to `Keep`; a `..` between encoded slashes is refused even then.
//!
//! The result is normal: to normalize it again changes nothing. A path that is normal already is borrowed.

use std::borrow::Cow;

use crate::class::{self, HEX, SIMPLE_PATH, TARGET, UNRESERVED};

#[cfg(test)]
mod tests;

closed_error! {
    /// Why a path was refused.
    pub enum PathError {
        NotAbsolute, "path_not_absolute", "the path does not begin with a slash";
        Byte, "path_byte", "the path holds a byte that must be percent-encoded";
        PercentEncoding, "path_percent_encoding", "a percent sign is not followed by two hexadecimal digits";
        Nul, "path_nul", "the path holds an encoded NUL";
        DotSegment, "path_dot_segment", "the path has a dot segment, which the policy refuses";
        AboveRoot, "path_above_root", "the path climbs above its root";
        DotSegmentParameter, "path_dot_segment_parameter", "a dot segment of the path has a parameter";
        DoubleSlash, "path_double_slash", "the path has an empty segment, which the policy refuses";
        EncodedSlash, "path_encoded_slash", "the path has an encoded slash, which the policy refuses";
        EncodedTraversal, "path_encoded_traversal", "a dot segment stands between encoded slashes or backslashes";
        Backslash, "path_backslash", "the path has a backslash, which the policy refuses";
    }
}

/// What to do with `.` and `..` segments. To keep them is not offered: it is never safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DotSegments {
    /// Resolve them (RFC 3986 section 5.2.4).
    #[default]
    Resolve,
    /// Refuse the path.
    Refuse,
}

/// What to do with empty segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DoubleSlash {
    /// Make one slash of them.
    #[default]
    Merge,
    /// Leave them.
    Keep,
    /// Refuse the path.
    Refuse,
}

/// What to do with `%2F`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncodedSlash {
    /// Refuse the path.
    #[default]
    Refuse,
    /// Leave it: it is part of its segment.
    Keep,
    /// Read it as a slash.
    Decode,
}

/// What to do with a backslash, encoded (`%5C`) or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backslash {
    /// Refuse the path.
    #[default]
    Refuse,
    /// Write it as `%5C`: it is part of its segment.
    Keep,
    /// Read it as a slash, as Windows applications do.
    Slash,
}

/// How one host has its paths normalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathPolicy {
    /// Dot segments; resolved by default.
    pub dot_segments: DotSegments,
    /// Empty segments; merged by default.
    pub double_slash: DoubleSlash,
    /// Encoded slashes; refused by default.
    pub encoded_slash: EncodedSlash,
    /// Backslashes; refused by default.
    pub backslash: Backslash,
}

/// Splits a path and its query, without the `?`. The query is not normalized.
#[must_use]
pub fn split_query(path_and_query: &str) -> (&str, Option<&str>) {
    match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    }
}

/// Brings a path, without its query, to normal form. Borrows when it is in that form already.
///
/// # Errors
/// The first rule of the module's text that the path breaks.
pub fn normalize<'a>(path: &'a str, policy: &PathPolicy) -> Result<Cow<'a, str>, PathError> {
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let flat = flatten(path.as_bytes(), policy)?;
    let flat = std::str::from_utf8(&flat).map_err(|_| PathError::Byte)?;
    let normal = resolve(flat, policy)?;
    Ok(if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) })
}

/// Whether a path is normal under every policy. All paths this does not know take the long way.
#[inline]
fn is_normal(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    // One pass without branches: every byte is simple, and no slash is followed by a slash or a dot.
    let mut simple = true;
    let mut dotted = false;
    let mut doubled = false;
    let mut after_slash = false;
    for byte in path {
        simple &= class::is(*byte, SIMPLE_PATH);
        doubled |= after_slash & (*byte == b'/');
        dotted |= after_slash & (*byte == b'.');
        after_slash = *byte == b'/';
    }
    simple && !doubled && (!dotted || !has_dot_segment(path))
}

/// Whether a segment is, or begins as, what some parser takes for a dot segment. `/.well-known` is none.
fn has_dot_segment(path: &[u8]) -> bool {
    let dots = |segment: &[u8]| matches!(segment, [b'.'] | [b'.', b'.' | b';', ..]);
    path.split(|byte| *byte == b'/').any(dots)
}

/// Decodes what is to be decoded, once, and brings the rest of the encodings to one form.
fn flatten(path: &[u8], policy: &PathPolicy) -> Result<Vec<u8>, PathError> {
    let mut flat = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match *byte {
            b'%' => {
                let ([high, low], tail) = tail.split_first_chunk::<2>().ok_or(PathError::PercentEncoding)?;
                rest = tail;
                put_encoded([*high, *low], policy, &mut flat)?;
            }
            b'\\' => put_backslash(policy, &mut flat)?,
            b'?' => return Err(PathError::Byte),
            byte if class::is(byte, TARGET) => flat.push(byte),
            _ => return Err(PathError::Byte),
        }
    }
    Ok(flat)
}

fn put_encoded(digits: [u8; 2], policy: &PathPolicy, flat: &mut Vec<u8>) -> Result<(), PathError> {
    if !class::all(&digits, HEX) {
        return Err(PathError::PercentEncoding);
    }
    let value = digits.iter().fold(0, |value, digit| value << 4 | class::hex_value(*digit).unwrap_or_default());
    let encoded = [b'%', digits[0].to_ascii_uppercase(), digits[1].to_ascii_uppercase()];
    match value {
        0 => Err(PathError::Nul),
        b'/' => match policy.encoded_slash {
            EncodedSlash::Refuse => Err(PathError::EncodedSlash),
            EncodedSlash::Keep => {
                flat.extend_from_slice(&encoded);
                Ok(())
            }
            EncodedSlash::Decode => {
                flat.push(b'/');
                Ok(())
            }
        },
        b'\\' => put_backslash(policy, flat),
        value if class::is(value, UNRESERVED) => {
            flat.push(value);
            Ok(())
        }
        _ => {
            flat.extend_from_slice(&encoded);
            Ok(())
        }
    }
}

fn put_backslash(policy: &PathPolicy, flat: &mut Vec<u8>) -> Result<(), PathError> {
    match policy.backslash {
        Backslash::Refuse => return Err(PathError::Backslash),
        Backslash::Keep => flat.extend_from_slice(b"%5C"),
        Backslash::Slash => flat.push(b'/'),
    }
    Ok(())
}

/// Goes through the segments of a flat path and writes those that remain.
fn resolve(flat: &str, policy: &PathPolicy) -> Result<String, PathError> {
    let mut normal = String::with_capacity(flat.len());
    let mut segments = flat.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        check_segment(segment)?;
        match (segment, policy.dot_segments) {
            ("." | "..", DotSegments::Refuse) => return Err(PathError::DotSegment),
            ("", _) if !last => match policy.double_slash {
                DoubleSlash::Merge => {}
                DoubleSlash::Keep => normal.push('/'),
                DoubleSlash::Refuse => return Err(PathError::DoubleSlash),
            },
            (".", DotSegments::Resolve) => {}
            ("..", DotSegments::Resolve) => {
                let parent = normal.rfind('/').ok_or(PathError::AboveRoot)?;
                normal.truncate(parent);
            }
            (segment, _) => {
                normal.push('/');
                normal.push_str(segment);
            }
        }
        // A dot segment at the end names a directory: `/a/.` is `/a/`.
        if last && matches!(segment, "." | "..") {
            normal.push('/');
        }
    }
    Ok(normal)
}

/// Refuses segments that some application behind us could read as a dot segment.
fn check_segment(segment: &str) -> Result<(), PathError> {
    if segment.starts_with(".;") || segment.starts_with("..;") {
        return Err(PathError::DotSegmentParameter);
    }
    if !segment.contains("%2F") && !segment.contains("%5C") {
        return Ok(());
    }
    let mut parts = segment.split("%2F").flat_map(|part| part.split("%5C"));
    let dots = |part: &str| matches!(part, "." | "..") || part.starts_with(".;") || part.starts_with("..;");
    if parts.any(dots) { Err(PathError::EncodedTraversal) } else { Ok(()) }
}
