//! Handles that live as long as a generation uses them.
//!
//! The table holds weak references: a name that is asked for again while an older generation still uses it gets
//! the same handle, so its counters go on; a name that no generation uses any more leaves the export with the last
//! of them. Past the bound, names share one handle, so that the number of series is bounded whatever is configured.
//!
//! A name costs the same however many there are. Looking for names that nobody uses goes through the whole table, so
//! it is done when a config begins to load ([`Live::prune`]), when the table is exported, and else only after as many
//! refused names as the table is long.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock, Weak};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// The label of what shares a handle.
pub(crate) const OTHER: &str = "_other";

pub(crate) struct Live<K, V> {
    known: Mutex<Known<K, V>>,
    other: OnceLock<Arc<V>>,
    limit: usize,
}

struct Known<K, V> {
    names: HashMap<K, Weak<V>, RandomState>,
    /// How many more names are refused before unused ones are looked for again.
    patience: usize,
}

impl<K: Hash + Eq, V> Live<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        let known = Known { names: HashMap::default(), patience: 0 };
        Self { known: Mutex::new(known), other: OnceLock::new(), limit }
    }

    /// The handle of a name: the living one, a new one, or past the bound the shared one, for which `make` gets no
    /// name.
    pub(crate) fn get(&self, key: K, make: impl Fn(Option<&K>) -> V) -> Arc<V> {
        let mut known = self.known.lock();
        portcullis_mutants::when!(ReloadResetsCounters => known.names.remove(&key));
        if let Some(handle) = known.names.get(&key).and_then(Weak::upgrade) {
            return handle;
        }
        if !known.has_room(self.limit) {
            return Arc::clone(self.other.get_or_init(|| Arc::new(make(None))));
        }
        let handle = Arc::new(make(Some(&key)));
        known.names.insert(key, Arc::downgrade(&handle));
        handle
    }

    /// Lists a handle that somebody else made; past the bound it is not listed.
    pub(crate) fn attach(&self, key: K, handle: &Arc<V>) {
        let mut known = self.known.lock();
        if known.names.contains_key(&key) || known.has_room(self.limit) {
            known.names.insert(key, Arc::downgrade(handle));
        }
    }

    /// Takes out the names that nobody uses any more.
    pub(crate) fn prune(&self) {
        self.known.lock().prune();
    }
}

impl<K: Hash + Eq, V> Known<K, V> {
    /// Whether one more name fits.
    fn has_room(&mut self, limit: usize) -> bool {
        if self.names.len() >= limit {
            match self.patience.checked_sub(1) {
                Some(less) => self.patience = less,
                None => self.prune(),
            }
        }
        self.names.len() < limit
    }

    fn prune(&mut self) {
        self.patience = self.names.len();
        self.names.retain(|_, handle| handle.strong_count() > 0);
    }
}

impl<K: Hash + Eq + Clone, V> Live<K, V> {
    /// Every living handle with its name; the shared one has none.
    pub(crate) fn each(&self, mut see: impl FnMut(Option<&K>, &V)) {
        // Collected first, so that a scrape does not hold up a config that is being loaded.
        let mut living = Vec::new();
        self.known.lock().names.retain(|key, handle| match handle.upgrade() {
            Some(handle) => {
                living.push((key.clone(), handle));
                true
            }
            None => false,
        });
        for (key, handle) in &living {
            see(Some(key), handle);
        }
        if let Some(other) = self.other.get() {
            see(None, other);
        }
    }
}

impl<K, V> fmt::Debug for Live<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("known", &self.known.lock().names.len()).field("limit", &self.limit).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(live: &Live<&'static str, String>) -> Vec<String> {
        let mut names = Vec::new();
        live.each(|_, value| names.push(value.clone()));
        names.sort();
        names
    }

    fn get(live: &Live<&'static str, String>, key: &'static str) -> Arc<String> {
        live.get(key, |key| key.copied().unwrap_or(OTHER).to_owned())
    }

    #[test]
    fn a_name_keeps_its_handle_while_somebody_holds_it() {
        let live = Live::new(10);
        let (first, second) = (get(&live, "a"), get(&live, "a"));
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        assert_eq!(names(&live), ["a"]);
        drop(second);
        assert!(names(&live).is_empty());
    }

    #[test]
    fn past_the_bound_names_share_a_handle_until_there_is_room() {
        let live = Live::new(2);
        let (a, _b, c, d) = (get(&live, "a"), get(&live, "b"), get(&live, "c"), get(&live, "d"));
        assert!(Arc::ptr_eq(&c, &d));
        assert_eq!(names(&live), ["_other", "a", "b"]);
        drop(a);
        live.prune();
        let e = get(&live, "e");
        assert_eq!(e.as_str(), "e");
        assert_eq!(names(&live), ["_other", "b", "e"]);
    }

    #[test]
    fn room_is_found_without_being_told_after_as_many_names_as_the_table_is_long() {
        let live = Live::new(2);
        let (a, _b, _c) = (get(&live, "a"), get(&live, "b"), get(&live, "c"));
        drop(a);
        let later: Vec<String> = ["d", "e", "f"].iter().map(|name| get(&live, name).to_string()).collect();
        assert_eq!(later, ["_other", "_other", "f"]);
    }

    #[test]
    fn refused_names_do_not_each_walk_the_table() {
        let live: Live<u32, u32> = Live::new(100);
        let _held: Vec<_> = (0..100).map(|name| live.get(name, |_| name)).collect();
        let walks = (100..1_110).filter(|name| {
            let _other = live.get(*name, |_| 0);
            // A walk sets the patience to the table's length.
            live.known.lock().patience == 100
        });
        assert_eq!(walks.count(), 10);
    }
}
