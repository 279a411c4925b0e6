//! What is counted in a window, and the shares that are compared.

use std::fmt;
use std::ops::AddAssign;

/// What became of the requests of one side in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them.
    pub requests: u64,
    /// Failed by the fault of the gateway or an upstream, or answered with 5xx.
    pub failed: u64,
    /// Refused by the fault of the client: no route, no key, over a cap.
    pub refused: u64,
    /// Answered, and slower than what counts as slow.
    pub slow: u64,
}

impl Counts {
    /// The share of a metric, 0 to 1; 0 where there was no request.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
    pub fn share(&self, metric: Metric) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        let count = match metric {
            Metric::Failed => self.failed,
            Metric::Refused => self.refused,
            Metric::Slow => self.slow,
        };
        count as f64 / self.requests as f64
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.refused = self.refused.saturating_add(other.refused);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

/// What a new generation may do worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// More requests fail.
    Failed,
    /// More requests are refused.
    Refused,
    /// More requests are slow.
    Slow,
}

impl Metric {
    /// Each of them; a trial gates on all.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Refused, Self::Slow];

    /// The word of answers and logs; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Slow => "slow",
        }
    }

    /// The place in [`Self::ALL`].
    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
