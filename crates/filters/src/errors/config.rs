//! Settings of `errors`.

use http::{HeaderValue, StatusCode};
use portcullis_types::Reason;
use std::path::PathBuf;

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, OneOrMany, SchemaGen, Spanned, code, decode_with};
use serde_json::{Value as Json, json};

use crate::answer::{Body, BodyKeys, FinalStatus};
use crate::fields::{Fields, OfFailure};
use crate::template::Scope;

/// Settings of `errors`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorsConfig {
    /// The mappings, in order: the first that names a failure is taken.
    pub map: Vec<Mapping>,
}

/// What is mapped to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The gateway's own failures.
    pub reasons: Vec<Reason>,
    /// The upstream's answers.
    pub statuses: Vec<StatusRange>,
    /// What the client gets.
    pub to: Answer,
}

/// What the client gets in place of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; as it is when `None`.
    pub status: Option<StatusCode>,
    /// Fields to set.
    pub headers: Fields<OfFailure>,
    /// The body.
    pub body: Option<Body>,
}

/// Error statuses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// Reads `500` or `502-504`, within 400 to 599.
    ///
    /// # Errors
    /// Why not, for the operator; empty when the form says it all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| String::new());
        let range = Self { first: number(first)?, last: number(last)? };
        if range.first < 400 || range.last > 599 {
            return Err("only errors are mapped, 400 to 599".to_owned());
        }
        if range.first > range.last {
            return Err(format!("did you mean `{}-{}`?", range.last, range.first));
        }
        Ok(range)
    }

    /// Whether a status is in it.
    #[must_use]
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }

    const fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// What clients see in place of an error: the gateway's own by reason, the upstream's by status. The record keeps
/// the true reason and the upstream's own status.
#[derive(Decode)]
struct ErrorsSettings {
    /// The mappings. The first one that names an error is taken; what none names stays as it is.
    map: Vec<MappingSettings>,
}

/// A mapping: which errors, by `reason`, by `upstream_status` or by both, and what clients see.
#[derive(Decode)]
struct MappingSettings {
    /// Reasons of the gateway's own errors, such as `over_rate`.
    #[config(default)]
    reason: OneOrMany<Spanned<Reason>>,
    /// Statuses of the upstream's answers, 400 to 599: `500`, or `502-504` for a range.
    #[config(default)]
    upstream_status: OneOrMany<Spanned<StatusRange>>,
    /// What the client gets.
    to: Spanned<AnswerSettings>,
}

/// An answer in place of an error. Beside the variables of `headers`, it may use `{reason}`, `{title}` (a sentence on
/// the reason), `{detail}` and `{status}`; the first three are empty when the upstream answered with an error.
#[derive(Decode)]
#[config(deny_empty)]
struct AnswerSettings {
    /// The status; when left out, it stays.
    status: Option<FinalStatus>,
    /// Fields to set.
    #[config(default)]
    headers: Fields<OfFailure>,
    /// The media type of the body: `text/plain; charset=utf-8` when left out, by the file's ending with
    /// `body_file`. It also says how values are escaped: for JSON, for HTML and XML, or not at all.
    content_type: Option<HeaderValue>,
    /// The body, with variables. When no body is given, an answer of the upstream keeps its own, and the gateway's
    /// own error is sent without one.
    body: Option<Spanned<String>>,
    /// A text file with the body, at most 1 MiB, sent as it is: without variables. Relative to this file.
    body_file: Option<Spanned<PathBuf>>,
}

impl Decode for ErrorsConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = ErrorsSettings::decode(node, cx)?;
        let mut map: Vec<Mapping> = Vec::with_capacity(settings.map.len());
        for mapping in settings.map {
            mapping.check_reached(&map, cx);
            if let Some(mapping) = mapping.compile(cx) {
                map.push(mapping);
            }
        }
        if map.is_empty() {
            cx.error(code::INVALID_VALUE, node.span, "`map` holds no mapping: the filter does nothing");
        }
        Some(Self { map })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        ErrorsSettings::schema(schemas)
    }
}

impl MappingSettings {
    /// Refuses what an earlier mapping takes already.
    fn check_reached(&self, before: &[Mapping], cx: &mut Cx<'_>) {
        for reason in &self.reason {
            if before.iter().any(|mapping| mapping.reasons.contains(&reason.value)) {
                let message = format!("`{}` is mapped already, further up", reason.value);
                cx.error(code::CONFLICTING_KEYS, reason.span, message);
            }
        }
        for range in &self.upstream_status {
            let mut taken = before.iter().flat_map(|mapping| &mapping.statuses);
            if taken.any(|taken| taken.covers(range.value)) {
                cx.error(code::CONFLICTING_KEYS, range.span, "this is mapped already, further up");
            }
        }
    }

    fn compile(self, cx: &mut Cx<'_>) -> Option<Mapping> {
        if self.reason.is_empty() && self.upstream_status.is_empty() {
            let message = "the mapping names no error";
            let help = "add `reason: over_rate` or `upstream_status: 502-504`";
            return cx.fail(Diagnostic::error(code::MISSING_KEY, self.to.span, message).help(help));
        }
        let AnswerSettings { status, headers, content_type, body, body_file } = self.to.value;
        let status = status.map(|status| status.0);
        let body = BodyKeys { content_type, body, body_file, status }.decode(Scope::Failure, cx)?;
        Some(Mapping {
            reasons: self.reason.into_iter().map(|reason| reason.value).collect(),
            statuses: self.upstream_status.into_iter().map(|range| range.value).collect(),
            to: Answer { status, headers, body },
        })
    }
}

const RANGE: Form = Form::new("an error status or a range of them", &["500", "502-504"]);

impl Decode for StatusRange {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &RANGE, Self::parse)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["integer", "string"], "title": "status", "minimum": 400, "maximum": 599, "pattern": "^[45][0-9][0-9](-[45][0-9][0-9])?$|\\$\\{" })
    }
}
