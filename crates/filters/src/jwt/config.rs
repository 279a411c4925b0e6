//! Settings of `jwt`.

use portcullis_yaml::{Decode, OneOrMany};

/// Finds the consumer that the subject of a request's token stands for: `Authorization: Bearer` with a JSON Web Token of
/// an issuer under `tokens` at the top of the config. The token is taken out of the request, whatever comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct JwtConfig {
    /// The issuers whose tokens are taken, by their names under `tokens`. Default: all of them.
    #[config(example = "main")]
    pub issuers: Option<OneOrMany<String>>,
    /// Whether a request without a token goes on, to be known by another filter or to stay unknown. A token that is there
    /// must be good all the same.
    #[config(default = false)]
    pub optional: bool,
}
