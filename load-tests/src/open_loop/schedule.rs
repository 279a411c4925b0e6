//! When requests are sent. Pure.

use std::time::Duration;

use crate::random::Random;

/// How requests lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// All the same time apart.
    Constant,
    /// Independent of each other, as from many clients: the times between them are exponential.
    Poisson,
}

/// The moments of a load's requests, from its start. The same for the same seed.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    random: Random,
    /// Seconds between two requests on average.
    gap: f64,
    /// The next one, in seconds.
    next: f64,
    end: f64,
}

impl Schedule {
    /// So many requests a second, for so long. A rate that is not above zero means none.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, length: Duration, seed: u64) -> Self {
        let gap = if rate > 0.0 { 1.0 / rate } else { f64::INFINITY };
        let mut schedule = Self { arrivals, random: Random::new(seed), gap, next: 0.0, end: length.as_secs_f64() };
        schedule.next = schedule.draw();
        schedule
    }

    fn draw(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Constant => self.gap,
            Arrivals::Poisson => self.gap * self.random.exponential(),
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let planned = self.next;
        if planned >= self.end {
            return None;
        }
        self.next += self.draw();
        Duration::try_from_secs_f64(planned).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

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
        let gaps = planned.windows(2).filter_map(|two| two.last()?.checked_sub(*two.first()?));
        let longer = gaps.filter(|gap| *gap > Duration::from_millis(1)).count();
        // e^-1 of the gaps are longer than the mean.
        assert!((36_000..37_600).contains(&longer), "{longer}");
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
