//! A sharded hash table that is never changed: an edit makes another one that shares the shards it did not touch.
//!
//! A shard is an array with room for half again as many entries as it has. An entry lies at the place its hash says,
//! or as near behind it as there is room, and all lie in the order of their hashes: so a search goes on from its
//! place until it meets an empty one or a greater hash, two entries on average, whether it finds anything or not.
//! Hashes come from a keyed hash, so nobody outside can pile entries up in one place. Entries are small and lie flat:
//! a search that finds nothing cached waits for memory hardly more than once.

use std::sync::Arc;

/// What a table holds: something small, with 32 evenly spread bits of its own.
pub(super) trait Entry: Clone + PartialEq {
    /// An entry that marks an empty place.
    const EMPTY: Self;

    /// Whether this is [`Self::EMPTY`].
    fn is_empty(&self) -> bool;

    /// Where it belongs. The upper bits choose the shard, those after them the place in it.
    fn home(&self) -> u32;
}

/// Entries that a shard has on average: small enough to be rewritten in microseconds.
const SHARD: usize = 128;
/// The most shards, as a power of two.
const MOST_BITS: u32 = 13;

/// The table.
#[derive(Clone)]
pub(super) struct Table<E> {
    shards: Box<[Shard<E>]>,
    bits: u32,
    entries: usize,
}

/// A part of it. The array is longer than the places that hashes are spread over by those who lie behind the last.
struct Shard<E> {
    array: Arc<[E]>,
    places: u32,
}

impl<E> Clone for Shard<E> {
    fn clone(&self) -> Self {
        Self { array: Arc::clone(&self.array), places: self.places }
    }
}

/// What to change. Entries to remove must be there as they are given.
pub(super) struct Edit<E> {
    pub(super) removed: Vec<E>,
    pub(super) added: Vec<E>,
}

impl<E> Default for Edit<E> {
    fn default() -> Self {
        Self { removed: Vec::new(), added: Vec::new() }
    }
}

/// Whether two entries stand for the same thing.
pub(super) type Same<'a, E> = &'a dyn Fn(&E, &E) -> bool;

impl<E: Entry> Default for Table<E> {
    fn default() -> Self {
        Self { shards: Box::new([Shard { array: Arc::from([]), places: 1 }]), bits: 0, entries: 0 }
    }
}

impl<E: Entry> Table<E> {
    /// Entries.
    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// Bytes of its arrays.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.shards) + self.shards.iter().map(|shard| size_of_val(&*shard.array)).sum::<usize>()
    }

    /// How many shards it has, and how many of them are the very ones of another table.
    pub(super) fn shared_with(&self, other: &Self) -> (usize, usize) {
        let same = |(ours, theirs): &(&Shard<E>, &Shard<E>)| Arc::ptr_eq(&ours.array, &theirs.array);
        (self.shards.len(), self.shards.iter().zip(&other.shards).filter(same).count())
    }

    /// The entries of this hash: hardly ever more than the one that is sought.
    #[inline]
    pub(super) fn probe(&self, home: u32) -> impl Iterator<Item = &E> {
        let found = self.shards.get(shard(home, self.bits));
        let from = found.and_then(|shard| shard.array.get(place(home, self.bits, shard.places)..));
        let near = from.unwrap_or_default().iter().take_while(move |entry| !entry.is_empty() && entry.home() <= home);
        near.filter(move |entry| entry.home() == home)
    }

    /// The table with an edit done, and the pairs that are the same: one that stays, and one that was to be added.
    pub(super) fn edited(&self, mut edit: Edit<E>, same: Same<'_, E>) -> (Self, Vec<(E, E)>) {
        let entries = (self.entries + edit.added.len()).saturating_sub(edit.removed.len());
        let bits = (entries / SHARD).max(1).ilog2().min(MOST_BITS);
        if bits.abs_diff(self.bits) > 1 {
            return self.rebuilt(bits, edit, same);
        }
        edit.removed.sort_unstable_by_key(E::home);
        edit.added.sort_unstable_by_key(E::home);
        let (mut removed, mut added) = (&*edit.removed, &*edit.added);
        let mut doubles = Vec::new();
        let rewrite = |(n, old): (usize, &Shard<E>)| {
            let removed = take_shard(&mut removed, n, self.bits);
            let added = take_shard(&mut added, n, self.bits);
            if removed.is_empty() && added.is_empty() {
                return old.clone();
            }
            let gone = |entry: &&E| removed.contains(entry);
            let stay = old.array.iter().filter(|entry| !entry.is_empty() && !gone(entry));
            let mut all: Vec<E> = stay.chain(added).cloned().collect();
            // Stable: of two that are the same, the one that stays comes first.
            all.sort_by_key(E::home);
            fill(self.bits, &all, same, &mut doubles)
        };
        let shards = self.shards.iter().enumerate().map(rewrite).collect();
        (Self { shards, bits: self.bits, entries }, doubles)
    }

    /// Everything in another number of shards.
    fn rebuilt(&self, bits: u32, mut edit: Edit<E>, same: Same<'_, E>) -> (Self, Vec<(E, E)>) {
        edit.removed.sort_unstable_by_key(E::home);
        let gone = |entry: &&E| {
            let from = edit.removed.partition_point(|one| one.home() < entry.home());
            let equal = edit.removed.iter().skip(from).take_while(|one| one.home() == entry.home());
            equal.into_iter().any(|one| one == *entry)
        };
        let stay = self.shards.iter().flat_map(|shard| shard.array.iter());
        let mut all: Vec<E> = stay.filter(|entry| !entry.is_empty() && !gone(entry)).cloned().collect();
        all.append(&mut edit.added);
        let entries = all.len();
        all.sort_by_key(E::home);
        let (mut rest, mut doubles) = (&*all, Vec::new());
        let shards =
            (0..1_usize << bits).map(|n| fill(bits, take_shard(&mut rest, n, bits), same, &mut doubles)).collect();
        (Self { shards, bits, entries }, doubles)
    }
}

