//! What came of each play, and of all together.

use std::time::Duration;

use portcullis_mutants::Mutant;
use serde_json::{Value as Json, json};

use crate::suite::outcome::{Outcome, Status};
use crate::tool::Ended;

/// What came of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A fault, and a criterion that does not hold.
    Caught,
    /// A fault, and all criteria hold.
    Missed,
    /// No fault, and all criteria hold.
    Sound,
    /// No fault, and a criterion that does not hold.
    FalseAlarm,
    /// It could not be told.
    Unclear,
}

impl Found {
    /// By a scene that found this. A fault is caught by the criterion that is meant for it: what else does not hold at that
    /// moment may be the machine's affair.
    fn of(mutant: Option<Mutant>, outcome: &Outcome) -> Self {
        match (mutant, outcome.status()) {
            (_, Status::Invalid) => Self::Unclear,
            (Some(mutant), Status::Failed) if outcome.misses(meant(mutant)) => Self::Caught,
            (Some(_), Status::Failed) => Self::Unclear,
            (Some(_), Status::Passed) => Self::Missed,
            (None, Status::Failed) => Self::FalseAlarm,
            (None, Status::Passed) => Self::Sound,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::Sound => "passes",
            Self::FalseAlarm => "false alarm",
            Self::Unclear => "cannot tell",
        }
    }
}

/// Words of the criterion that is meant to find a fault.
const fn meant(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::SlowLog => "more than without the gateway take longer",
        Mutant::LeakedBuffer => "left behind of a thousand requests",
        Mutant::LostRetryBudget => "more than clients send",
        Mutant::DoubleCountedCap => "a quota: exactly",
        Mutant::BurstOffByOne => "a saved burst: exactly",
        Mutant::ReloadResetsCounters => "over all reloads: exactly",
        Mutant::FailsOnReload => "in flight while a config is loaded",
        Mutant::FailsOn5xx => "5xx: every failure is answered",
        Mutant::FailsOnWebsocket => "through a tunnel",
        Mutant::Tail => "beyond_slo",
        Mutant::Cpu10 => "instructions per request",
    }
}

/// A play.
#[derive(Debug, Clone)]
pub(super) struct Row {
    finder: &'static str,
    mutant: Option<Mutant>,
    found: Found,
    /// What does not hold, or why it could not be told, each with what was found.
    by: Vec<String>,
    took: Duration,
}

impl Row {
    pub(super) fn new(finder: &'static str, mutant: Option<Mutant>, outcome: &Outcome, took: Duration) -> Self {
        let mut by = outcome.complaints();
        if let Some(mutant) = mutant {
            by.sort_by_key(|complaint| !complaint.contains(meant(mutant)));
        }
        Self { finder, mutant, found: Found::of(mutant, outcome), by, took }
    }

    /// Whether it is to be played again.
    pub(super) fn is_unclear(&self) -> bool {
        self.found == Found::Unclear
    }

    const fn name(&self) -> &'static str {
        match self.mutant {
            Some(mutant) => mutant.name(),
            None => "none",
        }
    }

    /// For people, while it goes on.
    pub(super) fn line(&self) -> String {
        let mut line = format!("  {} in {:.0} s", self.found.name(), self.took.as_secs_f64());
        for by in &self.by {
            line.push_str("\n    ");
            line.push_str(by);
        }
        line
    }

    /// For machines.
    pub(super) fn json(&self) -> Json {
        json!({
            "mutant": self.name(),
            "scene": self.finder,
            "found": self.found.name(),
            "by": self.by,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// All plays as a table.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut text = "| mutant | scene | | by |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let by = row.by.first().map_or("", String::as_str).replace('|', "/");
        text.push_str(&format!("| `{}` | `{}` | {} | {by} |\n", row.name(), row.finder, row.found.name()));
    }
    text
}

/// How all ended: passed only when every mutant is caught, and nothing else.
pub(super) fn ended(rows: &[Row]) -> Ended {
    let any = |found: &[Found]| rows.iter().any(|row| found.contains(&row.found));
    if any(&[Found::Missed, Found::FalseAlarm]) {
        Ended::Missed
    } else if any(&[Found::Unclear]) {
        Ended::Invalid
    } else {
        Ended::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mutant: Option<Mutant>, outcome: &Outcome) -> Row {
        Row::new("keys", mutant, outcome, Duration::from_secs(7))
    }

    fn outcome(holds: bool) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.expect("a saved burst: exactly 25 are let in", holds, "26 were");
        outcome
    }

    #[test]
    fn who_is_caught_missed_or_wrongly_accused_decides_and_then_what_could_not_be_told() {
        let (holds, fails) = (outcome(true), outcome(false));
        let mut late = outcome(false);
        late.excuse("the tool was late");
        let mut other = Outcome::default();
        other.expect("race: its p99 at most 50 ms", false, "99 ms");
        let fault = Some(Mutant::BurstOffByOne);
        for (rows, ends) in [
            (vec![row(None, &holds), row(fault, &fails)], Ended::Passed),
            (vec![row(None, &fails), row(fault, &fails)], Ended::Missed),
            (vec![row(None, &holds), row(fault, &holds)], Ended::Missed),
            (vec![row(None, &holds), row(fault, &late)], Ended::Invalid),
            (vec![row(None, &holds), row(fault, &other)], Ended::Invalid),
            (vec![row(None, &late), row(fault, &holds)], Ended::Missed),
        ] {
            assert_eq!(ended(&rows), ends, "{rows:?}");
        }
    }

    #[test]
    fn the_table_says_by_what() {
        let text = markdown(&[row(None, &outcome(true)), row(Some(Mutant::BurstOffByOne), &outcome(false))]);
        let expected = "| `none` | `keys` | passes |  |\n\
                        | `burst_off_by_one` | `keys` | caught | a saved burst: exactly 25 are let in: 26 were |\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
