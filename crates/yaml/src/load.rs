//! A config file with all that it includes, as one tree.
//!
//! `include:` at the top of a file names further files, relative to the file it stands in, with `*` and `?`. Their
//! top-level keys are merged into one map: maps merge by key, lists are joined in the order of inclusion, and equal
//! single values agree. Nothing overrides anything: a name that stands twice is an error that names both places.
//! Files may include files, within bounds, and each file only once.

use std::any::Any;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::code;
use crate::cx::Cx;
use crate::decode::Decode;
use crate::diag::{Diagnostic, Diagnostics};
use crate::glob;
use crate::limits::Limits;
use crate::loader::Loader;
use crate::node::{Entry, Node, Value};
use crate::parse::{duplicate_key, parse};
use crate::source::{SourceMap, Span};

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// The merged tree; a map, or [`Value::Null`] when the file is empty. `None` when the first file could not be
    /// read or parsed.
    pub root: Option<Node>,
    /// The texts, the first file first.
    pub sources: SourceMap,
    /// The files that were read or tried, and the folders in which a new file would be included.
    pub watch: Vec<PathBuf>,
    /// What was found so far.
    pub diagnostics: Diagnostics,
}

impl Loaded {
    /// Decodes the tree; an empty file is an empty map. `loader` is that of the load, for files that values name;
    /// `extension` is what decoders may ask [`Cx::extension`] for.
    pub fn decode<T: Decode>(&mut self, loader: &dyn Loader, extension: Option<&dyn Any>) -> Option<T> {
        let root = self.root.as_ref()?;
        let mut cx = Cx::new(&mut self.diagnostics, &self.sources, loader, &mut self.watch);
        if let Some(extension) = extension {
            cx = cx.with_extension(extension);
        }
        match root.value {
            Value::Null => T::decode(&Node::empty_map(root.span), &mut cx),
            Value::Scalar(_) | Value::Seq(_) | Value::Map(_) | Value::Invalid => T::decode(root, &mut cx),
        }
    }
}

/// Reads a config with all that it includes, within the default [`Limits`].
#[must_use]
pub fn load(path: &Path, loader: &dyn Loader) -> Loaded {
    load_with(path, loader, &Limits::default())
}

/// Reads a config with all that it includes. Errors are in [`Loaded::diagnostics`]; what could be read is in
/// [`Loaded::root`], so that decoding can go on and find more.
#[must_use]
pub fn load_with(path: &Path, loader: &dyn Loader, limits: &Limits) -> Loaded {
    let mut load = Load {
        loader,
        limits,
        sources: SourceMap::new(),
        watch: Vec::new(),
        diags: Diagnostics::new(),
        seen: HashMap::new(),
        open: Vec::new(),
        bytes: 0,
    };
    load.seen.insert(normal(path), None);
    let root = load.file(path, None).map(|(node, included)| {
        let mut merged = Merged::new(node, &mut load.diags);
        included.into_iter().for_each(|node| merged.add(node, &mut load.diags));
        merged.node
    });
    Loaded { root, sources: load.sources, watch: load.watch, diagnostics: load.diags }
}

struct Load<'a> {
    loader: &'a dyn Loader,
    limits: &'a Limits,
    sources: SourceMap,
    watch: Vec<PathBuf>,
    diags: Diagnostics,
    /// Every file so far, with the place that included it.
    seen: HashMap<PathBuf, Option<Span>>,
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    bytes: usize,
}

