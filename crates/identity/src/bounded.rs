//! A table that never grows: sets of eight places, and whoever wants a ninth chooses which of the eight goes.
//!
//! Workers share it: the sets lie in stripes, each behind a lock that is held for a look at eight entries. All memory
//! is taken when it is made.

use parking_lot::Mutex;

/// Places of a set.
const WAYS: usize = 8;
/// Locks.
const STRIPES: usize = 64;

/// Sets behind one lock.
type Stripe<V> = Mutex<Box<[Option<V>]>>;

/// The table.
pub(crate) struct Bounded<V> {
    stripes: Box<[Stripe<V>]>,
    sets: usize,
}

impl<V> Bounded<V> {
    /// Room for `capacity` entries, rounded up to whole sets in all stripes.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS * STRIPES).max(1);
        let stripe = |_| Mutex::new(std::iter::repeat_with(|| None).take(sets * WAYS).collect());
        Self { stripes: (0..STRIPES).map(stripe).collect(), sets }
    }

    /// Entries it has room for.
    pub(crate) const fn capacity(&self) -> usize {
        self.sets * WAYS * STRIPES
    }

    /// Does something with the one set that entries of this hash may lie in.
    pub(crate) fn with<R>(&self, hash: u64, look: impl FnOnce(&mut [Option<V>]) -> R) -> R {
        let stripe = usize::try_from(hash >> 58).unwrap_or(0);
        let spread = (hash & 0xffff_ffff).wrapping_mul(self.sets as u64) >> 32;
        let from = usize::try_from(spread).unwrap_or(0) * WAYS;
        let Some(stripe) = self.stripes.get(stripe) else { return look(&mut []) };
        look(stripe.lock().get_mut(from..from + WAYS).unwrap_or_default())
    }

    /// Looks at every place, a stripe at a time.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&mut Option<V>)) {
        for stripe in &self.stripes {
            stripe.lock().iter_mut().for_each(&mut look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it_and_nothing_is_added() {
        for capacity in [0, 1, 512, 513, 100_000] {
            let table = Bounded::<u64>::new(capacity);
            assert!(table.capacity() >= capacity && table.capacity() < capacity + 512 + usize::from(capacity == 0));
            for hash in (0..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                table.with(hash, |set| {
                    assert_eq!(set.len(), WAYS);
                    set[0] = Some(hash);
                });
                assert_eq!(table.with(hash, |set| set[0]), Some(hash));
            }
            let mut places = 0;
            table.for_each(|_| places += 1);
            assert_eq!(places, table.capacity());
        }
    }
}
