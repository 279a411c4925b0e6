//! Where a redirect leads: a URL by template that no request can turn elsewhere.
//!
//! Invariants: the authority of a target is the operator's text, the request's own host, or a value of a host
//! source; a target without an authority begins with exactly one `/`, since browsers take `//x` and `/\x` for hosts.

use bytes::Bytes;
use http::HeaderValue;

use crate::template::{Escape, Part, Scope, Template, Variable, Vars};

/// A URL by template: `https://x.example{uri}`, `{scheme}://{host}/new`, `/moved{path}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    template: Template,
    /// Whether it names an authority, as against a path alone.
    absolute: bool,
}

/// How a redirect leads back to where the request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returns {
    /// In all.
    There,
    /// In host and path; the scheme may be another.
    OnAnotherScheme,
}

impl UrlTemplate {
    /// Reads a target.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text, Scope::Request)?;
        let parts = template.parts();
        for part in parts {
            if let Part::Text(text) = part
                && let Some(bad) = text.chars().find(|c| !is_url_char(*c))
            {
                return Err(format!("a URL cannot hold {bad:?}: write it percent-encoded"));
            }
        }
        let absolute = match parts {
            [Part::Text(text), ..] => !text.starts_with('/') || text.starts_with("//"),
            [Part::Variable(variable), ..] => !matches!(variable, Variable::Path | Variable::Uri),
            [] => true,
        };
        if absolute {
            check_authority(parts)?;
        }
        Ok(Self { template, absolute })
    }

    /// Whether every request is led back to the host and path that it asked for, and whether to its scheme too.
    #[must_use]
    pub(super) fn returns(&self) -> Option<Returns> {
        let (scheme, rest) = match self.template.parts() {
            [Part::Variable(Variable::Scheme), Part::Text(text), Part::Variable(Variable::Host), rest @ ..]
                if &**text == "://" =>
            {
                (Returns::There, rest)
            }
            [Part::Text(text), Part::Variable(Variable::Host), rest @ ..]
                if matches!(&**text, "http://" | "https://") =>
            {
                (Returns::OnAnotherScheme, rest)
            }
            // What stands in front of the path is made one slash.
            [Part::Text(text), rest @ ..] if text.bytes().all(|byte| byte == b'/') && !self.absolute => {
                (Returns::There, rest)
            }
            parts => (Returns::There, parts),
        };
        let same = match rest {
            [Part::Variable(Variable::Path | Variable::Uri)] => true,
            [Part::Variable(Variable::Path), Part::Text(text), ..] => text.starts_with(['?', '#']),
            _ => false,
        };
        same.then_some(scheme)
    }

    /// The Location for one request; `None` when it came out as no field value.
    #[must_use]
    pub fn location(&self, vars: &Vars<'_>) -> Option<HeaderValue> {
        let mut out = Vec::with_capacity(128);
        self.template.render(vars, Escape::Url, &mut out);
        if !self.absolute {
            let slashes = out.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
            out.drain(..slashes.saturating_sub(1));
        }
        HeaderValue::from_maybe_shared(Bytes::from(out)).ok()
    }
}

/// RFC 3986 sections 2.2 and 2.3, and the percent sign.
fn is_url_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// Holds the parts up to the path to what a request cannot choose, its own host and scheme apart.
fn check_authority(parts: &[Part]) -> Result<(), String> {
    const EXPECTED: &str = "expected a URL such as `https://www.example.com{uri}`, or a path such as `/new{path}`";
    let mut before = String::new();
    for part in parts {
        match part {
            Part::Text(text) => before.push_str(text),
            Part::Variable(Variable::Scheme) if before.is_empty() => before.push_str("http"),
            Part::Variable(Variable::Host | Variable::Site(_)) if before.contains("://") => before.push('h'),
            Part::Variable(Variable::Path | Variable::Uri) if before.contains("://") => before.push('/'),
            Part::Variable(_) if before.contains("://") => {
                return Err("the host of a redirect may hold no variable but `{host}` and `{site.NAME}`: \
                            any other would let a client choose where others are sent"
                    .to_owned());
            }
            Part::Variable(_) => return Err(EXPECTED.to_owned()),
        }
        if let Some(authority) = authority(&before) {
            return if authority.is_empty() || authority.contains('@') { Err(EXPECTED.to_owned()) } else { Ok(()) };
        }
    }
    match before.split_once("://") {
        Some(("http" | "https", authority)) if !authority.is_empty() && !authority.contains('@') => Ok(()),
        Some(_) | None => Err(EXPECTED.to_owned()),
    }
}

/// The authority, once the text goes past it; empty when the scheme is none of the web's.
fn authority(text: &str) -> Option<&str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.contains(['/', '?', '#']).then_some("");
    };
    let end = rest.find(['/', '?', '#'])?;
    if matches!(scheme, "http" | "https") { rest.get(..end) } else { Some("") }
}
