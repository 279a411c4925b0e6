//! How loads of consumers and of issuers' keys went: for the status, the admin API and metrics.

use std::time::Duration;

use crate::time::Timestamp;

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was read serves.
    Loaded,
    /// It was wrong, and what served before still does.
    Refused,
}

/// A load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What changed, or what is wrong: a line each. Repeats no value that may be a secret.
    pub says: Vec<String>,
}

/// The loads so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The last one, however it ended.
    pub last: Option<Report>,
    /// When what serves was loaded.
    pub serves_since: Option<Timestamp>,
    /// Loads that serve or served.
    pub loaded: u64,
    /// Loads that were refused.
    pub refused: u64,
}

impl Status {
    pub(super) fn take(&mut self, report: Report) {
        match report.outcome {
            Outcome::Loaded => {
                self.loaded += 1;
                self.serves_since = Some(report.at);
            }
            Outcome::Refused => self.refused += 1,
        }
        self.last = Some(report);
    }
}