fn shard(home: u32, bits: u32) -> usize {
    home.checked_shr(32 - bits).unwrap_or(0) as usize
}

fn place(home: u32, bits: u32, places: u32) -> usize {
    let next = u64::from(home.checked_shl(bits).unwrap_or(0));
    usize::try_from((next * u64::from(places)) >> 32).unwrap_or(0)
}

/// The entries of shard `n` from the front of a sorted slice.
fn take_shard<'a, E: Entry>(sorted: &mut &'a [E], n: usize, bits: u32) -> &'a [E] {
    let end = sorted.partition_point(|entry| shard(entry.home(), bits) <= n);
    let (taken, rest) = sorted.split_at_checked(end).unwrap_or((sorted, &[]));
    *sorted = rest;
    taken
}

/// A shard of entries in the order of their hashes.
fn fill<E: Entry>(bits: u32, sorted: &[E], same: Same<'_, E>, doubles: &mut Vec<(E, E)>) -> Shard<E> {
    let places = sorted.len() + sorted.len() / 2 + 1;
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    let mut array: Vec<E> = Vec::with_capacity(places as usize);
    for entry in sorted {
        let mut equal = array.iter().rev().take_while(|held| !held.is_empty() && held.home() == entry.home());
        if let Some(held) = equal.find(|held| same(held, entry)) {
            doubles.push((held.clone(), entry.clone()));
            continue;
        }
        let at = place(entry.home(), bits, places).max(array.len());
        array.resize(at, E::EMPTY);
        array.push(entry.clone());
    }
    Shard { array: Arc::from(array), places }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct One(u32, u32);

    impl Entry for One {
        const EMPTY: Self = Self(0, u32::MAX);

        fn is_empty(&self) -> bool {
            self.1 == u32::MAX
        }

        fn home(&self) -> u32 {
            self.0
        }
    }

    fn same(one: &One, other: &One) -> bool {
        one == other
    }

    fn spread(n: u32) -> u32 {
        n.wrapping_mul(0x9e37_79b1)
    }

    #[test]
    fn shares_every_shard_that_an_edit_does_not_touch() {
        let added = (0..100_000).map(|n| One(spread(n), 1)).collect();
        let (table, _) = Table::default().edited(Edit { removed: Vec::new(), added }, &same);
        let (edited, _) =
            table.edited(Edit { removed: vec![One(spread(7), 1)], added: vec![One(spread(7), 2)] }, &same);
        assert_eq!(edited.shared_with(&table), (512, 511));
        assert_eq!(edited.probe(spread(7)).find(|one| one.0 == spread(7)), Some(&One(spread(7), 2)));
        assert_eq!(table.probe(spread(7)).find(|one| one.0 == spread(7)), Some(&One(spread(7), 1)));
        assert_eq!((edited.len(), table.len()), (100_000, 100_000));
    }

    #[test]
    fn names_both_of_what_is_there_twice() {
        let edit = |added| Edit { removed: Vec::new(), added };
        let by_home = |one: &One, other: &One| one.0 == other.0;
        let (table, doubles) = Table::default().edited(edit(vec![One(5, 1), One(6, 2), One(5, 3)]), &by_home);
        assert_eq!(doubles, [(One(5, 1), One(5, 3))]);
        let (_, doubles) = table.edited(edit(vec![One(6, 4)]), &by_home);
        assert_eq!(doubles, [(One(6, 2), One(6, 4))]);
    }

    proptest! {
        #[test]
        fn holds_what_a_map_would(edits in prop::collection::vec(prop::collection::vec((0_u32..600, any::<bool>()), 0..900), 1..6)) {
            let (mut table, mut oracle) = (Table::<One>::default(), BTreeMap::new());
            for (version, edit) in (0_u32..).zip(edits) {
                let (mut removed, mut added) = (Vec::new(), BTreeMap::new());
                for (key, stays) in edit {
                    if let Some(value) = oracle.remove(&key) {
                        removed.push(One(spread(key), value));
                    }
                    if stays { added.insert(key, version); } else { added.remove(&key); }
                }
                let entries = added.iter().map(|(key, value)| One(spread(*key), *value)).collect();
                oracle.extend(added);
                let (edited, doubles) = table.edited(Edit { removed, added: entries }, &same);
                prop_assert!(doubles.is_empty());
                table = edited;
                prop_assert_eq!(table.len(), oracle.len());
                for key in 0..600 {
                    let found = table.probe(spread(key)).find(|one| one.0 == spread(key)).map(|one| one.1);
                    prop_assert_eq!(found, oracle.get(&key).copied());
                }
            }
        }
    }
}
