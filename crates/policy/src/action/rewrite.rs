//! Another path or host for the upstream.
//!
//! Whatever a rewrite makes is cleaned before it is used, so that a path from a client's pieces is as safe as a
//! normalised one: it starts with one slash, has no empty or dot segments (also not as `%2e`), and every byte that
//! a path cannot hold is escaped. A path that is clean already is not copied.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use regex::Regex;

use crate::host_pattern::{HostName, HostPatternError};
use crate::matcher::path::{has_prefix, is_path_byte, normal_form, normal_literal, push_escaped};
use crate::matcher::pattern::compile;
use crate::matcher::query::hex;
use crate::matcher::{Params, PathError, PathMatcher, PatternError};

/// How the path is rewritten.
#[derive(Debug, Clone)]
pub struct PathRewrite(Form);

#[derive(Debug, Clone)]
enum Form {
    Replace(Box<str>),
    Prefix { from: Box<str>, to: Box<str> },
    Template(Box<[Piece]>),
    Regex { regex: Regex, replacement: Box<str> },
}

/// A part of a template.
#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    /// A capture of the route's path, by index.
    Param(usize),
}

/// Why a rewrite cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A wrong regular expression.
    #[error(transparent)]
    Regex(#[from] PatternError),
    /// A parameter that the route's path does not capture.
    #[error("the route's path has no parameter `{name}`; it has {known}")]
    UnknownParam {
        /// The parameter.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A brace without its other half.
    #[error("a `{{` or `}}` stands alone")]
    Brace,
    /// A group that the regular expression does not have.
    #[error("the regular expression has no group `{0}`; write `${{1}}x` for group 1 before an x, and `$$` for a `$`")]
    UnknownGroup(String),
}

impl PathRewrite {
    /// This path, whatever the request's was.
    ///
    /// # Errors
    /// `path` is no path.
    pub fn replace(path: &str) -> Result<Self, RewriteError> {
        let path = normal_form(path)?;
        Ok(Self(Form::Replace(clean(&path).into())))
    }

    /// `to` in the place of the leading segments `from`. A path without them stays as it is.
    ///
    /// # Errors
    /// One of them is no path.
    pub fn prefix(from: &str, to: &str) -> Result<Self, RewriteError> {
        let bare = |path: &str| normal_form(path).map(|path| path.trim_end_matches('/').into());
        Ok(Self(Form::Prefix { from: bare(from)?, to: bare(to)? }))
    }

    /// A path with the captures of the route's path in it: `/v2/{id}` behind `/users/{id}`.
    ///
    /// # Errors
    /// `text` is no path, or names what `matched` does not capture.
    pub fn template(text: &str, matched: &PathMatcher) -> Result<Self, RewriteError> {
        if !text.starts_with('/') {
            return Err(PathError::NoSlash.into());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(RewriteError::Brace)?;
            pieces.push(text_piece(literal)?);
            pieces.push(param_piece(name, matched)?);
            rest = after;
        }
        pieces.push(text_piece(rest)?);
        Ok(Self(Form::Template(pieces.into())))
    }

    /// `replacement` in the place of the first match of `regex`, with `$1` or `${name}` for what a group matched.
    /// Unlike a path matcher, the expression need not match the whole path. A path that does not match stays.
    ///
    /// # Errors
    /// The expression is wrong, or the replacement names a group that it does not have.
    pub fn regex(regex: &str, replacement: &str) -> Result<Self, RewriteError> {
        let regex = compile(regex)?;
        check_groups(&regex, replacement)?;
        Ok(Self(Form::Regex { regex, replacement: replacement.into() }))
    }

    /// The rewritten path. `params` are the captures of the route that matched `path`.
    #[must_use]
    pub fn apply<'a>(&'a self, path: &'a str, params: &Params) -> Cow<'a, str> {
        match &self.0 {
            Form::Replace(text) => Cow::Borrowed(text),
            Form::Prefix { from, to } if from.is_empty() || has_prefix(path, from) => {
                let rest = path.get(from.len()..).unwrap_or_default();
                owned(&format!("{to}{rest}"))
            }
            Form::Prefix { .. } => Cow::Borrowed(path),
            Form::Template(pieces) => owned(&pieces.iter().map(|piece| piece.text(path, params)).collect::<String>()),
            Form::Regex { regex, replacement } => match regex.replacen(path, 1, &**replacement) {
                Cow::Borrowed(_) => Cow::Borrowed(path),
                Cow::Owned(text) => owned(&text),
            },
        }
    }
}

fn owned<'a>(text: &str) -> Cow<'a, str> {
    Cow::Owned(clean(text).into_owned())
}

impl Piece {
    fn text<'a>(&'a self, path: &'a str, params: &Params) -> &'a str {
        match self {
            Self::Text(text) => text,
            Self::Param(index) => params.get(*index, path).unwrap_or_default(),
        }
    }
}

fn text_piece(text: &str) -> Result<Piece, RewriteError> {
    if text.contains('}') {
        return Err(RewriteError::Brace);
    }
    // Dots are judged when the whole path is known: `.` may be the end of a capture's segment.
    Ok(Piece::Text(normal_literal(text)?.into()))
}

fn param_piece(name: &str, matched: &PathMatcher) -> Result<Piece, RewriteError> {
    let names = matched.param_names();
    let known = names.iter().position(|each| **each == *name);
    known.map(Piece::Param).ok_or_else(|| RewriteError::UnknownParam {
        name: name.to_owned(),
        known: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
    })
}

/// Every group that a replacement names must be there: the regex crate would put nothing in its place.
fn check_groups(regex: &Regex, replacement: &str) -> Result<(), RewriteError> {
    let mut rest = replacement;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or(RewriteError::Brace)?,
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|each| each == name),
        };
        if !known {
            return Err(RewriteError::UnknownGroup(name.to_owned()));
        }
        rest = after;
    }
    Ok(())
}

