//! What a route may do that is pure: choose one of several, write another path or host, redirect.
//!
//! Everything is compiled and checked at load; applying it cannot fail, and its result is always valid: a
//! normalised path, a Location without control characters that leads where the config says.

pub mod redirect;
pub mod rewrite;
pub mod split;

pub use redirect::{Redirect, RedirectStatus, RedirectStatusError};
pub use rewrite::{HostRewrite, PathRewrite, RewriteError};
pub use split::{SplitError, WeightedSplit};
