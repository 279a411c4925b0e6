//! `limits`: refuses requests whose parts are larger than a host or a route takes.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::LimitsConfig;
pub use filter::Limits;
