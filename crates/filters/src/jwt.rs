//! `jwt`: who calls, by a JSON Web Token of an issuer that the config trusts.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::JwtConfig;
pub use filter::Jwt;
