//! `anonymous`: what is asked of nobody in particular is held to a plan all the same.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::AnonymousConfig;
pub use filter::Anonymous;
