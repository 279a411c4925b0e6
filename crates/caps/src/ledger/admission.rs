//! The guard of what was admitted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::Ledger;
use super::bound::BoundSet;
use super::demand::{Demand, Demands, Purpose, Request, Scopes};
use super::holder::SharedState;
use super::shard::Shard;
use crate::moment::Moment;
use crate::policy::{Held, MethodId};
use crate::short::Short;
use crate::slot::CapId;
use crate::standing::{Refusal, Standing};
use crate::usage::Amount;

/// Where something is held.
pub(super) enum HeldAt {
    /// In the consumer's account.
    Own(CapId),
    /// By all together.
    Shared(Arc<SharedState>, CapId),
}

/// What was admitted. It holds its place among those at once until it is dropped, and takes what is known only
/// afterwards. It needs neither the snapshot nor the ledger to be dropped.
#[must_use = "dropping it gives back what it holds"]
pub struct Admission {
    own: Option<(Arc<Shard>, u32)>,
    held: SmallVec<[HeldAt; 3]>,
    method: MethodId,
    credits: u64,
    shadowed: Option<Box<Refusal>>,
}

impl Admission {
    pub(super) fn new(
        own: Option<(Arc<Shard>, u32)>,
        held: SmallVec<[HeldAt; 3]>,
        method: MethodId,
        credits: u64,
        shadowed: Option<Refusal>,
    ) -> Self {
        Self { own, held, method, credits, shadowed: shadowed.map(Box::new) }
    }

    /// What the calls cost.
    #[must_use]
    pub const fn credits(&self) -> u64 {
        self.credits
    }

    /// What a cap in shadow would have answered.
    #[must_use]
    pub fn would_refuse(&self) -> Option<&Refusal> {
        self.shadowed.as_deref()
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("credits", &self.credits)
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        for held in &self.held {
            if let HeldAt::Shared(state, cap) = held {
                state.lock().slots.give_back(*cap);
            }
        }
        let Some((shard, at)) = &self.own else { return };
        let mut accounts = shard.lock();
        let Some(account) = accounts.slab.get_mut(*at) else { return };
        for held in &self.held {
            if let HeldAt::Own(cap) = held {
                account.slots.give_back(*cap);
            }
        }
        account.pins = account.pins.saturating_sub(1);
    }
}

impl Ledger {
    /// Charges an admission for bytes that passed, by the caps that apply; may be called any number of times while it
    /// lasts. A batch's bytes count as those of [`MethodId::BATCH`].
    pub fn charge_bytes(&self, now: Moment, admission: &Admission, scopes: Scopes<'_>, bytes: u64) {
        // What is dry now is for the next request to hear.
        drop(self.stream_bytes(now, admission, scopes, bytes));
    }

    /// The same for something that goes on.
    ///
    /// # Errors
    /// A cap of bytes has none left: what passed is charged, and no more should.
    pub fn stream_bytes(
        &self,
        now: Moment,
        admission: &Admission,
        scopes: Scopes<'_>,
        bytes: u64,
    ) -> Result<(), Box<Refusal>> {
        let what = (Purpose::Bytes(bytes), Amount { bytes, ..Amount::default() });
        self.charge(now, admission, (scopes, admission.method), what)
    }

    /// Charges an admission for credits beyond those of its calls, as those of a method: what a subscription delivers,
    /// for example.
    pub fn charge_credits(
        &self,
        now: Moment,
        admission: &Admission,
        scopes: Scopes<'_>,
        (method, credits): (MethodId, u64),
    ) {
        let what = (Purpose::Credits(credits), Amount { credits, ..Amount::default() });
        drop(self.charge(now, admission, (scopes, method), what));
    }

    fn charge(
        &self,
        now: Moment,
        admission: &Admission,
        (scopes, method): (Scopes<'_>, MethodId),
        (purpose, amount): (Purpose, Amount),
    ) -> Result<(), Box<Refusal>> {
        if amount == Amount::default() {
            return Ok(());
        }
        let own = admission.own.as_ref();
        let id = own.and_then(|(shard, at)| shard.lock().slab.get(*at).map(|account| Arc::clone(&account.id)));
        let calls = [method];
        let request = Request { scopes, consumer: id.as_ref(), holds: Held::Requests, calls: &calls };
        let demands: Demands<'_> = request.demands(purpose);
        let overriding = self.overriding.load(Ordering::Acquire).then(|| self.overrides.load());
        let overrides = overriding.as_ref().map(|overrides| &***overrides);
        // The account is pinned by the admission, so it is there.
        let Ok(mut locked) = self.lock(now, &request, &demands, Some(&[])) else { return Ok(()) };
        let mut dry: Option<(Short, &Demand<'_>)> = None;
        for demand in demands.iter().filter(|demand| !(admission.shadowed.is_some() && demand.cap.shadow)) {
            let rule = self.rule(now, &request, demand, overrides);
            let found = locked.slots(demand.place).and_then(|slots| {
                let at = slots.find(demand.cap.id)?;
                Some((u32::try_from(at).ok()?, slots.get(at)?))
            });
            if let Some(slot) = rule.charge(found.map(|(_, slot)| slot), now, demand.cost, &self.registry) {
                locked.put(demand.place, found.map(|(at, _)| at), slot, now);
                locked.spend_lease(demand, now, &self.link(demand.set.outage));
                let short = rule.check(Some(slot), now, 1).err().filter(|_| !demand.cap.shadow);
                if let Some(short) = short.filter(|short| dry.is_none_or(|(other, _)| other.wait < short.wait)) {
                    dry = Some((short, demand));
                }
            }
        }
        if self.usage {
            locked.used(method, amount);
        }
        let Some((short, demand)) = dry else { return Ok(()) };
        let rule = self.rule(now, &request, demand, overrides);
        Err(Box::new(self.refusal(&locked, now, (demand, &rule), short)))
    }

    /// How every cap of a set stands, those of all its methods too, for one consumer, or of what all share alone.
    #[must_use]
    pub fn standings_of(&self, now: Moment, set: &BoundSet, consumer: Option<&Arc<str>>) -> Vec<Standing> {
        let request = Request { scopes: Scopes::default().with(set), consumer, holds: Held::Requests, calls: &[] };
        self.standings_by(now, &request, &request.everything())
    }

    /// How the caps stand that apply to a request, without spending anything: for the fields of an answer, and for
    /// who asks why. In the order of the scopes, those for all calls before those of a method.
    #[must_use]
    pub fn standings(&self, now: Moment, request: &Request<'_>) -> Vec<Standing> {
        self.standings_by(now, request, &request.demands(Purpose::Decide(request.holds)))
    }

    fn standings_by<'a>(&'a self, now: Moment, request: &Request<'a>, demands: &Demands<'a>) -> Vec<Standing> {
        let overriding = self.overriding.load(Ordering::Acquire).then(|| self.overrides.load());
        let overrides = overriding.as_ref().map(|overrides| &***overrides);
        let locked = self.look(now, request, demands);
        let standing = |demand: &Demand<'_>| {
            let slots = locked.slots(demand.place);
            let slot = slots.and_then(|slots| slots.get(slots.find(demand.cap.id)?));
            let rule = self.rule(now, request, demand, overrides);
            let mut standing = rule.standing(slot, now, demand.set.scope, &self.registry);
            if let Some(room) = self.lease_room(&locked, now, demand) {
                standing.remaining = standing.remaining.min(room);
            }
            standing
        };
        demands.iter().map(standing).collect()
    }
}
