//! What a route asks of a request: its path, and conditions on the rest of it. All must hold.
//!
//! One matcher per file. Each judges a borrowed view without an allocation and, where it does not match, says what
//! it expected and what it found; `find` and `explain` go through the same `check`, so they cannot disagree.

use std::fmt;

use portcullis_types::{RequestView, RouteName};

pub mod body;
pub mod certificate;
pub mod cookie;
pub mod header;
pub mod method;
pub mod mismatch;
pub mod network;
pub mod path;
pub mod pattern;
pub mod percentage;
pub mod query;
pub mod rpc_methods;
pub mod template;
pub mod value;

pub use body::{BodyFound, BodyMatch};
pub use certificate::{CertificateMatcher, CertificateName, Fingerprint};
pub use cookie::CookieMatcher;
pub use header::HeaderMatcher;
pub use method::MethodMatcher;
pub use mismatch::Mismatch;
pub use network::NetworkMatcher;
pub use path::{PathError, PathKind, PathMatcher};
pub use pattern::{Pattern, PatternError};
pub use percentage::PercentageMatcher;
pub use query::QueryMatcher;
pub use rpc_methods::{RpcMethod, RpcMethodError, RpcMethods};
pub use template::{MAX_PARAMS, Params, Template, TemplateError};
pub use value::{Found, ValueMatch};

/// A route's matcher. The default takes every request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Matcher {
    /// The path; by default every path.
    pub path: PathMatcher,
    /// The rest; by default nothing.
    pub conditions: Conditions,
}

/// Everything a matcher may ask besides the path, in the order in which it is judged and ranked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Conditions {
    /// The method is one of these.
    pub methods: Option<MethodMatcher>,
    /// All of these hold.
    pub headers: Vec<HeaderMatcher>,
    /// All of these hold.
    pub query: Vec<QueryMatcher>,
    /// All of these hold.
    pub cookies: Vec<CookieMatcher>,
    /// The client certificate.
    pub certificate: Option<CertificateMatcher>,
    /// The client's network.
    pub network: Option<NetworkMatcher>,
    /// The body.
    pub body: Option<BodyMatch>,
    /// A share of what is left.
    pub percentage: Option<PercentageMatcher>,
}

/// Whether the body is judged, or taken to match because it has not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Judged,
    Assumed,
}

impl Matcher {
    /// The matcher in words, one line: `POST, path prefix /v1, header x-env = canary`.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.path, Some(&self.conditions))
    }

    /// Judges a request. `route` seeds the percentage.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check<'a>(&'a self, view: &RequestView<'a>, route: &RouteName) -> Result<(), Mismatch<'a>> {
        self.path.check(view)?;
        self.conditions.check(view, route, Body::Judged)
    }
}

impl From<PathMatcher> for Matcher {
    fn from(path: PathMatcher) -> Self {
        Self { path, conditions: Conditions::default() }
    }
}

impl From<Conditions> for Matcher {
    fn from(conditions: Conditions) -> Self {
        Self { path: PathMatcher::default(), conditions }
    }
}

impl Conditions {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn check<'a>(
        &'a self,
        view: &RequestView<'a>,
        route: &RouteName,
        body: Body,
    ) -> Result<(), Mismatch<'a>> {
        self.methods.as_ref().map_or(Ok(()), |methods| methods.check(view))?;
        self.headers.iter().try_for_each(|header| header.check(view))?;
        self.query.iter().try_for_each(|query| query.check(view))?;
        self.cookies.iter().try_for_each(|cookie| cookie.check(view))?;
        self.certificate.as_ref().map_or(Ok(()), |certificate| certificate.check(view))?;
        self.network.as_ref().map_or(Ok(()), |network| network.check(view))?;
        if body == Body::Judged {
            self.body.as_ref().map_or(Ok(()), |body| body.check(view))?;
        }
        self.percentage.as_ref().map_or(Ok(()), |percentage| percentage.check(view, route))
    }

    /// Whether every request that satisfies `other` satisfies this too. `false` when that cannot be told.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        covers_option(&self.methods, &other.methods, MethodMatcher::covers)
            && covers_all(&self.headers, &other.headers, HeaderMatcher::covers)
            && covers_all(&self.query, &other.query, QueryMatcher::covers)
            && covers_all(&self.cookies, &other.cookies, CookieMatcher::covers)
            && covers_option(&self.certificate, &other.certificate, CertificateMatcher::covers)
            && covers_option(&self.network, &other.network, NetworkMatcher::covers)
            && covers_option(&self.body, &other.body, BodyMatch::covers)
            && self.percentage.as_ref().is_none_or(PercentageMatcher::is_everything)
    }
}

fn covers_option<T>(ours: &Option<T>, theirs: &Option<T>, covers: fn(&T, &T) -> bool) -> bool {
    ours.as_ref().is_none_or(|ours| theirs.as_ref().is_some_and(|theirs| covers(ours, theirs)))
}

/// Each of our conditions follows from one of theirs.
fn covers_all<T>(ours: &[T], theirs: &[T], covers: fn(&T, &T) -> bool) -> bool {
    ours.iter().all(|ours| theirs.iter().any(|theirs| covers(ours, theirs)))
}

/// A matcher in words, in parts.
pub(crate) fn describe(path: &PathMatcher, conditions: Option<&Conditions>) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(conditions.and_then(|c| c.methods.as_ref()).map(ToString::to_string));
    words.push(path.to_string());
    if let Some(conditions) = conditions {
        words.extend(conditions.headers.iter().map(ToString::to_string));
        words.extend(conditions.query.iter().map(ToString::to_string));
        words.extend(conditions.cookies.iter().map(ToString::to_string));
        words.extend(conditions.certificate.as_ref().map(ToString::to_string));
        words.extend(conditions.network.as_ref().map(ToString::to_string));
        words.extend(conditions.body.as_ref().map(ToString::to_string));
        words.extend(conditions.percentage.as_ref().map(ToString::to_string));
    }
    words.join(", ")
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

#[cfg(test)]
mod tests;
