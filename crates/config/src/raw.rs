//! The config as it is written: one type per section, read by `portcullis-yaml`.
//!
//! The doc comments here are the reference documentation and the descriptions of the JSON Schema. Nothing leaves the
//! crate in these types: `compile` turns them into plans that cannot be wrong.

pub(crate) mod actions;
pub(crate) mod admin;
pub(crate) mod attempts;
pub(crate) mod caps;
pub(crate) mod clusters;
pub(crate) mod consumers;
pub(crate) mod endpoints;
pub(crate) mod filters;
pub(crate) mod history;
pub(crate) mod hosts;
pub(crate) mod lax;
pub(crate) mod limits;
pub(crate) mod listeners;
pub(crate) mod log;
pub(crate) mod log_words;
pub(crate) mod matchers;
pub(crate) mod routes;
pub(crate) mod slos;
pub(crate) mod store;
pub(crate) mod top;
pub(crate) mod tracing;
pub(crate) mod tuning;
pub(crate) mod words;