impl Load<'_> {
    /// Reads a file and what it includes; the included trees come in order, flattened.
    fn file(&mut self, path: &Path, from: Option<Span>) -> Option<(Node, Vec<Node>)> {
        self.watch.push(path.to_path_buf());
        let text = match self.loader.read(path) {
            Ok(text) => text,
            Err(error) => {
                let span = from.unwrap_or_else(|| Span::start_of(self.sources.add(path, "")));
                let message = format!("cannot read `{}`: {error}", path.display());
                self.diags.push(Diagnostic::error(code::FILE_UNREADABLE, span, message));
                return None;
            }
        };
        self.bytes = self.bytes.saturating_add(text.len());
        let id = self.sources.add(path, text);
        if self.bytes > self.limits.total_bytes {
            let message = format!("all files together are larger than {} bytes", self.limits.total_bytes);
            self.diags.push(Diagnostic::error(code::TOO_LARGE, Span::start_of(id), message));
            return None;
        }
        let mut node = parse(id, &self.sources, self.loader, self.limits, &mut self.diags)?;
        self.open.push(normal(path));
        let mut included = Vec::new();
        for pattern in take_include(&mut node, &mut self.diags) {
            self.include(&pattern, &mut included);
        }
        self.open.pop();
        Some((node, included))
    }

    fn include(&mut self, pattern: &Pattern, out: &mut Vec<Node>) {
        if self.open.len() > self.limits.include_depth {
            let message = format!("files include each other more than {} deep", self.limits.include_depth);
            self.diags.push(Diagnostic::error(code::INCLUDE, pattern.span, message));
            return;
        }
        for path in self.matching(pattern) {
            if !self.enter(&path, pattern.span) {
                continue;
            }
            if let Some((node, included)) = self.file(&path, Some(pattern.span)) {
                out.push(node);
                out.extend(included);
            }
        }
    }

    /// The files that a pattern stands for, in order.
    fn matching(&mut self, pattern: &Pattern) -> Vec<PathBuf> {
        let base = self.sources.base_dir(pattern.span.source).to_path_buf();
        if !glob::is_pattern(&pattern.text) {
            return vec![base.join(&pattern.text)];
        }
        self.watch.push(glob::fixed_part(&base, &pattern.text));
        match self.loader.glob(&base, &pattern.text) {
            Ok(paths) if paths.is_empty() => {
                let message = format!("no file matches `{}`", pattern.shown);
                let help = format!("the pattern is relative to `{}`", display(&base));
                self.diags.push(Diagnostic::warning(code::INCLUDE_EMPTY, pattern.span, message).help(help));
                paths
            }
            Ok(paths) => paths,
            Err(error) => {
                let message = format!("cannot list `{}`: {error}", pattern.shown);
                self.diags.push(Diagnostic::error(code::FILE_UNREADABLE, pattern.span, message));
                Vec::new()
            }
        }
    }

    /// Whether a file may be included here; pushes the error if not.
    fn enter(&mut self, path: &Path, span: Span) -> bool {
        let name = normal(path);
        let shown = display(path);
        let diagnostic = if self.open.contains(&name) {
            Diagnostic::error(code::INCLUDE, span, format!("`{shown}` includes itself"))
                .help("a pattern must not match the file it stands in, or one that includes it")
        } else if let Some(first) = self.seen.get(&name) {
            let diagnostic = Diagnostic::error(code::INCLUDE, span, format!("`{shown}` is included twice"));
            match first {
                Some(first) => diagnostic.related(*first, "first included here"),
                None => diagnostic,
            }
        } else if self.seen.len() > self.limits.include_files {
            let message = format!("more than {} files are included", self.limits.include_files);
            Diagnostic::error(code::TOO_LARGE, span, message)
        } else {
            self.seen.insert(name, Some(span));
            return true;
        };
        self.diags.push(diagnostic);
        false
    }
}

/// One pattern under `include`.
struct Pattern {
    text: String,
    shown: String,
    span: Span,
}

/// Takes `include` out of the top-level map.
fn take_include(root: &mut Node, diags: &mut Diagnostics) -> Vec<Pattern> {
    let Value::Map(entries) = &mut root.value else { return Vec::new() };
    let Some(at) = entries.iter().position(|entry| &*entry.key.text == "include") else { return Vec::new() };
    let value = entries.remove(at).value;
    let items = match value.value {
        Value::Seq(items) => items,
        Value::Null | Value::Scalar(_) | Value::Map(_) | Value::Invalid => vec![value],
    };
    let mut patterns = Vec::new();
    for item in items {
        match item.scalar() {
            Some(scalar) if !scalar.text().is_empty() => patterns.push(Pattern {
                text: scalar.text().to_owned(),
                shown: scalar.shown().to_owned(),
                span: item.span,
            }),
            _ if item.value == Value::Invalid => {}
            _ => {
                let message = format!("expected a file or a pattern, found {}", item.describe());
                let help = "for example `include: [\"hosts/*.yaml\"]`";
                diags.push(Diagnostic::error(code::WRONG_TYPE, item.span, message).help(help));
            }
        }
    }
    patterns
}

