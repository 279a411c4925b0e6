//! `access`: allows or denies requests by an ordered list of rules.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::{AccessConfig, Rule, Verb};
pub use filter::Access;
