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
//! - [`Tuning`]: slow start, zones, spill-over between priorities, outlier detection ([`EndpointSet::sweep`]).
//! - [`HeightPolicy`]: how far endpoints that follow one history may lag behind the others.
//! - [`CapacityReport`]: what an endpoint says of itself.
//! - [`Budget`], [`Hedge`], [`backoff`], [`can_finish`]: whether and when an attempt is made again.
//! - [`Failover`]: which cluster of a chain takes the requests.
//! - [`Limiter`], [`WaitQueue`]: how many requests may be in flight, and who waits for a place.
//! - [`ChoicePolicy`]: the seam for an algorithm that is not built in.
//!
//! Invariants:
//! - A request in flight is counted once, from the choice to the drop of its [`Choice`], however it ends.
//! - What may be chosen is compiled when health changes, not when a request comes: choosing reads a table, takes no
//!   lock and allocates nothing.
//! - An endpoint of weight 0 is never chosen. An unhealthy one is chosen only in a panic, which is off by default.
//! - While any endpoint passes its checks there is one to choose, whatever outlier detection and reports say.

mod algorithm;
mod answer;
mod ask;
mod atomics;
mod backoff;
mod budget;
mod capacity;
mod choice;
mod endpoint;
mod expected;
mod failover;
mod health;
mod heat;
mod hedge;
mod height;
mod latency;
mod least_loaded;
mod limit;
mod lineage;
mod number;
mod options;
mod outlier;
mod quantile;
mod queue;
mod random;
mod ring;
mod rotation;
mod set;
mod signals;
mod spill;
mod standing;
mod state;
mod tier;
mod tuning;

pub use algorithm::{Candidates, ChoicePolicy};
pub use answer::Answer;
pub use ask::{Ask, NoEndpoint};
pub use backoff::backoff;
pub use budget::{Budget, BudgetPolicy, Spent};
pub use capacity::{CapacityReport, MOST_AWAY, OrcaError, REPORT_MEMORY, parse_orca};
pub use choice::Choice;
pub use endpoint::{Endpoint, EndpointIdx, EndpointSpec};
pub use expected::can_finish;
pub use failover::{Failover, Turn};
pub use health::{BeforeFirstCheck, CheckFailure, HealthMachine, HealthPolicy, Transition};
pub use hedge::{Hedge, HedgePolicy};
pub use height::{Bearing, HeightEvent, HeightPolicy, HeightStanding, OwnWord, Sounding};
pub use limit::{AdaptivePolicy, Gradient, LimitPolicy, Limiter, Observed, Permit, Priority};
pub use options::{Algorithm, LoadBound, SetOptions};
pub use outlier::{EjectionCause, FailureRate, LatencyOutlier, OutlierChange, OutlierEvent, OutlierPolicy};
pub use quantile::LatencyQuantiles;
pub use queue::{Offer, QueuePolicy, WaitQueue};
pub use random::{Draws, key_of};
pub use rotation::Resort;
pub use set::{EndpointSet, SetError};
pub use standing::{EndpointStanding, Place};
pub use state::{EndpointState, Health, Totals};
pub use tuning::{Overprovisioning, SlowStart, TunedOptions, Tuning, ZonePreference};

// The simulation speaks of the crate by its name, as the example that it belongs to does.
#[cfg(test)]
extern crate self as portcullis_balance;

#[cfg(test)]
#[path = "../examples/simulate/sim.rs"]
#[expect(dead_code, clippy::cast_possible_truncation, reason = "it is shared with the example, which uses all of it")]
mod sim;

#[cfg(test)]
mod tests;
