//! `identity`: tells the upstream who calls, in fields or in a short-lived signed token.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::IdentityConfig;
pub use filter::TellIdentity;
