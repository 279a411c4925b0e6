//! What a request carries to say who sent it, and the request without it.
//!
//! [`Places`] says where credentials may stand; each place is off unless configured. [`Places::extract`] finds the
//! one credential of a request, borrowed and bounded: a text that is too long or has a character no key has is
//! refused before anything is hashed. Several different ones are refused, since which of them counts would be a
//! guess; the same one several times is fine.
//!
//! [`Places::strip`] makes what may go to the upstream and into logs. It works by the places and, where the
//! credential is known, by its text, so that no copy stays: not a second parameter of the name, not one whose name
//! is percent-encoded, not a header that differs by case or by `_`, not the same text in another parameter, in a
//! segment of the path or in `Referer`.

mod basic;
mod path;
mod query;
mod strip;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

pub use path::{PathTemplate, TemplateError};
pub use strip::Stripped;
pub use text::Text;

/// The most bytes a key can have by any setting.
pub const MOST_KEY: usize = 256;

/// Where credentials may stand, and how long they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The name of a query parameter. Compared after percent-decoding and without regard to case.
    pub query: Option<Box<str>>,
    /// The segment of the path that is a key.
    pub path: Option<PathTemplate>,
    /// The name of a header.
    pub header: Option<HeaderName>,
    /// Whether `Authorization: Bearer` holds a key or a token (RFC 6750 section 2.1).
    pub bearer: bool,
    /// Which part of `Authorization: Basic` (RFC 7617) is a key.
    pub basic: Option<BasicPart>,
    /// The fewest and the most bytes of a key; the most is at most [`MOST_KEY`].
    pub key_bytes: (usize, usize),
    /// The most bytes of a token.
    pub token_bytes: usize,
}

impl Default for Places {
    /// `?api-key=`, `X-Api-Key` and Bearer; keys of 16 to 128 bytes, tokens to 8 KiB.
    fn default() -> Self {
        Self {
            query: Some("api-key".into()),
            path: None,
            header: Some(HeaderName::from_static("x-api-key")),
            bearer: true,
            basic: None,
            key_bytes: (16, 128),
            token_bytes: 8 * 1024,
        }
    }
}

/// Which part of Basic credentials is a key. The other part is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasicPart {
    /// The user-id.
    User,
    /// The password.
    Password,
}

/// The parts of a request that are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The path, normalised: the one that is routed on and forwarded.
    pub path: &'a str,
    /// The query, without its `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// Where a credential stood, or that it is a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key in a query parameter.
    Query,
    /// A key in a segment of the path.
    Path,
    /// A key in a header.
    Header,
    /// A key after `Bearer`.
    Bearer,
    /// A key in Basic credentials.
    Basic,
    /// A token after `Bearer`: three parts between dots, as a signed JWT has.
    Token,
}

/// The credential of a request. Its `Debug` hides the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// Where it stood first.
    pub kind: Kind,
    /// What it is.
    pub text: Text<'a>,
}

/// Why a request has no usable credential though it carries something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// Too short, too long, or with a character that no key has.
    #[error("what stands where a credential may stand cannot be one")]
    Malformed(Kind),
    /// Several that differ.
    #[error("the request carries several credentials that differ")]
    Ambiguous,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Places {
    /// The credential of a request; `None` when it carries none. An empty value is none. Allocates nothing.
    ///
    /// # Errors
    /// What it carries is no credential, or several.
    pub fn extract<'a>(&self, parts: Parts<'a>) -> Result<Option<Credential<'a>>, ExtractError> {
        let mut one = None;
        if let (Some(name), Some(query)) = (&self.query, parts.query) {
            for value in query::values(query, name) {
                let text = Text::decoded(value, MOST_KEY).ok_or(ExtractError::Malformed(Kind::Query))?;
                self.key(&mut one, Kind::Query, text)?;
            }
        }
        if let Some(segment) = self.path.as_ref().and_then(|template| template.key(parts.path)) {
            let text = Text::percent_decoded(segment, MOST_KEY).ok_or(ExtractError::Malformed(Kind::Path))?;
            self.key(&mut one, Kind::Path, text)?;
        }
        if let Some(name) = &self.header {
            for value in parts.headers.get_all(name) {
                self.key(&mut one, Kind::Header, Text::Borrowed(value.as_bytes().trim_ascii()))?;
            }
        }
        if self.bearer || self.basic.is_some() {
            for value in parts.headers.get_all(AUTHORIZATION) {
                self.authorization(&mut one, value.as_bytes())?;
            }
        }
        Ok(one)
    }

    fn authorization<'a>(&self, one: &mut Option<Credential<'a>>, value: &'a [u8]) -> Result<(), ExtractError> {
        let Some((scheme, rest)) = split_scheme(value) else { return Ok(()) };
        if self.bearer && scheme.eq_ignore_ascii_case(b"bearer") {
            return self.bearer(one, rest);
        }
        match self.basic {
            Some(part) if scheme.eq_ignore_ascii_case(b"basic") => {
                let text = basic::read(rest, part).ok_or(ExtractError::Malformed(Kind::Basic))?;
                self.key(one, Kind::Basic, text)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn bearer<'a>(&self, one: &mut Option<Credential<'a>>, value: &'a [u8]) -> Result<(), ExtractError> {
        if !is_token(value) {
            return self.key(one, Kind::Bearer, Text::Borrowed(value));
        }
        let right = value.len() <= self.token_bytes && value.iter().all(|b| is_base64url(*b) || *b == b'.');
        if right { add(one, Kind::Token, Text::Borrowed(value)) } else { Err(ExtractError::Malformed(Kind::Token)) }
    }

    /// Adds a key after a look at its length and characters.
    fn key<'a>(&self, one: &mut Option<Credential<'a>>, kind: Kind, text: Text<'a>) -> Result<(), ExtractError> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let (fewest, most) = self.key_bytes;
        let fits = (fewest..=most.min(MOST_KEY)).contains(&bytes.len());
        if fits && bytes.iter().all(|b| is_key(*b)) { add(one, kind, text) } else { Err(ExtractError::Malformed(kind)) }
    }
}

fn add<'a>(one: &mut Option<Credential<'a>>, kind: Kind, text: Text<'a>) -> Result<(), ExtractError> {
    match one {
        Some(held) if held.text == text => Ok(()),
        Some(_) => Err(ExtractError::Ambiguous),
        None => {
            *one = Some(Credential { kind, text });
            Ok(())
        }
    }
}

/// A scheme and what follows it (RFC 9110 section 11.4).
fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = value.trim_ascii();
    let end = value.iter().position(|b| matches!(b, b' ' | b'\t'))?;
    let (scheme, rest) = value.split_at_checked(end)?;
    Some((scheme, rest.trim_ascii()))
}

/// The characters of a key: those of `token68` (RFC 9110 section 11.2), which keys of all makers keep to.
const fn is_key(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether it has the shape of a signed JWT in compact form (RFC 7515 section 7.1): its header is an object, so that
/// it begins with `eyJ`, and there are three parts.
fn is_token(value: &[u8]) -> bool {
    value.starts_with(b"eyJ") && memchr::memchr_iter(b'.', value).count() == 2
}
