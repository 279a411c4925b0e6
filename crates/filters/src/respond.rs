//! `respond`: answers every request that reaches it, without an upstream.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::RespondConfig;
pub use filter::Respond;
