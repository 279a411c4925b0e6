//! The decision: all caps that apply, or none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::Ledger;
use super::admission::{Admission, HeldAt};
use super::changes::SavedQuota;
use super::demand::{Demand, Demands, OWN, Purpose, Request};
use super::locked::{Locked, Undecided};
use super::step::Rule;
use crate::moment::Moment;
use crate::overrides::Overrides;
use crate::policy::{Limit, MethodId};
use crate::short::{Short, Wait};
use crate::slot::Slot;
use crate::standing::{Counted, Refusal, RefusalKind, Standing};
use crate::usage::Amount;

/// What is written when everything is allowed.
#[derive(Clone, Copy)]
struct Write {
    at: Option<u32>,
    slot: Option<Slot>,
}

type Writes = SmallVec<[Write; 20]>;

impl Ledger {
    /// Decides a request by all caps that apply. An admission has spent of all of them; a refusal of none.
    ///
    /// # Errors
    /// A cap refuses, or there is no room for another consumer.
    pub fn decide(&self, now: Moment, request: &Request<'_>) -> Result<Admission, Refusal> {
        match self.attempt(now, request, None) {
            Ok(admission) => Ok(admission),
            Err(Undecided::Refused(refusal)) => Err(refusal),
            Err(Undecided::Unknown) => self.decide_loaded(now, request),
        }
    }

    /// What [`Ledger::decide`] would refuse a request with, without spending, noting or counting anything. Of two caps
    /// that would refuse it is the one that takes longest; those in shadow are left out.
    #[must_use]
    pub fn would_refuse(&self, now: Moment, request: &Request<'_>) -> Option<Refusal> {
        self.would_refuse_for(now, request, Purpose::Decide(request.holds))
    }

    /// The cap of bytes that has none left for what goes on, if there is one.
    #[must_use]
    pub fn dry(&self, now: Moment, request: &Request<'_>) -> Option<Refusal> {
        self.would_refuse_for(now, request, Purpose::Bytes(1))
    }

