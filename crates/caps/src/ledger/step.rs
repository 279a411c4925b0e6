//! One cap and one slot: whether it allows a cost, what the slot is after that, and how the cap stands.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::bound::BoundCap;
use super::leases::Deal;
use super::registry::Registry;
use crate::bucket::{Bucket, FullAt};
use crate::lease::Budget;
use crate::moment::Moment;
use crate::overrides::Effect;
use crate::policy::{Limit, Scope, Unit};
use crate::quota::Quota;
use crate::short::{Short, Wait};
use crate::slot::{Slot, SpecId};
use crate::standing::{Counted, Standing};

/// A cap as it is for one request: with what an override does to it.
pub(super) struct Rule<'a> {
    pub(super) cap: &'a BoundCap,
    pub(super) limit: Cow<'a, Limit>,
    pub(super) spec: SpecId,
    /// How gateways share it, if they do.
    pub(super) deal: Option<Cow<'a, Arc<Deal>>>,
    /// Whether it refuses nothing.
    pub(super) lifted: bool,
}

impl<'a> Rule<'a> {
    pub(super) fn plain(cap: &'a BoundCap) -> Self {
        let deal = cap.deal.as_ref().map(Cow::Borrowed);
        Self { cap, limit: Cow::Borrowed(&cap.limit), spec: cap.spec, deal, lifted: false }
    }

    pub(super) fn with(cap: &'a BoundCap, effect: Effect, registry: &Registry) -> Self {
        let Effect::Multiply(thousandths) = effect else { return Self { lifted: true, ..Self::plain(cap) } };
        let times = |limit: u64| {
            let product = u128::from(limit) * u128::from(thousandths.get()) / 1000;
            u64::try_from(product).unwrap_or(u64::MAX).max(1)
        };
        let (limit, spec) = match &cap.limit {
            Limit::Rate(unit, bucket) => {
                let scaled = bucket.scaled(thousandths.get());
                (Limit::Rate(*unit, scaled), registry.spec(&scaled))
            }
            Limit::Quota(unit, quota) => {
                (Limit::Quota(*unit, Quota { limit: times(quota.limit), ..quota.clone() }), SpecId::UNNUMBERED)
            }
            Limit::AtOnce(held, most) => {
                let most = u32::try_from(times(u64::from(*most))).unwrap_or(u32::MAX);
                (Limit::AtOnce(*held, most), SpecId::UNNUMBERED)
            }
        };
        let deal = cap.deal.as_ref().zip(Budget::of(&limit)).map(|(deal, budget)| {
            let scaled = Deal { budget, terms: deal.terms };
            Cow::Owned(Arc::new(scaled))
        });
        Self { cap, limit: Cow::Owned(limit), spec, deal, lifted: false }
    }

    /// Whether a cost is allowed: the slot after that, or `None` when nothing is spent yet. The slot is one that was
    /// adopted.
    #[inline]
    pub(super) fn check(&self, slot: Option<Slot>, now: Moment, cost: u64) -> Result<Option<Slot>, Short> {
        let id = self.cap.id;
        match &*self.limit {
            Limit::Rate(unit, bucket) => {
                let state = slot.map(Slot::full_at).unwrap_or_default();
                let after = match bucket.check(state, now.nanos, cost) {
                    Ok(after) => after,
                    Err(_) if self.lifted => bucket.clamp(bucket.spend(state, now.nanos, cost), now.nanos),
                    Err(short) => return Err(short),
                };
                Ok(spends(*unit).then(|| Slot::bucket(id, self.spec, after)))
            }
            Limit::Quota(unit, quota) => {
                let used = slot.map(Slot::used).unwrap_or_default();
                let after = match quota.check(used, now, cost) {
                    Ok(after) => after,
                    Err(_) if self.lifted => quota.spend(used, now, cost),
                    Err(short) => return Err(short),
                };
                Ok(spends(*unit).then(|| Slot::quota(id, after)))
            }
            Limit::AtOnce(_, most) => {
                let held = slot.map_or(0, Slot::held);
                if held >= u64::from(*most) && !self.lifted {
                    return Err(Short { remaining: 0, wait: Wait::Unknown });
                }
                Ok(Some(Slot::gauge(id, held + 1)))
            }
        }
    }

