//! The texts of a request that a record keeps, in one buffer with one allocation.
//!
//! Invariants: always UTF-8 (what was not is replaced), every part cut at its bound, the query redacted before it
//! enters. Control characters may be inside: a malformed request is recorded too. Whoever writes the texts escapes
//! them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::redact::Redaction;

/// The bound on a method's bytes; longer ones are no methods.
const METHOD_BYTES: usize = 32;
/// The bound on a host's bytes: a DNS name has at most 253.
const HOST_BYTES: usize = 255;

/// What of a request's texts is kept.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// Keep the query, redacted. Off by default: queries are where applications put personal data.
    pub query: bool,
    /// Keep the user agent. On by default.
    pub user_agent: bool,
    /// Which query keys are secret.
    pub redaction: Arc<Redaction>,
    /// The bound on the path's bytes and on the query's: 2,048 by default.
    pub path_bytes: usize,
    /// The bound on the user agent's bytes: 256 by default.
    pub user_agent_bytes: usize,
    /// Header fields that are kept, in lower case: what the sinks list between them. None by default.
    pub headers: Arc<[Arc<str>]>,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self {
            query: false,
            user_agent: true,
            redaction: Arc::default(),
            path_bytes: 2048,
            user_agent_bytes: 256,
            headers: Arc::default(),
        }
    }
}

/// A request's head as it was read, perhaps malformed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The host, normalised where that was possible.
    pub host: &'a [u8],
    /// The path, normalised where that was possible.
    pub path: &'a [u8],
    /// The query without `?`.
    pub query: Option<&'a [u8]>,
    /// The value of User-Agent.
    pub user_agent: Option<&'a [u8]>,
}

/// The texts of a request. A part that is absent is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Method, host, path, query and user agent, in this order.
    text: String,
    /// Where each part ends.
    ends: [usize; 5],
    cut: bool,
}

impl Head {
    /// Takes what `options` allow of a request's head.
    #[must_use]
    pub fn new(line: &RequestLine<'_>, options: &RecordOptions) -> Self {
        let query = line.query.filter(|_| options.query).unwrap_or_default();
        let agent = line.user_agent.filter(|_| options.user_agent).unwrap_or_default();
        let bounds = [METHOD_BYTES, HOST_BYTES, options.path_bytes, options.path_bytes, options.user_agent_bytes];
        let parts = [line.method, line.host, line.path, query, agent];
        let room = parts.iter().zip(bounds).map(|(part, bound)| part.len().min(bound)).sum();
        let mut head = Self { text: String::with_capacity(room), ends: [0; 5], cut: false };
        for (place, (part, bound)) in parts.into_iter().zip(bounds).enumerate() {
            head.append(part, bound, (place == 3).then_some(&*options.redaction));
            if let Some(end) = head.ends.get_mut(place) {
                *end = head.text.len();
            }
        }
        head
    }

    /// The cut comes last: a cut through an escape or a character must not hide a key from the redaction.
    fn append(&mut self, part: &[u8], bound: usize, redaction: Option<&Redaction>) {
        if part.is_empty() {
            return;
        }
        let text = str::from_utf8(part).map_or_else(|_| String::from_utf8_lossy(part), Cow::Borrowed);
        let text = match redaction {
            Some(redaction) => redaction.query(&text).into_owned().into(),
            None => text,
        };
        let end = text.floor_char_boundary(bound);
        self.cut |= end < text.len();
        self.text.push_str(text.get(..end).unwrap_or_default());
    }

    /// Replaces the path, for a filter that found a secret in it (a key as a path segment).
    pub fn set_path(&mut self, path: &str) {
        let (start, end) = (self.end(1), self.end(2));
        if self.text.is_char_boundary(start) && self.text.is_char_boundary(end) && start <= end {
            self.text.replace_range(start..end, path);
            for place in self.ends.iter_mut().skip(2) {
                *place = *place - (end - start) + path.len();
            }
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.part(0)
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.part(1)
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.part(2)
    }

    /// The redacted query; empty unless [`RecordOptions::query`] is on.
    #[must_use]
    pub fn query(&self) -> &str {
        self.part(3)
    }

    /// The user agent.
    #[must_use]
    pub fn user_agent(&self) -> &str {
        self.part(4)
    }

    /// Whether a part was cut at its bound.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    fn part(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.end(before));
        self.text.get(start..self.end(place)).unwrap_or_default()
    }

    fn end(&self, place: usize) -> usize {
        self.ends.get(place).copied().unwrap_or_default()
    }
}