    fn would_refuse_for(&self, now: Moment, request: &Request<'_>, purpose: Purpose) -> Option<Refusal> {
        let demands = request.demands(purpose);
        let overriding = self.overriding.load(Ordering::Acquire).then(|| self.overrides.load());
        let overrides = overriding.as_ref().map(|overrides| &***overrides);
        let locked = self.look(now, request, &demands);
        let short = |demand: &Demand<'_>| {
            let rule = self.rule(now, request, demand, overrides);
            let slots = locked.slots(demand.place);
            let slot = slots.and_then(|slots| slots.get(slots.find(demand.cap.id)?));
            let slot = slot.map(|slot| rule.adopt(slot, now, &self.registry).unwrap_or(slot));
            let room = self.lease_room(&locked, now, demand).filter(|room| *room < demand.cost && !rule.lifted);
            let leased = room.map(|remaining| Short { remaining, wait: Wait::Unknown });
            worse(rule.check(slot, now, demand.cost).err(), leased)
        };
        let refusing = demands.iter().filter(|demand| !demand.cap.shadow);
        let worst = refusing
            .filter_map(|demand| Some((short(demand)?, demand)))
            .reduce(|worst, other| if worst.0.wait < other.0.wait { other } else { worst })?;
        let rule = self.rule(now, request, worst.1, overrides);
        Some(self.refusal(&locked, now, (worst.1, &rule), worst.0))
    }

    /// With what a consumer that was dropped has spent, from where it is saved.
    #[cold]
    fn decide_loaded(&self, now: Moment, request: &Request<'_>) -> Result<Admission, Refusal> {
        let saved = self.saved.as_ref().zip(request.consumer).map(|(saved, id)| saved.load(id));
        match self.attempt(now, request, Some(&saved.unwrap_or_default())) {
            Ok(admission) => Ok(admission),
            Err(Undecided::Refused(refusal)) => Err(refusal),
            // It is not asked for twice.
            Err(Undecided::Unknown) => Err(no_room()),
        }
    }

    fn attempt(
        &self,
        now: Moment,
        request: &Request<'_>,
        saved: Option<&[SavedQuota]>,
    ) -> Result<Admission, Undecided> {
        let demands = request.demands(Purpose::Decide(request.holds));
        let mut locked = self.lock(now, request, &demands, saved)?;
        let overriding = self.overriding.load(Ordering::Acquire).then(|| self.overrides.load());
        let overrides = overriding.as_ref().map(|overrides| &***overrides);
        let mut writes = Writes::new();
        let (mut refused, mut shadowed) = (None, None);
        for demand in &demands {
            let rule = self.rule(now, request, demand, overrides);
            let (write, short) = self.check(&mut locked, now, demand, &rule);
            writes.push(write);
            if let Some(short) = short {
                let worst = if demand.cap.shadow { &mut shadowed } else { &mut refused };
                if worst.as_ref().is_none_or(|(before, _): &(Short, &Demand<'_>)| before.wait < short.wait) {
                    *worst = Some((short, demand));
                }
            }
        }
        let refusal = |(short, demand)| {
            let rule = self.rule(now, request, demand, overrides);
            self.refusal(&locked, now, (demand, &rule), short)
        };
        if let Some(refused) = refused {
            refused.1.cap.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Undecided::Refused(refusal(refused)));
        }
        let shadow = shadowed.map(refusal);
        if let Some((_, demand)) = shadowed {
            demand.cap.counts.shadowed.fetch_add(1, Ordering::Relaxed);
        }
        self.spend(
            &mut locked,
            now,
            demands.iter().zip(&writes).filter(|(demand, _)| {
                // As it would be without the shadow: what is refused spends nothing of any of them.
                shadow.is_none() || !demand.cap.shadow
            }),
        );
        Ok(self.admit(locked, request, &demands, shadow))
    }

    /// The cap as it is for this request.
    #[inline]
    pub(super) fn rule<'a>(
        &self,
        now: Moment,
        request: &Request<'_>,
        demand: &Demand<'a>,
        overrides: Option<&Overrides>,
    ) -> Rule<'a> {
        let consumer = request.consumer.filter(|_| demand.place == OWN).map(|id| &**id);
        let name = (demand.set.scope, &*demand.set.name, &*demand.cap.label);
        match overrides.and_then(|overrides| overrides.effect(now.unix(), consumer, name)) {
            Some(effect) => Rule::with(demand.cap, effect, &self.registry),
            None => Rule::plain(demand.cap),
        }
    }

    #[inline]
    fn check(
        &self,
        locked: &mut Locked<'_>,
        now: Moment,
        demand: &Demand<'_>,
        rule: &Rule<'_>,
    ) -> (Write, Option<Short>) {
        let Some(slots) = locked.slots(demand.place) else { return (Write { at: None, slot: None }, None) };
        let at = slots.find(demand.cap.id);
        let mut slot = at.and_then(|at| slots.get(at));
        let at = at.and_then(|at| u32::try_from(at).ok());
        if let Some(adopted) = slot.and_then(|slot| rule.adopt(slot, now, &self.registry)) {
            locked.put(demand.place, at, adopted, now);
            slot = Some(adopted);
        }
        let checked = rule.check(slot, now, demand.cost);
        let leased = rule.deal.is_some() && !rule.lifted;
        let leased = if leased { self.check_lease(locked, now, demand, (rule, slot)) } else { None };
        match (checked, leased) {
            (Ok(slot), None) => (Write { at, slot }, None),
            (checked, leased) => (Write { at, slot: None }, worse(checked.err(), leased)),
        }
    }

    #[cold]
    pub(super) fn refusal(
        &self,
        locked: &Locked<'_>,
        now: Moment,
        (demand, rule): (&Demand<'_>, &Rule<'_>),
        short: Short,
    ) -> Refusal {
        let kind = match &demand.cap.limit {
            Limit::Rate(..) => RefusalKind::OverRate,
            Limit::Quota(..) => RefusalKind::OverQuota,
            Limit::AtOnce(..) => RefusalKind::OverConcurrency,
        };
        let slot = locked.slots(demand.place).and_then(|slots| slots.get(slots.find(demand.cap.id)?));
        let mut standing = rule.standing(slot, now, demand.set.scope, &self.registry);
        // A gateway's share may have less left than the cap.
        standing.remaining = standing.remaining.min(short.remaining);
        Refusal { kind, standing, set: Arc::clone(&demand.set.name), cost: demand.cost, wait: short.wait }
    }

    /// Writes everything.
    #[inline]
    fn spend<'a>(
        &self,
        locked: &mut Locked<'_>,
        now: Moment,
        writes: impl Iterator<Item = (&'a Demand<'a>, &'a Write)>,
    ) {
        for (demand, write) in writes {
            let Some(slot) = write.slot else { continue };
            locked.put(demand.place, write.at, slot, now);
            if demand.cap.deal.is_some() {
                locked.spend_lease(demand, now, &self.link(demand.set.outage));
            }
        }
    }

    /// Counts the usage and makes the guard.
    #[inline]
    fn admit(
        &self,
        mut locked: Locked<'_>,
        request: &Request<'_>,
        demands: &Demands<'_>,
        shadowed: Option<Refusal>,
    ) -> Admission {
        let mut held = SmallVec::new();
        for demand in demands {
            let skipped = shadowed.is_some() && demand.cap.shadow;
            if matches!(demand.cap.limit, Limit::AtOnce(..)) && !skipped {
                held.push(match demand.place {
                    OWN => HeldAt::Own(demand.cap.id),
                    _ => HeldAt::Shared(Arc::clone(&demand.set.state), demand.cap.id),
                });
            }
        }
        let method = match request.calls {
            [] => MethodId::HTTP,
            [method] => *method,
            [..] => MethodId::BATCH,
        };
        let credits = request.credits();
        if self.usage {
            for method in request.calls {
                let credits = u64::from(request.scopes.price(*method));
                locked.used(*method, Amount { requests: 1, credits, bytes: 0 });
            }
        }
        Admission::new(locked.pin(), held, method, credits, shadowed)
    }
}

/// Of what a cap and this gateway's share of it lack, that which takes longer.
fn worse(cap: Option<Short>, leased: Option<Short>) -> Option<Short> {
    match (cap, leased) {
        (Some(short), Some(other)) if short.wait < other.wait => Some(other),
        (short, other) => short.or(other),
    }
}

#[cold]
pub(super) fn no_room() -> Refusal {
    let standing = Standing {
        cap: "consumers".into(),
        scope: crate::policy::Scope::Gateway,
        counted: Counted::Held(crate::policy::Held::Connections),
        limit: 0,
        window: None,
        remaining: 0,
        reset: None,
    };
    Refusal { kind: RefusalKind::NoRoom, standing, set: "".into(), cost: 1, wait: Wait::Unknown }
}
