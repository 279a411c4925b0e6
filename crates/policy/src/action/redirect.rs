//! A redirect: a status and the Location that a request is sent to.
//!
//! The Location is an absolute URI (RFC 9110 section 10.2.2) whose host comes from the config or from the request's
//! host, after the same checks as a configured name. Without either it is a path with exactly one slash in front,
//! so that nothing a client writes is taken for another host. Every byte outside of printable ASCII is escaped.

use std::borrow::Cow;

use portcullis_types::{RequestView, Scheme};

use crate::action::rewrite::{PathRewrite, clean};
use crate::host_pattern::HostName;
use crate::matcher::Params;
use crate::matcher::path::push_escaped;

/// Where to and how.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The scheme; by default the request's.
    pub scheme: Option<Scheme>,
    /// The host; by default the request's.
    pub host: Option<HostName>,
    /// The port. By default that of the scheme if the scheme is given, else the request's.
    pub port: Option<u16>,
    /// The path; by default the request's.
    pub path: Option<PathRewrite>,
    /// The status.
    pub status: RedirectStatus,
    /// Whether the query goes along.
    pub keep_query: bool,
}

/// The statuses of a redirect, RFC 9110 section 15.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    Found,
    /// 303.
    SeeOther,
    /// 307: keeps the method.
    TemporaryRedirect,
    /// 308: keeps the method.
    PermanentRedirect,
}

/// The number is no redirect's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 301, 302, 303, 307 or 308")]
pub struct RedirectStatusError;

impl RedirectStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = RedirectStatusError;

    fn try_from(code: u16) -> Result<Self, RedirectStatusError> {
        const ALL: [RedirectStatus; 5] = [
            RedirectStatus::MovedPermanently,
            RedirectStatus::Found,
            RedirectStatus::SeeOther,
            RedirectStatus::TemporaryRedirect,
            RedirectStatus::PermanentRedirect,
        ];
        ALL.into_iter().find(|status| status.code() == code).ok_or(RedirectStatusError)
    }
}

impl Redirect {
    /// The value of the Location field for a request that this redirect's route took.
    #[must_use]
    pub fn location(&self, view: &RequestView<'_>, params: &Params) -> String {
        let mut location = self.origin(view);
        let path = match &self.path {
            Some(rewrite) => rewrite.apply(view.path, params),
            None => Cow::Borrowed(view.path),
        };
        location.push_str(&clean(&path));
        if let Some(query) = view.query.filter(|_| self.keep_query) {
            location.push('?');
            push_query(&mut location, query);
        }
        location
    }

    /// `https://host:port`, or nothing when no host is known.
    fn origin(&self, view: &RequestView<'_>) -> String {
        let requested = || view.host.parse::<HostName>().ok();
        let Some(host) = self.host.clone().or_else(requested) else { return String::new() };
        let scheme = self.scheme.unwrap_or_else(|| view.scheme());
        let port = match (self.port, self.scheme) {
            (Some(port), _) => Some(port),
            (None, Some(_)) => None,
            (None, None) => view.port,
        };
        match port.filter(|port| *port != scheme.default_port()) {
            Some(port) => format!("{}://{host}:{port}", scheme.as_str()),
            None => format!("{}://{host}", scheme.as_str()),
        }
    }
}

/// Printable ASCII as it is; the rest, and `#`, which would begin a fragment, escaped.
fn push_query(out: &mut String, query: &str) {
    for byte in query.bytes() {
        match byte {
            b'#' | b'"' | b'<' | b'>' | b'\\' => push_escaped(out, byte),
            0x21..=0x7e => out.push(char::from(byte)),
            other => push_escaped(out, other),
        }
    }
}

#[cfg(test)]
mod tests;
