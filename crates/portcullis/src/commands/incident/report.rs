//! The beginning of a post-mortem.

use serde_json::Value;
use std::fmt::Write as _;

use crate::commands::requests::plain;
use crate::commands::verdict;

/// What is known when it is gathered.
pub(super) struct Report<'a> {
    pub(super) at: &'a str,
    pub(super) note: &'a str,
    pub(super) status: &'a Value,
}

impl Report<'_> {
    /// Markdown; what people have to fill in stands in brackets.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let note = if self.note.is_empty() { "[one line: what happened]".to_owned() } else { plain(self.note) };
        // Writing to a string does not fail.
        let _ = writeln!(out, "# Post-mortem: {note}\n\nGathered {}. Status: draft. Authors: [names]\n", self.at);
        out.push_str(
            "## Summary\n\n[two or three sentences that somebody outside the team understands]\n\n## Impact\n\n",
        );
        out.push_str(&self.impact());
        out.push_str("\n## What the gateway said\n\n```\n");
        out.push_str(&self.status.get("verdict").map(verdict::render).unwrap_or_default());
        out.push_str("```\n\n## Timeline\n\nTimes are UTC.\n\n");
        out.push_str(&self.events());
        out.push_str(
            "\n## Cause\n\n[what let it happen, not who]\n\n## How it was noticed\n\n[which alert, after how long; or by whom]\n\n\
             ## How it ended\n\n[what was done, and what that changed]\n\n## What went well, what did not, where we were lucky\n\n\
             [lists]\n\n## What is to be done\n\n| what | who | by when | prevents, notices or softens |\n|---|---|---|---|\n| | | | |\n\n\
             ## Evidence\n\nThe files beside this one. `failed-requests.json` has the records of what failed, `timeline.json` the last \
             fifteen minutes in steps of five seconds, `missing.txt` what could not be gathered.\n",
        );
        out
    }

    fn impact(&self) -> String {
        let reasons = self.reasons();
        let share = reasons.iter().filter_map(|one| one.get("affected")?.get("share_of_traffic")?.as_f64());
        let share = share.fold(None, |most: Option<f64>, share| Some(most.map_or(share, |most| most.max(share))));
        let mut names: Vec<&str> = Vec::new();
        for key in ["hosts", "consumers"] {
            let lists = reasons.iter().filter_map(|one| one.get("affected")?.get(key)?.as_array());
            for name in lists.flatten().filter_map(Value::as_str) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let share = share.map_or_else(
            || "[share of requests]".to_owned(),
            |share| format!("up to {:.0} % of the last requests", share * 100.0),
        );
        let names = if names.is_empty() { "[hosts and consumers]".to_owned() } else { names.join(", ") };
        format!("{share}; {}. From [time] to [time]. Error budget used: [share].\n", plain(&names))
    }

    fn events(&self) -> String {
        let text = |value: &Value, key: &str| plain(value.get(key).and_then(Value::as_str).unwrap_or_default());
        let mut events: Vec<(String, String)> =
            self.reasons().iter().map(|one| (text(one, "since"), text(one, "says"))).collect();
        let reloads = self.status.get("reloads").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        events.extend(reloads.iter().map(|one| {
            let says = format!("config ({}) {}: {}", text(one, "trigger"), text(one, "outcome"), text(one, "summary"));
            (text(one, "at"), says)
        }));
        events.sort();
        let mut out: String = events.iter().map(|(at, says)| format!("- {at} {says}\n")).collect();
        out.push_str("- [time] [who did what, and why]\n");
        out
    }

    fn reasons(&self) -> &[Value] {
        let reasons = self.status.get("verdict").and_then(|verdict| verdict.get("reasons")?.as_array());
        reasons.map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_known_is_filled_in() {
        let status = json!({
            "verdict": { "state": "failing", "reasons": [{
                "severity": "failing", "says": "no endpoint of the cluster a may be used", "since": "2026-03-01T00:01:00Z",
                "for_seconds": 5.0, "evidence": [], "affected": { "hosts": ["h"], "consumers": ["acme"], "share_of_traffic": 0.5 } }] },
            "reloads": [{ "at": "2026-03-01T00:00:00Z", "trigger": "api", "outcome": "applied", "summary": "1 change" }],
        });
        let text = Report { at: "now", note: "", status: &status }.text();
        assert!(text.contains("up to 50 % of the last requests; h, acme."), "{text}");
        let (config, down) = (text.find("config (api) applied"), text.find("2026-03-01T00:01:00Z no endpoint"));
        assert!(config.is_some() && config < down, "{text}");
        let named = Report { at: "now", note: "disk full", status: &Value::Null }.text();
        assert!(named.starts_with("# Post-mortem: disk full\n") && named.contains("[share of requests]"));
    }
}
