//! Bools, numbers and strings, by the rules of the YAML 1.2 core schema.
//!
//! `true` and `false` are the only bools; `yes`, `no`, `on` and `off` are words. A quoted value is never a bool or a
//! number. A string takes any scalar as it is written.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Decode, Form};
use crate::code;
use crate::cx::Cx;
use crate::diag::Diagnostic;
use crate::node::Node;
use crate::schema::{SchemaGen, VARIABLE};

const BOOL: Form = Form::new("`true` or `false`", &["true"]);
const STRING: Form = Form::new("a string", &["some text"]);
const NUMBER: Form = Form::new("a number", &["1.5"]);
const PATH: Form = Form::new("a path", &["certs/edge.pem"]);
const CHAR: Form = Form::new("a single character", &["/"]);

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, &BOOL)?;
        match scalar.plain() {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            _ => {
                let help = "write `true` or `false`, without quotes";
                let message = format!("expected `true` or `false`, found {}", node.describe());
                cx.fail(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help))
            }
        }
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["boolean", "string"], "title": "bool", "pattern": VARIABLE })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self))
    }
}

/// An integer of the core schema: decimal, `0o17` or `0xff`, in the range given.
fn integer(node: &Node, cx: &mut Cx<'_>, min: i128, max: i128) -> Option<i128> {
    let what = format!("an integer from {min} to {max}");
    let Some(scalar) = node.scalar() else {
        return cx.wrong_type(node, &Form::new("an integer", &["10"]));
    };
    let Some(value) = scalar.plain().and_then(parse_integer) else {
        let quoted = scalar.plain().is_none() && parse_integer(scalar.text()).is_some();
        let help = if quoted { "remove the quotes" } else { "write digits only, for example `10`" };
        let message = format!("expected {what}, found {}", node.describe());
        return cx.fail(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help));
    };
    if value < min || value > max {
        let message = format!("{} is out of range: expected {what}", node.describe());
        return cx.fail(Diagnostic::error(code::INVALID_VALUE, node.span, message));
    }
    Some(value)
}

fn parse_integer(text: &str) -> Option<i128> {
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    let (negative, number) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    digits(number, 10).map(|value| if negative { -value } else { value })
}

/// Digits only; a number too large for any type is the largest there is, so that it is out of range and not "no
/// number".
fn digits(text: &str, radix: u32) -> Option<i128> {
    if text.is_empty() || !text.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(i128::from_str_radix(text, radix).unwrap_or(i128::MAX))
}

macro_rules! integers {
    ($($type:ty: $min:expr;)*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let value = integer(node, cx, i128::from($min), Self::MAX.try_into().unwrap_or(i128::MAX))?;
                // The range was checked: this converts.
                Self::try_from(value).ok()
            }

            fn schema(_: &mut SchemaGen) -> Json {
                json!({
                    "type": ["integer", "string"], "title": "integer",
                    "minimum": $min, "maximum": Self::MAX, "pattern": VARIABLE,
                })
            }

            fn encode(&self) -> Option<Json> {
                Some(json!(self))
            }
        }
    )*};
}

integers! {
    u8: u8::MIN;
    u16: u16::MIN;
    u32: u32::MIN;
    u64: u64::MIN;
    usize: u64::MIN;
    i8: i8::MIN;
    i16: i16::MIN;
    i32: i32::MIN;
    i64: i64::MIN;
}

macro_rules! non_zero {
    ($($type:ty, $inner:ty;)*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let value = integer(node, cx, 1, <$inner>::MAX.try_into().unwrap_or(i128::MAX))?;
                <$inner>::try_from(value).ok().and_then(Self::new)
            }

            fn schema(_: &mut SchemaGen) -> Json {
                json!({
                    "type": ["integer", "string"], "title": "integer",
                    "minimum": 1, "maximum": <$inner>::MAX, "pattern": VARIABLE,
                })
            }

            fn encode(&self) -> Option<Json> {
                Some(json!(self.get()))
            }
        }
    )*};
}

non_zero! {
    NonZeroU16, u16;
    NonZeroU32, u32;
    NonZeroU64, u64;
    NonZeroUsize, usize;
}

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, &NUMBER)?;
        let value = scalar.plain().and_then(parse_float);
        if value.is_none() {
            return cx.wrong_type(node, &NUMBER);
        }
        value
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["number", "string"], "title": "number", "pattern": VARIABLE })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self))
    }
}

/// A finite number of the core schema; infinities and NaN are of no use in a config.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let begins = text.bytes().next()?;
    if !(begins.is_ascii_digit() || matches!(begins, b'-' | b'+' | b'.')) || text.contains("in") {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The integer a plain scalar stands for, if it fits the integers of JSON.
pub(super) fn json_integer(text: &str) -> Option<Json> {
    let value = parse_integer(text)?;
    i64::try_from(value).map(|n| json!(n)).ok().or_else(|| u64::try_from(value).map(|n| json!(n)).ok())
}

fn string(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    if node.value == crate::node::Value::Null {
        let message = "expected a string, found nothing";
        let help = "write the text, or `\"\"` for an empty one; quote `null` and `~` if they are meant as text";
        return cx.fail(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(help));
    }
    cx.scalar(node, &STRING).map(|scalar| scalar.text().to_owned())
}

macro_rules! strings {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                string(node, cx).map(Into::into)
            }

            fn schema(_: &mut SchemaGen) -> Json {
                json!({ "type": ["string", "number", "boolean"], "title": "string" })
            }

            fn encode(&self) -> Option<Json> {
                Some(json!(**self))
            }
        }
    )*};
}

strings!(String, Box<str>, Arc<str>);

impl Decode for char {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        super::decode_with(node, cx, &CHAR, |text| {
            let mut chars = text.chars();
            chars.next().filter(|_| chars.as_str().is_empty()).ok_or_else(String::new)
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["string", "integer"], "title": "character" })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.to_string()))
    }
}

/// Relative paths are against the folder of the file they are written in.
impl Decode for PathBuf {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, &PATH)?;
        if scalar.text().is_empty() || scalar.text().contains('\0') {
            return cx.invalid(node, &PATH, None);
        }
        Some(cx.resolve(node.span, scalar.text()))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": "string", "title": "path" })
    }

    fn encode(&self) -> Option<Json> {
        self.to_str().map(|text| json!(text))
    }
}
