//! The one word, and the reasons in the order of their harm.

use std::time::SystemTime;

use crate::finding::{Finding, Severity};

/// The one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is wrong.
    Healthy,
    /// Some requests suffer, or soon will.
    Degraded,
    /// Many requests fail.
    Failing,
}

impl State {
    /// All, from the best.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Failing];

    /// The word of answers and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

/// A finding, and since when it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// What was found.
    pub finding: Finding,
    /// Since when.
    pub since: SystemTime,
}

/// What is to be said of a gateway in one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The one word.
    pub state: State,
    /// Why, the most harmful first: by severity, then by the share of requests that suffer, then by the rank of the kind.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// Puts reasons in their order.
    #[must_use]
    pub fn of(mut reasons: Vec<Reason>) -> Self {
        let share = |reason: &Reason| reason.finding.affected.share.unwrap_or_default();
        reasons.sort_by(|a, b| {
            let severity = b.finding.severity.cmp(&a.finding.severity);
            let harm = severity.then_with(|| share(b).total_cmp(&share(a)));
            harm.then_with(|| (a.finding.kind, &a.finding.of).cmp(&(b.finding.kind, &b.finding.of)))
        });
        let state = match reasons.first().map(|reason| reason.finding.severity) {
            Some(Severity::Failing) => State::Failing,
            Some(Severity::Degraded) => State::Degraded,
            Some(Severity::Information) | None => State::Healthy,
        };
        Self { state, reasons }
    }
}
