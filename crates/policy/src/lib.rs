//! Routing policy, pure: hosts, matchers, precedence, splits, the decision and its explanation.
//!
//! A [`Router`] is compiled from the config's virtual hosts and then only read. A request, as a
//! `portcullis_types::RequestView`, finds its virtual host by name and in it the route with the highest [`Rank`]
//! that matches; `explain` tells why each nearer one did not. [`action`] holds what a route may then do that is
//! pure: split, rewrite, redirect.
//!
//! Invariants: nothing here does I/O, reads a clock or draws random numbers on the request path; the search
//! allocates nothing; no input panics; what one request may cost is bounded by the config, and tables that a client
//! chooses keys of are seeded.

pub mod action;
pub mod hash_key;
pub mod host_pattern;
mod host_table;
mod intern;
pub mod matcher;
pub mod rank;
pub mod route;
mod route_index;
pub mod router;
pub mod seed;
pub mod shadow;
pub mod stable_hash;
#[cfg(test)]
mod test_kit;
pub mod virtual_host;

pub use action::{HostRewrite, PathRewrite, Redirect, RedirectStatus, RewriteError, SplitError, WeightedSplit};
pub use hash_key::{HashKey, HashKeyError};
pub use host_pattern::{HostName, HostPattern, HostPatternError};
pub use matcher::{Conditions, Matcher, Mismatch, Params, PathError, PathKind, PathMatcher};
pub use rank::Rank;
pub use route::{Candidate, Match, Outcome, Route, RouteSpec};
pub use router::{HostConflict, HostExplanation, HostTrial, Router, RouterBuilder};
pub use seed::Seed;
pub use shadow::Shadowed;
pub use stable_hash::{stable_hash, stable_hash_of_ip};
pub use virtual_host::{VirtualHost, VirtualHostSpec};
