//! When requests are sent. Pure.

use std::time::Duration;

use portcullis_judge::random::Random;

/// How requests lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// All the same time apart, as far as the rate stays the same.
    Constant,
    /// Independent of each other, as from many clients: the times between them are exponential.
    Poisson,
}

/// A part of a schedule, in which the rate goes from one value to another in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// How requests lie in time.
    pub arrivals: Arrivals,
    /// Requests a second at its beginning.
    pub from: f64,
    /// Requests a second at its end.
    pub to: f64,
    /// How long it lasts.
    pub length: Duration,
}

impl Segment {
    /// One with the same rate throughout.
    #[must_use]
    pub const fn flat(arrivals: Arrivals, rate: f64, length: Duration) -> Self {
        Self { arrivals, from: rate, to: rate, length }
    }

    /// The rate at a moment from its beginning; what is not above zero counts as zero.
    fn rate(&self, at: f64) -> f64 {
        let rate = self.from + self.slope() * at;
        if rate > 0.0 { rate } else { 0.0 }
    }

    /// By how much the rate changes in a second.
    fn slope(&self) -> f64 {
        let length = self.length.as_secs_f64();
        if length > 0.0 { (self.to - self.from) / length } else { 0.0 }
    }

    /// Requests that are due between a moment and the end, on average.
    fn rest(&self, at: f64) -> f64 {
        let left = self.length.as_secs_f64() - at;
        f64::midpoint(self.rate(at), self.rate(self.length.as_secs_f64())) * left
    }

    /// How long after a moment so many requests are due, on average, if that is still within it. The rate is a straight
    /// line, so the requests are the area below it: a quadratic, solved in the form that does not cancel.
    fn time_for(&self, due: f64, at: f64) -> Option<f64> {
        if due >= self.rest(at) {
            return None;
        }
        let (rate, slope) = (self.rate(at), self.slope());
        let root = (rate * rate + 2.0 * slope * due).max(0.0).sqrt();
        Some(2.0 * due / (rate + root))
    }
}

/// The moments of a load's requests, from its start. The same for the same seed.
#[derive(Debug, Clone)]
pub struct Schedule {
    random: Random,
    segments: Vec<Segment>,
    /// The segment that is played.
    current: usize,
    /// Seconds of the segments before it.
    before: f64,
    /// Seconds from its beginning.
    at: f64,
    /// Requests that must become due until the next one is sent.
    due: Option<f64>,
}

