//! A route: a name, a matcher, and whatever the caller keeps with it.

use std::sync::Arc;

use portcullis_types::{RequestView, RouteName};

use crate::intern::Interner;
use crate::matcher::{self, Body, Conditions, Matcher, Mismatch, Params, PathMatcher};
use crate::rank::Rank;

/// A route as the config gives it.
#[derive(Debug, Clone)]
pub struct RouteSpec<R> {
    /// Its name, unique within the virtual host.
    pub name: RouteName,
    /// What it takes.
    pub matcher: Matcher,
    /// What the caller keeps with it.
    pub data: R,
}

/// A compiled route.
///
/// Small on purpose: equal names, paths and conditions are shared by all routes of a router.
#[derive(Debug)]
pub struct Route<R> {
    name: RouteName,
    path: PathMatcher,
    conditions: Option<Arc<Conditions>>,
    order: u32,
    data: R,
}

impl<R> Route<R> {
    pub(crate) fn new(spec: RouteSpec<R>, order: u32, interner: &mut Interner) -> Self {
        Self {
            name: interner.name(spec.name),
            path: interner.path(spec.matcher.path),
            conditions: interner.conditions(spec.matcher.conditions),
            order,
            data: spec.data,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &RouteName {
        &self.name
    }

    /// The path it takes.
    #[must_use]
    pub fn path(&self) -> &PathMatcher {
        &self.path
    }

    /// What it asks besides the path; `None` when nothing.
    #[must_use]
    pub fn conditions(&self) -> Option<&Conditions> {
        self.conditions.as_deref()
    }

    /// Its place among the routes of the host in the file, from 0.
    #[must_use]
    pub const fn order(&self) -> u32 {
        self.order
    }

    /// What the caller keeps with it.
    #[must_use]
    pub const fn data(&self) -> &R {
        &self.data
    }

    /// Its rank; see [`crate::rank`].
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank::of(&self.path, self.conditions())
    }

    /// Its matcher in words, one line.
    #[must_use]
    pub fn describe(&self) -> String {
        matcher::describe(&self.path, self.conditions())
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        self.judge(view, Body::Judged)
    }

    #[inline]
    pub(crate) fn judge<'a>(&'a self, view: &RequestView<'a>, body: Body) -> Result<(), Mismatch<'a>> {
        self.path.check(view)?;
        self.conditions().map_or(Ok(()), |conditions| conditions.check(view, &self.name, body))
    }

    pub(crate) fn has_body_matcher(&self) -> bool {
        self.conditions().is_some_and(|conditions| conditions.body.is_some())
    }
}

/// The route that takes a request.
#[derive(Debug)]
pub struct Match<'a, R> {
    /// The route.
    pub route: &'a Route<R>,
    /// What its template captured, as ranges into the request's path.
    pub params: Params,
}

impl<R> Match<'_, R> {
    /// The capture of this name; `path` is the path that was matched.
    #[must_use]
    pub fn param<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let index = self.route.path.param_names().iter().position(|each| **each == *name)?;
        self.params.get(index, path)
    }
}

/// A route that was considered, and what became of it.
#[derive(Debug)]
pub struct Candidate<'a, R> {
    /// The route.
    pub route: &'a Route<R>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of a route that was considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It takes the request.
    Wins,
    /// It would take the request, but one that ranks higher does.
    Outranked,
    /// It does not match.
    Fails(Mismatch<'a>),
}

impl std::fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wins => f.write_str("wins"),
            Self::Outranked => f.write_str("matches, but ranks lower"),
            Self::Fails(mismatch) => mismatch.fmt(f),
        }
    }
}
