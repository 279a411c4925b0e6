//! `headers`: edits the fields of requests on their way upstream, and of answers on their way to the client.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::{Edits, HeadersConfig};
pub use filter::Headers;
