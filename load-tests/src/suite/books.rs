//! The books of client, gateway and origin, reconciled: what was sent, what has a record, and what arrived.

use std::time::Duration;

use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;

use crate::Failure;

use super::kit::{Edge, until};
use super::outcome::Notes;
use super::served::Bad;

/// How long what is on its way may take to show in counters. Nobody waits for it where all is well.
pub(super) const SETTLE: Duration = Duration::from_secs(20);

/// The books of a gateway and an origin, opened before a load and closed behind it.
#[derive(Debug)]
pub(super) struct Books<'a> {
    edge: &'a Edge,
    origin: &'a Origin,
    before: [u64; 2],
}

impl<'a> Books<'a> {
    pub(super) fn open(edge: &'a Edge, origin: &'a Origin) -> Result<Self, Failure> {
        Ok(Self { edge, origin, before: [edge.requests()?, origin.requests()] })
    }

    /// What the gateway and the origin counted since.
    pub(super) fn since(&self) -> Result<[u64; 2], Failure> {
        let [edge, origin] = self.before;
        Ok([self.edge.requests()?.saturating_sub(edge), self.origin.requests().saturating_sub(origin)])
    }

    /// Attempts that the gateway has made at the origin in all its life, those that were repeated among them.
    pub(super) fn attempts(&self) -> Result<u64, Failure> {
        self.edge.count_of("portcullis_endpoint_attempts_total")
    }

    /// Attempts of the gateway in all its life that repeated another.
    pub(super) fn retries(&self) -> Result<u64, Failure> {
        self.edge.count_of("portcullis_cluster_retries_total")
    }

    /// Both must have counted so many. Of the `unsure`, whose time was up at the client, nobody knows how far they came.
    pub(super) fn close(&self, outcome: &Notes, name: &str, expected: [u64; 2], unsure: u64) -> Result<(), Failure> {
        until(SETTLE, || Ok(agree(self.since()?, expected, unsure)));
        let found = self.since()?;
        let ([edge, origin], [sent, passed]) = (found, expected);
        let late = if unsure == 0 { String::new() } else { format!("; {unsure} were given up") };
        outcome.count(
            format!("{name}: the books of client, gateway and origin agree"),
            agree(found, expected, unsure),
            format!(
                "{sent} at the client, {edge} at the gateway; {passed} of them to the origin, {origin} there{late}"
            ),
        );
        Ok(())
    }

    /// The same of loads of which every request that is not refused is passed on once.
    pub(super) fn close_even(&self, outcome: &Notes, name: &str, tallies: &[&Tally]) -> Result<(), Failure> {
        let (sent, bad) = Bad::of_all(tallies);
        self.close(outcome, name, [sent, sent - bad.refused], bad.late)
    }
}

/// Whether two counts are what they must be, but for those of which nobody knows.
pub(super) fn agree(found: [u64; 2], expected: [u64; 2], unsure: u64) -> bool {
    found.into_iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= unsure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_or_less_is_too_much_unless_it_was_given_up() {
        for (found, unsure, agreed) in [
            ([100, 90], 0, true),
            ([101, 90], 0, false),
            ([100, 89], 0, false),
            ([99, 89], 1, true),
            ([98, 90], 1, false),
        ] {
            assert_eq!(agree(found, [100, 90], unsure), agreed, "{found:?} {unsure}");
        }
    }
}
