//! Counters that threads do not fight over.
//!
//! A thread counts in the shard its index names; a reader adds all shards up. Each shard has cache lines of its
//! own, so that counting costs no transfer of a line between cores. A sum is not a snapshot: shards are read one
//! after another, which is what a scrape needs and no more.

use std::array;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

/// More shards than this cost memory and win nothing.
const MAX_SHARDS: usize = 16;

/// One counter. Wraps, so that a gauge may be counted up in one shard and down in another.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// An array of counters; `Default` of the standard library ends at 32.
#[derive(Debug)]
pub(crate) struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Counts<N> {
    /// Adds at a place; a place outside counts nowhere, which the callers' enums exclude.
    pub(crate) fn add(&self, place: usize, n: u64) {
        if let Some(count) = self.0.get(place) {
            count.add(n);
        }
    }

    pub(crate) fn get(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, Count::get)
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(array::from_fn(|_| Count::default()))
    }
}

/// 128 bytes: two lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// How many shards; a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shards(usize);

impl Shards {
    /// At least this many, or one a core.
    pub(crate) fn new(wanted: Option<usize>) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        Self(wanted.unwrap_or_else(cores).clamp(1, MAX_SHARDS).next_power_of_two())
    }
}

/// A `T` a shard. The first stands apart, so that there is always one without an index that may fail.
#[derive(Debug)]
pub(crate) struct Sharded<T> {
    first: Padded<T>,
    rest: Box<[Padded<T>]>,
}

impl<T: Default> Sharded<T> {
    pub(crate) fn new(shards: Shards) -> Self {
        Self { first: Padded::default(), rest: (1..shards.0).map(|_| Padded::default()).collect() }
    }
}

impl<T> Sharded<T> {
    /// The calling thread's shard.
    pub(crate) fn mine(&self) -> &T {
        // `rest` is one less than a power of two, which makes it the mask.
        let place = thread_index() & self.rest.len();
        let shard = place.checked_sub(1).and_then(|place| self.rest.get(place));
        &shard.unwrap_or(&self.first).0
    }

    /// The sum of something over all shards.
    pub(crate) fn sum(&self, of: impl Fn(&T) -> u64) -> u64 {
        self.iter().fold(0, |sum, shard| sum.wrapping_add(of(shard)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.rest).map(|padded| &padded.0)
    }
}

/// A small number that is this thread's own, given at its first use.
fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
    }
    INDEX.with(|index| {
        index.get().unwrap_or_else(|| {
            let own = NEXT.fetch_add(1, Relaxed);
            index.set(Some(own));
            own
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_many_threads_count() {
        for shards in [1, 2, 3, 16, 1000] {
            let sharded = Sharded::<Counts<3>>::new(Shards::new(Some(shards)));
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..1000).for_each(|n| sharded.mine().add(n % 3, 2)));
                }
            });
            assert_eq!([0, 1, 2].map(|place| sharded.sum(|counts| counts.get(place))), [5344, 5328, 5328]);
        }
    }

    #[test]
    fn a_gauge_may_go_down_where_it_did_not_go_up() {
        let sharded = Sharded::<Count>::new(Shards::new(Some(4)));
        sharded.mine().add(3);
        thread::scope(|scope| {
            scope.spawn(|| sharded.mine().sub(2));
        });
        assert_eq!(sharded.sum(Count::get), 1);
    }

    #[test]
    fn shards_are_a_power_of_two_and_bounded() {
        let check = |wanted, expected| assert_eq!(Shards::new(Some(wanted)), Shards(expected));
        for (wanted, expected) in [(0, 1), (1, 1), (3, 4), (8, 8), (100_000, 16)] {
            check(wanted, expected);
        }
        assert!(Shards::new(None).0.is_power_of_two());
    }
}
