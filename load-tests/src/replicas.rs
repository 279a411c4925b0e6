//! Replicas of an origin, in one thread on a port each, that behave as a plan says: slow, limited, failing, killed.
//!
//! A replica works on a bounded number of requests at a time; the others queue. Work is time that passes, not CPU, so
//! that a fleet fits on half a core. How long a request takes follows from the seed and the request's own number: every
//! contender is given the same work, and a second attempt costs what the first did.
//!
//! Invariants: an attempt is counted when its head has been read, whatever becomes of it; what a killed replica held at
//! that moment is known by number.

mod fleet;
mod plan;
mod station;

pub use fleet::{Fleet, Observed};
pub use plan::{Mode, Plan, Replica, Work};
