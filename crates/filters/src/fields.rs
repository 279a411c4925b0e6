//! Names and values of fields that the config gives, and small edits that several filters share.
//!
//! Invariant: a [`FieldName`] is never one that frames a message or that belongs to one connection, so no filter can
//! break a message's framing by its config.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora_http::ResponseHeader;

use crate::template::{Escape, Scope, Template, Vars};

mod decode;
mod edit;

#[cfg(test)]
mod tests;

pub use decode::{Fields, OfFailure, OfRequest, Scoped};
pub(crate) use edit::{Answering, Head, Message, add, set};

/// A field of the config: a name, and a value for each line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: FieldName,
    /// The values, never none.
    pub values: Box<[FieldTemplate]>,
}

/// The name of a field that the config may edit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldName(HeaderName);

impl FieldName {
    /// Reads a name, RFC 9110 section 5.1.
    ///
    /// # Errors
    /// Why not: it is no name, or it is one the gateway keeps for itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name: HeaderName = text.parse().map_err(|_| not_a_name(text))?;
        match kept_by_the_gateway(&name) {
            Some(why) => Err(why.to_owned()),
            None => Ok(Self(name)),
        }
    }

    /// The name.
    #[must_use]
    pub const fn get(&self) -> &HeaderName {
        &self.0
    }
}

fn not_a_name(text: &str) -> String {
    let named = text.trim_end_matches(':').trim();
    if named != text && named.parse::<HeaderName>().is_ok() {
        return format!("a name has no colon and no spaces; did you mean `{named}`?");
    }
    "a name is made of letters, digits and `-`".to_owned()
}

/// Why a field is not the config's to edit.
fn kept_by_the_gateway(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "host" => Some("the Host that goes upstream is set by the route's `rewrite: { host: … }`"),
        "content-length" | "transfer-encoding" => {
            Some("it frames the message, and the gateway sets it by what it sends")
        }
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "upgrade" | "http2-settings" => {
            Some("it belongs to one connection, and the gateway sets it for each of its own")
        }
        "expect" => Some("the gateway answers expectations by itself"),
        _ => None,
    }
}

/// The value of a field, with or without variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldTemplate {
    /// Always the same.
    Fixed(HeaderValue),
    /// Made for each message.
    Rendered(Template),
}

impl FieldTemplate {
    /// Reads a value.
    ///
    /// # Errors
    /// A sentence for the operator: an unknown variable, or a character no field value may hold.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("a field value is one line without control characters".to_owned());
        }
        let template = Template::parse(text, scope)?;
        match template.fixed().map(|fixed| HeaderValue::from_bytes(fixed.as_bytes())) {
            Some(Ok(value)) => Ok(Self::Fixed(value)),
            Some(Err(_)) => Err("this is no field value".to_owned()),
            None => Ok(Self::Rendered(template)),
        }
    }

    /// The value for one message; `None` when a template came out empty, so that the field is not sent.
    #[must_use]
    pub fn value(&self, vars: &Vars<'_>) -> Option<HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Rendered(template) => {
                let mut out = Vec::with_capacity(64);
                template.render(vars, Escape::Field, &mut out);
                let value = HeaderValue::from_maybe_shared(Bytes::from(out)).ok()?;
                (!value.is_empty()).then_some(value)
            }
        }
    }
}

/// The members of a comma-separated field (RFC 9110 section 5.6.1) over all its lines, trimmed; empty ones and lines
/// that are not ASCII are left out.
pub(crate) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// Names a request field in `Vary` (RFC 9110 section 12.5.5), unless it is named there or everything is.
pub(crate) fn add_vary(response: &mut ResponseHeader, name: &'static str) {
    let says = |member: &str| member == "*" || member.eq_ignore_ascii_case(name);
    let said = members(&response.headers, &header::VARY).any(says);
    if !said {
        response.append(&header::VARY, HeaderValue::from_static(name));
    }
}

/// Takes away the fields that describe a body which is not sent any more.
pub(crate) fn remove_body_fields(response: &mut ResponseHeader) {
    const DESCRIBING: [HeaderName; 9] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::ETAG,
        header::LAST_MODIFIED,
    ];
    for name in &DESCRIBING {
        response.remove(name);
    }
    remove_digests(response);
}

/// Takes away the digests (RFC 9530, and the older ones) of bytes that are not sent as they were.
pub(crate) fn remove_digests(response: &mut ResponseHeader) {
    for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
        response.remove(&HeaderName::from_static(name));
    }
}
