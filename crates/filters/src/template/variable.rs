//! The variables of a template, and where their values come from.

use http::HeaderName;
use pingora_http::RequestHeader;
use portcullis_filter::{ErrorCx, Facts, Notes, RequestCx, ResponseCx};
use portcullis_types::Reason;
use std::fmt::{self, Write as _};

use super::Scope;

/// What values are taken from.
#[derive(Clone, Copy)]
pub struct Vars<'a> {
    /// The head.
    pub request: &'a RequestHeader,
    /// What the gateway knows.
    pub facts: &'a Facts,
    /// What filters said.
    pub notes: &'a Notes,
    /// The failure that is answered, if one is.
    pub failure: Option<Failure<'a>>,
}

/// A failure, as templates see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failure<'a> {
    /// Why; `None` when the upstream itself answered with an error.
    pub reason: Option<Reason>,
    /// What is known of this case.
    pub detail: Option<&'a str>,
    /// The status that is sent.
    pub status: u16,
}

impl<'a> Vars<'a> {
    /// The values in a request phase.
    #[must_use]
    pub fn of_request(cx: &'a RequestCx<'_>) -> Self {
        Self { request: cx.request, facts: cx.facts, notes: cx.notes, failure: None }
    }

    /// The values in a response phase.
    #[must_use]
    pub fn of_response(cx: &'a ResponseCx<'_>) -> Self {
        Self { request: cx.request, facts: cx.facts, notes: cx.notes, failure: None }
    }

    /// The values while an error is answered with a status.
    #[must_use]
    pub fn of_error(cx: &'a ErrorCx<'_>, status: u16) -> Self {
        let error = cx.error;
        let failure = Failure { reason: Some(error.reason), detail: error.detail.as_deref(), status };
        Self { request: cx.request, facts: cx.facts, notes: cx.notes, failure: Some(failure) }
    }
}

/// A variable of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    RequestId,
    ClientAddress,
    Method,
    Scheme,
    Host,
    Path,
    Query,
    Uri,
    Route,
    Consumer,
    TlsSni,
    TlsSubject,
    Param(Box<str>),
    Header(HeaderName),
    QueryParam(Box<str>),
    Site(Box<str>),
    Reason,
    Title,
    Detail,
    Status,
}

/// The form a value has by itself, for its place in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A path, or a path and query: it begins with `/`.
    Target,
    /// A query.
    Query,
    /// A part of a URL as it was sent, its percent-encoding kept.
    Component,
    /// A host or a scheme.
    Authority,
    /// Any text.
    Text,
}

const PLAIN: [(&str, Variable); 12] = [
    ("request.id", Variable::RequestId),
    ("client.address", Variable::ClientAddress),
    ("method", Variable::Method),
    ("scheme", Variable::Scheme),
    ("host", Variable::Host),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("uri", Variable::Uri),
    ("route", Variable::Route),
    ("consumer", Variable::Consumer),
    ("tls.sni", Variable::TlsSni),
    ("tls.subject", Variable::TlsSubject),
];

const OF_FAILURE: [(&str, Variable); 4] = [
    ("reason", Variable::Reason),
    ("title", Variable::Title),
    ("detail", Variable::Detail),
    ("status", Variable::Status),
];

/// As they are listed to an operator.
const FAMILIES: [&str; 4] = ["param.NAME", "header.NAME", "query.NAME", "site.NAME"];

impl Variable {
    pub(super) fn parse(name: &str, scope: Scope) -> Option<Self> {
        if let Some((_, variable)) = Self::table(scope).find(|(known, _)| *known == name) {
            return Some(variable.clone());
        }
        let (family, member) = name.split_once('.')?;
        if member.is_empty() {
            return None;
        }
        match family {
            "param" => Some(Self::Param(member.into())),
            "header" => member.parse().ok().map(Self::Header),
            "query" => Some(Self::QueryParam(member.into())),
            "site" => Some(Self::Site(member.into())),
            _ => None,
        }
    }

