//! A request without its credential.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, REFERER};
use memchr::memmem;
use smallvec::SmallVec;

use super::query::{Parameter, parameters};
use super::{Parts, Places, split_scheme, text};
use crate::key;

/// What may go on: to the upstream, and into records and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// The path without the key's segment.
    pub path: Cow<'a, str>,
    /// The query without the key's parameters; `None` when nothing is left of it, or there was none.
    pub query: Option<Cow<'a, str>>,
    /// The header fields to remove, with all their values.
    pub headers: SmallVec<[HeaderName; 2]>,
}

impl Places {
    /// The request without credentials: without whatever stands in a configured place, good or not, and without any
    /// other copy of `presented`, the text that [`extract`](Self::extract) gave. Borrows what it need not change.
    #[must_use]
    pub fn strip<'a>(&self, parts: Parts<'a>, presented: Option<&[u8]>) -> Stripped<'a> {
        let presented = presented.filter(|text| !text.is_empty());
        Stripped {
            path: self.strip_path(parts.path, presented),
            query: parts.query.and_then(|query| self.strip_query(query, presented)),
            headers: self.strip_headers(parts.headers, presented),
        }
    }

    /// Every stretch of path and query that holds a credential, as it stands there: whatever stands in a configured
    /// place, good or not, any other copy of what [`extract`](Self::extract) finds, and whatever looks like a key of our
    /// making. What was found itself comes last.
    pub fn secrets(&self, parts: Parts<'_>, hide: &mut dyn FnMut(&str)) {
        let found = self.extract(parts);
        let presented = match &found {
            Ok(Some(credential)) if !credential.text.as_bytes().is_empty() => Some(credential.text.as_bytes()),
            Ok(_) | Err(_) => None,
        };
        let place = self.path.as_ref().and_then(|template| template.place(parts.path));
        let segments = parts.path.strip_prefix('/').unwrap_or(parts.path).split('/').enumerate();
        let copied = |segment: &str| presented.is_some_and(|text| holds(segment, text));
        segments.filter(|(n, segment)| Some(*n) == place || copied(segment)).for_each(|(_, segment)| hide(segment));
        for parameter in parts.query.into_iter().flat_map(parameters) {
            let named = self.query.as_ref().is_some_and(|name| parameter.is_named(name));
            if named {
                hide(parameter.value());
            } else if copied(parameter.whole) {
                hide(parameter.whole);
            }
        }
        // A key of ours where none is looked for: misplaced, or of a path that is written in another way.
        let target = [Some(parts.path), parts.query];
        target.into_iter().flatten().flat_map(key::within).for_each(&mut *hide);
        let field = self.header.iter().flat_map(|name| parts.headers.get_all(name));
        field.filter_map(|value| value.to_str().ok()).for_each(&mut *hide);
        if let Some(text) = presented.and_then(|text| std::str::from_utf8(text).ok()) {
            hide(text);
        }
    }

    fn strip_path<'a>(&self, path: &'a str, presented: Option<&[u8]>) -> Cow<'a, str> {
        let place = self.path.as_ref().and_then(|template| template.place(path));
        let (root, segments) = path.strip_prefix('/').map_or(("", path), |segments| ("/", segments));
        let is_key = |(n, segment): (usize, &str)| {
            Some(n) == place || presented.is_some_and(|text| same(text::percent(segment), text))
        };
        if !segments.split('/').enumerate().any(is_key) {
            return Cow::Borrowed(path);
        }
        let stays = segments.split('/').enumerate().filter(|one| !is_key(*one)).map(|(_, segment)| segment);
        let stripped = root.to_owned() + &stays.collect::<Vec<_>>().join("/");
        Cow::Owned(if stripped.is_empty() { "/".to_owned() } else { stripped })
    }

    fn strip_query<'a>(&self, query: &'a str, presented: Option<&[u8]>) -> Option<Cow<'a, str>> {
        let goes = |parameter: &Parameter<'_>| {
            self.query.as_ref().is_some_and(|name| parameter.is_named(name))
                || presented.is_some_and(|text| holds(parameter.whole, text))
        };
        let mut stripped: Option<String> = None;
        let mut end = 0;
        for (n, parameter) in parameters(query).enumerate() {
            let first = n == 0;
            // Where the next one's separator stands.
            end += parameter.whole.len() + usize::from(!first);
            match (&mut stripped, goes(&parameter)) {
                (None, true) => {
                    let before = end - parameter.whole.len() - usize::from(!first);
                    stripped = Some(query.get(..before).unwrap_or_default().to_owned());
                }
                (Some(stripped), false) => {
                    if !stripped.is_empty() {
                        stripped.push(if parameter.after_semicolon { ';' } else { '&' });
                    }
                    stripped.push_str(parameter.whole);
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        match stripped {
            None => Some(Cow::Borrowed(query)),
            Some(stripped) => (!stripped.is_empty()).then_some(Cow::Owned(stripped)),
        }
    }

    fn strip_headers(&self, headers: &HeaderMap, presented: Option<&[u8]>) -> SmallVec<[HeaderName; 2]> {
        let ours = |name: &HeaderName| {
            let configured = self.header.as_ref().is_some_and(|header| same_field(header.as_str(), name.as_str()));
            let authorization = same_field(name.as_str(), AUTHORIZATION.as_str())
                && headers.get_all(name).iter().any(|value| self.is_ours(value.as_bytes()));
            let copied = *name == REFERER
                && presented
                    .is_some_and(|text| headers.get_all(name).iter().any(|value| holds_bytes(value.as_bytes(), text)));
            configured || authorization || copied
        };
        headers.keys().filter(|name| ours(name)).cloned().collect()
    }

    /// Whether the value of an `Authorization` field is of a scheme that is read here.
    fn is_ours(&self, value: &[u8]) -> bool {
        let scheme = split_scheme(value).map_or(value, |(scheme, _)| scheme);
        (self.bearer && scheme.eq_ignore_ascii_case(b"bearer"))
            || (self.basic.is_some() && scheme.eq_ignore_ascii_case(b"basic"))
    }
}

/// Whether two names are one to an upstream that takes `_` for `-`, as CGI does (RFC 3875 section 4.1.18).
fn same_field(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

fn same(decoded: impl Iterator<Item = Option<u8>>, wanted: &[u8]) -> bool {
    decoded.eq(wanted.iter().map(|byte| Some(*byte)))
}

fn holds_bytes(value: &[u8], wanted: &[u8]) -> bool {
    std::str::from_utf8(value).map_or_else(|_| memmem::find(value, wanted).is_some(), |value| holds(value, wanted))
}

/// Whether a text holds another, as it stands or decoded.
fn holds(value: &str, wanted: &[u8]) -> bool {
    if value.len() < wanted.len() {
        return false;
    }
    if memmem::find(value.as_bytes(), wanted).is_some() {
        return true;
    }
    // Malformed escapes stand for themselves, as lenient upstreams read them.
    value.contains('%') && {
        let decoded: Vec<u8> = text::percent(value).map(|byte| byte.unwrap_or(b'%')).collect();
        memmem::find(&decoded, wanted).is_some()
    }
}
