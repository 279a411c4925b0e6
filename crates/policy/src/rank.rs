//! Which of several matching routes wins: the one place that says so.
//!
//! Routes of one virtual host are compared by the rows of this table from top to bottom; the first difference
//! decides. (The host comes before all of them: exact name, then the longest wildcard, then the default.)
//!
//! | row | wins |
//! |---|---|
//! | path, kind | exact, then template, then regex, then prefix |
//! | path, length | template: more literal segments, then more segments (`{*rest}` counts as none); others: more bytes |
//! | method | a route that names methods |
//! | headers | more header conditions |
//! | query | more query conditions |
//! | cookies | more cookie conditions |
//! | certificate | a route that asks for a client certificate |
//! | network | a route that names networks, then the one with the longest prefix in its list |
//! | jsonrpc | a route that names JSON-RPC methods, then one without patterns, then the one whose shortest pattern is longer |
//! | percentage | a route with a percentage |
//! | order | the one that comes first in the file |
//!
//! The rank of a route depends on its matcher alone, never on the request. So routes are sorted once, at build
//! time, and the winner is the first in that order that matches. `Rank` is all rows but the last: greater wins.

use crate::matcher::path::{Form, PathKind, PathMatcher};
use crate::matcher::template::Segment;
use crate::matcher::{BodyMatch, Conditions};

/// The rank of a route. Its order is the table above: field by field, greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    path_kind: PathKind,
    path_literals: usize,
    path_length: usize,
    method: bool,
    headers: usize,
    query: usize,
    cookies: usize,
    certificate: bool,
    /// `None` without a network.
    network: Option<u8>,
    /// `None` without methods; the length of the shortest pattern, the greatest there is without patterns.
    jsonrpc: Option<usize>,
    percentage: bool,
}

impl Rank {
    /// The rank that a route with this matcher has.
    #[must_use]
    pub fn of(path: &PathMatcher, conditions: Option<&Conditions>) -> Self {
        let (path_literals, path_length) = path_length(path);
        let count = |number: fn(&Conditions) -> usize| conditions.map_or(0, number);
        let has = |there: fn(&Conditions) -> bool| conditions.is_some_and(there);
        Self {
            path_kind: path.kind(),
            path_literals,
            path_length,
            method: has(|c| c.methods.is_some()),
            headers: count(|c| c.headers.len()),
            query: count(|c| c.query.len()),
            cookies: count(|c| c.cookies.len()),
            certificate: has(|c| c.certificate.is_some()),
            network: conditions.and_then(|c| c.network.as_ref()).map(|network| network.longest_prefix()),
            jsonrpc: conditions.and_then(|c| c.body.as_ref()).map(breadth),
            percentage: has(|c| c.percentage.is_some()),
        }
    }
}

fn breadth(body: &BodyMatch) -> usize {
    body.methods().shortest_prefix().unwrap_or(usize::MAX)
}

/// Literal segments (of a template) and length.
fn path_length(path: &PathMatcher) -> (usize, usize) {
    match path.form() {
        Form::Exact(text) | Form::Prefix(text) => (0, text.len()),
        Form::Regex(pattern) => (0, pattern.text().len()),
        Form::Template(template) => {
            let count = |wanted: fn(&Segment) -> bool| template.segments().iter().filter(|s| wanted(s)).count();
            (count(|s| matches!(s, Segment::Literal(_))), count(|s| *s != Segment::Rest))
        }
    }
}
