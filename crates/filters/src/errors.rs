//! `errors`: answers failures in the operator's words, by reason or by the upstream's status.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::{Answer, ErrorsConfig, Mapping, StatusRange};
pub use filter::Errors;
