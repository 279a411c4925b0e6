//! Spanned YAML decoding: every error at once, with its place; JSON Schema from the same types.
//!
//! All config goes through here, ours and that of third-party filters. [`load`] reads a file with what it includes
//! into a tree of [`Node`]s that know their places; [`Decode`] turns nodes into typed values, pushing into one
//! [`Diagnostics`] whatever is wrong, and describes the type as JSON Schema. `#[derive(Decode)]` does both for
//! structs and enums, with doc comments as the only place where keys are documented.
//!
//! Invariants: nothing a file can say panics or takes more than [`Limits`] allows; a value from the environment or
//! from a secret's file never stands in a message; unknown keys are always refused.
//!
//! ```
//! use portcullis_yaml::{Decode, MemoryLoader, load, render_text};
//!
//! /// A limit on requests.
//! #[derive(Decode)]
//! struct Limit {
//!     /// How many at once.
//!     #[config(default = 10)]
//!     requests: u32,
//!     /// The path it is for.
//!     path: Option<String>,
//! }
//!
//! let loader = MemoryLoader::new().file("a.yaml", "reqests: 5");
//! let mut loaded = load("a.yaml".as_ref(), &loader);
//! let limit: Option<Limit> = loaded.decode(&loader, None);
//! assert_eq!(limit.map(|limit| limit.requests), Some(10));
//! let report = render_text(&loaded.diagnostics, &loaded.sources);
//! assert!(report.starts_with("a.yaml:1:1: error[unknown_key]: unknown key `reqests`"));
//! assert!(report.contains("help: did you mean `requests`?"));
//! ```

// Derived code names this crate by its full path, also in this crate's own tests.
#[cfg(test)]
extern crate self as portcullis_yaml;

pub mod code;
mod cx;
mod decode;
#[cfg(test)]
mod derived_tests;
mod diag;
mod expand;
mod glob;
mod limits;
mod load;
mod loader;
mod logins;
mod markdown;
mod node;
mod parse;
#[cfg(test)]
mod property_tests;
mod render;
mod schema;
mod secret;
mod source;
mod suggest;
#[doc(hidden)]
pub mod support;
#[cfg(test)]
mod testing;

pub use cx::Cx;
pub use decode::{Decode, DecodeFields, Form, Named, NamedEntry, OneOrMany, Spanned, decode_from_str, decode_with};
pub use diag::{Diagnostic, Diagnostics, Severity};
pub use glob::fixed_part;
pub use limits::Limits;
pub use load::{Loaded, load, load_with};
pub use loader::{Loader, MemoryLoader, OsLoader};
pub use markdown::markdown_reference;
pub use node::{Entry, Key, Node, Scalar, Style, Value};
pub use parse::parse;
pub use portcullis_yaml_derive::Decode;
pub use render::{render_diagnostic, render_json, render_text};
pub use schema::{
    ObjectSchema, Property, SchemaGen, VARIABLE, VariantSchema, enum_schema, schema_for, schema_for_document,
};
pub use secret::Secret;
pub use serde_json::Value as Json;
pub use source::{Position, Source, SourceId, SourceMap, Span};
pub use suggest::suggest;
