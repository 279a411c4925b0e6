//! What a load brought. Pure.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Failure;
use crate::outcome::{Counts, Kind, Outcome};

/// The length of a bucket of time.
const BUCKET: Duration = Duration::from_millis(100);

/// Microseconds that a histogram reaches, and its digits: beyond ten minutes nothing is told apart.
const LONGEST: u64 = 600_000_000;
const DIGITS: u8 = 3;

/// What the tool may send late, in a hundred and in a thousand, until a window says nothing.
const LATE_P99: Duration = Duration::from_millis(1);
const LATE_P999: Duration = Duration::from_millis(10);

/// A request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Its number, from 1.
    pub id: u64,
    /// The moment it was planned for, from the load's start.
    pub planned: Duration,
    /// The status it was answered with; `None` when the connection ended or nothing came.
    pub status: Option<u16>,
    /// Why.
    pub kind: Kind,
}

/// Failed requests that are kept by number; beyond, they are only counted.
const KEPT: usize = 1_000_000;

/// What the other side did that nobody had asked it for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unasked {
    /// Connections that it closed in good order while nothing was asked of them, as RFC 9112 section 9.5 lets it; of
    /// WebSockets by a close frame of 1001 or 1012, of HTTP/2 connections without an error.
    pub closed: u64,
    /// Connections that ended otherwise while nothing was asked of them: by a reset; of WebSockets by another close frame or by
    /// none; of HTTP/2, whether or not something was asked.
    pub cut: u64,
    /// Times that bytes came behind a whole answer, or while nothing was asked; of WebSockets, messages.
    pub said: u64,
}

impl Unasked {
    /// Adds those of another load.
    pub fn merge(&mut self, other: Self) {
        self.closed += other.closed;
        self.cut += other.cut;
        self.said += other.said;
    }
}

impl fmt::Display for Unasked {
    /// As `unasked 3 closed, 1 cut, 0 answers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unasked {} closed, {} cut, {} answers", self.closed, self.cut, self.said)
    }
}

/// How late the tool was by itself, as sent less planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// One in a hundred requests was later than this.
    pub p99: Duration,
    /// One in a thousand.
    pub p999: Duration,
    /// The latest of all.
    pub most: Duration,
    /// Requests that were sent later still, since too many were in flight: that is the other side's doing, and counts as
    /// latency and not as lateness.
    pub delayed: u64,
}

impl Lag {
    /// Whether the machine held the rate.
    #[must_use]
    pub fn held(self) -> bool {
        self.p99 <= LATE_P99 && self.p999 <= LATE_P999
    }
}

/// Requests of a bucket of time, by the moment they were planned for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    sent: u32,
    bad: u32,
}

/// What a load brought.
#[derive(Debug)]
pub struct Tally {
    objective: Duration,
    warm_up: Duration,
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    buckets: Vec<Bucket>,
    /// Requests that succeeded in time, counted from the end of the warm-up.
    pub good: u64,
    /// Requests that failed or took longer than the objective, since the warm-up.
    pub beyond: u64,
    /// The first of the requests that failed since the warm-up.
    pub failed: Vec<Failed>,
    /// Requests since the warm-up, by what became of them.
    pub counted: Counts,
    /// All requests, those of the warm-up too: what the other side must have seen.
    pub all: Counts,
    /// Requests that waited because too many were in flight.
    pub delayed: u64,
    /// The most that were in flight at once.
    pub most_in_flight: usize,
    /// Connections that were opened, of HTTP/1.1 and WebSockets.
    pub opened: u64,
    /// What came unasked.
    pub unasked: Unasked,
}

impl Tally {
    /// Of nothing yet.
    ///
    /// # Errors
    ///
    /// Never; the histogram's bounds are sound.
    pub fn new(objective: Duration, warm_up: Duration) -> Result<Self, Failure> {
        let empty = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        Ok(Self {
            objective,
            warm_up,
            latency: empty.clone(),
            lag: empty,
            buckets: Vec::new(),
            good: 0,
            beyond: 0,
            failed: Vec::new(),
            counted: Counts::default(),
            all: Counts::default(),
            delayed: 0,
            most_in_flight: 0,
            opened: 0,
            unasked: Unasked::default(),
        })
    }

