//! Which routes of a large virtual host could take a path: a filter in front of the matchers.
//!
//! The index only narrows; every route it proposes is judged in full by its own matcher. So a collision of hashes
//! costs time and never a wrong decision, and keys need not be stored. It must never leave out a route that
//! matches, and that is what its property tests check.
//!
//! Routes are known by their position in ranking order. Exact paths are in a table by the hash of the path. All
//! other routes hang on nodes that stand for leading segments; a node's key is the seeded hash of its segments,
//! step by step. A template hangs where its segments end, a prefix at its own segments (the first 32 of them), a
//! regex at the whole segments it surely starts with.
//!
//! Exact paths outrank templates, these regexes, these prefixes, and longer prefixes shorter ones. So the four are
//! asked in this order, and the first kind with a match decides. No step allocates.

use hashbrown::HashTable;
use regex::{RegexSet, RegexSetBuilder};

use crate::matcher::path::Form;
use crate::matcher::template::{MAX_SEGMENTS, Segment};
use crate::route::Route;
use crate::seed::Seed;

/// From this many regexes at one node on, a set in front of them pays.
const REGEX_SET: usize = 4;
/// The most memory of such a set, in bytes. A larger one is left out: it only saves time.
const MAX_REGEX_SET: usize = 8 << 20;
/// How deep the nodes go: no template is deeper, and longer prefixes hang at this depth.
const MAX_DEPTH: usize = MAX_SEGMENTS;
/// The key of the node without segments.
const ROOT: u64 = 0;
/// The step of a template's parameter; no segment has a slash.
const PARAM: &[u8] = b"/";

/// A list of positions, ascending, in `RouteIndex::positions`.
#[derive(Debug, Clone, Copy, Default)]
struct Range {
    start: u32,
    count: u32,
}

/// The routes that hang on some leading segments.
#[derive(Debug, Default)]
struct Node<L> {
    key: u64,
    templates: L,
    /// Templates whose `{*rest}` begins here.
    rests: L,
    regexes: L,
    /// One pass over the path that tells whether any of the regexes matches; only where there are several.
    any_regex: Option<Box<RegexSet>>,
    prefixes: L,
    /// The best position of any template here or deeper.
    best_template: u32,
}

#[derive(Debug)]
struct Exact {
    key: u64,
    routes: Range,
}

/// The index of one virtual host.
#[derive(Debug)]
pub(crate) struct RouteIndex {
    seed: Seed,
    exact: HashTable<Exact>,
    nodes: HashTable<Node<Range>>,
    positions: Box<[u32]>,
}

impl RouteIndex {
    /// Indexes routes that are sorted by rank.
    pub(crate) fn new<R>(routes: &[Route<R>], seed: Seed) -> Self {
        let mut builder = Builder { seed, exact: HashTable::new(), nodes: HashTable::new() };
        for (position, route) in (0u32..).zip(routes) {
            builder.add(route.path().form(), position);
        }
        builder.build(|position| {
            let route = routes.get(usize::try_from(position).ok()?)?;
            match route.path().form() {
                Form::Regex(pattern) => Some(pattern.program()),
                Form::Exact(_) | Form::Template(_) | Form::Prefix(_) => None,
            }
        })
    }

    /// The first position whose route `accept` takes.
    #[inline]
    pub(crate) fn find(&self, path: &str, accept: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut walk = Walk { index: self, accept, best: u32::MAX };
        if let Some(exact) = self.exact(path) {
            walk.scan(exact.routes);
        }
        if walk.best == u32::MAX
            && let Some(root) = self.node(ROOT)
        {
            walk.templates(root, path.strip_prefix('/'));
        }
        if walk.best == u32::MAX {
            walk.regexes_and_prefixes(path);
        }
        (walk.best != u32::MAX).then_some(walk.best)
    }

    fn exact(&self, path: &str) -> Option<&Exact> {
        if self.exact.is_empty() {
            return None;
        }
        let key = self.seed.hash(path.as_bytes());
        self.exact.find(key, |each| each.key == key)
    }

    fn node(&self, key: u64) -> Option<&Node<Range>> {
        self.nodes.find(key, |each| each.key == key)
    }
}

/// One search.
struct Walk<'i, F> {
    index: &'i RouteIndex,
    accept: F,
    /// The best position so far; `u32::MAX` for none.
    best: u32,
}

