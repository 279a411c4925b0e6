//! What a writer says of its troubles in the process's own log: at once, then seldom, then that they are over.
//!
//! Pure: the caller brings the counts and the time.

use std::io;
use std::time::{Duration, Instant};

/// One thing to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The output refuses lines; lost in this trouble so far.
    Failing { error: String, lost: u64 },
    /// The queue is full; lost in this trouble so far.
    Slow { lost: u64 },
    /// The trouble is over; lost in it.
    Recovered { lost: u64 },
}

#[derive(Debug)]
pub(super) struct Reporter {
    remind_after: Duration,
    /// The trouble that was said last, and when.
    said: Option<Instant>,
    error: Option<String>,
    full: u64,
    failed: u64,
    /// Lines lost in this trouble so far.
    total: u64,
}

impl Reporter {
    pub(super) const fn new(remind_after: Duration) -> Self {
        Self { remind_after, said: None, error: None, full: 0, failed: 0, total: 0 }
    }

    /// Notes the error of a write that failed.
    pub(super) fn failed(&mut self, error: &io::Error) {
        self.error = Some(error.to_string());
    }

    /// What is to be said now, given the lines lost since the start. To be asked after each batch.
    pub(super) fn due(&mut self, full: u64, failed: u64, now: Instant) -> Option<Report> {
        let lost = (full - self.full) + (failed - self.failed);
        let error = self.error.take();
        if lost == 0 && error.is_none() {
            let over = self.said.take().map(|_| Report::Recovered { lost: self.total });
            self.total = 0;
            return over;
        }
        (self.full, self.failed) = (full, failed);
        self.total += lost;
        let quiet = self.said.is_some_and(|said| now.duration_since(said) < self.remind_after);
        if quiet {
            return None;
        }
        self.said = Some(now);
        let lost = self.total;
        Some(error.map_or(Report::Slow { lost }, |error| Report::Failing { error, lost }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_at_once_then_seldom_then_that_it_is_over() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut reporter = Reporter::new(Duration::from_secs(10));
        assert_eq!(reporter.due(0, 0, at(0)), None);
        reporter.failed(&io::Error::other("disk full"));
        assert_eq!(reporter.due(0, 5, at(1)), Some(Report::Failing { error: "disk full".to_owned(), lost: 5 }));
        reporter.failed(&io::Error::other("disk full"));
        assert_eq!(reporter.due(0, 9, at(5)), None);
        assert_eq!(reporter.due(2, 9, at(11)), Some(Report::Slow { lost: 11 }));
        assert_eq!(reporter.due(2, 9, at(12)), Some(Report::Recovered { lost: 11 }));
        assert_eq!(reporter.due(2, 9, at(13)), None);
        assert_eq!(reporter.due(3, 9, at(14)), Some(Report::Slow { lost: 1 }));
    }
}
