//! The effect of a change as text for people and as JSON for tools.

use std::fmt;
use std::time::Duration;

use portcullis_types::quantity::format_duration;
use serde_json::{Value, json};

use super::{Found, Replay, Share};
use crate::output::count;

/// How many things of a kind the text names.
const LISTED: usize = 10;
/// How many kinds of moved requests are told.
const GROUPS: usize = 20;

impl Found {
    pub(super) fn to_json(&self) -> Value {
        let shares = |shares: &[Share]| -> Vec<Value> {
            let one = |one: &Share| json!({ "name": one.name, "requests": one.requests, "share": self.share(one) });
            shares.iter().map(one).collect()
        };
        let plan = |(name, consumers): &(String, usize)| json!({ "name": name, "consumers": consumers });
        json!({
            "window_seconds": self.window.as_secs(),
            "requests": self.total,
            "hosts": shares(&self.hosts),
            "routes": shares(&self.routes),
            "clusters": shares(&self.clusters),
            "plans": self.plans.iter().map(plan).collect::<Vec<_>>(),
            "replay": self.replay.to_json(),
        })
    }

    /// A share of all requests, 0 to 1; `None` where there were none.
    fn share(&self, one: &Share) -> Option<f64> {
        (self.total > 0).then(|| (ratio(one.requests, self.total) * 10_000.0).round() / 10_000.0)
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, what: &str, shares: &[Share]) -> fmt::Result {
        if shares.is_empty() {
            return Ok(());
        }
        let one = |one: &Share| match self.share(one) {
            Some(share) => format!("{} {:.1} %", one.name, share * 100.0),
            None => one.name.clone(),
        };
        let shown: Vec<String> = shares.iter().take(LISTED).map(one).collect();
        let more = shares.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        writeln!(f, "  {what:<10}{}{more}", shown.join(", "))
    }
}

/// A number as a part of another, as near as a float says it.
fn ratio(part: u64, whole: u64) -> f64 {
    let float = |number: u64| {
        f64::from(u32::try_from(number >> 20).unwrap_or(u32::MAX)) * 1_048_576.0
            + f64::from(u32::try_from(number & 0xf_ffff).unwrap_or_default())
    };
    float(part) / float(whole).max(1.0)
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = format_duration(Duration::from_secs(self.window.as_secs()));
        let requests = count(usize::try_from(self.total).unwrap_or(usize::MAX), "request");
        let touched = !(self.hosts.is_empty() && self.routes.is_empty() && self.clusters.is_empty());
        if touched {
            writeln!(f, "carried in the last {window}, of {requests}:")?;
            self.line(f, "hosts", &self.hosts)?;
            self.line(f, "routes", &self.routes)?;
            self.line(f, "clusters", &self.clusters)?;
        }
        for (plan, consumers) in &self.plans {
            writeln!(f, "  the plan {plan} holds {}", count(*consumers, "consumer"))?;
        }
        self.replay.fmt(f)
    }
}

impl Replay {
    fn to_json(&self) -> Value {
        let group = |((before, after), group): &(&(super::Way, super::Way), &super::Group)| {
            let examples: Vec<String> = group.examples.iter().map(ToString::to_string).collect();
            json!({ "from": before.to_string(), "to": after.to_string(), "count": group.count, "examples": examples })
        };
        let moved = self.moved();
        json!({
            "recorded": self.recorded,
            "same": self.same,
            "elsewhere": self.moves(),
            "moved": moved.iter().take(GROUPS).map(group).collect::<Vec<_>>(),
            "moved_left_out": moved.len().saturating_sub(GROUPS),
            "undecidable": self.open,
            "not_replayable": self.not_replayable,
            "left_out": self.left_out,
        })
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: usize = self.open.values().sum();
        let replayed = self.same + self.moves() + open;
        if replayed == 0 {
            return writeln!(f, "no recorded request to replay");
        }
        writeln!(f, "of {} replayed, {} would go elsewhere", count(replayed, "recorded request"), self.moves())?;
        let moved = self.moved();
        for ((before, after), group) in moved.iter().take(GROUPS) {
            let examples: Vec<String> = group.examples.iter().map(ToString::to_string).collect();
            writeln!(f, "  {} from {before} to {after}, for example {}", group.count, examples.join(" and "))?;
        }
        if moved.len() > GROUPS {
            writeln!(f, "  and {} more ways", moved.len() - GROUPS)?;
        }
        for (what, number) in &self.open {
            writeln!(f, "  {number} cannot be told: {what} is not recorded")?;
        }
        if self.left_out > 0 {
            writeln!(f, "  {} were left out: the time was over", self.left_out)?;
        }
        Ok(())
    }
}
