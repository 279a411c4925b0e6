//! Requests that were not answered as they should, and what that can mean.
//!
//! No lateness cuts a connection, changes a byte or makes a 500. It does let requests run out of time, at the client or at the gateway
//! (504), and a gateway that is kept from its core for half a second refuses by `event_loop_delay`: these alone may be the machine's
//! fault, where it took enough of that very window.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use portcullis_engine::outcome::Kind;
use portcullis_engine::tally::{Failed, Tally, Unasked};

use super::kit::ms;
use super::outcome::Notes;
use super::part::Part;

/// How long a request may take for an answer unless somebody says less: the tool's own bound.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a gateway is late until it refuses.
pub(super) const SHEDS_AFTER: Duration = Duration::from_millis(500);

/// Requests by what can explain them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bad {
    /// Nothing but the gateway: another status, a cut, other bytes.
    pub(super) wrong: u64,
    /// Their time was up.
    pub(super) late: u64,
    /// Refused, or answered 503.
    pub(super) refused: u64,
}

impl Bad {
    /// Of a load of which nothing may fail or be refused.
    pub(super) fn of(tally: &Tally) -> Self {
        let failed = Self::failed(tally);
        Self { refused: failed.refused + tally.all.refused, ..failed }
    }

    /// Of several loads together, with how many requests they sent.
    pub(super) fn of_all(tallies: &[&Tally]) -> (u64, Self) {
        let mut bad = Self::default();
        tallies.iter().for_each(|tally| bad += Self::of(tally));
        (tallies.iter().map(|tally| tally.all.sent()).sum(), bad)
    }

    /// Of a load that may be refused.
    pub(super) fn failed(tally: &Tally) -> Self {
        // Those that are too many to be kept one by one are wrong.
        let kept = Self::among(tally.failed.iter());
        let beyond = tally.all.failures().saturating_sub(tally.failed.len() as u64);
        // Behind what nobody asked for no answer is known to be that of its request.
        Self { wrong: kept.wrong + beyond + tally.unasked.said, ..kept }
    }

    /// Of failures.
    pub(super) fn among<'a>(failed: impl Iterator<Item = &'a Failed>) -> Self {
        let mut bad = Self::default();
        for failed in failed {
            match (failed.status, failed.kind) {
                (Some(503), _) => bad.refused += 1,
                (Some(504), _) | (None, Kind::Timeout | Kind::Unfinished) => bad.late += 1,
                _ => bad.wrong += 1,
            }
        }
        bad
    }

    /// All of them.
    pub(super) const fn total(self) -> u64 {
        self.wrong + self.late + self.refused
    }
}

impl AddAssign for Bad {
    fn add_assign(&mut self, other: Self) {
        self.wrong += other.wrong;
        self.late += other.late;
        self.refused += other.refused;
    }
}

impl Part {
    /// Nothing of it is bad.
    pub(super) fn expect_none(&self, outcome: &Notes, what: &str, bad: Bad, found: &str) {
        let what = format!("{}: {what}", self.name);
        // What it did not refuse for its own lateness, it refused of its own accord.
        if bad.wrong > 0 || bad.refused > self.shed || bad.total() == 0 {
            return outcome.count(what, bad.total() == 0, found);
        }
        let excuse = if bad.late > 0 { self.excuse_for_silence() } else { self.excuse_for_lateness(SHEDS_AFTER) };
        let shed = if bad.refused > 0 { format!("; {} by event_loop_delay", self.shed) } else { String::new() };
        outcome.timing(excuse, what, false, format!("{found}{shed}"));
    }

    /// Nothing of a load fails or is refused.
    pub(super) fn expect_served(&self, outcome: &Notes, tally: &Tally) {
        self.expect_none(outcome, "nothing fails", Bad::of(tally), &told(tally));
        outcome.count(format!("{}: something is asked", self.name), tally.all.sent() > 0, tally.all.sent());
    }

