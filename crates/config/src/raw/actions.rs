//! What a route does: `to:`, `redirect:`, `respond:`, `rewrite:`.

use http::{HeaderValue, StatusCode};
use portcullis_yaml::{Decode, Named, Spanned};
use std::num::NonZeroU16;

use super::words::{AuthorityWord, HostNameWord, KeyWord};

/// What a route does: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawAction {
    /// Send requests to a cluster, by name, or split them over several.
    To(RawTarget),
    /// Redirect the client.
    Redirect(RawRedirect),
    /// Answer directly.
    Respond(Spanned<RawRespond>),
}

/// Where requests go.
#[derive(Debug, Decode)]
pub(crate) enum RawTarget {
    /// A cluster, by name.
    #[config(scalar)]
    Cluster(Spanned<String>),
    /// Several clusters, or a part of one.
    #[config(map)]
    Map(Box<RawTargetMap>),
}

/// A split over several clusters, or the endpoints of one cluster that carry some labels.
#[derive(Debug, Decode)]
pub(crate) struct RawTargetMap {
    /// Which.
    #[config(flatten)]
    pub(crate) which: RawWhich,
    /// With `split`, what keeps its choice: `client_ip`, `path`, `consumer` (whom a filter named; without one, the
    /// address), `header:NAME`, `cookie:NAME` or `query:NAME`. Left out, each request is drawn. Another order of the
    /// clusters moves nobody, another weight only the difference.
    pub(crate) sticky: Option<Spanned<KeyWord>>,
    /// With `cluster`, the labels of the endpoints that are used, such as `{ version: canary }`. Left out, all are.
    pub(crate) subset: Option<Spanned<Named<String>>>,
}

/// Which clusters: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawWhich {
    /// Clusters with their weights: of a total of 100, a weight is a percentage.
    Split(Spanned<Named<u32>>),
    /// One cluster, by name.
    Cluster(Spanned<String>),
}

/// Another path: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawPathRewrite {
    /// This path, whatever the request's was.
    Path(Spanned<String>),
    /// This in place of the prefix that the route's `path` matched.
    Prefix(Spanned<String>),
    /// A path with the parameters of the route's `template`, such as `/v2/{id}`.
    Template(Spanned<String>),
    /// The first match of a regular expression is replaced.
    Regex(RawRegexRewrite),
}

/// Another path, or another Host, for the upstream.
#[derive(Debug, Decode)]
pub(crate) struct RawRewrite {
    /// The path. Default: the request's.
    #[config(flatten)]
    pub(crate) path: Option<RawPathRewrite>,
    /// The Host, with a port if need be. Default: the request's.
    pub(crate) host: Option<AuthorityWord>,
}

/// A replacement by regular expression.
#[derive(Debug, Decode)]
pub(crate) struct RawRegexRewrite {
    /// The expression. It need not match the whole path.
    pub(crate) pattern: Spanned<String>,
    /// What stands in its place, with `$1` or `${name}` for groups (in YAML, `$${name}`).
    pub(crate) replacement: Spanned<String>,
}

/// A redirect. What is left out is the request's.
#[derive(Debug, Decode)]
pub(crate) struct RawRedirect {
    /// `http` or `https`.
    pub(crate) scheme: Option<RawScheme>,
    /// The host.
    pub(crate) host: Option<HostNameWord>,
    /// The port. Default: that of the scheme, if the scheme is given.
    pub(crate) port: Option<NonZeroU16>,
    /// The path.
    #[config(flatten)]
    pub(crate) path: Option<RawPathRewrite>,
    /// 301, 302, 303, 307 or 308. Default: 302.
    pub(crate) status: Option<Spanned<StatusCode>>,
    /// Whether the query goes along. Default: true.
    pub(crate) keep_query: Option<bool>,
}

/// A scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawScheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// A direct answer.
#[derive(Debug, Decode)]
pub(crate) struct RawRespond {
    /// The status, 200 to 599. Default: 200.
    pub(crate) status: Option<Spanned<StatusCode>>,
    /// The body. Default: empty.
    pub(crate) body: Option<Spanned<String>>,
    /// The Content-Type. Default: `text/plain; charset=utf-8`, where there is a body.
    pub(crate) content_type: Option<HeaderValue>,
    /// More fields of the answer.
    #[config(default)]
    pub(crate) headers: Named<HeaderValue>,
}
