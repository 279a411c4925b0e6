//! `fault`: delays or aborts a share of the requests, to see how clients and services bear it.

mod config;
mod filter;
mod random;

#[cfg(test)]
mod tests;

pub use config::FaultConfig;
pub use filter::Fault;
pub use random::Draws;
