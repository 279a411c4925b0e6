//! The state of one cap in 16 bytes, and the caps of one holder side by side.
//!
//! A slot says which cap it belongs to and, for a bucket, under which rate its time was written; so a cap that is
//! edited, multiplied for an emergency, or asked by an old and a new generation at once is read rightly by each.
//!
//! Invariant: a slot that is idle means the same as no slot at all, so it may be taken away or used for another cap
//! at any time.

use crate::bucket::FullAt;
use crate::moment::Moment;
use crate::quota::Used;

/// How a slot is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Bucket,
    Day,
    Month,
    Gauge,
}

/// Which cap, within one holder: 18 bits of number, two of shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CapId(u32);

impl CapId {
    const BITS: u32 = 20;

    /// The id of a number; `None` when there are too many.
    pub(crate) const fn new(number: u32, shape: Shape) -> Option<Self> {
        // The last number is that of vacant slots.
        if number < (1 << (Self::BITS - 2)) - 1 { Some(Self(number << 2 | shape as u32)) } else { None }
    }

    pub(crate) const fn shape(self) -> Shape {
        match self.0 & 3 {
            0 => Shape::Bucket,
            1 => Shape::Day,
            2 => Shape::Month,
            _ => Shape::Gauge,
        }
    }

    /// The number it was made of.
    pub(crate) const fn number(self) -> u32 {
        self.0 >> 2
    }
}

/// Which rate a bucket's time was written under: 12 bits. Zero is any that has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct SpecId(u16);

impl SpecId {
    pub(crate) const UNNUMBERED: Self = Self(0);

    /// `None` when there are too many.
    pub(crate) fn new(number: usize) -> Option<Self> {
        u16::try_from(number).ok().filter(|number| (1..4096).contains(number)).map(Self)
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

/// The state of a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Nanoseconds of a bucket, what was spent of a quota, what is held of a gauge.
    value: u64,
    /// The part of a nanosecond, the number of a window.
    detail: u32,
    /// 20 bits of cap, 12 of rate.
    key: u32,
}

impl Slot {
    const VACANT: Self = Self { value: 0, detail: 0, key: u32::MAX };

    const fn of(cap: CapId, spec: SpecId, detail: u32, value: u64) -> Self {
        Self { value, detail, key: cap.0 << 12 | spec.0 as u32 }
    }

    pub(crate) const fn bucket(cap: CapId, spec: SpecId, full_at: FullAt) -> Self {
        Self::of(cap, spec, full_at.part, full_at.nanos)
    }

    pub(crate) const fn quota(cap: CapId, used: Used) -> Self {
        Self::of(cap, SpecId::UNNUMBERED, used.window, used.spent)
    }

    pub(crate) const fn gauge(cap: CapId, held: u64) -> Self {
        Self::of(cap, SpecId::UNNUMBERED, 0, held)
    }

    pub(crate) const fn cap(self) -> CapId {
        CapId(self.key >> 12)
    }

    pub(crate) const fn spec(self) -> SpecId {
        SpecId((self.key & 0xfff) as u16)
    }

    pub(crate) const fn full_at(self) -> FullAt {
        FullAt { nanos: self.value, part: self.detail }
    }

    pub(crate) const fn used(self) -> Used {
        Used { window: self.detail, spent: self.value }
    }

    pub(crate) const fn held(self) -> u64 {
        self.value
    }

    pub(crate) const fn is_vacant(self) -> bool {
        self.key == u32::MAX
    }

    /// Whether it is a quota of which something was spent.
    pub(crate) const fn is_spent_quota(self) -> bool {
        !self.is_vacant() && matches!(self.cap().shape(), Shape::Day | Shape::Month) && self.value > 0
    }

    /// Whether it means nothing any more: vacant, full, given back, or of a window that is over in every zone.
    pub(crate) fn is_idle(self, now: Moment) -> bool {
        let day = now.unix() / 86_400;
        match self.cap().shape() {
            _ if self.is_vacant() => true,
            Shape::Bucket => self.value < now.nanos,
            Shape::Gauge => self.value == 0,
            Shape::Day => self.value == 0 || u64::from(self.detail) + 1 < day,
            // Months have 30.4369 days; five more are for short years, long months and zones.
            Shape::Month => self.value == 0 || (u64::from(self.detail) + 1) * 304_369 / 10_000 + 5 < day,
        }
    }
}

/// The caps of one holder. Few, so they are searched one after another.
#[derive(Debug, Default)]
pub(crate) struct Slots(Box<[Slot]>);

impl Slots {
    /// Where a cap's slot is.
    #[inline]
    pub(crate) fn find(&self, cap: CapId) -> Option<usize> {
        self.0.iter().position(|slot| slot.cap() == cap)
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<Slot> {
        self.0.get(at).copied()
    }

    /// What is kept, vacant slots left out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().copied().filter(|slot| !slot.is_vacant())
    }

