//! Settings of `client_certificate`.

use portcullis_yaml::Decode;

/// Finds the consumer that the subject of the client's certificate stands for. The certificate was verified against the
/// listener's `client_ca` when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub struct ClientCertificateConfig {
    /// Whether a request without a certificate, or with one that nobody has, goes on, to be known by another filter or to
    /// stay unknown.
    #[config(default = false)]
    pub optional: bool,
}
