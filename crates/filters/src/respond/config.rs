//! Settings of `respond`.

use http::{HeaderValue, StatusCode};
use portcullis_yaml::{Cx, Decode, Node, SchemaGen, Spanned};
use serde_json::Value as Json;
use std::path::PathBuf;

use crate::answer::{Body, BodyKeys, FinalStatus};
use crate::fields::Fields;
use crate::template::Scope;

/// Settings of `respond`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RespondConfig {
    /// The status.
    pub status: StatusCode,
    /// Fields to set.
    pub headers: Fields,
    /// The body.
    pub body: Option<Body>,
}

/// A fixed answer to every request that reaches this filter. Fields and body may use the variables of `headers`.
#[derive(Decode)]
struct RespondSettings {
    /// The status, 200 to 599.
    #[config(default = FinalStatus(StatusCode::OK))]
    status: FinalStatus,
    /// Fields to set.
    #[config(default)]
    headers: Fields,
    /// The media type of the body: `text/plain; charset=utf-8` when left out, by the file's ending with
    /// `body_file`. It also says how values are escaped: for JSON, for HTML and XML, or not at all.
    content_type: Option<HeaderValue>,
    /// The body, with variables. Braces that enclose no variable stand for themselves.
    body: Option<Spanned<String>>,
    /// A text file with the body, at most 1 MiB, sent as it is: without variables. Relative to this file.
    body_file: Option<Spanned<PathBuf>>,
}

impl Decode for RespondConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let RespondSettings { status, headers, content_type, body, body_file } = RespondSettings::decode(node, cx)?;
        let status = status.0;
        let body = BodyKeys { content_type, body, body_file, status: Some(status) }.decode(Scope::Request, cx)?;
        Some(Self { status, headers, body })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        RespondSettings::schema(schemas)
    }
}