    /// Puts a slot where it was found, or where room is, or into new room.
    #[inline]
    pub(crate) fn put(&mut self, at: Option<usize>, slot: Slot, now: Moment) {
        match at.and_then(|at| self.0.get_mut(at)) {
            // Only what was found there: one that was idle may have been taken by another cap meanwhile.
            Some(place) if place.cap() == slot.cap() => *place = slot,
            Some(_) | None => self.insert(slot, now),
        }
    }

    #[cold]
    fn insert(&mut self, slot: Slot, now: Moment) {
        if let Some(place) = self.0.iter_mut().find(|place| place.cap() == slot.cap()) {
            *place = slot;
            return;
        }
        // Vacant ones only: a bucket that is full will be written again by the request that looks at it.
        if let Some(place) = self.0.iter_mut().find(|place| place.is_vacant()) {
            *place = slot;
            return;
        }
        let kept = self.0.iter().copied().filter(|slot| !slot.is_idle(now));
        // One more, and a quarter of what there is beyond eight: most holders have few for ever.
        let room = 1 + self.0.len() / 32 * 8;
        let mut grown: Vec<Slot> = Vec::with_capacity(self.0.len() + room);
        grown.extend(kept);
        grown.push(slot);
        let len = grown.len().max(self.0.len());
        grown.resize(if grown.len() > self.0.len() { grown.capacity() } else { len }, Slot::VACANT);
        self.0 = grown.into_boxed_slice();
    }

    /// Gives up what is idle, and the room it took.
    pub(crate) fn shrink(&mut self, now: Moment) {
        if self.0.iter().any(|slot| slot.is_idle(now)) {
            self.0 = self.0.iter().copied().filter(|slot| !slot.is_idle(now)).collect();
        }
    }

    /// Adds what a gauge gives back.
    pub(crate) fn give_back(&mut self, cap: CapId) {
        if let Some(slot) = self.find(cap).and_then(|at| self.0.get_mut(at)) {
            slot.value = slot.value.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(number: u32, shape: Shape) -> CapId {
        CapId::new(number, shape).unwrap()
    }

    #[test]
    fn a_slot_is_16_bytes_and_keeps_what_it_is_given() {
        assert_eq!(size_of::<Slot>(), 16);
        let last = (1 << 18) - 2;
        assert!(
            CapId::new(last + 1, Shape::Gauge).is_none() && SpecId::new(4096).is_none() && SpecId::new(0).is_none()
        );
        for shape in [Shape::Bucket, Shape::Day, Shape::Month, Shape::Gauge] {
            let (cap, spec) = (cap(last, shape), SpecId::new(4095).unwrap());
            assert_eq!((cap.shape(), cap.number()), (shape, last));
            let full_at = FullAt { nanos: u64::MAX, part: u32::MAX };
            let slot = Slot::bucket(cap, spec, full_at);
            assert_eq!((slot.cap(), slot.spec(), slot.full_at(), slot.is_vacant()), (cap, spec, full_at, false));
        }
    }

    #[test]
    fn idle_slots_are_used_for_other_caps_before_room_is_made() {
        let now = Moment { nanos: 100, unix_millis: 0 };
        let bucket =
            |number, nanos| Slot::bucket(cap(number, Shape::Bucket), SpecId::UNNUMBERED, FullAt { nanos, part: 0 });
        let mut slots = Slots::default();
        for (number, nanos, room) in [(1, 200, 1), (2, 50, 2), (3, 200, 2), (4, 200, 3)] {
            slots.put(None, bucket(number, nanos), now);
            assert_eq!(slots.0.len(), room, "{number}");
        }
        let kept: Vec<u32> = slots.iter().map(|slot| slot.cap().number()).collect();
        assert_eq!(kept, [1, 3, 4]);
        slots.put(slots.find(cap(3, Shape::Bucket)), bucket(3, 300), now);
        slots.shrink(Moment { nanos: 250, unix_millis: 0 });
        assert_eq!(slots.iter().map(|slot| slot.full_at().nanos).collect::<Vec<_>>(), [300]);
    }

    #[test]
    fn a_quota_is_idle_when_its_window_is_over_everywhere() {
        let day = |days: u64| Moment { nanos: 0, unix_millis: days * 86_400_000 };
        let quota = |shape, window| Slot::quota(cap(1, shape), Used { window, spent: 1 });
        assert!(!quota(Shape::Day, 100).is_idle(day(101)) && quota(Shape::Day, 100).is_idle(day(102)));
        // Months 0 and 1 are January and February 1970.
        assert!(!quota(Shape::Month, 0).is_idle(day(32)) && quota(Shape::Month, 0).is_idle(day(63)));
        let zone = crate::calendar::Zone::named("Pacific/Niue").unwrap();
        for month in (31..240 * 365).step_by(15) {
            let window = zone.window(crate::calendar::Period::Month, month * 86_400);
            let end = window.end / 86_400;
            assert!(!quota(Shape::Month, window.number).is_idle(day(end)), "{window:?}");
            assert!(quota(Shape::Month, window.number).is_idle(day(end + 10)), "{window:?}");
        }
        assert!(Slot::quota(cap(1, Shape::Month), Used { window: 9, spent: 0 }).is_idle(day(0)));
    }
}
