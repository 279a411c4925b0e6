//! Which routes moved: the fewest that would have to be put elsewhere to get one order from the other.

/// The places in `order` (distinct numbers) of those that are not part of its longest rising run-through.
pub(super) fn moved(order: &[usize]) -> Vec<usize> {
    // `tails[n]` is the place of the least number that ends a rising sequence of n + 1; `before` links each to the
    // one in front of it.
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(order.len());
    for (place, number) in order.iter().enumerate() {
        let length = tails.partition_point(|tail| order.get(*tail).is_some_and(|other| other < number));
        before.push(length.checked_sub(1).and_then(|length| tails.get(length).copied()));
        match tails.get_mut(length) {
            Some(tail) => *tail = place,
            None => tails.push(place),
        }
    }
    let mut stays = vec![false; order.len()];
    let mut next = tails.last().copied();
    while let Some(place) = next {
        if let Some(stay) = stays.get_mut(place) {
            *stay = true;
        }
        next = before.get(place).copied().flatten();
    }
    stays.iter().enumerate().filter(|(_, stay)| !**stay).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_fewest_that_moved() {
        for (order, expected) in [
            (&[][..], &[][..]),
            (&[0, 1, 2], &[]),
            (&[1, 2, 0], &[2]),
            (&[2, 0, 1], &[0]),
            (&[0, 3, 1, 2], &[1]),
            (&[2, 1, 0], &[0, 1]),
        ] {
            assert_eq!(moved(order), expected, "{order:?}");
        }
    }
}
