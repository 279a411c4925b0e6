//! Entries of the history as JSON for tools and as text for people, and two of them compared.

use std::fmt::Write as _;

use portcullis_config::{Checked, Diff, Loaded, diff};
use portcullis_telemetry::timestamp::timestamp;
use portcullis_yaml::render_text;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{Entry, History, Meta};
use crate::world::{Texts, World};

/// What a list shows of an entry.
pub(crate) fn row(meta: &Meta) -> Value {
    let mut row = meta.to_json();
    if let Some(object) = row.as_object_mut() {
        object.remove("at_unix_ms");
        object.insert("at".to_owned(), json!(timestamp(meta.at)));
    }
    row
}

/// An entry with all that it holds; secrets that stand in its texts are not hidden.
pub(crate) fn whole(entry: &Entry) -> Value {
    let mut whole = row(&entry.meta);
    if let Some(object) = whole.as_object_mut() {
        let texts = entry.sources.texts().map(|(name, text)| json!({ "name": name, "text": text }));
        object.insert("sources".to_owned(), texts.collect());
        object.insert("diff".to_owned(), json!(entry.diff));
        object.insert("says".to_owned(), json!(entry.says));
    }
    whole
}

/// What the second generation changes against the first, both read anew.
pub(crate) fn compare(world: &World, history: &History, (from, to): (u64, u64)) -> Result<Diff, String> {
    let read = |number| {
        let entry = history.entry(number)?;
        let Loaded { candidate, diagnostics, sources, .. } = world.read(Texts::Kept(&entry.sources)).0;
        let why = || format!("generation {number} cannot be read any more:\n{}", render_text(&diagnostics, &sources));
        candidate.map(|candidate| candidate.checked().clone()).ok_or_else(why)
    };
    let (before, after): (Arc<Checked>, Arc<Checked>) = (read(from)?, read(to)?);
    Ok(diff(&before, &after))
}

/// A list of rows in aligned columns.
pub(crate) fn list(rows: &[Value]) -> String {
    let line = |row: &Value| {
        let verdict = row.get("verdict").and_then(|verdict| verdict.get("says")).and_then(Value::as_str);
        let said = [text(row, "note"), verdict.unwrap_or_default().to_owned()];
        let said: Vec<String> = said.into_iter().filter(|said| !said.is_empty()).collect();
        let of = row.get("of").and_then(Value::as_u64).map(|of| format!(" of {of}")).unwrap_or_default();
        [
            text(row, "generation"),
            text(row, "at"),
            text(row, "who"),
            format!("{}{of}", text(row, "trigger")),
            text(row, "outcome"),
            text(row, "summary"),
            said.join("; "),
        ]
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

/// An entry as text: what a list says and more, and what it changed.
pub(crate) fn page(whole: &Value) -> String {
    let mut out = String::new();
    let keys = ["generation", "at", "who", "trigger", "of", "note", "outcome", "summary", "hash"];
    for (key, value) in keys.map(|key| (key, text(whole, key))).iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{key:12}{value}");
    }
    if let Some(verdict) = whole.get("verdict").and_then(|verdict| verdict.get("says")).and_then(Value::as_str) {
        let _ = writeln!(out, "{:12}{verdict}", "verdict");
    }
    let includes = whole.get("sources").and_then(Value::as_array).map_or(0, |sources| sources.len().saturating_sub(1));
    let _ = writeln!(out, "{:12}{includes}", "includes");
    for key in ["says", "diff"] {
        out.push_str(&text(whole, key));
    }
    out
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