/// A path that is safe to send, from any text. Borrows when `text` is one already.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_clean(text) {
        return Cow::Borrowed(text);
    }
    let escaped = escape(text);
    let mut segments: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in escaped.split('/') {
        match dots(segment) {
            Some(1) => {}
            Some(_) => {
                segments.pop();
            }
            None if segment.is_empty() => {}
            None => segments.push(segment),
        }
        last = segment;
    }
    let mut path = String::with_capacity(escaped.len() + 1);
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if segments.is_empty() || last.is_empty() || dots(last).is_some() {
        path.push('/');
    }
    Cow::Owned(path)
}

fn is_clean(text: &str) -> bool {
    let Some(body) = text.strip_prefix('/') else { return false };
    let inner_empty = body.contains("//") || body.starts_with('/');
    !inner_empty && is_escaped(text.as_bytes()) && !text.split('/').any(|segment| dots(segment).is_some())
}

fn is_escaped(mut bytes: &[u8]) -> bool {
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = match (byte, rest) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => after,
            (byte, _) if is_path_byte(*byte) => rest,
            _ => return false,
        };
    }
    true
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        match (byte, rest) {
            (b'%', [high, low, ..]) if hex(*high).is_some() && hex(*low).is_some() => out.push('%'),
            (byte, _) if is_path_byte(*byte) => out.push(char::from(*byte)),
            (byte, _) => push_escaped(&mut out, *byte),
        }
    }
    out
}

/// How many dots a dot segment has, 1 or 2; `None` for any other segment.
fn dots(segment: &str) -> Option<u8> {
    let mut rest = segment.as_bytes();
    let mut count = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => return None,
        };
        count += 1;
        if count > 2 {
            return None;
        }
    }
    (count > 0).then_some(count)
}

/// The host that the upstream is told, with or without a port. Written `api.internal` or `api.internal:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRewrite(Box<str>);

impl HostRewrite {
    /// The value of the Host field, or of `:authority`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostRewrite {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        // A colon inside of brackets belongs to an IPv6 address.
        let split = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let Some((host, port)) = split else { return text.parse::<HostName>().map(|host| Self(host.as_str().into())) };
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|_| digits).ok_or(HostPatternError::Port)?;
        Ok(Self(format!("{}:{port}", host.parse::<HostName>()?).into()))
    }
}

impl fmt::Display for HostRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
