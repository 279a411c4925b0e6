//! Names of plans: few, each held once however many consumers have it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The plan of a consumer.
///
/// The index is the place of its name in [`Directory::plans`](crate::Directory::plans). Names are only ever added to
/// that list as a directory is reloaded, so what was compiled for an index stays right.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Plan {
    name: Arc<str>,
    index: u32,
}

impl Plan {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, shared.
    #[must_use]
    pub const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its place in the directory's list of plans.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The plans seen so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plans {
    all: Vec<Arc<Plan>>,
    places: HashMap<Box<str>, u32>,
}

impl Plans {
    /// The plan of this name, added when it is new; `None` when there are more than may be.
    pub(crate) fn plan(&mut self, name: &str, most: usize) -> Option<Arc<Plan>> {
        if let Some(index) = self.places.get(name) {
            return self.all.get(*index as usize).map(Arc::clone);
        }
        let index = u32::try_from(self.all.len()).ok().filter(|_| self.all.len() < most)?;
        let plan = Arc::new(Plan { name: name.into(), index });
        self.all.push(Arc::clone(&plan));
        self.places.insert(name.into(), index);
        Some(plan)
    }

    /// All plans, by index.
    pub(crate) fn all(&self) -> &[Arc<Plan>] {
        &self.all
    }
}
