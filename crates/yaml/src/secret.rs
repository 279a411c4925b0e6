//! Secrets: written in the file, taken from the environment, or kept in a file of their own.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::code;
use crate::cx::Cx;
use crate::decode::{Decode, Form};
use crate::diag::Diagnostic;
use crate::node::Node;
use crate::schema::SchemaGen;

const SECRET: Form = Form::new("a secret", &["file:secrets/token", "${TOKEN}"]);

/// A value that is never shown. Written as `file:path` (relative to the config's folder, trailing line breaks
/// removed), as `${NAME}`, or literally.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    path: Option<PathBuf>,
}

impl Secret {
    /// A secret from elsewhere.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self { value: value.into(), path: None }
    }

    /// The value. Do not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The file it was read from; it is watched with the config.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Decode for Secret {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.scalar(node, &SECRET)?.text();
        let (value, path) = match text.strip_prefix("file:") {
            None => (text.to_owned(), None),
            Some(file) => {
                let path = cx.resolve(node.span, file);
                let content = cx.read_or_report(&path, node.span)?;
                (content.trim_end_matches(['\n', '\r']).to_owned(), Some(path))
            }
        };
        if value.is_empty() {
            let message = "the secret is empty";
            return cx.fail(Diagnostic::error(code::INVALID_VALUE, node.span, message).help(SECRET.help()));
        }
        cx.diagnostics().hide(&value, "***");
        Some(Self { value, path })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["string", "number"], "title": "secret", "examples": SECRET.examples })
    }

    fn encode(&self) -> Option<Json> {
        Some(json!("***"))
    }
}
