//! From the tree to typed values.
//!
//! A type that can stand in a config implements [`Decode`]: how it is read, what its JSON Schema is, and what it is
//! when left out. Structs and enums derive it. Decoders report every error they see and go on: a list or a map whose
//! items are partly wrong still yields the good ones, so that checks of meaning can run as well. Whether the value
//! may be used at all is said by [`crate::Diagnostics::has_errors`], not by the presence of a value.

use serde_json::Value as Json;

use crate::cx::Cx;
use crate::node::Node;
use crate::schema::{ObjectSchema, SchemaGen};

mod collections;
mod http;
mod net;
mod scalars;
mod types;
mod wrappers;

pub use collections::{Named, NamedEntry};
pub use wrappers::{OneOrMany, Spanned};

/// A type that can be read from a config.
pub trait Decode: Sized {
    /// Reads the value. `None` means that at least one error was pushed; a value does not mean that none was.
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// The JSON Schema of the type (draft 2020-12).
    fn schema(schemas: &mut SchemaGen) -> Json;

    /// The value when the key is left out and the field names no default. `None` makes the key required.
    #[must_use]
    fn default_missing() -> Option<Self> {
        None
    }

    /// The value as it would be written in a config, for defaults in the schema. `None` when it has no such form.
    fn encode(&self) -> Option<Json> {
        None
    }
}

/// A type that is read from some keys of a map, so that it can be flattened into another one. Derived for structs
/// with named fields, and for enums in which each variant is a key.
pub trait DecodeFields: Sized {
    /// Whether a key is one of this type's.
    fn accepts(key: &str) -> bool;

    /// Adds this type's keys.
    fn keys(out: &mut Vec<&'static str>);

    /// Reads the value from the entries of a map; keys that are not this type's are passed over.
    fn decode_fields(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// Adds this type's keys to a schema.
    fn schema_fields(schemas: &mut SchemaGen, object: &mut ObjectSchema);
}

/// The form of a scalar: how messages and the schema call it.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// With its article: `a duration`.
    pub what: &'static str,
    /// Right values, shown in the help.
    pub examples: &'static [&'static str],
}

impl Form {
    /// A form.
    #[must_use]
    pub const fn new(what: &'static str, examples: &'static [&'static str]) -> Self {
        Self { what, examples }
    }

    /// `for example `250ms`, `10s``.
    #[must_use]
    pub fn help(&self) -> String {
        let examples: Vec<String> = self.examples.iter().map(|example| format!("`{example}`")).collect();
        format!("for example {}", examples.join(", "))
    }

    /// The form without its article, as the schema's title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        let bare = self.what.strip_prefix("an ").or_else(|| self.what.strip_prefix("a "));
        bare.unwrap_or(self.what)
    }

    /// The schema of a string of this form.
    #[must_use]
    pub fn string_schema(&self) -> Json {
        serde_json::json!({ "type": "string", "title": self.title(), "examples": self.examples })
    }
}

/// Reads a scalar by [`std::str::FromStr`]. What the parser says about a wrong value is shown unless the value came
/// from the environment.
pub fn decode_from_str<T>(node: &Node, cx: &mut Cx<'_>, form: &Form) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    decode_with(node, cx, form, |text| text.parse::<T>().map_err(|error| error.to_string()))
}

/// Reads a scalar by a function. Its error is appended to `… is not a …`; an empty one adds nothing.
pub fn decode_with<T>(
    node: &Node,
    cx: &mut Cx<'_>,
    form: &Form,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let scalar = cx.scalar(node, form)?;
    match parse(scalar.text()) {
        Ok(value) => Some(value),
        Err(why) if why.is_empty() => cx.invalid(node, form, None),
        Err(why) => cx.invalid(node, form, Some(&why)),
    }
}

#[cfg(test)]
mod tests;
