//! State that outlives a generation: a limiter's counters, a breaker, a cache's index.
//!
//! A filter asks for its state by a key when it is built. If the generation before holds state of that key and type,
//! it gets the very same, also when the filter's own settings changed. State nobody holds any more is dropped.

use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

type Held = Weak<dyn Any + Send + Sync>;

/// Shared by all generations of one gateway.
#[derive(Default)]
pub struct StateStore {
    held: Mutex<HashMap<(TypeId, String), Held>>,
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore").field("len", &self.held.lock().len()).finish()
    }
}

impl StateStore {
    /// The state of this key: what a living generation holds, else a new one.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, key: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let place = (TypeId::of::<T>(), key.to_owned());
        let mut held = self.held.lock();
        let living = held.get(&place).and_then(Weak::upgrade).and_then(|any| any.downcast::<T>().ok());
        living.unwrap_or_else(|| {
            let made = Arc::new(new());
            let weak: Held = Arc::downgrade(&(made.clone() as Arc<dyn Any + Send + Sync>));
            held.retain(|_, other| other.strong_count() > 0);
            held.insert(place, weak);
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
}