impl Schedule {
    /// So many requests a second, for so long. A rate that is not above zero means none.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, length: Duration, seed: u64) -> Self {
        Self::of(vec![Segment::flat(arrivals, rate, length)], seed)
    }

    /// One segment after the other.
    #[must_use]
    pub const fn of(segments: Vec<Segment>, seed: u64) -> Self {
        Self { random: Random::new(seed), segments, current: 0, before: 0.0, at: 0.0, due: None }
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Requests that it has on average.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.segments.iter().map(|segment| segment.rest(0.0)).sum()
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        while let Some(segment) = self.segments.get(self.current) {
            let due = self.due.take().unwrap_or_else(|| match segment.arrivals {
                Arrivals::Constant => 1.0,
                Arrivals::Poisson => self.random.exponential(),
            });
            if let Some(time) = segment.time_for(due, self.at) {
                self.at += time;
                return Duration::try_from_secs_f64(self.before + self.at).ok();
            }
            // What is due of it in this segment does not become due again in the next.
            self.due = Some((due - segment.rest(self.at)).max(0.0));
            self.before += segment.length.as_secs_f64();
            self.current += 1;
            self.at = 0.0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ramp(arrivals: Arrivals, from: f64, to: f64, seconds: u32) -> Segment {
        Segment { arrivals, from, to, length: SECOND * seconds }
    }

    #[test]
    fn a_constant_schedule_keeps_its_distance() {
        let planned: Vec<_> = Schedule::new(Arrivals::Constant, 4.0, SECOND, 9).collect();
        assert_eq!(planned, [250, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn a_poisson_schedule_keeps_its_rate_and_its_scatter() {
        let planned: Vec<_> = Schedule::new(Arrivals::Poisson, 1000.0, SECOND * 100, 5).collect();
        // 100,000 expected, with a standard deviation of 316.
        assert!((98_700..101_300).contains(&planned.len()), "{}", planned.len());
        assert!(planned.is_sorted());
        let gaps: Vec<f64> = planned
            .windows(2)
            .filter_map(|two| Some(two.last()?.checked_sub(*two.first()?)?.as_secs_f64() * 1e3))
            .collect();
        let longer = |limit: f64| gaps.iter().filter(|gap| **gap > limit).count();
        // The gaps are exponential with a mean of 1 ms: e^-1 are longer than it, e^-3 than three of it.
        for (limit, expected) in [(1.0, 36_000..37_600), (0.1, 89_900..91_100), (3.0, 4_750..5_210)] {
            assert!(expected.contains(&longer(limit)), "{limit}: {}", longer(limit));
        }
        // Independent: the count of a second has the variance of its mean.
        let mut seconds = [0.0_f64; 100];
        planned.iter().for_each(|moment| seconds[usize::try_from(moment.as_secs()).unwrap()] += 1.0);
        let variance = seconds.iter().map(|count| (count - 1000.0).powi(2)).sum::<f64>() / 100.0;
        assert!((600.0..1500.0).contains(&variance), "{variance}");
    }

    #[test]
    fn a_ramp_sends_what_lies_below_its_line() {
        // From 0 to 1,000 in 10 s is 5,000, of which a quarter in the first half.
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            for (from, to, half) in [(0.0, 1000.0, 1250), (1000.0, 0.0, 3750)] {
                let planned: Vec<_> = Schedule::of(vec![ramp(arrivals, from, to, 10)], 3).collect();
                assert!(planned.len().abs_diff(5000) < 250, "{arrivals:?} {from}: {}", planned.len());
                let first = planned.iter().filter(|moment| **moment < SECOND * 5).count();
                assert!(first.abs_diff(half) < 200, "{arrivals:?} {from}: {first}");
                assert!(planned.is_sorted() && planned.last().unwrap() <= &(SECOND * 10));
            }
        }
    }

    #[test]
    fn a_constant_ramp_is_where_the_integral_says() {
        let schedule = Schedule::of(vec![ramp(Arrivals::Constant, 0.0, 200.0, 1)], 1);
        // The area below 200 t is 100 t²; number n is due at the root of n / 100.
        for (n, moment) in (1_u32..).zip(schedule) {
            let expected = (f64::from(n) / 100.0).sqrt();
            assert!((moment.as_secs_f64() - expected).abs() < 1e-6, "{n}: {moment:?}");
        }
    }

    #[test]
    fn steps_follow_each_other_without_a_gap() {
        let steps = [10.0, 20.0, 0.0, 40.0].map(|rate| Segment::flat(Arrivals::Constant, rate, SECOND));
        let schedule = Schedule::of(steps.to_vec(), 1);
        assert_eq!(schedule.length(), SECOND * 4);
        assert!((schedule.expected() - 70.0).abs() < 1e-9);
        let planned: Vec<_> = schedule.collect();
        let within = |second: u64| planned.iter().filter(|moment| moment.as_secs() == second).count();
        // The request that is due at the very end of a step is the first of the next that sends.
        assert_eq!((within(0), within(1), within(2), within(3)), (9, 20, 0, 40));
        assert_eq!(planned[9], SECOND);
    }

    #[test]
    fn the_seed_decides() {
        let planned = |seed| Schedule::new(Arrivals::Poisson, 500.0, SECOND, seed).collect::<Vec<_>>();
        assert_eq!(planned(1), planned(1));
        assert_ne!(planned(1), planned(2));
    }

    #[test]
    fn no_rate_means_no_requests() {
        for rate in [0.0, -1.0, f64::NAN] {
            for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
                assert_eq!(Schedule::new(arrivals, rate, SECOND, 1).count(), 0, "{rate}");
            }
        }
    }
}