impl<F: FnMut(u32) -> bool> Walk<'_, F> {
    /// Judges the positions of a list until one is taken or cannot be better than what is known.
    #[inline]
    fn scan(&mut self, range: Range) {
        let (Ok(start), Ok(count)) = (usize::try_from(range.start), usize::try_from(range.count)) else { return };
        for &position in self.index.positions.get(start..start + count).unwrap_or_default() {
            if position >= self.best {
                return;
            }
            if (self.accept)(position) {
                self.best = position;
                return;
            }
        }
    }

    /// Follows every template that the rest of the path could take. No deeper than the deepest template.
    fn templates(&mut self, node: &Node<Range>, rest: Option<&str>) {
        if node.best_template >= self.best {
            return;
        }
        let Some(rest) = rest else { return self.scan(node.templates) };
        let (segment, after) = first_segment(rest);
        if let Some(child) = self.index.node(self.index.seed.step(node.key, segment.as_bytes())) {
            self.templates(child, after);
        }
        if let Some(child) = self.index.node(self.index.seed.step(node.key, PARAM)) {
            self.templates(child, after);
        }
        self.scan(node.rests);
    }

    /// Walks down the path's own segments; then the regexes met on the way, then the prefixes, deepest first.
    fn regexes_and_prefixes(&mut self, path: &str) {
        let mut prefixes = [Range::default(); MAX_DEPTH + 1];
        let mut key = ROOT;
        let mut rest = path.strip_prefix('/');
        for place in &mut prefixes {
            let Some(node) = self.index.node(key) else { break };
            if node.any_regex.as_ref().is_none_or(|any| any.is_match(path)) {
                self.scan(node.regexes);
            }
            *place = node.prefixes;
            let Some((segment, after)) = rest.map(first_segment) else { break };
            key = self.index.seed.step(key, segment.as_bytes());
            rest = after;
        }
        for place in prefixes.iter().rev() {
            if self.best != u32::MAX {
                return;
            }
            self.scan(*place);
        }
    }
}

/// The first segment and what follows its slash.
#[inline]
fn first_segment(rest: &str) -> (&str, Option<&str>) {
    match rest.bytes().position(|b| b == b'/').and_then(|at| rest.split_at_checked(at)) {
        Some((segment, after)) => (segment, after.get(1..)),
        None => (rest, None),
    }
}

struct Builder {
    seed: Seed,
    exact: HashTable<(u64, Vec<u32>)>,
    nodes: HashTable<Node<Vec<u32>>>,
}

impl Builder {
    fn add(&mut self, form: &Form, position: u32) {
        match form {
            Form::Exact(text) => {
                let key = self.seed.hash(text.as_bytes());
                let entry = self.exact.entry(key, |each| each.0 == key, |each| each.0);
                entry.or_insert_with(|| (key, Vec::new())).into_mut().1.push(position);
            }
            Form::Template(template) => self.add_template(template.segments(), position),
            Form::Regex(pattern) => {
                // Only segments with a slash behind them are whole.
                let literal = pattern.literal_prefix();
                let whole = literal.rfind('/').and_then(|end| literal.get(..end)).unwrap_or_default();
                self.descend(whole).regexes.push(position);
            }
            Form::Prefix(text) => self.descend(text).prefixes.push(position),
        }
    }

    fn node(&mut self, key: u64) -> &mut Node<Vec<u32>> {
        let fresh = || Node { key, best_template: u32::MAX, ..Node::default() };
        self.nodes.entry(key, |each| each.key == key, |each| each.key).or_insert_with(fresh).into_mut()
    }

    /// The node of a path without a slash at its end, and all nodes above it.
    fn descend(&mut self, path: &str) -> &mut Node<Vec<u32>> {
        let mut key = ROOT;
        self.node(key);
        for segment in path.split('/').skip(1).take(MAX_DEPTH) {
            key = self.seed.step(key, segment.as_bytes());
            self.node(key);
        }
        self.node(key)
    }

    fn add_template(&mut self, segments: &[Segment], position: u32) {
        let mut key = ROOT;
        for segment in segments {
            let node = self.node(key);
            node.best_template = node.best_template.min(position);
            match segment {
                Segment::Literal(text) => key = self.seed.step(key, text.as_bytes()),
                Segment::Param => key = self.seed.step(key, PARAM),
                Segment::Rest => return node.rests.push(position),
            }
        }
        let node = self.node(key);
        node.best_template = node.best_template.min(position);
        node.templates.push(position);
    }

    fn build<'r>(self, program: impl Fn(u32) -> Option<&'r str>) -> RouteIndex {
        let mut positions = Vec::new();
        let mut exact = HashTable::with_capacity(self.exact.len());
        for (key, routes) in self.exact {
            exact.insert_unique(key, Exact { key, routes: store(&mut positions, routes) }, |each| each.key);
        }
        let mut nodes = HashTable::with_capacity(self.nodes.len());
        for node in self.nodes {
            let stored = Node {
                key: node.key,
                any_regex: regex_set(&node.regexes, &program),
                templates: store(&mut positions, node.templates),
                rests: store(&mut positions, node.rests),
                regexes: store(&mut positions, node.regexes),
                prefixes: store(&mut positions, node.prefixes),
                best_template: node.best_template,
            };
            nodes.insert_unique(node.key, stored, |each| each.key);
        }
        RouteIndex { seed: self.seed, exact, nodes, positions: positions.into_boxed_slice() }
    }
}

fn regex_set<'r>(regexes: &[u32], program: &impl Fn(u32) -> Option<&'r str>) -> Option<Box<RegexSet>> {
    if regexes.len() < REGEX_SET {
        return None;
    }
    let programs = regexes.iter().filter_map(|position| program(*position));
    RegexSetBuilder::new(programs).size_limit(MAX_REGEX_SET).build().ok().map(Box::new)
}

fn store(positions: &mut Vec<u32>, list: Vec<u32>) -> Range {
    // There are as many positions as routes, and these are counted in 32 bits.
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let range = Range { start: size(positions.len()), count: size(list.len()) };
    positions.extend(list);
    range
}
