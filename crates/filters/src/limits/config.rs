//! Settings of `limits`.

use portcullis_types::ByteSize;
use portcullis_yaml::Decode;
use std::num::NonZeroU32;

/// Limits on requests, below those of the listener. A limit that is left out does not hold here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[config(deny_empty)]
pub struct LimitsConfig {
    /// The largest request body. A Content-Length above it is answered 413 (`body_too_large`) at once; a body without
    /// one is cut off where it passes the limit, and the request to the upstream with it.
    #[config(example = "1MiB")]
    pub body: Option<ByteSize>,
    /// How many field lines a request may have; more are answered 431 (`head_too_large`).
    #[config(example = "64")]
    pub fields: Option<NonZeroU32>,
    /// How many bytes names and values of all fields may take together; more are answered 431 (`head_too_large`).
    #[config(example = "8KiB")]
    pub field_bytes: Option<ByteSize>,
    /// The longest path; a longer one is answered 414 (`target_too_long`).
    #[config(example = "2KiB")]
    pub path: Option<ByteSize>,
    /// The longest query, without its `?`; a longer one is answered 414 (`target_too_long`).
    #[config(example = "4KiB")]
    pub query: Option<ByteSize>,
}
