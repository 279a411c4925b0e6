//! Trouble that lasts is said at once, and then seldom.

use std::time::{Duration, Instant};

/// When it was said last.
#[derive(Debug, Clone)]
pub struct Seldom {
    every: Duration,
    said: Option<Instant>,
}

impl Seldom {
    /// At most so often.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, said: None }
    }

    /// Whether it is to be said now; who asks says it.
    #[must_use]
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.said.is_none_or(|said| now.duration_since(said) >= self.every);
        if due {
            self.said = Some(now);
        }
        due
    }

    /// The trouble is over, and the next one is said at once; whether it had been said.
    pub fn over(&mut self) -> bool {
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_at_once_and_then_seldom() {
        let (start, mut seldom) = (Instant::now(), Seldom::new(Duration::from_secs(10)));
        let due: Vec<u64> = (0..30).filter(|second| seldom.is_due(start + Duration::from_secs(*second))).collect();
        assert_eq!(due, [0, 10, 20]);
        assert_eq!([seldom.over(), seldom.over()], [true, false]);
        assert!(seldom.is_due(start + Duration::from_secs(21)), "another trouble");
    }
}
