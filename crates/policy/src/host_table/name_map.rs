//! Names to numbers, frozen: a million names in about 35 bytes each.
//!
//! Records (`number`, `tag`, `length`, name) lie sorted by bucket, about two to a bucket. A directory of one word a
//! bucket says where it begins and, in 24 bits, which marks its names have. The directory mostly stays in the cache;
//! a name that is there costs one access to its record, and one that is not mostly none.
//!
//! Invariants: a name stands once; its bytes are compared before it counts as found; hashes are seeded, so that a
//! client cannot choose names that collide.

use hashbrown::HashTable;

use crate::seed::Seed;

const HEADER: usize = 6;
/// How many names share a bucket, on average.
const PER_BUCKET: usize = 2;
/// A directory word: the offset of the bucket's first record below, the marks of its names above.
const OFFSET_BITS: u32 = 40;
const OFFSET: u64 = (1 << OFFSET_BITS) - 1;
const MARKS: u64 = 64 - OFFSET_BITS as u64;

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
    /// A word for each bucket, and at last one for the end. One entry more than a power of two.
    directory: Box<[u64]>,
    records: Box<[u8]>,
}

impl NameMap {
    /// The number of `name`, whose hash is `hash`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<u32> {
        let bucket = bucket(hash, self.directory.len());
        let word = *self.directory.get(bucket)?;
        if word & mark(hash) == 0 {
            return None;
        }
        let start = usize::try_from(word & OFFSET).ok()?;
        let end = usize::try_from(*self.directory.get(bucket + 1)? & OFFSET).ok()?;
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
fn bucket(hash: u64, words: usize) -> usize {
    let bits = words.saturating_sub(1).checked_ilog2().unwrap_or(0);
    // The largest shift would be by 64, when there is one bucket.
    hash.checked_shr(64 - bits).and_then(|high| usize::try_from(high).ok()).unwrap_or(0)
}

/// One of the 24 marks, by bits 8 to 24.
#[inline]
fn mark(hash: u64) -> u64 {
    let place = (((hash >> 8) & 0xffff) * MARKS) >> 16;
    1 << OFFSET_BITS << place
}

/// The byte of a hash that is kept beside the name: the lowest.
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
    pub(crate) fn build(mut self) -> NameMap {
        let buckets = (self.table.len() / PER_BUCKET).next_power_of_two();
        // Freed first: the peak is what counts here.
        self.table = HashTable::new();
        let mut directory = vec![0u64; buckets + 1];
        for record in records(&self.records) {
            // Counted one bucket too far, so that the sums below are starts.
            let after = bucket(self.seed.hash(record.name), directory.len()) + 1;
            if let Some(count) = directory.get_mut(after) {
                *count += size(record);
            }
        }
        let mut sum = 0;
        for start in &mut directory {
            sum += *start;
            *start = sum;
        }
        let records = self.sort_into(&mut directory);
        NameMap { directory: directory.into_boxed_slice(), records }
    }

    /// Copies the records to their buckets, whose starts `directory` has, and adds the marks.
    fn sort_into(&self, directory: &mut [u64]) -> Box<[u8]> {
        let mut next = directory.to_vec();
        let mut out = vec![0u8; self.records.len()];
        let mut rest = self.records.as_slice();
        while let Some((record, after)) = split_record(rest) {
            let hash = self.seed.hash(record.name);
            let at = bucket(hash, directory.len());
            let (Some(word), Some(place)) = (directory.get_mut(at), next.get_mut(at)) else { break };
            *word |= mark(hash);
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
}

fn size(record: Record<'_>) -> u64 {
    u64::try_from(HEADER + record.name.len()).unwrap_or(u64::MAX)
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
        assert_eq!(
            [("a", 1), ("b", 2), ("a", 3)].map(|(name, n)| builder.add(name.as_bytes(), n)),
            [Ok(()), Ok(()), Err(1)]
        );
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
