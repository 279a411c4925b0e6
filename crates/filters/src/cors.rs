//! `cors`: answers preflight requests and says who may read answers, by the CORS protocol of the Fetch standard.

mod config;
mod filter;
mod origin;

#[cfg(test)]
mod tests;

pub use config::CorsConfig;
pub use filter::Cors;
pub use origin::{Origin, Origins};