    /// A request of this moment was sent so long after it, through no fault of the other side. How late those of the warm-up were says
    /// nothing of what counts.
    pub fn sent(&mut self, planned: Duration, lag: Duration) {
        if planned >= self.warm_up {
            self.lag.saturating_record(micros(lag));
        }
    }

    /// A request of this moment succeeded, so long after it.
    pub fn answered(&mut self, planned: Duration, latency: Duration) {
        let bad = latency > self.objective;
        self.count(planned, bad);
        self.all.add(Outcome::Succeeded);
        if planned >= self.warm_up {
            self.counted.add(Outcome::Succeeded);
            self.latency.saturating_record(micros(latency));
            self.good += u64::from(!bad);
            self.beyond += u64::from(bad);
        }
    }

    /// A request of this moment was refused. It is neither good nor beyond the objective, and in no quantile.
    pub fn refused(&mut self, planned: Duration) {
        self.all.add(Outcome::Refused);
        if planned >= self.warm_up {
            self.counted.add(Outcome::Refused);
        }
    }

    /// A request failed.
    pub fn failed(&mut self, failed: Failed) {
        self.count(failed.planned, true);
        self.all.add(Outcome::Failed(failed.kind));
        if failed.planned >= self.warm_up {
            self.beyond += 1;
            self.counted.add(Outcome::Failed(failed.kind));
            if self.failed.len() < KEPT {
                self.failed.push(failed);
            }
        }
    }

    fn count(&mut self, planned: Duration, bad: bool) {
        let index = usize::try_from(planned.as_millis() / BUCKET.as_millis()).unwrap_or(usize::MAX);
        // A load is minutes long at most.
        if index >= self.buckets.len() && index < 100_000 {
            self.buckets.resize(index + 1, Bucket::default());
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.sent += 1;
            bucket.bad += u32::from(bad);
        }
    }

