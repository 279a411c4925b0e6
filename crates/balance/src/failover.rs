//! Which cluster of a chain takes the requests: the first that is fit, and no flapping.
//!
//! Away from a cluster at once when it is not fit any more; back to it only when it has been fit for a while without a
//! break. A cluster that fails again soon after requests went back to it has to be fit for twice as long the next time.
//!
//! Invariants:
//! - A place that is answered was fit at that moment.
//! - Requests go back to a place before the current one only after that was fit for the whole of the wait, at each
//!   look in between, or when the current one is not fit itself.

use std::time::{Duration, Instant};

/// The wait is doubled so often at most.
const DOUBLINGS: u32 = 3;

/// Which place of a chain is used. One per chain, kept across reloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    hold: Duration,
    active: usize,
    /// A place before the active one that is fit, and since when.
    better: Option<(usize, Instant)>,
    /// When requests last went back, and how often they had to leave again soon after.
    back: Option<Instant>,
    relapses: u32,
}

/// What a look at the chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The place to use; 0 is the cluster itself.
    pub place: usize,
    /// Whether it is another one than before.
    pub moved: bool,
}

impl Failover {
    /// At the first place. Requests go back to a place that has been fit for `hold`.
    #[must_use]
    pub const fn new(hold: Duration) -> Self {
        Self { hold, active: 0, better: None, back: None, relapses: 0 }
    }

    /// The place that was used last.
    #[must_use]
    pub const fn active(&self) -> usize {
        self.active
    }

    /// How long a better place must be fit before requests go back to it.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.hold.saturating_mul(1 << self.relapses.min(DOUBLINGS))
    }

    /// Since when a place before the active one has been fit.
    #[must_use]
    pub fn better_since(&self) -> Option<Instant> {
        self.better.map(|(_, since)| since)
    }

    /// Looks at a chain of `places`, asking which are fit. `None` when none is; it stays where it was then.
    pub fn look(&mut self, now: Instant, places: usize, fit: impl Fn(usize) -> bool) -> Option<Turn> {
        let Some(first) = (0..places).find(|place| fit(*place)) else {
            self.better = None;
            return None;
        };
        let before = self.active;
        if first >= self.active || !fit(self.active) {
            self.better = None;
            if first > self.active {
                self.leave(now);
            } else if first < self.active {
                self.back = Some(now);
            }
            self.active = first;
            return Some(Turn { place: first, moved: first != before });
        }
        match self.better {
            Some((place, since)) if place == first => {
                if now.saturating_duration_since(since) >= self.wait() {
                    (self.active, self.better, self.back) = (first, None, Some(now));
                }
            }
            Some(_) | None => self.better = Some((first, now)),
        }
        Some(Turn { place: self.active, moved: self.active != before })
    }

    fn leave(&mut self, now: Instant) {
        let soon = self.back.take().is_some_and(|back| now.saturating_duration_since(back) < self.wait());
        self.relapses = if soon { (self.relapses + 1).min(DOUBLINGS) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOLD: Duration = Duration::from_secs(5);

    /// Looks every 100 ms for so long, at places that are fit or not, and answers the last place and how often it moved.
    fn run(state: &mut Failover, now: &mut Instant, lasts: Duration, fit: &[bool]) -> (Option<usize>, usize) {
        let (mut place, mut moves) = (None, 0);
        let end = *now + lasts;
        while *now < end {
            let turn = state.look(*now, fit.len(), |at| fit[at]);
            place = turn.map(|turn| turn.place);
            moves += usize::from(turn.is_some_and(|turn| turn.moved));
            *now += Duration::from_millis(100);
        }
        (place, moves)
    }

    #[test]
    fn leaves_at_once_and_comes_back_after_the_hold() {
        let (mut state, mut now) = (Failover::new(HOLD), Instant::now());
        let short = Duration::from_millis(100);
        assert_eq!(run(&mut state, &mut now, short, &[true, true]), (Some(0), 0));
        assert_eq!(run(&mut state, &mut now, short, &[false, true]), (Some(1), 1));
        assert_eq!(run(&mut state, &mut now, HOLD, &[true, true]), (Some(1), 0));
        assert_eq!(run(&mut state, &mut now, short, &[true, true]), (Some(0), 1));
    }

    #[test]
    fn skips_what_is_not_fit_and_answers_none_when_nothing_is() {
        let (mut state, mut now) = (Failover::new(HOLD), Instant::now());
        let short = Duration::from_millis(100);
        assert_eq!(run(&mut state, &mut now, short, &[false, false, true]), (Some(2), 1));
        assert_eq!(run(&mut state, &mut now, short, &[false, false, false]), (None, 0));
        assert_eq!(run(&mut state, &mut now, short, &[false, true, false]), (Some(1), 1), "the active one is gone");
    }

    #[test]
    fn stays_away_from_a_cluster_that_comes_and_goes() {
        let (mut state, mut now) = (Failover::new(HOLD), Instant::now());
        let mut moves = 0;
        for _ in 0..20 {
            moves += run(&mut state, &mut now, Duration::from_secs(3), &[true, true]).1;
            moves += run(&mut state, &mut now, Duration::from_secs(1), &[false, true]).1;
        }
        assert_eq!(moves, 1);
    }

    #[test]
    fn waits_longer_after_each_relapse_and_forgets_them() {
        let (mut state, mut now) = (Failover::new(HOLD), Instant::now());
        for expected in [5, 10, 20, 40, 40] {
            run(&mut state, &mut now, Duration::from_secs(1), &[false, true]);
            assert_eq!(state.wait(), Duration::from_secs(expected));
            let wait = state.wait() + Duration::from_millis(200);
            assert_eq!(run(&mut state, &mut now, wait, &[true, true]).0, Some(0));
        }
        run(&mut state, &mut now, Duration::from_secs(60), &[true, true]);
        run(&mut state, &mut now, Duration::from_secs(1), &[false, true]);
        assert_eq!(state.wait(), HOLD);
    }

    proptest! {
        #[test]
        fn answers_only_what_is_fit_and_never_flaps(steps in prop::collection::vec((0_u64..2_000, 0_u8..8), 1..300)) {
            let (mut state, mut now) = (Failover::new(HOLD), Instant::now());
            let (mut fit_since, mut before) = ([None; 3], 0);
            for (pause, bits) in steps {
                now += Duration::from_millis(pause);
                let fit = |place: usize| bits & (1 << place) != 0;
                for (place, since) in fit_since.iter_mut().enumerate() {
                    *since = if fit(place) { since.or(Some(now)) } else { None };
                }
                let Some(turn) = state.look(now, 3, fit) else {
                    prop_assert_eq!(bits, 0);
                    continue;
                };
                prop_assert!(fit(turn.place));
                if turn.place < before && fit(before) {
                    prop_assert!(now.duration_since(fit_since[turn.place].unwrap()) >= HOLD, "went back too soon");
                }
                before = turn.place;
            }
        }
    }
}
