//! Equal parts of routes are held once while a router is built, so that millions of sites with the same few rules
//! cost little more than their names.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashSet;
use portcullis_types::RouteName;

use crate::matcher::{Conditions, PathMatcher};

/// What has been seen so far. Dropped when the router is built.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: HashSet<RouteName>,
    paths: HashSet<PathMatcher>,
    conditions: HashSet<Arc<Conditions>>,
}

impl Interner {
    pub(crate) fn name(&mut self, name: RouteName) -> RouteName {
        shared(&mut self.names, name)
    }

    pub(crate) fn path(&mut self, path: PathMatcher) -> PathMatcher {
        shared(&mut self.paths, path)
    }

    /// `None` when there is nothing to ask.
    pub(crate) fn conditions(&mut self, conditions: Conditions) -> Option<Arc<Conditions>> {
        (!conditions.is_empty()).then(|| shared(&mut self.conditions, Arc::new(conditions)))
    }
}

fn shared<T: Eq + Hash + Clone>(seen: &mut HashSet<T>, value: T) -> T {
    seen.get_or_insert_with(&value, T::clone).clone()
}
