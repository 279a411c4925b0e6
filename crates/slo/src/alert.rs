//! When to call somebody.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// How soon somebody has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Within days.
    Ticket,
    /// Now.
    Page,
}

impl Severity {
    /// The word of labels and answers; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// A pair of windows and the burn rate that both must exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alert {
    /// How many times faster than allowed the budget is used up.
    pub factor: f64,
    /// The window that tells that it matters.
    pub long: Duration,
    /// The window that tells that it still goes on.
    pub short: Duration,
    /// How soon somebody has to look.
    pub severity: Severity,
}

impl Alert {
    /// 2 % of a budget of 30 days in an hour, 5 % in six hours, 10 % in three days.
    pub const ALL: [Self; 3] = [
        Self {
            factor: 14.4,
            long: Duration::from_secs(HOUR),
            short: Duration::from_secs(5 * MINUTE),
            severity: Severity::Page,
        },
        Self {
            factor: 6.0,
            long: Duration::from_secs(6 * HOUR),
            short: Duration::from_secs(30 * MINUTE),
            severity: Severity::Page,
        },
        Self {
            factor: 1.0,
            long: Duration::from_secs(72 * HOUR),
            short: Duration::from_secs(6 * HOUR),
            severity: Severity::Ticket,
        },
    ];
}

/// An alert that fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// Which.
    pub alert: Alert,
    /// The burn rate in its long window.
    pub long: f64,
    /// The burn rate in its short window.
    pub short: f64,
}
