//! The tool's own words: `run`, `prove`, what they print and what they leave behind.

pub mod progress;
pub mod prove;
pub mod report;
pub mod run;

/// How a command ended, as CI is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// All that was asked for holds.
    Passed = 0,
    /// Something that was asked for does not hold.
    Missed = 1,
    /// The machine or the tool could not tell.
    Invalid = 5,
}
