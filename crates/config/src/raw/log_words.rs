//! Single values of `logs:` and `tracing:` that are read from a text.

use portcullis_telemetry::Field;
use portcullis_telemetry::logs::{Address, Statuses};
use portcullis_types::Reason;
use std::path::PathBuf;
use std::str::FromStr;

/// A host or an address, and a port.
fn address(text: &str) -> Result<Address, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("a port is missing")?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or("the port is not 1 to 65535")?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or("a `]` is missing")?,
        None if host.contains(':') => return Err("an IPv6 address stands in brackets"),
        None => host,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return Err("it has no host");
    }
    Ok(Address { host: host.to_owned(), port })
}

/// Where messages of syslog go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyslogTo(pub(crate) portcullis_telemetry::logs::SyslogTarget);

impl FromStr for SyslogTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use portcullis_telemetry::logs::SyslogTarget as Target;
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self(Target::Unix(PathBuf::from(path)))),
            Some(("unix", _)) => Err("the path of the socket begins with `/`"),
            Some(("udp", to)) => address(to).map(Target::Udp).map(Self),
            Some(("tcp", to)) => address(to).map(Target::Tcp).map(Self),
            Some(_) | None => Err("expected `unix:`, `udp:` or `tcp:`"),
        }
    }
}

/// Where objects of the embedded metric format go; a path is not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EmfTo {
    Stdout,
    File(String),
    Tcp(Address),
}

impl FromStr for EmfTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            Some(("tcp", to)) => address(to).map(Self::Tcp),
            Some(_) | None => Err("expected `stdout`, `file:` or `tcp:`"),
        }
    }
}

/// Where a collector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CollectorUrl(pub(crate) String);

impl FromStr for CollectorUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: http::Uri = text.parse().map_err(|_| "it is no URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("it begins with `http://` or `https://`");
        }
        if uri.query().is_some() {
            return Err("it has no query");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("who is asking is said by `token`");
        }
        if uri.path().contains("/services/collector") {
            return Err("`/services/collector` is added to it");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Where a collector of traces is, with the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceUrl(pub(crate) String);

impl FromStr for TraceUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: http::Uri = text.parse().map_err(|_| "it is no URL")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("it begins with `http://` or `https://`");
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("it has neither a query nor a fragment");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("who is asking is said by `headers`");
        }
        match uri.path() {
            "" | "/" => Ok(Self(format!("{}/v1/traces", text.trim_end_matches('/')))),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// Some statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusRange(pub(crate) Statuses);

impl FromStr for StatusRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self(Statuses { first: 0, last: 0 }));
        }
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class)).ok_or("expected 1xx to 5xx")?;
            return Ok(Self(Statuses::class(class)));
        }
        let status = text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or("expected 100 to 599")?;
        Ok(Self(Statuses { first: status, last: status }))
    }
}

/// A member of a record's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldName(pub(crate) Field);

impl FromStr for FieldName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Field::ALL.iter().copied().find(|field| field.name() == text);
        found.map(Self).ok_or_else(|| {
            let near = portcullis_yaml::suggest(text, Field::ALL.iter().map(|field| field.name()));
            near.map_or_else(|| "records have no such member".to_owned(), |near| format!("did you mean `{near}`?"))
        })
    }
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReasonName(pub(crate) Reason);

impl FromStr for ReasonName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| {
            let near = portcullis_yaml::suggest(text, Reason::ALL.iter().map(|reason| reason.name()));
            near.map_or_else(
                || "no such reason; see docs/errors.md".to_owned(),
                |near| format!("did you mean `{near}`?"),
            )
        })
    }
}
