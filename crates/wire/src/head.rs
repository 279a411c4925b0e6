//! Strict HTTP/1 request heads: where one ends, and whether every parser behind us will read it as we do.
//!
//! [`HeadScanner`] finds the end of a head in a buffer that grows, and refuses as soon as no continuation could make
//! it acceptable. [`check_head`] judges a complete head by RFC 9112 and gives [`HeadFacts`]: spans into the head and
//! the framing of what follows.
//!
//! What is stricter than the RFC, and why:
//! - a line ends in CRLF only; a bare LF or CR is refused (section 2.2 lets a recipient accept LF);
//! - one CRLF may stand before the request line, no more;
//! - a Content-Length that is repeated, in a list or in a second field, is refused even when all values agree:
//!   RFC 9110 section 8.6 allows either, and a parser behind us may take the list as invalid and ignore it;
//! - Transfer-Encoding is exactly `chunked`, in one field, on HTTP/1.1, without Content-Length;
//! - names that some applications fold into framing fields (`content_length`, `transfer_encoding`) are refused;
//! - `Connection` may not nominate for removal what frames or routes the request (Host, Content-Length,
//!   Transfer-Encoding), nor a field that is for every recipient: the forwarding fields, `Authorization`, `Cookie`,
//!   `Content-*`, `Cache-Control`, `Expect` (RFC 9110 section 7.6.1); and it has at most 8 options;
//! - a target holds printable ASCII without `#`, `"`, `<`, `>` and `` ` ``, none of which RFC 3986 allows unencoded;
//!   the other characters it does not allow (`{`, `}`, `|`, `\`, `^`, `[`, `]`) are sent by real clients and pass;
//! - hosts are those of [`crate::host`].
//!
//! An HTTP/1.0 request may lack Host, and an `Expect` in it is ignored (RFC 9110 section 10.1.1).

mod check;
mod error;
mod fields;
mod line;
mod scan;
#[cfg(test)]
mod tests;

pub use check::check_head;
pub use error::HeadError;
pub(crate) use fields::parse_length;
pub use scan::{HeadScanner, Scan};

use crate::Framing;
use crate::host::HostKind;

/// Longest method in bytes. The longest registered one has 17.
pub const MAX_METHOD: usize = 32;

/// Bounds of one request head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, the blank line included and a leading CRLF not.
    pub bytes: usize,
    /// Number of field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 32 * 1024, fields: 100, target: 8 * 1024 }
    }
}

/// A range of bytes inside a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of `head` it covers; empty when it reaches outside.
    #[inline]
    #[must_use]
    pub fn bytes(self, head: &[u8]) -> &[u8] {
        head.get(self.start..self.end).unwrap_or_default()
    }

    /// The text it covers; empty when it is not UTF-8. Spans of methods, targets and authorities always are.
    #[inline]
    #[must_use]
    pub fn text(self, head: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(head)).unwrap_or_default()
    }
}

/// The four forms of a request target (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`.
    Absolute,
    /// `host:port`, for CONNECT alone.
    Authority,
    /// `*`, for OPTIONS alone.
    Asterisk,
}

/// The versions a head may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The authority a request is routed on: that of the target if it has one, else Host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorityFacts {
    /// The host as written, brackets of an IPv6 literal included, the port not.
    pub host: Span,
    /// The port, if written.
    pub port: Option<u16>,
    /// What the host is.
    pub kind: HostKind,
}

/// What the connection-level fields of a head say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadFlags {
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    pub connection_upgrade: bool,
    /// Connection nominates some other field, which must not be forwarded.
    pub nominates: bool,
    /// `Expect: 100-continue` on HTTP/1.1.
    pub expect_continue: bool,
    /// There is a Host field; an absolute target may stand for it on HTTP/1.0.
    pub host: bool,
}

/// What a good head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFacts {
    /// The method.
    pub method: Span,
    /// The whole target as sent.
    pub target: Span,
    /// Its form.
    pub form: TargetForm,
    /// Path and query: the target itself in origin form, what follows the authority in absolute form (may be
    /// empty), empty in the other two.
    pub path_and_query: Span,
    /// The version.
    pub version: Version,
    /// What the request is routed on. `None` for an HTTP/1.0 request without Host.
    pub authority: Option<AuthorityFacts>,
    /// The value of the Upgrade field, if there is one.
    pub upgrade: Option<Span>,
    /// The length of the content.
    pub framing: Framing,
    /// What the connection-level fields say.
    pub flags: HeadFlags,
    /// Number of field lines.
    pub fields: usize,
}

impl HeadFacts {
    /// Whether the client lets the connection live on after this request (RFC 9112 section 9.3).
    #[must_use]
    pub const fn persists(&self) -> bool {
        match self.version {
            Version::Http11 => !self.flags.close,
            Version::Http10 => self.flags.keep_alive && !self.flags.close,
        }
    }

    /// Whether an upgrade is asked for: both fields, on HTTP/1.1 (RFC 9110 section 7.8).
    #[must_use]
    pub const fn asks_upgrade(&self) -> bool {
        matches!(self.version, Version::Http11) && self.flags.connection_upgrade && self.upgrade.is_some()
    }
}
