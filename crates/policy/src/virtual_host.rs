//! A virtual host: its routes in ranking order, and the search for the one that takes a request.
//!
//! Invariants: `routes` is sorted by rank, best first, then by place in the file; so a route's index is its
//! position, and the winner is the lowest position that matches. `find`, `needs_body` and `explain` all judge by
//! `Route::judge`. Small hosts are searched one by one, large ones through a `RouteIndex`.

use std::cmp::Reverse;

use portcullis_types::RequestView;

use crate::host_pattern::HostPattern;
use crate::intern::Interner;
use crate::matcher::Body;
use crate::route::{Candidate, Match, Outcome, Route, RouteSpec};
use crate::route_index::RouteIndex;
use crate::seed::Seed;
use crate::shadow::{self, Shadowed};

/// Up to this many routes a walk over all is as fast as the index, and takes no memory.
const WITHOUT_INDEX: usize = 12;

/// A virtual host as the config gives it.
#[derive(Debug, Clone)]
pub struct VirtualHostSpec<H, R> {
    /// The names it answers to.
    pub names: Vec<HostPattern>,
    /// What the caller keeps with it.
    pub data: H,
    /// Its routes in the order of the file.
    pub routes: Vec<RouteSpec<R>>,
}

/// A compiled virtual host.
#[derive(Debug)]
pub struct VirtualHost<H, R> {
    data: H,
    routes: Box<[Route<R>]>,
    /// Whether any route looks into the body.
    body_matchers: bool,
    index: Option<Box<RouteIndex>>,
}

impl<H, R> VirtualHost<H, R> {
    /// Compiles a virtual host that stands alone, outside of a router.
    #[must_use]
    pub fn new(data: H, routes: Vec<RouteSpec<R>>, seed: Seed) -> Self {
        Self::compile(data, routes, &seed, &mut Interner::default())
    }

    pub(crate) fn compile(data: H, specs: Vec<RouteSpec<R>>, seed: &Seed, interner: &mut Interner) -> Self {
        let mut routes: Vec<Route<R>> =
            (0u32..).zip(specs).map(|(order, spec)| Route::new(spec, order, interner)).collect();
        if routes.len() > 1 {
            // The sort is stable, so routes of one rank keep the order of the file.
            routes.sort_by_cached_key(|route| Reverse(route.rank()));
        }
        let index = routes.len() > WITHOUT_INDEX;
        let index = index.then(|| Box::new(RouteIndex::new(&routes, seed.clone())));
        let body_matchers = routes.iter().any(Route::has_body_matcher);
        Self { data, routes: routes.into_boxed_slice(), body_matchers, index }
    }

    /// What the caller keeps with it.
    #[must_use]
    pub const fn data(&self) -> &H {
        &self.data
    }

    /// The routes in ranking order; [`Route::order`] is the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Route<R>] {
        &self.routes
    }

    /// The route that takes a request: of those that match, the one with the highest rank.
    #[must_use]
    pub fn find(&self, view: &RequestView<'_>) -> Option<Match<'_, R>> {
        let route = self.first(view, Body::Judged)?;
        Some(Match { route, params: route.path().params(view.path) })
    }

    /// Whether the decision hangs on the body: whether the route that wins by everything but the body has a body
    /// matcher. `view.body` is not looked at.
    #[must_use]
    pub fn needs_body(&self, view: &RequestView<'_>) -> bool {
        self.body_matchers && self.first(view, Body::Assumed).is_some_and(Route::has_body_matcher)
    }

    fn first(&self, view: &RequestView<'_>, body: Body) -> Option<&Route<R>> {
        let Some(index) = &self.index else {
            return self.routes.iter().find(|route| route.judge(view, body).is_ok());
        };
        let route = |position: u32| self.routes.get(usize::try_from(position).ok()?);
        route(index.find(view.path, |position| route(position).is_some_and(|r| r.judge(view, body).is_ok()))?)
    }

    /// Every route in ranking order until the winner, and as many as `behind` after it, each with what became of it.
    /// All routes when none wins.
    #[must_use]
    pub fn explain<'a>(&'a self, view: &RequestView<'a>, behind: usize) -> Vec<Candidate<'a, R>> {
        let mut candidates = Vec::new();
        let mut after = None;
        for route in &self.routes {
            let outcome = match (route.check(view), after) {
                (Err(mismatch), _) => Outcome::Fails(mismatch),
                (Ok(()), None) => Outcome::Wins,
                (Ok(()), Some(_)) => Outcome::Outranked,
            };
            after = match (after, &outcome) {
                (Some(left), _) => Some(left - 1),
                (None, Outcome::Wins) => Some(behind),
                (None, Outcome::Fails(_) | Outcome::Outranked) => None,
            };
            candidates.push(Candidate { route, outcome });
            if after == Some(0) {
                break;
            }
        }
        candidates
    }

    /// Routes that can never win, each with one that takes all of its requests first. Each report is certain; not
    /// every such route is found.
    #[must_use]
    pub fn shadowed(&self) -> Vec<Shadowed> {
        shadow::find(&self.routes)
    }
}

#[cfg(test)]
mod tests;
