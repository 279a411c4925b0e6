//! `client_certificate`: who calls, by the certificate that the connection was made with.

mod config;
mod filter;

#[cfg(test)]
mod tests;

pub use config::ClientCertificateConfig;
pub use filter::ClientCertificate;