    /// The slot after a cost that is charged whether it was there or not; `None` for what is held.
    pub(super) fn charge(&self, slot: Option<Slot>, now: Moment, cost: u64, registry: &Registry) -> Option<Slot> {
        let slot = self.current(slot, now, registry);
        match &*self.limit {
            Limit::Rate(_, bucket) => {
                let state = slot.map(Slot::full_at).unwrap_or_default();
                let after = bucket.spend(state, now.nanos, cost);
                let after = if self.lifted { bucket.clamp(after, now.nanos) } else { after };
                Some(Slot::bucket(self.cap.id, self.spec, after))
            }
            Limit::Quota(_, quota) => {
                let used = slot.map(Slot::used).unwrap_or_default();
                Some(Slot::quota(self.cap.id, quota.spend(used, now, cost)))
            }
            Limit::AtOnce(..) => None,
        }
    }

    /// The slot of a bucket that was written under another rate, as it is under the one it has now. It is to be written
    /// even where nothing is spent, so that from now on the new rate counts.
    #[inline]
    pub(super) fn adopt(&self, slot: Slot, now: Moment, registry: &Registry) -> Option<Slot> {
        match &*self.limit {
            Limit::Rate(..) if slot.spec() == self.spec && self.spec != SpecId::UNNUMBERED => None,
            Limit::Rate(unit, bucket) => {
                Some(Slot::bucket(self.cap.id, self.spec, adopted(slot, now, (*unit, bucket), registry)))
            }
            Limit::Quota(..) | Limit::AtOnce(..) => None,
        }
    }

    /// The slot as this cap reads it.
    fn current(&self, slot: Option<Slot>, now: Moment, registry: &Registry) -> Option<Slot> {
        slot.map(|slot| self.adopt(slot, now, registry).unwrap_or(slot))
    }

    /// How the cap stands.
    pub(super) fn standing(&self, slot: Option<Slot>, now: Moment, scope: Scope, registry: &Registry) -> Standing {
        let slot = self.current(slot, now, registry);
        let (counted, limit, window, remaining, reset) = match &*self.limit {
            Limit::Rate(unit, bucket) => {
                let state = slot.map(Slot::full_at).unwrap_or_default();
                let remaining = bucket.remaining(state, now.nanos);
                let reset = bucket.full_in(state, now.nanos);
                (Counted::Spent(*unit), bucket.burst(), Some(bucket.fill_time()), remaining, Some(reset))
            }
            Limit::Quota(unit, quota) => {
                let used = slot.map(Slot::used).unwrap_or_default();
                let window = quota.window(now);
                let length = Duration::from_secs(window.end.saturating_sub(window.start));
                let (remaining, reset) = (quota.remaining(used, now), quota.ends_in(now));
                (Counted::Spent(*unit), quota.limit, Some(length), remaining, Some(reset))
            }
            Limit::AtOnce(held, most) => {
                let limit = u64::from(*most);
                (Counted::Held(*held), limit, None, limit.saturating_sub(slot.map_or(0, Slot::held)), None)
            }
        };
        Standing { cap: self.cap.label.clone(), scope, counted, limit, window, remaining, reset }
    }

    /// What was spent of a quota in its window.
    pub(super) fn spent(&self, slot: Option<Slot>, now: Moment) -> u64 {
        match &*self.limit {
            Limit::Quota(_, quota) => quota.spend(slot.map(Slot::used).unwrap_or_default(), now, 0).spent,
            Limit::Rate(..) | Limit::AtOnce(..) => 0,
        }
    }
}

/// Whether a unit is spent when a request is allowed, rather than afterwards.
const fn spends(unit: Unit) -> bool {
    match unit {
        Unit::Requests | Unit::Credits => true,
        Unit::Bytes => false,
    }
}

#[cold]
fn adopted(slot: Slot, now: Moment, (unit, bucket): (Unit, &Bucket), registry: &Registry) -> FullAt {
    let state = match registry.bucket(slot.spec()) {
        Some(before) => bucket.adopt(&before, slot.full_at(), now.nanos),
        // A rate without a number: the time of the debt is kept, without the part of a nanosecond.
        None => slot.full_at().whole(),
    };
    match unit {
        Unit::Requests => bucket.clamp(state, now.nanos),
        Unit::Credits | Unit::Bytes => state,
    }
}
