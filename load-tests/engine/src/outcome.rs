//! What becomes of a request: it succeeds, is refused, or fails, and nothing else. Pure.

use std::collections::BTreeMap;
use std::fmt;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// There was no connection.
    Connect,
    /// The connection ended before the answer was whole.
    Reset,
    /// The other side ended a WebSocket in good order, by a close frame of 1001 or 1012, before the answer came.
    Goodbye,
    /// The answer was not whole in time.
    Timeout,
    /// A status that the plan neither expects nor calls a refusal.
    Status,
    /// What came is no answer of the protocol.
    Malformed,
    /// A whole answer that is not the one to this request: another id, another body.
    Mismatch,
    /// It was still held back, or under way, when the load gave up.
    Unfinished,
}

impl Kind {
    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Goodbye => "goodbye",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered as the plan expects.
    Succeeded,
    /// It was answered, and the answer says that the other side will not.
    Refused,
    /// Anything else.
    Failed(Kind),
}

/// Requests by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests with an outcome that succeeded.
    pub succeeded: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that failed, by kind.
    pub failed: BTreeMap<Kind, u64>,
}

impl Counts {
    /// Counts one.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Failed(kind) => *self.failed.entry(kind).or_default() += 1,
        }
    }

    /// Requests that failed, of all kinds.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Requests with an outcome, which is every request that was sent once the load is over.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.succeeded + self.refused + self.failures()
    }

    /// Requests that were answered, by whatever status: what the other side must have counted too.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let of = |kind| self.failed.get(&kind).copied().unwrap_or_default();
        self.succeeded + self.refused + of(Kind::Status) + of(Kind::Mismatch)
    }

    /// Adds those of another load.
    pub fn merge(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        for (kind, count) in &other.failed {
            *self.failed.entry(*kind).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    /// As `120 sent, 118 succeeded, 1 refused, 1 failed (reset 1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, failures) = (self.sent(), self.failures());
        write!(f, "{sent} sent, {} succeeded, {} refused, {failures} failed", self.succeeded, self.refused)?;
        let kinds: Vec<String> = self.failed.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if kinds.is_empty() { Ok(()) } else { write!(f, " ({})", kinds.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_the_sum_of_what_became_of_it() {
        let mut counts = Counts::default();
        for outcome in [
            Outcome::Succeeded,
            Outcome::Refused,
            Outcome::Failed(Kind::Reset),
            Outcome::Failed(Kind::Status),
            Outcome::Failed(Kind::Reset),
        ] {
            counts.add(outcome);
        }
        assert_eq!((counts.sent(), counts.failures(), counts.answered()), (5, 3, 3));
        assert_eq!(counts.to_string(), "5 sent, 1 succeeded, 1 refused, 3 failed (reset 2, status 1)");
        let mut twice = counts.clone();
        twice.merge(&counts);
        assert_eq!((twice.sent(), twice.failed.get(&Kind::Reset)), (10, Some(&4)));
    }
}
