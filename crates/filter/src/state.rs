//! State that outlives a generation: a limiter's counters, a breaker, a cache's index.
//!
//! A filter asks for its state by a key when it is built. If the generation before holds state of that key and type,
//! it gets the very same, also when the filter's own settings changed. State nobody holds any more is dropped at once;
//! its key goes the next time that there are twice as many keys as were in use, so that a key costs the same however
//! many there are.

use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

/// Fewer keys than these are not worth going through.
const FEW: usize = 64;

/// Shared by all generations of one gateway.
#[derive(Default)]
pub struct StateStore {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    states: HashMap<(TypeId, String), Weak<dyn Any + Send + Sync>>,
    /// How many keys were in use when they were last gone through.
    in_use: usize,
}

impl Held {
    /// Takes out the keys of dropped states, when there may be as many as those in use.
    fn prune(&mut self) {
        if self.states.len() >= self.in_use.saturating_mul(2).max(FEW) {
            self.states.retain(|_, state| state.strong_count() > 0);
            self.in_use = self.states.len();
        }
    }
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore").field("len", &self.held.lock().states.len()).finish()
    }
}

impl StateStore {
    /// The state of this key: what a living generation holds, else a new one.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, key: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let place = (TypeId::of::<T>(), key.to_owned());
        let mut held = self.held.lock();
        let living = held.states.get(&place).and_then(Weak::upgrade).and_then(|any| any.downcast::<T>().ok());
        living.unwrap_or_else(|| {
            let made = Arc::new(new());
            let any: Arc<dyn Any + Send + Sync> = made.clone();
            held.prune();
            held.states.insert(place, Arc::downgrade(&any));
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn state_is_kept_while_a_generation_holds_it() {
        let store = StateStore::default();
        let first = store.get_or_insert("a", || AtomicU32::new(1));
        first.fetch_add(1, Ordering::Relaxed);
        let second = store.get_or_insert("a", || AtomicU32::new(1));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(store.get_or_insert("b", || AtomicU32::new(7)).load(Ordering::Relaxed), 7);
        drop((first, second));
        assert_eq!(store.get_or_insert("a", || AtomicU32::new(1)).load(Ordering::Relaxed), 1);
    }

    #[test]
    fn many_keys_are_gone_through_few_times_and_dropped_ones_do_not_pile_up() {
        let store = StateStore::default();
        let mut held = Vec::new();
        let mut passes = 0;
        for n in 0..10_000u32 {
            let before = store.held.lock().in_use;
            held.push(store.get_or_insert(&n.to_string(), || n));
            passes += u32::from(store.held.lock().in_use != before);
        }
        assert_eq!(passes, 8, "64 keys, then each time twice as many");
        drop(held);
        let _held: Vec<_> = (10_000..30_000u32).map(|n| store.get_or_insert(&n.to_string(), || n)).collect();
        assert!(store.held.lock().states.len() < 30_000);
    }
}
