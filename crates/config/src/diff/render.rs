//! A diff as text for people and as JSON for tools.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value as Json, json};

use super::{Change, ChangeKind, Diff};

/// How many hosts or routes the text names.
const LISTED: usize = 20;

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        let Some(key) = &self.key else { return write!(f, "{what} {}", self.kind.as_str()) };
        match (&self.from, &self.to) {
            _ if self.secret => write!(f, "{what}: {key} changed (secret)"),
            (Some(from), Some(to)) => write!(f, "{what}: {key} {from} → {to}"),
            (None, Some(to)) => write!(f, "{what}: {key} set to {to}"),
            (Some(from), None) => write!(f, "{what}: {key} removed (was {from})"),
            (None, None) => write!(f, "{what}: {key} changed"),
        }
    }
}

impl fmt::Display for Diff {
    /// A line per difference, with `+`, `-` or `~` in front, then what is touched.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no change");
        }
        for change in &self.changes {
            let sign = match change.kind {
                ChangeKind::Added => '+',
                ChangeKind::Removed => '-',
                ChangeKind::Changed | ChangeKind::Moved => '~',
            };
            writeln!(f, "{sign} {change}")?;
        }
        touched(f, "hosts", &self.hosts)?;
        touched(f, "routes", &self.routes)
    }
}

fn touched(f: &mut fmt::Formatter<'_>, what: &str, names: &BTreeSet<String>) -> fmt::Result {
    if names.is_empty() {
        return writeln!(f, "touches no {what}");
    }
    let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    writeln!(f, "touches {what}: {}{more}", shown.join(", "))
}

impl Diff {
    /// The diff as JSON: `changes` (objects with `kind`, `what`, `key`, `from`, `to`, `secret`, `text`), `hosts` and
    /// `routes`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let change = |change: &Change| {
            json!({
                "kind": change.kind.as_str(),
                "what": change.what,
                "key": change.key,
                "from": change.from,
                "to": change.to,
                "secret": change.secret,
                "text": change.to_string(),
            })
        };
        let changes: Vec<Json> = self.changes.iter().map(change).collect();
        json!({ "changes": changes, "hosts": self.hosts, "routes": self.routes })
    }
}
