//! How keeping goes, for metrics and the admin API.

use crate::redis::LinkStatus;

/// How the store and the link to Redis are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperStatus {
    /// The store and its journal.
    pub saving: SavingStatus,
    /// The link to Redis, where gateways share caps.
    pub redis: Option<LinkStatus>,
}

/// Whether what is spent is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Saving {
    /// It is.
    #[default]
    Good,
    /// Another process has the store; it is opened when that one ends.
    Waiting,
    /// The process that follows this one has it; what is spent here goes there.
    HandedOver,
    /// The disk is full. What is spent waits in memory.
    Full,
    /// Something else is wrong. What is spent waits in memory.
    Failing,
}

impl Saving {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Good, Self::Waiting, Self::HandedOver, Self::Full, Self::Failing];

    /// The word of metrics and of the admin API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::HandedOver => "handed_over",
            Self::Full => "full",
            Self::Failing => "failing",
        }
    }
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavingStatus {
    /// Whether what is spent is written down.
    pub state: Saving,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The last error, in words; it stays when all is good again.
    pub last_error: Option<String>,
    /// When something was last written, or there was nothing to write, in milliseconds since 1970.
    pub saved_at: u64,
    /// Quotas and usages that wait in memory.
    pub pending: u64,
    /// Commits since the gateway began.
    pub commits: u64,
    /// Failures since the gateway began.
    pub failures: u64,
    /// Lines written to the journal since the gateway began.
    pub lines: u64,
    /// Consumers whose quotas are held to be looked up.
    pub consumers: u64,
}
