//! Types of the `http` crate.

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value as Json, json};

use super::{Decode, Form, decode_with};
use crate::cx::Cx;
use crate::node::Node;
use crate::schema::{SchemaGen, VARIABLE};

const METHOD: Form = Form::new("a method", &["GET", "POST"]);
const NAME: Form = Form::new("a header name", &["x-request-id"]);
const VALUE: Form = Form::new("a header value", &["no-store"]);
const STATUS: Form = Form::new("a status code from 100 to 599", &["503"]);
const AUTHORITY: Form = Form::new("a host with an optional port", &["example.com", "10.0.0.1:8080"]);

/// A method, as RFC 9110 section 9.1 has it: case counts, so the lower-case form of a known one is refused.
impl Decode for Method {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &METHOD, |text| {
            let upper = text.to_ascii_uppercase();
            if text != upper && STANDARD.contains(&upper.as_str()) {
                return Err(format!("methods are case-sensitive; did you mean `{upper}`?"));
            }
            Self::from_bytes(text.as_bytes()).map_err(|_| String::new())
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": "string", "title": "method", "examples": STANDARD, "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$|\\$\\{" })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.as_str()))
    }
}

const STANDARD: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Read in any case, held in lower case.
impl Decode for HeaderName {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &NAME, |text| Self::from_bytes(text.as_bytes()).map_err(|_| String::new()))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        NAME.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.as_str()))
    }
}

/// Visible characters, spaces and tabs; other bytes cannot be written in a config.
impl Decode for HeaderValue {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &VALUE, |text| {
            Self::from_str(text).map_err(|_| "only visible ASCII characters, spaces and tabs".to_owned())
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["string", "number", "boolean"], "title": "header value" })
    }

    fn encode(&self) -> Option<Json> {
        self.to_str().ok().map(|text| json!(text))
    }
}

/// Written as a number or as a string: `503`, `"503"`.
impl Decode for StatusCode {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &STATUS, |text| {
            let code = (text.len() == 3).then(|| text.parse::<u16>().ok()).flatten();
            let code = code.filter(|code| (100..600).contains(code));
            code.and_then(|code| Self::from_u16(code).ok()).ok_or_else(String::new)
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        let pattern = format!("^[1-5][0-9][0-9]$|{VARIABLE}");
        json!({ "type": ["integer", "string"], "title": "status", "minimum": 100, "maximum": 599, "pattern": pattern })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.as_u16()))
    }
}

/// Host and port; user information (RFC 3986 section 3.2.1) is refused.
impl Decode for Authority {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &AUTHORITY, |text| {
            let authority: Self = text.parse().map_err(|_| String::new())?;
            let bare = !authority.as_str().contains('@') && !authority.host().is_empty();
            // `http` reads a port lazily: `a:99999` and `a:` are authorities whose port is not a number.
            let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
            let port_is_right = port.is_empty() || authority.port_u16().is_some();
            if bare && port_is_right { Ok(authority) } else { Err(String::new()) }
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        AUTHORITY.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.as_str()))
    }
}
