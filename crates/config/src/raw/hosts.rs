//! `hosts:`.

use portcullis_yaml::{Decode, Spanned};

use super::filters::RawFilter;
use super::lax::Lax;
use super::routes::RawRoute;
use super::words::HostWord;

/// A virtual host: its names, and its routes.
#[derive(Debug, Decode)]
pub(crate) struct RawHost {
    /// The names it answers to: `www.example.com`, `*.example.com` (one label or more), or `*` for every host that
    /// nothing else names.
    pub(crate) names: Spanned<Vec<Spanned<HostWord>>>,
    /// Filters of all its requests, before a route is chosen.
    pub(crate) filters: Lax<Vec<RawFilter>>,
    /// The routes. The most specific one that matches is taken; of equals, the first.
    pub(crate) routes: Lax<Vec<Spanned<RawRoute>>>,
    /// How paths are normalised before they are routed.
    pub(crate) paths: Lax<RawPaths>,
    /// How errors are written. Default: problem.
    pub(crate) errors: Lax<RawDialect>,
}

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawDialect {
    /// `application/problem+json`, RFC 9457.
    Problem,
    /// A JSON-RPC 2.0 error object.
    #[config(rename = "jsonrpc")]
    JsonRpc,
    /// A gRPC status.
    Grpc,
    /// A small HTML page.
    Html,
}

/// How paths are normalised before they are routed. What is routed on is what is forwarded.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawPaths {
    /// `.` and `..` segments. Default: resolve.
    pub(crate) dot_segments: Option<RawDotSegments>,
    /// Empty segments. Default: merge.
    pub(crate) double_slash: Option<RawDoubleSlash>,
    /// `%2F`. Default: refuse.
    pub(crate) encoded_slash: Option<RawEncodedSlash>,
    /// A backslash, encoded or not. Default: refuse.
    pub(crate) backslash: Option<RawBackslash>,
}

/// What is done with `.` and `..` segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawDotSegments {
    /// Resolve them, RFC 3986 section 5.2.4.
    Resolve,
    /// Refuse the request.
    Refuse,
}

/// What is done with empty segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawDoubleSlash {
    /// Make one slash of them.
    Merge,
    /// Leave them.
    Keep,
    /// Refuse the request.
    Refuse,
}

/// What is done with `%2F`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawEncodedSlash {
    /// Refuse the request.
    Refuse,
    /// Leave it: it is part of its segment.
    Keep,
    /// Read it as a slash.
    Decode,
}

/// What is done with a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawBackslash {
    /// Refuse the request.
    Refuse,
    /// Write it as `%5C`: it is part of its segment.
    Keep,
    /// Read it as a slash.
    Slash,
}
