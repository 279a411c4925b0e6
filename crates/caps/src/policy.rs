//! What a plan says: caps by name, by RPC method and by scope, and what calls cost.
//!
//! Everything here is checked when it is made, and nothing here has state. [`crate::Ledger::bind`] turns a set into
//! what requests are decided by.

mod cap;
mod method;
mod set;

pub use cap::{Cap, CapError, Held, Limit, Unit};
pub use method::{MethodId, MethodPattern, Methods, PatternError, TooManyMethods};
pub use set::{CapSet, CapSetSpec, MethodRule, Outage, Scope, SetError};
