//! An answer by config: status, fields and a body, as `respond` and `errors` give it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use std::path::Path;

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, SchemaGen, Spanned, code};
use serde_json::{Value as Json, json};

use crate::template::{Escape, Scope, Template, Vars};

/// The largest body a config may give, inline or by file.
pub const MAX_BODY: usize = 1024 * 1024;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A body and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Content-Type.
    pub content_type: HeaderValue,
    /// Its bytes.
    pub content: Content,
}

/// The bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The same each time, shared.
    Fixed(Bytes),
    /// Text with variables, escaped as the media type asks.
    Rendered(Template, Escape),
}

impl Body {
    /// The bytes for one answer.
    #[must_use]
    pub fn bytes(&self, vars: &Vars<'_>) -> Bytes {
        match &self.content {
            Content::Fixed(bytes) => bytes.clone(),
            Content::Rendered(template, escape) => {
                let mut out = Vec::with_capacity(256);
                template.render(vars, *escape, &mut out);
                out.into()
            }
        }
    }
}

/// The keys of a config that make a body.
pub(crate) struct BodyKeys {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Option<Spanned<String>>,
    pub(crate) body_file: Option<Spanned<std::path::PathBuf>>,
    /// The status it is sent with, if the config names one.
    pub(crate) status: Option<StatusCode>,
}

impl BodyKeys {
    /// Reads the body. The outer `None` means that an error was pushed.
    pub(crate) fn decode(self, scope: Scope, cx: &mut Cx<'_>) -> Option<Option<Body>> {
        let span = match (&self.body, &self.body_file) {
            (Some(_), Some(file)) => {
                let message = "`body` and `body_file` exclude one another";
                return cx.fail(Diagnostic::error(code::CONFLICTING_KEYS, file.span, message));
            }
            (Some(body), None) => body.span,
            (None, Some(file)) => file.span,
            (None, None) => return Some(None),
        };
        if let Some(status) = self.status.filter(|status| is_bodiless(*status)) {
            let message = format!("an answer of status {} has no body", status.as_u16());
            return cx.fail(Diagnostic::error(code::CONFLICTING_KEYS, span, message));
        }
        let body = self.read(scope, cx)?;
        let Content::Fixed(bytes) = &body.content else { return Some(Some(body)) };
        if bytes.len() > MAX_BODY {
            let message = format!("the body takes {} bytes; a config may give {MAX_BODY}", bytes.len());
            return cx.fail(Diagnostic::error(code::TOO_LARGE, span, message));
        }
        Some(Some(body))
    }

    fn read(self, scope: Scope, cx: &mut Cx<'_>) -> Option<Body> {
        if let Some(file) = self.body_file {
            let content_type = self.content_type.unwrap_or_else(|| media_type(&file.value));
            let text = cx.read_or_report(&file.value, file.span)?;
            return Some(Body { content_type, content: Content::Fixed(text.into()) });
        }
        let body = self.body?;
        let content_type = self.content_type.unwrap_or(TEXT);
        let template = match Template::parse(&body.value, scope) {
            Ok(template) => template,
            Err(why) => return cx.fail(Diagnostic::error(code::UNKNOWN_VALUE, body.span, why)),
        };
        let escape = Escape::of_media_type(content_type.to_str().unwrap_or_default());
        let fixed = template.fixed().map(|text| Content::Fixed(Bytes::copy_from_slice(text.as_bytes())));
        Some(Body { content_type, content: fixed.unwrap_or(Content::Rendered(template, escape)) })
    }
}

/// By the ending of a file's name; plain text for any other.
fn media_type(file: &Path) -> HeaderValue {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => HeaderValue::from_static("text/html; charset=utf-8"),
        "json" => HeaderValue::from_static("application/json"),
        "xml" => HeaderValue::from_static("application/xml"),
        "svg" => HeaderValue::from_static("image/svg+xml"),
        "css" => HeaderValue::from_static("text/css; charset=utf-8"),
        "js" | "mjs" => HeaderValue::from_static("text/javascript; charset=utf-8"),
        _ => TEXT,
    }
}

/// Whether answers of a status have no content: RFC 9110 section 15.
#[must_use]
pub fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// A status that ends an exchange, so that a config cannot give an interim one (RFC 9110 section 15.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalStatus(pub StatusCode);

const STATUS: Form = Form::new("a status from 200 to 599", &["200", "503"]);

impl Decode for FinalStatus {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let status = StatusCode::decode(node, cx)?;
        if status.is_informational() { cx.invalid(node, &STATUS, None) } else { Some(Self(status)) }
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["integer", "string"], "title": "status", "minimum": 200, "maximum": 599 })
    }

    fn encode(&self) -> Option<Json> {
        self.0.encode()
    }
}
