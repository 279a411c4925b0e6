//! How the highest rate that is held is looked for, and whether what ended the search was the gateway or the machine.

use crate::Failure;

/// Windows at a rate until one can be told.
const TRIES: usize = 3;

/// Times that a rate must be held to be believed.
pub(super) const CONFIRM: usize = 3;

/// By how much a rate is lowered until one is held, and how often.
const STEP: f64 = 0.9;
const STEPS: i32 = 12;

/// What one window at a rate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Held,
    /// The gateway did not hold it.
    Missed,
    /// The tool itself did not, or the gateway was kept from its core.
    Unclear,
}

impl Window {
    /// Of whether all was answered in time; whether the machine left tool and gateway their cores; and whether the gateway's was full,
    /// which it cannot be where somebody else is the limit.
    pub(super) const fn of(held: bool, clear: bool, full: bool) -> Self {
        match (held, clear || full) {
            // Latency counts from the planned moment: what a late tool found is no shorter than it was.
            (true, _) => Self::Held,
            (false, true) => Self::Missed,
            (false, false) => Self::Unclear,
        }
    }
}

/// A search among rates. `play` plays a window at one.
pub(super) struct Search<'a> {
    play: &'a mut dyn FnMut(f64) -> Result<Window, Failure>,
    /// The lowest rate that was not held for want of the machine, as far as can be told.
    pub(super) unclear: Option<f64>,
    /// The lowest rate that the gateway did not hold.
    pub(super) missed: Option<f64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(play: &'a mut dyn FnMut(f64) -> Result<Window, Failure>) -> Self {
        Self { play, unclear: None, missed: None }
    }

    /// Whether a rate is held. What cannot be told in three windows is not, and may be the machine's limit.
    fn holds(&mut self, rate: f64) -> Result<bool, Failure> {
        let lower = |known: Option<f64>| Some(known.map_or(rate, |known| known.min(rate)));
        for _ in 0..TRIES {
            match (self.play)(rate)? {
                Window::Held => return Ok(true),
                Window::Missed => {
                    self.missed = lower(self.missed);
                    return Ok(false);
                }
                Window::Unclear => {}
            }
        }
        self.unclear = lower(self.unclear);
        Ok(false)
    }

    /// Whether the search ended where it did because of the gateway: it did not hold a rate that is no higher than any that could not
    /// be told.
    pub(super) fn is_the_gateways(&self) -> bool {
        match (self.missed, self.unclear) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(missed), Some(unclear)) => missed <= unclear,
        }
    }

    /// The first rate that is held, from one on down; `None` when none is.
    pub(super) fn lowered(&mut self, from: f64) -> Result<Option<f64>, Failure> {
        for step in 0..STEPS {
            let rate = from * STEP.powi(step);
            if self.holds(rate)? {
                return Ok(Some(rate));
            }
        }
        Ok(None)
    }

    /// The share of the first rate that is tried last.
    pub(super) fn lowest() -> f64 {
        STEP.powi(STEPS - 1)
    }

    /// From one rate on, doubled until one is not held: the highest that is held, where there is one, and the lowest that is not.
    pub(super) fn doubled(&mut self, first: f64) -> Result<(Option<f64>, f64), Failure> {
        let (mut low, mut high) = (None, first);
        // Nobody is faster than that; the search shall end anyway.
        while high < 1e7 && self.holds(high)? {
            low = Some(high);
            high *= 2.0;
        }
        Ok((low, high))
    }

    /// Between a rate below which nothing is looked for and one that is not held, nearer and nearer: the best that is held, if any,
    /// and the lowest that is not.
    pub(super) fn halved(&mut self, (mut low, mut high): (f64, f64), near: f64) -> Result<(Option<f64>, f64), Failure> {
        let mut best = None;
        while high / low > near {
            // In the middle of a ratio, not of a difference.
            let middle = (low * high).sqrt();
            if self.holds(middle)? {
                (low, best) = (middle, Some(middle));
            } else {
                high = middle;
            }
        }
        Ok((best, high))
    }

    /// A rate that is held three times on end, from a step below the one that was found on down: the best of many windows was lucky.
    /// `None` when it would be lower than a share of it.
    pub(super) fn confirmed(&mut self, found: f64, step: f64, lowest: f64) -> Result<Option<f64>, Failure> {
        let mut rate = found / step;
        while rate >= found * lowest {
            let mut times = 0;
            while times < CONFIRM && self.holds(rate)? {
                times += 1;
            }
            if times == CONFIRM {
                return Ok(Some(rate));
            }
            rate /= step;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of a gateway with a limit.
    fn limit(at: f64) -> impl FnMut(f64) -> Result<Window, Failure> {
        move |rate| Ok(Window::of(rate <= at, true, false))
    }

    #[test]
    fn the_search_ends_within_three_percent_of_the_limit() {
        for at in [501.0, 777.0, 12_345.0, 250_000.0] {
            let mut windows = 0;
            let mut play = |rate: f64| {
                windows += 1;
                Ok(Window::of(rate <= at, true, false))
            };
            let mut search = Search::new(&mut play);
            let (low, high) = search.doubled(500.0).unwrap();
            let (best, high) = search.halved((low.unwrap(), high), 1.03).unwrap();
            let low = best.or(low).unwrap();
            assert!(low <= at && at < high && high / low <= 1.03, "{at}: {low} {high}");
            assert!(search.is_the_gateways());
            assert!(windows <= 16, "{windows}");
        }
        let mut never = |_| Ok(Window::Missed);
        assert_eq!(Search::new(&mut never).doubled(500.0).unwrap(), (None, 500.0));
    }

    #[test]
    fn a_rate_is_lowered_until_it_is_held_or_there_is_none() {
        let mut windows = 0;
        let mut play = |rate| {
            windows += 1;
            Ok(Window::of(rate <= 800.0, true, false))
        };
        let found = Search::new(&mut play).lowered(1000.0).unwrap().unwrap();
        assert!((found - 729.0).abs() < 1e-9 && windows == 4, "{found} {windows}");
        let mut rates = Vec::new();
        let mut never = |rate| {
            rates.push(rate);
            Ok(Window::Missed)
        };
        assert_eq!(Search::new(&mut never).lowered(1000.0).unwrap(), None);
        assert!((rates.last().unwrap() - 1000.0 * Search::lowest()).abs() < 1e-9, "{rates:?}");
    }

    #[test]
    fn a_rate_is_believed_when_it_is_held_three_times_on_end_and_is_hardly_lower() {
        // Held once by luck, and then as far as the second step down.
        let mut windows = 0;
        let mut lucky = |rate| {
            windows += 1;
            Ok(Window::of(windows == 1 || rate < 950.0, true, false))
        };
        let found = Search::new(&mut lucky).confirmed(1000.0, 1.03, 0.9).unwrap().unwrap();
        assert!((found - 1000.0 / 1.03 / 1.03).abs() < 1e-9);
        assert_eq!(windows, 2 + CONFIRM);
        assert_eq!(Search::new(&mut limit(890.0)).confirmed(1000.0, 1.03, 0.9).unwrap(), None);
    }

    #[test]
    fn who_ended_the_search_is_told() {
        for (missed, unclear, gateways) in [
            (Some(900.0), None, true),
            (Some(900.0), Some(1000.0), true),
            (Some(900.0), Some(800.0), false),
            (None, Some(800.0), false),
            (None, None, true),
        ] {
            let mut play = |_| Ok(Window::Held);
            let search = Search { missed, unclear, ..Search::new(&mut play) };
            assert_eq!(search.is_the_gateways(), gateways, "{missed:?} {unclear:?}");
        }
        // Two windows that cannot be told do not decide; three do.
        for (bad, held) in [(2, true), (3, false)] {
            let mut windows = 0;
            let mut play = |_| {
                windows += 1;
                Ok(if windows <= bad { Window::Unclear } else { Window::Held })
            };
            let mut search = Search::new(&mut play);
            assert_eq!((search.holds(1.0).unwrap(), search.unclear.is_none()), (held, held));
        }
    }

    #[test]
    fn a_rate_is_missed_by_the_gateway_when_the_machine_was_fine_or_its_core_was_full() {
        assert_eq!(Window::of(true, false, false), Window::Held);
        assert_eq!(Window::of(false, true, false), Window::Missed);
        assert_eq!(Window::of(false, false, true), Window::Missed);
        assert_eq!(Window::of(false, false, false), Window::Unclear);
    }
}
