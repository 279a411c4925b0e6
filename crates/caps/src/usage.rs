//! What a consumer used, by method, since it was last taken: sixteen bytes a method.
//!
//! Invariant: what is added comes out once, by [`Usage::take`] or as what did not fit.

use std::ops::AddAssign;

use crate::policy::MethodId;

/// What was used of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Calls.
    pub requests: u64,
    /// What they cost.
    pub credits: u64,
    /// Bytes both ways.
    pub bytes: u64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.credits = self.credits.saturating_add(other.credits);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// An amount of one method, packed.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// 48 bits of bytes, 16 of method.
    bytes: u64,
    requests: u32,
    credits: u32,
}

const BYTES: u32 = 48;

impl Cell {
    /// `None` when it does not fit.
    fn pack(method: MethodId, amount: Amount) -> Option<Self> {
        let fits = amount.bytes >> BYTES == 0;
        let bytes = amount.bytes | u64::from(method.number()) << BYTES;
        let (requests, credits) = (u32::try_from(amount.requests).ok()?, u32::try_from(amount.credits).ok()?);
        fits.then_some(Self { bytes, requests, credits })
    }

    fn amount(self) -> Amount {
        let bytes = self.bytes & ((1 << BYTES) - 1);
        Amount { requests: self.requests.into(), credits: self.credits.into(), bytes }
    }

    const fn method(self) -> MethodId {
        MethodId::from_number((self.bytes >> BYTES) as u16)
    }

    fn is_empty(self) -> bool {
        self.amount() == Amount::default()
    }
}

/// What one consumer used.
#[derive(Debug, Default)]
pub(crate) struct Usage(Box<[Cell]>);

impl Usage {
    /// Adds an amount. Answers with what did not fit, which is to be kept elsewhere.
    pub(crate) fn add(&mut self, method: MethodId, amount: Amount) -> Option<Amount> {
        let found = self.0.iter_mut().find(|cell| cell.method() == method);
        let mut sum = found.as_ref().map(|cell| cell.amount()).unwrap_or_default();
        sum += amount;
        match (found, Cell::pack(method, sum)) {
            (Some(cell), Some(packed)) => *cell = packed,
            (None, Some(packed)) => self.insert(packed),
            // The cell goes to where there is room, and begins anew.
            (Some(cell), None) => {
                *cell = Cell::pack(method, Amount::default()).unwrap_or(*cell);
                return Some(sum);
            }
            (None, None) => return Some(sum),
        }
        None
    }

    #[cold]
    fn insert(&mut self, cell: Cell) {
        // One that nothing was added to since it was taken.
        if let Some(place) = self.0.iter_mut().find(|place| place.is_empty()) {
            *place = cell;
            return;
        }
        self.0 = self.0.iter().copied().chain([cell]).collect();
    }

    /// Takes what was added; the cells stay for what comes next.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (MethodId, Amount)> + '_ {
        let used = self.0.iter_mut().filter(|cell| !cell.is_empty());
        used.map(|cell| {
            let taken = (cell.method(), cell.amount());
            *cell = Cell { bytes: u64::from(cell.method().number()) << BYTES, requests: 0, credits: 0 };
            taken
        })
    }

    /// Gives up cells that nothing was added to.
    pub(crate) fn shrink(&mut self) {
        if self.0.iter().any(|cell| cell.is_empty()) {
            self.0 = self.0.iter().copied().filter(|cell| !cell.is_empty()).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_method_takes_16_bytes() {
        assert_eq!(size_of::<Cell>(), 16);
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            0_u64..10,
            (0_u64..10).prop_map(|near| u64::from(u32::MAX) - near),
            Just(1_u64 << 47),
            Just(1 << 50)
        ]
    }

    proptest! {
        #[test]
        fn what_is_added_comes_out_once(
            added in prop::collection::vec((0_u16..4, number(), number(), number(), any::<bool>()), 0..60),
        ) {
            let (mut usage, mut expected, mut out) = (Usage::default(), [Amount::default(); 4], [Amount::default(); 4]);
            for (method, requests, credits, bytes, take) in added {
                let amount = Amount { requests, credits, bytes };
                expected[usize::from(method)] += amount;
                if let Some(rest) = usage.add(MethodId::from_number(method), amount) {
                    out[usize::from(method)] += rest;
                }
                if take {
                    usage.take().for_each(|(method, amount)| out[method.index()] += amount);
                    usage.shrink();
                }
            }
            usage.take().for_each(|(method, amount)| out[method.index()] += amount);
            prop_assert_eq!(out, expected);
            prop_assert_eq!(usage.take().count(), 0);
        }
    }
}