/// A path without `.` and with `..` applied, so that one file has one name. Links are not followed: a file that is
/// reached by two names is still bounded by the count.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other @ (Component::Prefix(_) | Component::RootDir | Component::ParentDir | Component::Normal(_)) => {
                out.push(other);
            }
        }
    }
    out
}

fn display(path: &Path) -> String {
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() }
}

/// The tree under construction, with an index of its keys so that merging costs what is added.
struct Merged {
    node: Node,
    top: HashMap<Box<str>, usize>,
    /// The places of the keys of the maps directly under the top, by the top key. Filled when first needed.
    second: HashMap<Box<str>, HashMap<Box<str>, usize>>,
}

impl Merged {
    fn new(mut node: Node, diags: &mut Diagnostics) -> Self {
        if !check_top(&node, diags) {
            node.value = Value::Invalid;
        }
        let top = index(node.entries());
        Self { node, top, second: HashMap::new() }
    }

    fn add(&mut self, included: Node, diags: &mut Diagnostics) {
        if !check_top(&included, diags) {
            return;
        }
        let Value::Map(added) = included.value else { return };
        if self.node.value == Value::Null {
            self.node.value = Value::Map(Vec::new());
        }
        for entry in added {
            self.entry(entry, diags);
        }
    }

    fn entry(&mut self, entry: Entry, diags: &mut Diagnostics) {
        let Value::Map(entries) = &mut self.node.value else { return };
        let Some(existing) = self.top.get(&entry.key.text).and_then(|at| entries.get_mut(*at)) else {
            self.top.insert(entry.key.text.clone(), entries.len());
            entries.push(entry);
            return;
        };
        match (&mut existing.value.value, entry.value.value) {
            (Value::Map(into), Value::Map(added)) => {
                let known = self.second.entry(entry.key.text).or_insert_with(|| index(into));
                add_entries(into, added, known, diags);
            }
            (Value::Seq(into), Value::Seq(added)) => into.extend(added),
            (Value::Scalar(a), Value::Scalar(b)) if *a == b => {}
            (_, Value::Null | Value::Invalid) | (Value::Invalid, _) => {}
            (into @ Value::Null, added) => *into = added,
            (_, added) => {
                let added = Node { span: entry.value.span, value: added };
                let message = format!(
                    "`{}` is {} here, and {} in another file",
                    entry.key.text,
                    added.describe(),
                    existing.value.describe()
                );
                let diagnostic = Diagnostic::error(code::MERGE_CONFLICT, entry.key.span, message)
                    .help("only maps and lists are merged; write it in one file")
                    .related(existing.key.span, "the other is here");
                diags.push(diagnostic);
            }
        }
    }
}

fn add_entries(
    into: &mut Vec<Entry>,
    added: Vec<Entry>,
    known: &mut HashMap<Box<str>, usize>,
    diags: &mut Diagnostics,
) {
    for entry in added {
        match known.get(&entry.key.text).and_then(|at| into.get(*at)) {
            Some(first) => diags.push(duplicate_key(&entry.key, &first.key)),
            None => {
                known.insert(entry.key.text.clone(), into.len());
                into.push(entry);
            }
        }
    }
}

fn index(entries: &[Entry]) -> HashMap<Box<str>, usize> {
    entries.iter().enumerate().map(|(at, entry)| (entry.key.text.clone(), at)).collect()
}

fn check_top(node: &Node, diags: &mut Diagnostics) -> bool {
    match node.value {
        Value::Map(_) | Value::Null => true,
        Value::Invalid => false,
        Value::Scalar(_) | Value::Seq(_) => {
            let message = format!("expected a map at the top of the file, found {}", node.describe());
            diags.push(
                Diagnostic::error(code::WRONG_TYPE, node.span, message).help("a config begins with `version: 1`"),
            );
            false
        }
    }
}

#[cfg(test)]
mod tests;