    /// No connection is ended by the other side, be nothing asked on it or a message under way: none is cut, and none is closed in good order but where that is promised.
    pub(super) fn expect_kept(&self, outcome: &Notes, what: &str, tally: &Tally, may_close: bool) {
        let Unasked { closed, cut, .. } = tally.unasked;
        let crossed = tally.all.failed.get(&Kind::Goodbye).copied().unwrap_or_default();
        let holds = cut == 0 && (closed + crossed == 0 || may_close);
        outcome.count(
            format!("{}: {what}", self.name),
            holds,
            format!("{}; {crossed} goodbyes crossed", tally.unasked),
        );
    }

    /// A quantile of the latency is at most so long, by whatever no latency was measured for.
    pub(super) fn expect_quantile(&self, outcome: &Notes, what: &str, load: (&Tally, f64), most: Duration) {
        let (holds, found) = quantile(load, most);
        outcome.latency(self.excuse(1.0 - load.1), format!("{}: {what}", self.name), holds, found);
    }

    /// The same by a latency of another load, of which the tool may have measured too little as well.
    pub(super) fn expect_unmoved(&self, outcome: &Notes, what: &str, load: (&Tally, f64), most: Duration) {
        let (holds, found) = quantile(load, most);
        outcome.timing(self.excuse(1.0 - load.1), format!("{}: {what}", self.name), holds, found);
    }
}

/// Whether a quantile is at most so long, and what it is.
fn quantile((tally, share): (&Tally, f64), most: Duration) -> (bool, String) {
    let found = tally.quantile(share);
    let text = found.map_or_else(|| "among failed".to_owned(), |found| format!("{} of {}", ms(found), ms(most)));
    (found.is_some_and(|found| found <= most), text)
}

/// Good requests beside something: nothing of them fails, and they are hardly slower than alone.
pub(super) fn expect_unmoved(outcome: &Notes, [alone, beside]: [&(Tally, Part); 2]) {
    alone.1.expect_served(outcome, &alone.0);
    beside.1.expect_served(outcome, &beside.0);
    let p99 = alone.0.quantile(0.99).unwrap_or(Duration::MAX);
    let most = p99.saturating_mul(3).saturating_add(Duration::from_millis(30));
    let what = "p99 of good requests at most three times that alone, and 30 ms";
    beside.1.expect_unmoved(outcome, what, (&beside.0, 0.99), most);
}