    /// Requests since the warm-up that were not refused.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.good + self.beyond
    }

    /// Latencies of the requests that succeeded since the warm-up, in microseconds.
    #[must_use]
    pub const fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// The latency that this share of the requests did not exceed. A failed one takes longer than any that was answered,
    /// or to fail would make a tail shorter: `None` when the share reaches into them, and when nothing was answered.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let answered = self.latency.len() as f64;
        let rank = share * (answered + self.counted.failures() as f64);
        let reached = !self.latency.is_empty() && rank <= answered;
        reached.then(|| Duration::from_micros(self.latency.value_at_quantile(rank / answered)))
    }

    /// Requests that the tool itself sent later than this.
    #[must_use]
    pub fn late(&self, than: Duration) -> u64 {
        self.lag.count_between(micros(than).saturating_add(1), LONGEST)
    }

    /// The longest latency of an answered request.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.latency.max())
    }

    /// How late the tool was.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let at = |share| Duration::from_micros(self.lag.value_at_quantile(share));
        Lag { p99: at(0.99), p999: at(0.999), most: Duration::from_micros(self.lag.max()), delayed: self.delayed }
    }

    /// How long after a moment the last tenth of a second ended in which more than one in a hundred requests failed or
    /// was beyond the objective. Zero when there is none.
    #[must_use]
    pub fn recovered_after(&self, moment: Duration) -> Duration {
        let last = self.buckets.iter().rposition(|bucket| bucket.bad * 100 > bucket.sent);
        let end = last.and_then(|index| u32::try_from(index + 1).ok()).map_or(Duration::ZERO, |count| BUCKET * count);
        end.saturating_sub(moment)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn says_quantiles_to_three_digits() {
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        for n in 1..=10_000 {
            tally.answered(ms(n), Duration::from_micros(n * 10));
        }
        for (share, expected) in [(0.5, ms(50)), (0.99, ms(99)), (0.999, Duration::from_micros(99_900))] {
            let found = tally.quantile(share).unwrap();
            assert!(found.abs_diff(expected) <= expected / 1000, "{share}: {found:?}");
        }
        assert_eq!((tally.good, tally.beyond, tally.requests()), (5000, 5000, 10_000));
        assert!(tally.longest().abs_diff(ms(100)) <= ms(100) / 1000);
    }

    #[test]
    fn a_failed_request_is_beyond_the_objective() {
        let mut tally = Tally::new(ms(50), ms(1000)).unwrap();
        let failed = |id, planned| Failed { id, planned, status: None, kind: Kind::Reset };
        tally.answered(ms(999), ms(70));
        tally.failed(failed(2, ms(999)));
        tally.answered(ms(1000), ms(50));
        tally.failed(failed(4, ms(1001)));
        assert_eq!((tally.good, tally.beyond), (1, 1));
        assert_eq!(tally.failed, [failed(4, ms(1001))]);
        assert_eq!((tally.counted.sent(), tally.all.sent()), (2, 4));
        assert!(tally.longest() < ms(51), "{:?}", tally.longest());
    }

    #[test]
    fn a_refused_request_is_counted_and_is_in_no_quantile() {
        let mut tally = Tally::new(ms(50), ms(10)).unwrap();
        tally.answered(ms(20), ms(1));
        (0..5).for_each(|n| tally.refused(ms(8 + n)));
        assert_eq!((tally.counted.refused, tally.all.refused, tally.requests()), (3, 5, 1));
        assert!(tally.quantile(0.99).unwrap() < ms(2));
    }

    #[test]
    fn to_fail_makes_no_tail_shorter() {
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        assert_eq!(tally.quantile(0.5), None, "nothing was answered");
        (1..=98).for_each(|n| tally.answered(ms(n), ms(n)));
        (99..=100).for_each(|id| tally.failed(Failed { id, planned: ms(id), status: None, kind: Kind::Reset }));
        assert_eq!(tally.quantile(0.5).map(|found| found.as_millis()), Some(50));
        assert_eq!(tally.quantile(0.98).map(|found| found.as_millis()), Some(98));
        assert_eq!(tally.quantile(0.99), None);
    }

    #[test]
    fn says_when_the_last_bad_tenth_of_a_second_ended() {
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        for n in 0..3000 {
            // Bad from 1,000 to 1,449; then one in a hundred, which is not too many.
            let bad = (1000..1450).contains(&n) || n % 100 == 7;
            tally.answered(ms(n), if bad { ms(51) } else { ms(1) });
        }
        assert_eq!(tally.recovered_after(ms(1200)), ms(300));
        assert_eq!(tally.recovered_after(ms(2000)), Duration::ZERO);
    }

    #[test]
    fn says_itself_when_it_was_late() {
        // So many of a thousand late by so many milliseconds.
        for (late, lag, held) in [(0, 0, true), (9, 9, true), (0, 30, true), (11, 2, false), (2, 30, false)] {
            let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
            (0..1000 - late).for_each(|_| tally.sent(Duration::ZERO, Duration::from_micros(100)));
            (0..late).for_each(|_| tally.sent(Duration::ZERO, ms(lag)));
            assert_eq!(tally.lag().held(), held, "{late} late by {lag} ms: {:?}", tally.lag());
        }
    }

    #[test]
    fn how_late_the_warm_up_was_says_nothing_of_what_counts() {
        let mut tally = Tally::new(ms(50), ms(200)).unwrap();
        (0..1000).for_each(|n| tally.sent(ms(n), if n < 200 { ms(30) } else { Duration::ZERO }));
        assert!(tally.lag().held(), "{:?}", tally.lag());
        (0..100).for_each(|n| tally.sent(ms(200 + n), ms(30)));
        assert!(!tally.lag().held(), "{:?}", tally.lag());
    }
}
