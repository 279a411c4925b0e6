//! Faults that a build can be given on purpose, to see that the scenes of the load tool find them.
//!
//! Where a fault would be, the code says `when!(Name => what it does);`. Without the feature `mutants` that is nothing at
//! all, not even a branch; with it, the variable `PORTCULLIS_MUTANT` chooses one fault when the process starts, and without
//! the variable everything is as it should be. A release has not got the feature (`scripts/release` looks).
//!
//! Invariants: one process has one fault at most, the same from its start to its end; each fault stands in one place, or in
//! a few that do the same harm.

#[cfg(feature = "mutants")]
mod chosen;

#[cfg(feature = "mutants")]
pub use chosen::{
    Unknown, burdened, choose, flipped, held_back, is_on, is_silent, leak, leak_descriptor, one_in, spoke, work,
};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Whoever writes a record waits for the log: 50 ms, one in a hundred, with all others of its worker.
    SlowLog,
    /// Of every thousandth request 1 KiB is never given back.
    LeakedBuffer,
    /// Of every fiftieth connection a descriptor stays open.
    LeakedDescriptor,
    /// Attempts are repeated without asking the budget.
    LostRetryBudget,
    /// A request is taken from a rate or a quota twice.
    DoubleCountedCap,
    /// What was spent and what was counted is forgotten when a config is loaded.
    ReloadResetsCounters,
    /// A rate lets one more through than its burst.
    BurstOffByOne,
    /// An upstream's 5xx is never passed on.
    FailsOn5xx,
    /// Of a WebSocket's messages one in fifty is lost.
    FailsOnWebsocket,
    /// A reload cuts the requests that are in flight.
    FailsOnReload,
    /// A reload ends the WebSockets that are open, by a goodbye where one may stand.
    ReloadCutsWebsockets,
    /// One request in a hundred takes 50 ms longer, and nobody else.
    Tail,
    /// A request costs a few thousand instructions more: about a tenth of one that is passed through.
    Cpu10,
    /// A connection holds 10 KiB more for as long as it is open.
    FatConnection,
    /// In the body of an answer that is longer than 1 MiB a bit of one byte is another.
    FlippedByte,
    /// A cluster takes any number of requests at once, whatever its limits say.
    UnboundedUpstream,
    /// While Redis says nothing, a request waits for it as long as an answer may take: 100 ms.
    WaitsForRedis,
    /// A reload keeps the generation that was before it, for good.
    GenerationKept,
    /// Who has no descriptor for a connection tries again at once.
    SpinningAccept,
    /// A head may take as long as it likes.
    EndlessHead,
    /// An answer is held whole before it goes on, however long it is and whether it is read or not.
    UnreadAnswerKept,
    /// A head that is refused since it is too large is in no book.
    UncountedHeads,
    /// Of the bodies of answers a sixteenth is never given back.
    LeakedBody,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::SlowLog,
        Self::LeakedBuffer,
        Self::LeakedDescriptor,
        Self::LostRetryBudget,
        Self::DoubleCountedCap,
        Self::ReloadResetsCounters,
        Self::BurstOffByOne,
        Self::FailsOn5xx,
        Self::FailsOnWebsocket,
        Self::FailsOnReload,
        Self::ReloadCutsWebsockets,
        Self::Tail,
        Self::Cpu10,
        Self::FatConnection,
        Self::FlippedByte,
        Self::UnboundedUpstream,
        Self::WaitsForRedis,
        Self::GenerationKept,
        Self::SpinningAccept,
        Self::EndlessHead,
        Self::UnreadAnswerKept,
        Self::UncountedHeads,
        Self::LeakedBody,
    ];

    /// Its name in `PORTCULLIS_MUTANT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlowLog => "slow_log",
            Self::LeakedBuffer => "leaked_buffer",
            Self::LeakedDescriptor => "leaked_descriptor",
            Self::LostRetryBudget => "lost_retry_budget",
            Self::DoubleCountedCap => "double_counted_cap",
            Self::ReloadResetsCounters => "reload_resets_counters",
            Self::BurstOffByOne => "burst_off_by_one",
            Self::FailsOn5xx => "fails_on_5xx",
            Self::FailsOnWebsocket => "fails_on_websocket",
            Self::FailsOnReload => "fails_on_reload",
            Self::ReloadCutsWebsockets => "reload_cuts_websockets",
            Self::Tail => "tail",
            Self::Cpu10 => "cpu_10",
            Self::FatConnection => "fat_connection",
            Self::FlippedByte => "flipped_byte",
            Self::UnboundedUpstream => "unbounded_upstream",
            Self::WaitsForRedis => "waits_for_redis",
            Self::GenerationKept => "generation_kept",
            Self::SpinningAccept => "spinning_accept",
            Self::EndlessHead => "endless_head",
            Self::UnreadAnswerKept => "unread_answer_kept",
            Self::UncountedHeads => "uncounted_heads",
            Self::LeakedBody => "leaked_body",
        }
    }
}

/// The variable that chooses one.
pub const VARIABLE: &str = "PORTCULLIS_MUTANT";

/// The names of all, as a sentence lists them.
#[must_use]
pub fn names() -> String {
    Mutant::ALL.map(Mutant::name).join(", ")
}

/// What is done where a fault is on: `when!(Tail => sleep(PAUSE).await);`.
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! when {
    ($mutant:ident => $($fault:tt)*) => {
        if $crate::is_on($crate::Mutant::$mutant) { $($fault)*; }
    };
}

/// Nothing: the build has no faults.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! when {
    ($mutant:ident => $($fault:tt)*) => {};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        let mut names = Mutant::ALL.map(Mutant::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Mutant::ALL.len());
    }
}