    fn table(scope: Scope) -> impl Iterator<Item = &'static (&'static str, Self)> {
        let failure: &[_] = match scope {
            Scope::Request => &[],
            Scope::Failure => &OF_FAILURE,
        };
        PLAIN.iter().chain(failure)
    }

    /// The names without the families.
    pub(super) fn names(scope: Scope) -> impl Iterator<Item = &'static str> {
        Self::table(scope).map(|(name, _)| *name)
    }

    /// All names, as a sentence lists them.
    pub(super) fn listed(scope: Scope) -> String {
        let names: Vec<_> = Self::names(scope).chain(FAMILIES).map(|name| format!("`{{{name}}}`")).collect();
        names.join(", ")
    }

    pub(super) const fn form(&self) -> Form {
        match self {
            Self::Path | Self::Uri => Form::Target,
            Self::Query => Form::Query,
            Self::Param(_) | Self::QueryParam(_) => Form::Component,
            Self::Host | Self::Scheme | Self::Site(_) => Form::Authority,
            Self::RequestId
            | Self::ClientAddress
            | Self::Method
            | Self::Route
            | Self::Consumer
            | Self::TlsSni
            | Self::TlsSubject
            | Self::Header(_)
            | Self::Reason
            | Self::Title
            | Self::Detail
            | Self::Status => Form::Text,
        }
    }

    /// The value; empty when there is none.
    pub(crate) fn value<'v>(&self, vars: &'v Vars<'_>, scratch: &'v mut Scratch) -> &'v [u8] {
        let facts = vars.facts;
        let uri = &vars.request.uri;
        match self {
            Self::RequestId => scratch.bytes(&facts.id.to_hex()),
            Self::ClientAddress => scratch.write(format_args!("{}", facts.client.to_canonical())),
            Self::Method => vars.request.method.as_str().as_bytes(),
            Self::Scheme => facts.downstream.scheme().as_str().as_bytes(),
            Self::Host => facts.host.as_bytes(),
            Self::Path => uri.path().as_bytes(),
            Self::Query => uri.query().unwrap_or_default().as_bytes(),
            Self::Uri => uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes(),
            Self::Route => facts.route.as_ref().map_or("", |route| route.as_str()).as_bytes(),
            Self::Consumer => vars.notes.consumer.as_deref().unwrap_or_default().as_bytes(),
            Self::TlsSni => tls_sni(facts).as_bytes(),
            Self::TlsSubject => tls_subject(facts).as_bytes(),
            Self::Param(name) => param(facts, name).as_bytes(),
            Self::Header(name) => vars.request.headers.get(name).map_or(&[], |value| value.as_bytes()),
            Self::QueryParam(name) => query_param(uri.query(), name).as_bytes(),
            Self::Site(name) => site(facts, name).as_bytes(),
            Self::Reason => vars.reason().map_or("", Reason::name).as_bytes(),
            Self::Title => vars.reason().map_or("", Reason::title).as_bytes(),
            Self::Detail => vars.failure.and_then(|failure| failure.detail).unwrap_or_default().as_bytes(),
            Self::Status => match vars.failure {
                Some(failure) => scratch.write(format_args!("{}", failure.status)),
                None => &[],
            },
        }
    }
}

impl Vars<'_> {
    fn reason(&self) -> Option<Reason> {
        self.failure.and_then(|failure| failure.reason)
    }
}

fn tls_sni(facts: &Facts) -> &str {
    facts.downstream.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or_default()
}

fn tls_subject(facts: &Facts) -> &str {
    let client = facts.downstream.tls.as_ref().and_then(|tls| tls.client.as_ref());
    client.map_or("", |client| &client.subject)
}

fn param<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.params.iter().find(|(key, _)| **key == *name).map_or("", |(_, value)| value)
}

fn site<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.site.as_ref().and_then(|site| site.variables.get(name)).map_or("", String::as_str)
}

/// The first parameter of this name, as it was sent.
fn query_param<'a>(query: Option<&'a str>, name: &str) -> &'a str {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// Room on the stack for values that must be formatted: an id, an address, a status.
pub(crate) struct Scratch {
    bytes: [u8; 64],
    len: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }
}

impl Scratch {
    fn bytes(&mut self, value: &[u8]) -> &[u8] {
        self.len = 0;
        self.push(value);
        self.written()
    }

    fn write(&mut self, value: fmt::Arguments<'_>) -> &[u8] {
        self.len = 0;
        // What is written here is shorter than the room: an address takes 39 bytes at most.
        let _ = self.write_fmt(value);
        self.written()
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, value: &[u8]) -> bool {
        let room = self.bytes.get_mut(self.len..self.len + value.len());
        let fits = room.is_some();
        if let Some(room) = room {
            room.copy_from_slice(value);
            self.len += value.len();
        }
        fits
    }
}

impl fmt::Write for Scratch {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}
