//! Failures of any number of networks in fixed memory: pingora-limits' count-min sketch, one a window.
//!
//! Its `Rate` reads the clock itself, so the two windows are turned over here, by the time handed in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use pingora_limits::estimator::Estimator;

use crate::time::Timestamp;

/// Rows: a network is counted too high only when it shares its place with others in all of them.
const ROWS: usize = 4;

pub(super) struct Sketch {
    windows: [Estimator; 2],
    /// The number of the window that was last counted in.
    turn: AtomicU64,
    millis: u64,
}

impl Sketch {
    pub(super) fn new(columns: usize, window: Duration) -> Self {
        let estimator = || Estimator::new(ROWS, columns.max(1));
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { windows: [estimator(), estimator()], turn: AtomicU64::new(0), millis }
    }

    /// Counts one, and says how many there were in this window and the one before, at least.
    pub(super) fn count(&self, network: &IpNet, now: Timestamp) -> isize {
        let turn = now.millis() / self.millis;
        self.turn_to(turn);
        let [even, odd] = &self.windows;
        let (current, last) = if turn.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        current.incr(network, 1).saturating_add(last.get(network))
    }

    /// Empties what is older than the window before `turn`. Whoever comes first into a new window does it; a clock
    /// that goes back changes nothing.
    fn turn_to(&self, turn: u64) {
        let seen = self.turn.load(Ordering::Acquire);
        let mine = |seen| self.turn.compare_exchange(seen, turn, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if turn <= seen || !mine(seen) {
            return;
        }
        let [even, odd] = &self.windows;
        let (current, last) = if turn.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        current.reset();
        if turn - seen > 1 {
            last.reset();
        }
    }
}
