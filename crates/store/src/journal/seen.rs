//! Which numbers were seen, as ranges: lines come nearly in order, so there are few.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Ranges by their first number, with their last. No two touch.
    ranges: BTreeMap<u64, u64>,
}

impl Seen {
    /// Notes a number; whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let joins = before.filter(|(_, last)| *last + 1 == number);
        let after = number.checked_add(1).and_then(|next| self.ranges.remove(&next));
        let first = joins.map_or(number, |(first, _)| first);
        self.ranges.insert(first, after.unwrap_or(number));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_new_once(numbers in prop::collection::vec(0_u64..60, 0..200)) {
            let (mut seen, mut exact) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(seen.insert(number), exact.insert(number));
            }
            let (mut ranges, mut last) = (0, None);
            for number in exact {
                ranges += usize::from(last.is_none_or(|last| last + 1 != number));
                last = Some(number);
            }
            prop_assert_eq!(seen.ranges.len(), ranges);
        }
    }

    #[test]
    fn the_last_number_there_is_has_no_next() {
        let mut seen = Seen::default();
        assert!(seen.insert(u64::MAX) && !seen.insert(u64::MAX) && seen.insert(0));
    }
}
