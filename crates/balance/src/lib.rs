//! Pure state machines: the choice of an endpoint and its health.
//!
//! What lives here decides where a request goes and whether an endpoint may take any. Nothing here does I/O or reads
//! a clock: `now` and 64 random bits come in as arguments, so tests and simulations own time and chance.
//!
//! How the parts fit:
//! - [`EndpointSet`]: the endpoints of a cluster, immutable. [`EndpointSet::choose`] answers with a [`Choice`].
//! - [`EndpointState`]: what is counted and known of one endpoint. It outlives the set: a set that is rebuilt from
//!   its predecessor shares the states of all endpoints whose name and address did not change.
//! - [`HealthMachine`]: turns results of checks into edges of health, written into the shared state.
//! - [`ChoicePolicy`]: the seam for an algorithm that is not built in.
//!
//! Invariants:
//! - A request in flight is counted once, from the choice to the drop of its [`Choice`], however it ends.
//! - What may be chosen is compiled when health changes, not when a request comes: choosing reads a table, takes no
//!   lock and allocates nothing.
//! - An endpoint of weight 0 is never chosen. An unhealthy one is chosen only in a panic, which is off by default.

mod algorithm;
mod choice;
mod endpoint;
mod health;
mod latency;
mod lineage;
mod options;
mod random;
mod ring;
mod rotation;
mod set;
mod standing;
mod state;
mod tier;

pub use algorithm::{Candidates, ChoicePolicy};
pub use choice::Choice;
pub use endpoint::{Endpoint, EndpointIdx, EndpointSpec};
pub use health::{BeforeFirstCheck, CheckFailure, HealthMachine, HealthPolicy, Transition};
pub use options::{Algorithm, LoadBound, SetOptions};
pub use random::{Draws, key_of};
pub use set::{Ask, EndpointSet, NoEndpoint, SetError};
pub use standing::{EndpointStanding, Place};
pub use state::{EndpointState, Health, Totals};

#[cfg(test)]
mod tests;
