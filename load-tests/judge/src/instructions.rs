//! Instructions per request, which noise does not touch: a rule of its own, without a test.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a request costs in instructions on both sides, as callgrind counts them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    /// Of the baseline, per request.
    pub baseline: f64,
    /// Of the canary, per request.
    pub canary: f64,
    /// The ratio that is allowed. What is left of noise (hash seeds, timers) is well below 1 %, so 1.05 finds 10 % always.
    pub allowed: f64,
}

impl Instructions {
    /// The canary's over the baseline's; infinite without a baseline.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.baseline > 0.0 { self.canary / self.baseline } else { f64::INFINITY }
    }

    /// Whether the canary needs more than is allowed.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.ratio() > self.allowed
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} instructions per request against {:.0}: a ratio of {:.3}, {:.3} allowed",
            self.canary,
            self.baseline,
            self.ratio(),
            self.allowed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_found_and_a_hundredth_is_not() {
        for (canary, fails) in [(90_000.0, false), (101_000.0, false), (104_900.0, false), (110_000.0, true)] {
            let instructions = Instructions { baseline: 100_000.0, canary, allowed: 1.05 };
            assert_eq!(instructions.fails(), fails, "{instructions}");
        }
        assert!(Instructions { baseline: 0.0, canary: 1.0, allowed: 1.05 }.fails());
    }
}
