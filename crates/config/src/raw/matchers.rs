//! `match:` of a route.

use http::Method;
use ipnet::IpNet;
use portcullis_types::Percent;
use portcullis_yaml::{Decode, Named, OneOrMany, Spanned};

use super::words::{CertificateNameWord, DrawWord, FingerprintWord, RpcMethodWord};

/// What a route matches: a path, and conditions that must all hold.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawMatch {
    /// The path. Left out, every path.
    #[config(flatten)]
    pub(crate) path: Option<RawPath>,
    /// A method, or a list of which one must be the request's.
    pub(crate) method: Option<Spanned<OneOrMany<Method>>>,
    /// Header fields, by name.
    #[config(default)]
    pub(crate) headers: Named<RawValueMatch>,
    /// Query parameters, by name. Case matters.
    #[config(default)]
    pub(crate) query: Named<RawValueMatch>,
    /// Cookies, by name. Case matters.
    #[config(default)]
    pub(crate) cookies: Named<RawValueMatch>,
    /// Networks of which one must hold the client's address.
    pub(crate) network: Option<Spanned<OneOrMany<IpNet>>>,
    /// The client's certificate, on listeners with a `client_ca`.
    pub(crate) client_certificate: Option<Spanned<RawCertificateMatch>>,
    /// A stable share of what is left.
    pub(crate) percentage: Option<Spanned<RawPercentage>>,
    /// JSON-RPC methods of which every call in the body must be one: `getBlock`, or `get*` for all that begin so. Case
    /// matters. Needs a binary that reads JSON-RPC.
    pub(crate) jsonrpc: Option<Spanned<OneOrMany<RpcMethodWord>>>,
}

/// The path of a route: one of these keys.
#[derive(Debug, Decode)]
pub(crate) enum RawPath {
    /// This path and everything below it: `/a` takes `/a` and `/a/b`, not `/ab`.
    #[config(rename = "path")]
    Prefix(Spanned<String>),
    /// This path alone.
    Exact(Spanned<String>),
    /// A path with parameters, such as `/users/{id}` or `/files/{*rest}`.
    Template(Spanned<String>),
    /// A regular expression over the whole path, in linear time.
    Regex(Spanned<String>),
}

/// What the values of a name must be.
#[derive(Debug, Decode)]
pub(crate) enum RawValueMatch {
    /// A value equals this.
    #[config(scalar)]
    Equals(String),
    /// Another condition.
    #[config(map)]
    Condition(RawCondition),
}

/// A condition on the values of a name.
#[derive(Debug, Decode)]
pub(crate) enum RawCondition {
    /// A value equals this.
    Exact(String),
    /// A value starts with this.
    Prefix(String),
    /// A regular expression that the whole of a value matches.
    Regex(Spanned<String>),
    /// `true`: there is a value. `false`: there is none.
    Present(bool),
    /// `true`: there is no value. `false`: there is one.
    Absent(bool),
}

/// What a client certificate must be.
#[derive(Debug, Decode)]
pub(crate) enum RawCertificateMatch {
    /// There is one.
    Present,
    /// Its subject, RFC 4514 text.
    Subject(String),
    /// One of its alternative names: a DNS name, `*.example.net`, a URI or an e-mail address.
    Name(CertificateNameWord),
    /// Its SHA-256, 64 hex digits.
    Fingerprint(FingerprintWord),
}

/// A stable share of the requests.
#[derive(Debug, Decode)]
pub(crate) struct RawPercentage {
    /// How large, such as `5%`.
    pub(crate) share: Percent,
    /// What decides: equal values are all in or all out. `client_ip`, `path`, `header:NAME`, `cookie:NAME` or
    /// `query:NAME`. Default: client_ip.
    pub(crate) by: Option<DrawWord>,
}
