//! `api_key`: who calls, by a key.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::ApiKeyConfig;
pub use filter::ApiKey;
