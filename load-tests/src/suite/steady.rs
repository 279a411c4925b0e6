//! A gateway at shares of what it holds, and what a window at a rate says of it.

use std::time::Duration;

use portcullis_engine::drive::Load;
use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;

use crate::Failure;
use crate::report::progress;

use super::books::Books;
use super::kit::{Edge, Stage, capacity, ms, open};
use super::outcome::{Notes, Status};
use super::part::Part;
use super::rates::{Search, Window};
use super::served::{Bad, told};

/// The p99 up to which a rate is held.
const HELD: Duration = Duration::from_millis(100);

/// Shares of the capacity, with the p99 that each may have.
const SHARES: [(f64, Duration); 3] =
    [(0.3, Duration::from_millis(25)), (0.6, Duration::from_millis(50)), (0.8, Duration::from_millis(100))];

/// The share of a core that a gateway has used which is at its end.
const FULL: f64 = 0.95;

/// Times that a share is tried at most.
const TRIES: usize = 3;

/// An open loop at 30, 60 and 80 % of what an open loop holds: a closed one answers many at a time, which costs less each, and
/// brings more.
pub(super) fn steady(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let length = stage.size(Duration::from_secs(2), Duration::from_secs(10));
    let (closed, cost) = capacity(outcome, (&edge, &origin), 32, length)?;
    outcome.number("closed_per_second", closed);
    outcome.number("cpu_per_request_us", cost * 1e6);
    let books = Books::open(&edge, &origin)?;
    let mut windows = Windows::new(stage, &edge, outcome);
    let mut play = |rate| windows.play(rate);
    let mut search = Search::new(&mut play);
    let held = search.lowered(closed)?;
    let gateways = search.is_the_gateways();
    windows.expect_no_wrong();
    windows.close(&books)?;
    let Some(capacity) = held else {
        let excuse = (!gateways).then(|| "the machine did not hold the lowest rates".to_owned());
        let lowest = closed * Search::lowest();
        outcome.timing(excuse, "some rate is held", false, format!("none from {closed:.0}/s down to {lowest:.0}/s"));
        return Ok(());
    };
    outcome.number("capacity_per_second", capacity);
    if !gateways {
        outcome.invalidate(&format!(
            "the shares are of {capacity:.0}/s, which may be the machine's limit: the next higher rate could not be told"
        ));
    }
    for (seed, (share, most)) in (stage.seed..).zip(SHARES) {
        let length = stage.size(Duration::from_secs(5), Duration::from_secs(60));
        // Again where the machine did not hold it, which the last try is excused for. A failure that nothing excuses stays one.
        for left in (0..TRIES).rev() {
            let tried = Notes::default();
            at(&edge, &origin, (share, most), &open(edge.address, capacity * share, length, seed), &tried)?;
            let tried = tried.outcome();
            if tried.status() != Status::Invalid || left == 0 {
                outcome.append(tried);
                break;
            }
            progress(&format!("  {:.0} %: the machine did not hold it", share * 100.0));
        }
    }
    Ok(())
}

/// One share of the capacity, with the p99 that it may have.
fn at(
    edge: &Edge,
    origin: &Origin,
    (share, most): (f64, Duration),
    load: &Load<'_>,
    outcome: &Notes,
) -> Result<(), Failure> {
    let name = format!("{:.0} %", share * 100.0);
    let books = Books::open(edge, origin)?;
    let (tally, part) = edge.play(outcome, &name, load)?;
    part.expect_served(outcome, &tally);
    part.expect_quantile(outcome, &format!("p99 at most {}", ms(most)), (&tally, 0.99), most);
    outcome.number(&format!("{name}.p99_ms"), tally.quantile(0.99).map(|p99| p99.as_secs_f64() * 1e3));
    books.close_even(outcome, &name, &[&tally])
}

/// Windows at rates, and what all of them together brought.
pub(super) struct Windows<'a> {
    edge: &'a Edge,
    outcome: &'a Notes,
    length: Duration,
    seed: u64,
    /// Requests that were sent, were refused, and failed.
    sent: u64,
    bad: Bad,
    worst: String,
}

impl<'a> Windows<'a> {
    pub(super) fn new(stage: &Stage, edge: &'a Edge, outcome: &'a Notes) -> Self {
        let length = stage.size(Duration::from_secs(2), Duration::from_secs(10));
        Self { edge, outcome, length, seed: stage.seed, sent: 0, bad: Bad::default(), worst: String::new() }
    }

    /// Plays one.
    pub(super) fn play(&mut self, rate: f64) -> Result<Window, Failure> {
        self.seed += 1;
        let before = self.edge.process.cpu()?;
        let (tally, part) =
            self.edge.play(self.outcome, "window", &open(self.edge.address, rate, self.length, self.seed))?;
        let spent = self.edge.process.cpu()?.nanoseconds.saturating_sub(before.nanoseconds);
        let used = Duration::from_nanos(spent).as_secs_f64() / self.length.as_secs_f64();
        let found = judged(&tally, &part, used, HELD);
        let p99 = tally.quantile(0.99).map_or_else(|| "among failed".to_owned(), ms);
        progress(&format!("  {rate:.0}/s: {found:?}, p99 {p99}, {:.0} % of its core", used * 100.0));
        self.note(&tally);
        Ok(found)
    }

    /// Counts a load's requests among those of all windows.
    pub(super) fn note(&mut self, tally: &Tally) {
        let bad = Bad::of(tally);
        self.sent += tally.all.sent();
        self.bad += bad;
        if bad.wrong > 0 {
            self.worst = format!(": {}", told(tally));
        }
    }

    /// All of them are in the books.
    pub(super) fn close(&self, books: &Books<'_>) -> Result<(), Failure> {
        let Self { outcome, sent, bad, .. } = self;
        books.close(outcome, "all windows", [*sent, sent - bad.refused], bad.late)
    }

    /// Who is asked for more than it can do is late, or refuses. It cuts nothing, and answers nothing else.
    pub(super) fn expect_no_wrong(&self) {
        let Bad { wrong, late, refused } = self.bad;
        self.outcome.count(
            "at no rate anything fails but by its time or by a refusal",
            wrong == 0,
            format!("{wrong} of {}, beside {late} whose time was up and {refused} refused{}", self.sent, self.worst),
        );
    }
}

/// What a window says, in which the gateway used a share of its core.
pub(super) fn judged(tally: &Tally, part: &Part, used: f64, most: Duration) -> Window {
    let all = tally.all.sent() > 0 && tally.all.succeeded == tally.all.sent();
    let held = all && tally.quantile(0.99).is_some_and(|p99| p99 <= most);
    Window::of(held, part.excuse(0.01).is_none(), used >= FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_in_which_one_is_refused_or_nothing_is_answered_is_not_held() {
        let part = |kept_out| Part::fixture(Duration::from_secs(10), Duration::from_millis(kept_out), 0);
        let mut tally = Tally::new(HELD, Duration::ZERO).unwrap();
        assert_eq!(judged(&tally, &part(0), 0.1, HELD), Window::Missed);
        (0..1000).for_each(|n| tally.answered(Duration::from_millis(n), Duration::from_millis(1)));
        assert_eq!(judged(&tally, &part(9000), 0.1, HELD), Window::Held);
        tally.refused(Duration::ZERO);
        for (kept_out, used, found) in
            [(0, 0.1, Window::Missed), (9000, 0.1, Window::Unclear), (9000, 0.96, Window::Missed)]
        {
            assert_eq!(judged(&tally, &part(kept_out), used, HELD), found, "{kept_out} {used}");
        }
    }
}
