//! What came of a scene: what was asked for, what was found, and whether the machine could tell.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

/// How a scene ended, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// All criteria hold.
    Passed,
    /// The machine, the tool or the installation could not tell.
    Invalid,
    /// A criterion does not hold.
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
        }
    }
}

/// A criterion, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: String,
    holds: bool,
    found: String,
    /// Whether it must hold whatever the machine does.
    always: bool,
}

/// What came of a scene.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    findings: Vec<Finding>,
    flaws: Vec<String>,
    /// What the machine did not hold.
    excuses: Vec<String>,
    numbers: Map<String, Json>,
}

impl Outcome {
    /// Of a scene that could not be played.
    pub(super) fn invalid(why: &str) -> Self {
        Self { flaws: vec![why.to_owned()], ..Self::default() }
    }

    /// Something must hold, and this was found.
    pub(super) fn expect(&mut self, what: impl Display, holds: bool, found: impl Display) {
        self.findings.push(Finding { what: what.to_string(), holds, found: found.to_string(), always: false });
    }

    /// Something must hold whatever the machine does, such as a count that no lateness changes: nothing excuses it.
    pub(super) fn insist(&mut self, what: impl Display, holds: bool, found: impl Display) {
        self.findings.push(Finding { what: what.to_string(), holds, found: found.to_string(), always: true });
    }

    /// It says nothing, and why.
    pub(super) fn invalidate(&mut self, why: &str) {
        self.flaws.push(why.to_owned());
    }

    /// The machine did not hold the load, and why one thinks so. It takes nothing from what holds nevertheless; what does not
    /// hold is invalid, and no failure.
    pub(super) fn excuse(&mut self, why: &str) {
        self.excuses.push(why.to_owned());
    }

    /// What came of a part.
    pub(super) fn append(&mut self, part: Self) {
        let Self { findings, flaws, excuses, numbers } = part;
        self.findings.extend(findings);
        self.flaws.extend(flaws);
        self.excuses.extend(excuses);
        self.numbers.extend(numbers);
    }

    /// A figure to keep.
    pub(super) fn number(&mut self, name: &str, value: impl Into<Json>) {
        self.numbers.insert(name.to_owned(), value.into());
    }

    /// How it ended.
    pub(super) fn status(&self) -> Status {
        if self.findings.iter().any(|finding| finding.always && !finding.holds) {
            return Status::Failed;
        }
        let holds = self.findings.iter().all(|finding| finding.holds);
        match (self.flaws.is_empty(), holds, self.excuses.is_empty()) {
            (false, ..) | (true, false, false) => Status::Invalid,
            (true, true, _) => Status::Passed,
            (true, false, true) => Status::Failed,
        }
    }

    /// Whether a criterion with these words does not hold.
    pub(super) fn misses(&self, words: &str) -> bool {
        self.findings.iter().any(|finding| !finding.holds && finding.what.contains(words))
    }

    /// What does not hold, with what was found; of what cannot be told, why not.
    pub(super) fn complaints(&self) -> Vec<String> {
        let broken = self.findings.iter().filter(|finding| !finding.holds);
        let broken = broken.map(|finding| format!("{}: {}", finding.what, finding.found));
        match self.status() {
            Status::Passed => Vec::new(),
            Status::Failed => broken.collect(),
            Status::Invalid => broken.chain(self.flaws.iter().chain(&self.excuses).cloned()).collect(),
        }
    }

    /// For people.
    pub(super) fn text(&self, name: &str, took: Duration) -> String {
        let mut text = format!("{name}: {} in {:.1} s\n", self.status().name().to_uppercase(), took.as_secs_f64());
        for finding in &self.findings {
            let mark = if finding.holds { "ok  " } else { "FAIL" };
            text.push_str(&format!("  {mark} {}: {}\n", finding.what, finding.found));
        }
        for excuse in &self.excuses {
            text.push_str(&format!("  the machine: {excuse}\n"));
        }
        for flaw in &self.flaws {
            text.push_str(&format!("  INVALID {flaw}\n"));
        }
        text
    }

    /// For machines.
    pub(super) fn json(&self, name: &str, what: &str, took: Duration) -> Json {
        let findings = self.findings.iter();
        let findings = findings.map(|one| json!({ "criterion": one.what, "holds": one.holds, "found": one.found }));
        json!({
            "name": name,
            "what": what,
            "status": self.status().name(),
            "seconds": took.as_secs_f64(),
            "findings": findings.collect::<Vec<_>>(),
            "flaws": self.flaws,
            "excuses": self.excuses,
            "numbers": self.numbers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_criterion_that_does_not_hold_fails_it_and_a_flaw_makes_it_invalid() {
        let mut outcome = Outcome::default();
        outcome.expect("nothing fails", true, 0);
        assert_eq!(outcome.status(), Status::Passed);
        outcome.expect("p99 at most 5 ms", false, "7 ms");
        assert_eq!(outcome.status(), Status::Failed);
        let text = outcome.text("a", Duration::from_secs(1));
        assert_eq!(text, "a: FAILED in 1.0 s\n  ok   nothing fails: 0\n  FAIL p99 at most 5 ms: 7 ms\n");
        outcome.excuse("late");
        assert_eq!(outcome.status(), Status::Invalid, "it could not be told");
        let mut held = Outcome::default();
        held.expect("nothing fails", true, 0);
        held.excuse("late");
        assert_eq!(held.status(), Status::Passed, "what holds on a bad machine holds");
        outcome.invalidate("the machine");
        let mut counted = outcome.clone();
        counted.insist("exactly 25 are let in", false, 26);
        assert_eq!(counted.status(), Status::Failed, "no lateness makes 26 of 25");
        assert_eq!(outcome.json("a", "b", Duration::ZERO)["status"], "invalid");
    }
}
