//! A length of time that is exact for a rate: nanoseconds, and a part of one in `1/count`.

/// Ordered by length, for spans of the same count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Span {
    pub(super) nanos: u64,
    /// Less than the count.
    pub(super) part: u32,
}

impl Span {
    /// So many `1/count` of a nanosecond; `None` past 584 years.
    pub(super) fn of(units: u128, count: u32) -> Option<Self> {
        let nanos = u64::try_from(units / u128::from(count)).ok()?;
        let part = u32::try_from(units % u128::from(count)).ok()?;
        Some(Self { nanos, part })
    }

    /// In `1/count` of a nanosecond.
    pub(super) const fn units(self, count: u32) -> u128 {
        self.nanos as u128 * count as u128 + self.part as u128
    }

    /// In nanoseconds, rounded up.
    pub(super) const fn ceil(self) -> u64 {
        self.nanos.saturating_add((self.part > 0) as u64)
    }

    /// The sum; stays at the longest time there is.
    #[inline]
    pub(super) fn plus(self, other: Self, count: u32) -> Self {
        let part = u64::from(self.part) + u64::from(other.part);
        let over = part >= u64::from(count);
        let part = if over { part - u64::from(count) } else { part };
        let nanos = self.nanos.saturating_add(other.nanos).saturating_add(u64::from(over));
        // Less than the count, which has 32 bits.
        Self { nanos, part: u32::try_from(part).unwrap_or(0) }
    }

    /// So many of it; stays at the longest time there is.
    #[inline]
    pub(super) fn times(self, n: u64, count: u32) -> Self {
        let Ok(small) = u32::try_from(n) else {
            return Self::of(self.units(count).saturating_mul(u128::from(n)), count)
                .unwrap_or(Self { nanos: u64::MAX, part: 0 });
        };
        let nanos = self.nanos.saturating_mul(n);
        if self.part == 0 {
            return Self { nanos, part: 0 };
        }
        let parts = u64::from(self.part) * u64::from(small);
        let part = u32::try_from(parts % u64::from(count)).unwrap_or(0);
        Self { nanos: nanos.saturating_add(parts / u64::from(count)), part }
    }
}
