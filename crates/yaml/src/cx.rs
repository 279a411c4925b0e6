//! What a decoder has at hand: where to report errors, how to read files, and what the caller brought along.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

use crate::code;
use crate::decode::Form;
use crate::diag::{Diagnostic, Diagnostics};
use crate::loader::Loader;
use crate::logins::without_logins;
use crate::node::{Node, Scalar, Style, Value, abbreviated};
use crate::source::{SourceMap, Span};

/// The context of decoding. Decoders push what is wrong and go on.
pub struct Cx<'a> {
    diags: &'a mut Diagnostics,
    sources: &'a SourceMap,
    loader: &'a dyn Loader,
    watch: &'a mut Vec<PathBuf>,
    extension: Option<&'a dyn Any>,
}

impl<'a> Cx<'a> {
    /// A context. Files that decoders read are added to `watch`.
    pub fn new(
        diags: &'a mut Diagnostics,
        sources: &'a SourceMap,
        loader: &'a dyn Loader,
        watch: &'a mut Vec<PathBuf>,
    ) -> Self {
        Self { diags, sources, loader, watch, extension: None }
    }

    /// Brings a value along that decoders can ask for by its type, such as a registry of filters.
    #[must_use]
    pub fn with_extension(mut self, extension: &'a dyn Any) -> Self {
        self.extension = Some(extension);
        self
    }

    /// What the caller brought along, if it is a `T`.
    #[must_use]
    pub fn extension<T: Any>(&self) -> Option<&'a T> {
        self.extension.and_then(|extension| extension.downcast_ref())
    }

    /// Reports a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diags.push(diagnostic);
    }

    /// Reports an error, and is the `None` that the decoder returns: `return cx.fail(…)`.
    pub fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.diags.push(diagnostic);
        None
    }

    /// Reports an error without help.
    pub fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diags.push(Diagnostic::error(code, span, message));
    }

    /// Reports a warning without help.
    pub fn warn(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diags.push(Diagnostic::warning(code, span, message));
    }

    /// The collector.
    pub fn diagnostics(&mut self) -> &mut Diagnostics {
        self.diags
    }

    /// The texts that spans point into.
    #[must_use]
    pub fn sources(&self) -> &'a SourceMap {
        self.sources
    }

    /// Reports that a value is of the wrong kind. Silent for a value that was already reported.
    pub fn wrong_type<T>(&mut self, node: &Node, form: &Form) -> Option<T> {
        if node.value != Value::Invalid {
            let message = format!("expected {}, found {}", form.what, node.describe());
            self.push(Diagnostic::error(code::WRONG_TYPE, node.span, message).help(form.help()));
        }
        None
    }

    /// Reports that a scalar is of the right kind and cannot be read. `why` is left out when the value came from
    /// the environment, since it may repeat a part of it.
    pub fn invalid<T>(&mut self, node: &Node, form: &Form, why: Option<&dyn std::fmt::Display>) -> Option<T> {
        let Some(scalar) = node.scalar() else { return self.wrong_type(node, form) };
        let shown = abbreviated(&without_logins(scalar.shown(), |_| false));
        let shown = match scalar.style() {
            Style::Quoted => format!("\"{shown}\""),
            Style::Plain => format!("`{shown}`"),
        };
        let why = why.filter(|_| !scalar.is_expanded());
        let message = match why {
            Some(why) => format!("{shown} is not {}: {why}", form.what),
            None => format!("{shown} is not {}", form.what),
        };
        self.push(Diagnostic::error(code::INVALID_VALUE, node.span, message).help(form.help()));
        None
    }

    /// The scalar, or an error that says what was expected.
    pub fn scalar<'n>(&mut self, node: &'n Node, form: &Form) -> Option<&'n Scalar> {
        match node.scalar() {
            Some(scalar) => Some(scalar),
            None => self.wrong_type(node, form),
        }
    }

    /// The items of a list, or an error.
    pub fn items<'n>(&mut self, node: &'n Node, form: &Form) -> Option<&'n [Node]> {
        match &node.value {
            Value::Seq(items) => Some(items),
            Value::Null | Value::Scalar(_) | Value::Map(_) | Value::Invalid => self.wrong_type(node, form),
        }
    }

    /// A path as it was written in the text of `span`, against the folder of that text.
    #[must_use]
    pub fn resolve(&self, span: Span, path: &str) -> PathBuf {
        self.sources.base_dir(span.source).join(path)
    }

    /// Reads a file on behalf of the config and has it watched, also when it cannot be read now.
    ///
    /// # Errors
    /// Whatever the loader says.
    pub fn read(&mut self, path: &Path) -> io::Result<String> {
        if !self.watch.iter().any(|watched| watched == path) {
            self.watch.push(path.to_path_buf());
        }
        self.loader.read(path)
    }

    /// Reads a file, and reports an error at `span` if that fails.
    pub fn read_or_report(&mut self, path: &Path, span: Span) -> Option<String> {
        match self.read(path) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                self.fail(Diagnostic::error(code::FILE_UNREADABLE, span, message))
            }
        }
    }

    /// Tries to decode without reporting anything.
    pub fn probe<T>(&mut self, decode: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mark = self.diags.mark();
        let value = decode(self);
        let clean = self.diags.since_mut(mark).is_empty();
        self.diags.rewind(mark);
        value.filter(|_| clean)
    }
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("diags", &self.diags).finish_non_exhaustive()
    }
}
