//! The clusters' names, and the look-up that every reference to one goes through.

use std::collections::HashMap;

use portcullis_snapshot::ClusterIdx;
use portcullis_yaml::{Diagnostic, Named, Spanned, suggest};

use super::Compiler;
use crate::code;
use crate::raw::clusters::RawCluster;

/// The clusters as they are written, with their places.
pub(crate) struct ClusterNames<'a> {
    raw: &'a Named<Spanned<RawCluster>>,
    by_name: HashMap<&'a str, ClusterIdx>,
}

impl<'a> ClusterNames<'a> {
    pub(crate) fn new(raw: &'a Named<Spanned<RawCluster>>) -> Self {
        Self { raw, by_name: raw.names().zip((0_u32..).map(ClusterIdx)).collect() }
    }
}

impl Compiler<'_, '_> {
    /// The cluster that a place names. `None` after an error was pushed, here or where the cluster is written.
    pub(super) fn cluster_named(&mut self, name: &Spanned<impl AsRef<str>>) -> Option<ClusterIdx> {
        let text = name.value.as_ref();
        if let Some(&index) = self.clusters.by_name.get(text) {
            self.used.insert(index);
            return Some(index);
        }
        if self.clusters.raw.declares(text) {
            return None;
        }
        let names: Vec<&str> = self.clusters.raw.names().collect();
        let near = suggest(text, names.iter().copied());
        let diagnostic = Diagnostic::error(code::UNKNOWN_CLUSTER, name.span, format!("there is no cluster `{text}`"));
        let known = || match names.as_slice() {
            [] => "there are no clusters; add it under `clusters`".to_owned(),
            names => format!("the clusters are {}", abridged(names)),
        };
        let diagnostic = diagnostic.help_suggest(near, known);
        self.cx.fail(diagnostic)
    }
}

/// The first few of a list.
fn abridged(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown: Vec<&str> = names.iter().take(MOST).copied().collect();
    match names.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
