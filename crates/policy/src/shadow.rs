//! Routes that can never win because a route that ranks higher takes all of their requests.
//!
//! A report is certain: `covers` of each matcher answers yes only when it is sure. It is not complete: a route that
//! several others cover only together is not found, nor one that lies behind more than 256 others of the same path.

use hashbrown::HashMap;
use portcullis_types::RouteName;

use crate::matcher::path::{Form, PathKind, PathMatcher};
use crate::matcher::template::Segment;
use crate::route::Route;

/// How many routes of the same path one route is compared with: the time stays linear in the number of routes.
const MOST_COMPARED: usize = 256;

/// A route that can never win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The route.
    pub route: RouteName,
    /// Its place in the file, from 0.
    pub order: u32,
    /// The route that hides it.
    pub by: RouteName,
    /// That one's place in the file.
    pub by_order: u32,
}

/// What two paths must share for one to cover the other, but for those in `Seen::wide`.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Text(PathKind, &'a str),
    /// Literals, with `None` for captures: names do not matter.
    Shape(Vec<Option<&'a str>>),
}

struct Seen<'a, R> {
    by_path: HashMap<Key<'a>, Vec<&'a Route<R>>>,
    /// Templates with `{*rest}` and regexes for everything: these cover prefixes, which rank below them.
    wide: Vec<&'a Route<R>>,
}

/// Looks at routes that are sorted by rank.
pub(crate) fn find<R>(routes: &[Route<R>]) -> Vec<Shadowed> {
    let mut seen = Seen { by_path: HashMap::new(), wide: Vec::new() };
    let mut shadowed = Vec::new();
    for route in routes {
        match seen.covering(route) {
            Some(by) => shadowed.push(report(route, by)),
            None => seen.add(route),
        }
    }
    shadowed.sort_by_key(|each| each.order);
    shadowed
}

fn report<R>(route: &Route<R>, by: &Route<R>) -> Shadowed {
    Shadowed { route: route.name().clone(), order: route.order(), by: by.name().clone(), by_order: by.order() }
}

impl<'a, R> Seen<'a, R> {
    fn covering(&self, route: &Route<R>) -> Option<&'a Route<R>> {
        let same = self.by_path.get(&key(route.path())).into_iter().flatten();
        let wide = (route.path().kind() == PathKind::Prefix).then_some(&self.wide).into_iter().flatten();
        let mut candidates = same.take(MOST_COMPARED).chain(wide.take(MOST_COMPARED));
        candidates.find(|earlier| covers(earlier, route)).copied()
    }

    fn add(&mut self, route: &'a Route<R>) {
        if is_wide(route.path()) {
            self.wide.push(route);
        }
        self.by_path.entry(key(route.path())).or_default().push(route);
    }
}

fn covers<R>(earlier: &Route<R>, later: &Route<R>) -> bool {
    earlier.path().covers(later.path())
        && match (earlier.conditions(), later.conditions()) {
            (None, _) => true,
            (Some(ours), Some(theirs)) => ours.covers(theirs),
            (Some(ours), None) => ours.covers(&crate::matcher::Conditions::default()),
        }
}

fn key(path: &PathMatcher) -> Key<'_> {
    match path.form() {
        Form::Exact(text) | Form::Prefix(text) => Key::Text(path.kind(), text),
        Form::Regex(pattern) => Key::Text(path.kind(), pattern.text()),
        Form::Template(template) => {
            let parts = template.segments().iter().filter(|segment| **segment != Segment::Rest);
            Key::Shape(parts.map(literal).collect())
        }
    }
}

fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::Param | Segment::Rest => None,
    }
}

fn is_wide(path: &PathMatcher) -> bool {
    match path.form() {
        Form::Template(template) => template.segments().last() == Some(&Segment::Rest),
        Form::Regex(pattern) => pattern.matches_every_path(),
        Form::Exact(_) | Form::Prefix(_) => false,
    }
}
