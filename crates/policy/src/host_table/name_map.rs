//! Names to numbers, frozen: a million names in about 35 bytes each, found in about two cache misses.
//!
//! Records (`number`, `tag`, `length`, name) lie sorted by bucket, about two to a bucket, and `starts` says where
//! each bucket begins. `starts` is small enough to stay in the cache; a bucket is a cache line or two.
//!
//! Invariants: a name stands once; its bytes are compared before it counts as found; hashes are seeded, so that a
//! client cannot choose names that collide.

use hashbrown::HashTable;

use crate::seed::Seed;

const HEADER: usize = 6;
/// How many names share a bucket, on average.
const PER_BUCKET: usize = 2;

/// A name and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) number: u32,
    tag: u8,
    pub(crate) name: &'a [u8],
}

/// The frozen map.
#[derive(Debug)]
pub(crate) struct NameMap {
    /// Where each bucket begins, and at last the end. One entry more than a power of two.
    starts: Box<[u64]>,
    records: Box<[u8]>,
}

impl NameMap {
    /// The number of `name`, whose hash is `hash`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<u32> {
        let bucket = bucket(hash, self.starts.len());
        let start = usize::try_from(*self.starts.get(bucket)?).ok()?;
        let end = usize::try_from(*self.starts.get(bucket + 1)?).ok()?;
        let mut rest = self.records.get(start..end)?;
        while let Some((record, after)) = split_record(rest) {
            if record.tag == tag(hash) && record.name == name {
                return Some(record.number);
            }
            rest = after;
        }
        None
    }

    /// All records, in no order that means anything.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        records(&self.records)
    }
}

/// The bucket of a hash, by its high bits.
#[inline]
fn bucket(hash: u64, starts: usize) -> usize {
    let bits = starts.saturating_sub(1).checked_ilog2().unwrap_or(0);
    // The largest shift would be by 64, when there is one bucket.
    hash.checked_shr(64 - bits).and_then(|high| usize::try_from(high).ok()).unwrap_or(0)
}

/// The byte of a hash that is kept beside the name. Not from the bits that choose the bucket.
#[inline]
fn tag(hash: u64) -> u8 {
    let [low, ..] = hash.to_le_bytes();
    low
}

#[inline]
fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, tag, length] = *header;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    Some((Record { number: u32::from_le_bytes([a, b, c, d]), tag, name }, rest))
}

fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (record, after) = split_record(rest)?;
        rest = after;
        Some(record)
    })
}

/// The map while names are added: records in order of arrival, and a table of where they stand.
#[derive(Debug)]
pub(crate) struct NameMapBuilder {
    seed: Seed,
    records: Vec<u8>,
    table: HashTable<usize>,
}

impl NameMapBuilder {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, records: Vec::new(), table: HashTable::new() }
    }

    /// Adds a name of at most 255 bytes.
    ///
    /// # Errors
    /// It is there already, with the number that comes back.
    pub(crate) fn add(&mut self, name: &[u8], number: u32) -> Result<(), u32> {
        let hash = self.seed.hash(name);
        let at = |offset: &usize| self.records.get(*offset..).and_then(split_record).map(|(record, _)| record);
        if let Some(held) = self.table.find(hash, |offset| at(offset).is_some_and(|record| record.name == name)) {
            return Err(at(held).map_or(number, |record| record.number));
        }
        let rehash = |offset: &usize| at(offset).map_or(0, |record| self.seed.hash(record.name));
        self.table.insert_unique(hash, self.records.len(), rehash);
        self.records.extend_from_slice(&number.to_le_bytes());
        self.records.extend_from_slice(&[tag(hash), u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        self.records.extend_from_slice(name);
        Ok(())
    }

    /// Sorts the records by bucket.
    pub(crate) fn build(self) -> NameMap {
        let buckets = (self.table.len() / PER_BUCKET).next_power_of_two();
        drop(self.table);
        let mut starts = vec![0u64; buckets + 1];
        for record in records(&self.records) {
            // Counted one bucket too far, so that the sums below are starts.
            let after = bucket(self.seed.hash(record.name), starts.len()) + 1;
            if let Some(count) = starts.get_mut(after) {
                *count += size(record);
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let records = sorted(&self.records, &self.seed, &starts);
        NameMap { starts: starts.into_boxed_slice(), records }
    }
}

fn size(record: Record<'_>) -> u64 {
    u64::try_from(HEADER + record.name.len()).unwrap_or(u64::MAX)
}

fn sorted(unsorted: &[u8], seed: &Seed, starts: &[u64]) -> Box<[u8]> {
    let mut next = starts.to_vec();
    let mut out = vec![0u8; unsorted.len()];
    let mut rest = unsorted;
    while let Some((record, after)) = split_record(rest) {
        let Some(place) = next.get_mut(bucket(seed.hash(record.name), starts.len())) else { break };
        let start = usize::try_from(*place).unwrap_or(usize::MAX);
        *place += size(record);
        let (bytes, _) = rest.split_at(rest.len() - after.len());
        if let Some(target) = out.get_mut(start..).and_then(|out| out.get_mut(..bytes.len())) {
            target.copy_from_slice(bytes);
        }
        rest = after;
    }
    out.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0u32, 1, 2, 3, 10, 5000] {
            let seed = Seed::fixed(u64::from(count));
            let mut builder = NameMapBuilder::new(seed.clone());
            for n in 0..count {
                assert_eq!(builder.add(format!("h{n}.example.com").as_bytes(), n), Ok(()));
            }
            let map = builder.build();
            let find = |name: &str| map.find(seed.hash(name.as_bytes()), name.as_bytes());
            for n in 0..count {
                assert_eq!(find(&format!("h{n}.example.com")), Some(n));
                assert_eq!(find(&format!("h{n}.example.co")), None);
            }
            assert_eq!(find(""), None);
            let mut numbers: Vec<u32> = map.records().map(|record| record.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_name_is_held_once() {
        let mut builder = NameMapBuilder::new(Seed::fixed(1));
        assert_eq!([("a", 1), ("b", 2), ("a", 3)].map(|(name, n)| builder.add(name.as_bytes(), n)), [Ok(()), Ok(()), Err(1)]);
        assert_eq!(builder.build().records().count(), 2);
    }

    #[test]
    fn equal_hashes_do_not_make_equal_names() {
        let mut builder = NameMapBuilder::new(Seed::fixed(1));
        assert_eq!(builder.add(b"a", 1), Ok(()));
        let hash = Seed::fixed(1).hash(b"a");
        assert_eq!(builder.build().find(hash, b"b"), None);
    }
}
