//! The verdict on a running gateway: healthy, degraded or failing, and why.
//!
//! [`judge`] makes [`Finding`]s of [`Facts`]; [`Memory`] keeps since when each holds, and [`Verdict`] puts them in the order of
//! their harm. Invariants: pure, time comes as an argument; every finding is of a [`Kind`], which has one word, one runbook and a
//! rank; ids stay the same from look to look as long as the same thing is wrong; what is listed is bounded.

mod affected;
mod facts;
mod finding;
mod judge;
mod kind;
mod memory;
#[cfg(test)]
mod tests;
mod verdict;

pub use affected::{Affected, Seen, affected};
pub use facts::{
    Burn, CertificateFacts, ClusterFacts, Facts, LinkFacts, Overrides, RoomFacts, SinkFacts, SourceFacts, StoreFacts,
    Traffic, Window,
};
pub use finding::{About, Finding, Severity};
pub use judge::{judge, thresholds};
pub use kind::Kind;
pub use memory::{Memory, Risen};
pub use verdict::{Reason, State, Verdict};