/// What became of a load, for people, with the statuses of what failed.
pub(super) fn told(tally: &Tally) -> String {
    let mut statuses = BTreeMap::new();
    for status in tally.failed.iter().filter_map(|failed| failed.status) {
        *statuses.entry(status).or_insert(0_u64) += 1;
    }
    let words: String = statuses.iter().map(|(status, count)| format!(", {count} times {status}")).collect();
    let unasked = if tally.unasked.said > 0 { format!("; {}", tally.unasked) } else { String::new() };
    format!("{}{words}{unasked}", tally.all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;
    use crate::suite::outcome::fixture::proof;

    fn tally(failed: &[(Option<u16>, Kind)], refused: u64) -> Tally {
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        (0..100).for_each(|n| tally.answered(ms(n), ms(1)));
        for &(status, kind) in failed {
            tally.failed(Failed { id: 1, planned: ms(1), status, kind });
        }
        (0..refused).for_each(|n| tally.refused(ms(n)));
        tally
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn status(tally: &Tally, kept_out: u64, shed: u64) -> Status {
        let notes = Notes::default();
        Part::fixture(ms(10_000), ms(kept_out), shed).expect_served(&notes, tally);
        notes.outcome().status()
    }

    #[test]
    fn what_no_lateness_explains_is_a_failure_on_any_machine() {
        for kind in [Kind::Reset, Kind::Connect, Kind::Malformed, Kind::Mismatch] {
            assert_eq!(status(&tally(&[(None, kind)], 0), 10_000, 0), Status::Failed, "{kind}");
        }
        assert_eq!(status(&tally(&[(Some(500), Kind::Status)], 0), 10_000, 0), Status::Failed);
        assert_eq!(status(&tally(&[(Some(502), Kind::Status), (None, Kind::Timeout)], 0), 10_000, 9), Status::Failed);
        assert_eq!(status(&tally(&[], 0), 10_000, 0), Status::Passed);
        assert_eq!(status(&Tally::new(ms(50), ms(0)).unwrap(), 10_000, 0), Status::Failed, "nothing was sent");
    }

    #[test]
    fn loads_add_up() {
        let (one, other) =
            (tally(&[(None, Kind::Timeout), (Some(503), Kind::Status)], 4), tally(&[(None, Kind::Reset)], 2));
        assert_eq!(Bad::of_all(&[&one, &other]), (209, Bad { wrong: 1, late: 1, refused: 7 }));
        assert_eq!(Bad::of_all(&[]), (0, Bad::default()));
    }

    #[test]
    fn what_comes_or_ends_unasked_is_a_failure_on_any_machine() {
        let unasked = |unasked: Unasked, may_close: bool| {
            let (notes, mut tally) = (Notes::default(), tally(&[], 0));
            tally.unasked = unasked;
            let part = Part::fixture(ms(10_000), ms(10_000), 0);
            part.expect_kept(&notes, "none ends", &tally, may_close);
            part.expect_served(&notes, &tally);
            notes.outcome().status()
        };
        let (closed, cut, said) =
            (Unasked { closed: 1, ..Unasked::default() }, Unasked { cut: 1, ..Unasked::default() }, 1);
        assert_eq!([unasked(closed, false), unasked(closed, true)], [Status::Failed, Status::Passed]);
        assert_eq!([unasked(cut, true), unasked(Unasked { said, ..closed }, true)], [Status::Failed; 2]);
        assert_eq!(unasked(Unasked::default(), false), Status::Passed);
        let (notes, crossed) = (Notes::default(), tally(&[(None, Kind::Goodbye)], 0));
        Part::fixture(ms(10_000), ms(10_000), 0).expect_kept(&notes, "none ends", &crossed, false);
        assert_eq!(notes.outcome().status(), Status::Failed, "it has ended, though not while it was idle");
    }

    #[test]
    fn a_bound_that_was_measured_too_is_none_for_a_tool_that_measures_too_little() {
        let proof = proof(0.9);
        let (part, tally) = (Part::fixture(ms(10_000), ms(0), 0), tally(&[], 0));
        let judged = |expect: fn(&Part, &Notes, &str, (&Tally, f64), Duration)| {
            let notes = Notes::default();
            expect(&part, &notes, "p99", (&tally, 0.99), Duration::from_micros(10));
            let mut outcome = notes.outcome();
            assert_eq!(outcome.status(), Status::Failed);
            outcome.proven(&proof);
            outcome.status()
        };
        assert_eq!(judged(Part::expect_quantile), Status::Failed);
        assert_eq!(judged(Part::expect_unmoved), Status::Invalid);
    }

    #[test]
    fn who_hangs_is_excused_by_a_machine_that_took_half_of_the_wait_and_by_no_less() {
        for bad in [(None, Kind::Timeout), (None, Kind::Unfinished), (Some(504), Kind::Status)] {
            assert_eq!(status(&tally(&[bad], 0), 0, 0), Status::Failed, "{bad:?}");
            assert_eq!(status(&tally(&[bad], 0), 2499, 0), Status::Failed, "{bad:?}");
            assert_eq!(status(&tally(&[bad], 0), 2500, 0), Status::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_is_excused_when_the_gateway_was_late_and_the_machine_took_its_core() {
        assert_eq!(status(&tally(&[], 3), 250, 3), Status::Invalid);
        assert_eq!(status(&tally(&[(Some(503), Kind::Status)], 2), 250, 3), Status::Invalid);
        assert_eq!(status(&tally(&[], 3), 249, 3), Status::Failed, "it was late by itself");
        assert_eq!(status(&tally(&[], 3), 10_000, 2), Status::Failed, "one was refused for another reason");
    }
}
