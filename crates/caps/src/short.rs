//! What a check answers when a cap does not allow something.

use std::time::Duration;

/// How long until the same would be allowed, if nobody else spends meanwhile.
///
/// Ordered: of two waits the greater one decides when a request that both refuse may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wait {
    /// Until something that is held is given back; nobody knows when.
    Unknown,
    /// So long, to the nanosecond.
    For(Duration),
    /// It is more than the cap ever allows at once.
    Never,
}

/// Why a cap does not allow a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short {
    /// What could be spent now, in whole units; less than was asked.
    pub remaining: u64,
    /// When it would be allowed.
    pub wait: Wait,
}
