//! `compress`: compresses answers with zstd, Brotli or gzip, by what the client accepts.

mod config;
mod encoder;
mod filter;
mod negotiate;

#[cfg(test)]
mod tests;

pub use config::{CompressConfig, Levels};
pub use encoder::Coding;
pub use filter::Compress;
