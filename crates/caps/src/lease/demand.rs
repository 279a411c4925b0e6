//! How much a gateway is asked for, so that it draws neither too much nor too little ahead.

use std::time::Duration;

/// A rate of tokens, averaged over some hundred milliseconds; a sudden rise shows at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand {
    /// Tokens asked for since the last look, granted or not.
    asked: u64,
    /// When that was, in nanoseconds.
    at: u64,
    /// Tokens per second.
    average: f64,
    last: f64,
}

/// The time over which the average forgets.
const MEMORY: f64 = 0.5;

impl Demand {
    pub(super) const fn new(now: u64) -> Self {
        Self { asked: 0, at: now, average: 0.0, last: 0.0 }
    }

    #[inline]
    pub(super) const fn add(&mut self, cost: u64) {
        self.asked = self.asked.saturating_add(cost);
    }

    /// Whether anything was asked for since the last look.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked > 0
    }

    /// What a while needs, rounded up; looks at what was asked for until now.
    pub(super) fn look(&mut self, now: u64, ahead: Duration) -> u64 {
        let seconds = Duration::from_nanos(now.saturating_sub(self.at)).as_secs_f64();
        if seconds > 0.001 {
            #[expect(clippy::cast_precision_loss, reason = "digits past the fifteenth do not matter to an average")]
            let sample = self.asked as f64 / seconds;
            self.average += (sample - self.average) * (seconds / MEMORY).min(1.0);
            (self.last, self.asked, self.at) = (sample, 0, now);
        }
        let tokens = self.average.max(self.last) * ahead.as_secs_f64();
        // Less than a hundredth of a token is no demand any more.
        if tokens < 0.01 { 0 } else { whole(tokens.ceil()) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
const fn whole(number: f64) -> u64 {
    number as u64
}
