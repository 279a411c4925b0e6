//! The extension boundary: filters, phases, chains, the registry, and the seams a wing needs.
//!
//! A [`Filter`] takes part in the phases it names, in the order the config lists it: request phases first to last,
//! response phases last to first. A chain is compiled once a generation; a phase that no filter of it takes part in
//! costs nothing. What does not fit a filter (a connection that is not HTTP, hosts and certificates that come from
//! elsewhere, a cache) enters through a seam of [`seam`].
//!
//! Nothing here knows Pingora's proxy: a chain runs without sockets, in [`testkit`].

pub mod chain;
pub mod claims;
pub mod cx;
mod erased;
pub mod filter;
pub mod phase;
pub mod registry;
pub mod response;
pub mod seam;
pub mod secrets;
mod services;
pub mod state;
pub mod testkit;
mod withheld;

pub use chain::{Chain, ChainState};
pub use claims::Claims;
pub use cx::{
    BodyCx, Candidate, Completed, ErrorCx, Explained, Facts, Notes, RequestCx, ResponseCx, SelectCx, Site, Source,
};
pub use filter::{ConfiguredFilter, Filter, Needs, Verdict};
pub use phase::{Phase, Phases};
pub use registry::{BuildCx, FilterSpec, Registry};
pub use response::Response;
pub use secrets::Secrets;
pub use services::Services;
pub use state::StateStore;
pub use withheld::Withheld;
