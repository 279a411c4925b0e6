//! The quantities and names of `portcullis-types`, and regular expressions.

use std::time::Duration;

use portcullis_types::quantity::{format_duration, parse_duration};
use portcullis_types::{
    ByteSize, ClusterName, EndpointName, ListenerName, Percent, QuantityError, Rate, Reason, RouteName,
};
use regex::{Regex, RegexBuilder};
use serde_json::{Value as Json, json};

use super::{Decode, Form, decode_with};
use crate::code;
use crate::cx::Cx;
use crate::diag::Diagnostic;
use crate::node::{Node, abbreviated};
use crate::schema::{SchemaGen, VARIABLE};
use crate::suggest::suggest;

const DURATION: Form = Form::new("a duration", &["250ms", "10s", "5m", "1h"]);
const SIZE: Form = Form::new("a size", &["512B", "64KiB", "10MiB"]);
const RATE: Form = Form::new("a rate", &["50/s", "100/m", "1000000/month"]);
const PERCENT: Form = Form::new("a percentage from `0%` to `100%`", &["20%", "2.5%"]);
const REGEX: Form = Form::new("a regular expression", &["^/v[0-9]+/users$"]);
const REASON: Form = Form::new("the name of a reason", &["no_route", "upstream_reset"]);

/// The most memory one compiled expression may take. Expressions run in linear time, but repetition such as
/// `(a{1000}){1000}` makes the program large.
const REGEX_BYTES: usize = 1 << 20;

/// The form that the quantity should have is in the help; only what the help cannot say is added to the message.
fn quantity<T>(result: Result<T, QuantityError>) -> Result<T, String> {
    result.map_err(|error| match error {
        QuantityError::TooLarge => error.to_string(),
        QuantityError::Duration | QuantityError::Size | QuantityError::Rate | QuantityError::Percent => String::new(),
    })
}

macro_rules! quantities {
    ($($type:ty, $form:expr, $parse:expr, $format:expr, $pattern:literal;)*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                decode_with(node, cx, &$form, |text| quantity($parse(text)))
            }

            fn schema(_: &mut SchemaGen) -> Json {
                let pattern = format!(concat!("^", $pattern, "$|{}"), VARIABLE);
                // `0` alone is read as a number by an editor.
                json!({
                    "type": ["string", "integer"], "title": $form.title(), "examples": $form.examples,
                    "pattern": pattern, "minimum": 0, "maximum": 0,
                })
            }

            fn encode(&self) -> Option<Json> {
                Some(json!($format(*self)))
            }
        }
    )*};
}

quantities! {
    Duration, DURATION, parse_duration, format_duration, "(0|[0-9.]+(ns|us|µs|ms|s|m|h|d))";
    ByteSize, SIZE, str::parse, |value: ByteSize| value.to_string(), "(0|[0-9.]+([KMGT]iB|[KMG]?B))";
    Rate, RATE, str::parse, |value: Rate| value.to_string(), "[0-9]+/(s|m|h|d|month)";
    Percent, PERCENT, str::parse, |value: Percent| value.to_string(), "[0-9.]+%";
}

macro_rules! names {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                String::decode(node, cx).map(Self::from)
            }

            fn schema(schemas: &mut SchemaGen) -> Json {
                String::schema(schemas)
            }

            fn encode(&self) -> Option<Json> {
                Some(json!(self.as_str()))
            }
        }
    )*};
}

names!(ClusterName, EndpointName, ListenerName, RouteName);

impl Decode for Reason {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, &REASON)?;
        if let Ok(reason) = scalar.text().parse() {
            return Some(reason);
        }
        let names = Self::ALL.iter().map(|reason| reason.name());
        let message = format!("`{}` is not the name of a reason", abbreviated(scalar.shown()));
        let diagnostic = Diagnostic::error(code::UNKNOWN_VALUE, node.span, message);
        cx.fail(diagnostic.help_suggest(suggest(scalar.text(), names), || REASON.help()))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        let names: Vec<&str> = Self::ALL.iter().map(|reason| reason.name()).collect();
        json!({ "type": "string", "title": "reason", "enum": names })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.name()))
    }
}

/// A regular expression in the syntax of the `regex` crate: linear time, no look-around, at most 1 MiB compiled.
impl Decode for Regex {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &REGEX, |text| {
            RegexBuilder::new(text).size_limit(REGEX_BYTES).build().map_err(|error| {
                let too_big = matches!(error, regex::Error::CompiledTooBig(_));
                if too_big { "it is too large when compiled".to_owned() } else { last_line(&error.to_string()) }
            })
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": "string", "title": "regular expression" })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.as_str()))
    }
}

/// The message of a regex error without the picture above it.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
