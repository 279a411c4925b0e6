//! Sans-IO judges of bytes on the wire: HTTP/1 heads and framing, PROXY protocol, HTTP/2 frames.
//!
//! Every judge takes bytes and answers with facts or with the one rule that was broken. None of them reads a
//! socket, a clock or a random source, and none of them panics on any input. Where bytes arrive in pieces, the
//! verdict is the same for every way of cutting them (see [`laws`], which the property tests and the fuzz targets
//! call). On the good path the judges of requests do not allocate.
//!
//! Each error enum is closed: a variant per rule, with a stable snake_case `name()` for logs and metrics, a
//! sentence for people as its `Display`, and `ALL` for documentation and exhaustive tables.

#[macro_use]
mod closed;
mod class;

pub mod body;
pub mod client_hello;
pub mod forwarded;
pub mod h2;
pub mod head;
pub mod height;
pub mod host;
pub mod laws;
pub mod proxy_protocol;
pub mod response;
pub mod target;

pub use body::{BodyLimits, Fed, FramingError, FramingValidator};
pub use head::{HeadError, HeadFacts, HeadLimits, HeadScanner, Scan, check_head};
pub use host::{HostError, normalize_host};
pub use target::{PathError, PathPolicy, normalize};

/// How the length of a message's content is known (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The message has no content.
    None,
    /// Exactly this many bytes follow the head.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
}
