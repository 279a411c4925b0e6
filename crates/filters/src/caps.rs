//! `caps`: holds callers to what they may spend, decided at once over everything that applies to a request.
//!
//! How the parts fit:
//! - [`SetWords`]: the words of caps, for plans, consumers, the gateway, hosts and routes; compiled to
//!   [`portcullis_caps::CapSet`]s.
//! - [`CapLedger`]: the ledger with its clock, one for the life of the process. [`Plans`]: the caps of one generation, bound
//!   to it. Both stand among the services of filters. [`own_set`] reads what the file of consumers says of a single one,
//!   which belongs to the process as consumers do: [`CapLedger::own`] binds it to the plans that serve.
//! - [`Caps`]: the filter. It hands a [`portcullis_caps::Spender`] to those who go on with the request.
//!
//! Invariants:
//! - A request is decided once, however many `caps` it passes; what it holds is given back when it and the stream that
//!   it became are over.
//! - Who has a plan that the gateway does not have is refused.

mod compile;
mod config;
mod filter;
mod own;
mod plans;
mod service;
mod spending;
#[cfg(test)]
mod tests;
mod tunnel;
mod words;

pub use config::CapsConfig;
pub use filter::{Caps, CapsCtx};
pub use own::own_set;
pub use plans::{Bound, PlanSets, Plans, PlansError};
pub use service::{CapLedger, Clock, Refused};
pub use words::SetWords;
