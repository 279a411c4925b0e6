//! The holders that a request concerns, locked in one order: gateway, route, plan, consumer.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Ledger;
use super::bound::BoundSet;
use super::changes::SavedQuota;
use super::decide::no_room;
use super::demand::{Demand, Demands, GATEWAY, OWN, PLAN, ROUTE, ROUTES, Request};
use super::holder::Holder;
use super::leases::{LeaseQuery, Leases, lease_slot};
use super::shard::{Accounts, Shard};
use super::step::Rule;
use super::sync::MutexGuard;
use crate::lease::Link;
use crate::moment::Moment;
use crate::policy::{Limit, MethodId};
use crate::short::{Short, Wait};
use crate::slot::{Slot, Slots};
use crate::standing::Refusal;
use crate::usage::Amount;

/// The holders that are concerned.
pub(super) struct Locked<'a> {
    /// By place.
    shared: Shared<'a>,
    own: Option<Own<'a>>,
    /// What was saved of an account that is not there, for who only looks.
    recalled: Slots,
}

/// Of a gateway, a plan and two routes without an allocation.
type Shared<'a> = SmallVec<[Option<MutexGuard<'a, Holder>>; 5]>;

/// The consumer's account, and the shard it is in.
struct Own<'a> {
    accounts: MutexGuard<'a, Accounts>,
    shard: &'a Arc<Shard>,
    at: u32,
}

/// Why nothing was decided.
pub(super) enum Undecided {
    Refused(Refusal),
    /// The account is not there, and what it spent may be saved elsewhere.
    Unknown,
}

impl Ledger {
    /// Locks the holders concerned, and makes an account where there is none.
    pub(super) fn lock<'a>(
        &'a self,
        now: Moment,
        request: &Request<'a>,
        demands: &Demands<'a>,
        saved: Option<&[SavedQuota]>,
    ) -> Result<Locked<'a>, Undecided> {
        let shared = lock_shared(request, demands);
        let recalled = Slots::default();
        let Some(id) = request.consumer else { return Ok(Locked { shared, own: None, recalled }) };
        let hash = self.hash(id);
        let Some(shard) = self.shard(hash) else { return Ok(Locked { shared, own: None, recalled }) };
        let mut accounts = shard.lock();
        let at = match accounts.find(hash, id) {
            Some(at) => at,
            None if self.saved.is_some() && saved.is_none() => return Err(Undecided::Unknown),
            None => {
                let entered = self.enter(now, &mut accounts, (hash, id), saved.unwrap_or_default());
                entered.ok_or_else(|| Undecided::Refused(no_room()))?
            }
        };
        if let Some(account) = accounts.slab.get_mut(at) {
            account.touched = true;
        }
        Ok(Locked { shared, own: Some(Own { accounts, shard, at }), recalled })
    }

    /// The same for who only looks: an account that is not there is not made. What was saved of it counts all the same.
    pub(super) fn look<'a>(&'a self, now: Moment, request: &Request<'a>, demands: &Demands<'a>) -> Locked<'a> {
        let shared = lock_shared(request, demands);
        let own = self.own(request);
        let Some(absent) = request.consumer.filter(|_| own.is_none()) else {
            return Locked { shared, own, recalled: Slots::default() };
        };
        // Where it is saved may take a while to tell: nobody waits for that behind these locks.
        drop(shared);
        let recalled = self.recall(now, absent);
        let shared = lock_shared(request, demands);
        // It may have come meanwhile, and spent: what was saved is older than that.
        let own = self.own(request);
        Locked { shared, own, recalled }
    }

    /// The account of a request's consumer, if there is one.
    fn own<'a>(&'a self, request: &Request<'a>) -> Option<Own<'a>> {
        let id = request.consumer?;
        let hash = self.hash(id);
        let shard = self.shard(hash)?;
        let accounts = shard.lock();
        let at = accounts.find(hash, id)?;
        Some(Own { accounts, shard, at })
    }

    /// Whether the gateway's share of a cap allows what the cap itself may allow.
    #[cold]
    pub(super) fn check_lease(
        &self,
        locked: &mut Locked<'_>,
        now: Moment,
        demand: &Demand<'_>,
        (rule, slot): (&Rule<'_>, Option<Slot>),
    ) -> Option<Short> {
        let query = LeaseQuery {
            slot: lease_slot(locked.account(demand.place), demand.cap, now),
            deal: rule.deal.as_deref()?,
            link: self.link(demand.set.outage),
            before: rule.spent(slot, now),
            cost: demand.cost,
        };
        let (checked, new) = locked.leases_mut(demand.place)?.check(&query, now);
        if let Some(own) = locked.own.as_mut().filter(|_| new && demand.place == OWN) {
            let account = own.accounts.slab.get_mut(own.at);
            account.into_iter().for_each(|account| account.pins += 1);
        }
        let short = checked.err()?;
        match (&*rule.limit, short.wait) {
            (Limit::Quota(_, quota), Wait::Unknown) => Some(Short { wait: Wait::For(quota.ends_in(now)), ..short }),
            (Limit::Quota(..) | Limit::Rate(..) | Limit::AtOnce(..), _) => Some(short),
        }
    }

    /// What the gateway's share of a cap allows, if it has one.
    pub(super) fn lease_room(&self, locked: &Locked<'_>, now: Moment, demand: &Demand<'_>) -> Option<u64> {
        demand.cap.deal.as_ref()?;
        let slot = lease_slot(locked.account(demand.place), demand.cap, now);
        locked.leases(demand.place)?.room(slot, now, &self.link(demand.set.outage))
    }
}

/// Locks what is shared, in the one order: gateway, routes by where their states lie, plan. Of a state that stands twice
/// everything is wanted at its first place.
fn lock_shared<'a>(request: &Request<'a>, demands: &Demands<'a>) -> Shared<'a> {
    let scopes = &request.scopes;
    let wanted = |place: usize| {
        let set = scopes.set(place)?;
        demands.iter().any(|demand| demand.place == place).then_some(set)
    };
    let mut shared = Shared::new();
    shared.resize_with(scopes.places(), || None);
    let mut lock = |place: usize, set: &'a BoundSet| {
        if let Some(slot) = shared.get_mut(place) {
            *slot = Some(set.state.lock());
        }
    };
    wanted(GATEWAY).into_iter().for_each(|set| lock(GATEWAY, set));
    let routes = [ROUTE].into_iter().chain(ROUTES..scopes.places());
    let mut routes: SmallVec<[(usize, &BoundSet); 4]> =
        routes.filter_map(|place| wanted(place).map(|set| (place, set))).collect();
    if routes.len() > 1 {
        routes.sort_unstable_by_key(|(_, set)| Arc::as_ptr(&set.state));
    }
    routes.into_iter().for_each(|(place, set)| lock(place, set));
    wanted(PLAN).into_iter().for_each(|set| lock(PLAN, set));
    shared
}

impl Locked<'_> {
    /// The slots of a place; of an account that is not there, what was saved of it.
    #[inline]
    pub(super) fn slots(&self, place: usize) -> Option<&Slots> {
        match self.shared.get(place) {
            Some(holder) => holder.as_deref().map(|holder| &holder.slots),
            None => match &self.own {
                Some(own) => own.account().map(|account| &account.slots),
                None => Some(&self.recalled),
            },
        }
    }

    /// Writes a slot, and notes that a quota changed.
    #[inline]
    pub(super) fn put(&mut self, place: usize, at: Option<u32>, slot: Slot, now: Moment) {
        let at = at.and_then(|at| usize::try_from(at).ok());
        if let Some(holder) = self.shared.get_mut(place) {
            let Some(holder) = holder else { return };
            holder.slots.put(at, slot, now);
            holder.dirty |= slot.is_spent_quota();
        } else if let Some(own) = &mut self.own {
            if let Some(account) = own.accounts.slab.get_mut(own.at) {
                account.slots.put(at, slot, now);
            }
            if slot.is_spent_quota() {
                own.accounts.change(own.at);
            }
        }
    }

    /// Adds to what the consumer used.
    #[inline]
    pub(super) fn used(&mut self, method: MethodId, amount: Amount) {
        if let Some(own) = &mut self.own {
            own.accounts.used(own.at, method, amount);
        }
    }

    /// Keeps the account for a guard: where it is.
    #[inline]
    pub(super) fn pin(&mut self) -> Option<(Arc<Shard>, u32)> {
        let own = self.own.as_mut()?;
        own.accounts.slab.get_mut(own.at)?.pins += 1;
        Some((Arc::clone(own.shard), own.at))
    }

    /// Spends of the gateway's share, where the cap has one.
    #[inline]
    pub(super) fn spend_lease(&mut self, demand: &Demand<'_>, now: Moment, link: &Link) {
        if demand.cap.deal.is_some() {
            let slot = lease_slot(self.account(demand.place), demand.cap, now);
            if let Some(leases) = self.leases_mut(demand.place) {
                leases.spend(slot, now, demand.cost, link);
            }
        }
    }

    /// The number of the account that a place's leases are kept by.
    fn account(&self, place: usize) -> u32 {
        self.own.as_ref().filter(|_| place == OWN).map_or(0, |own| own.at)
    }

    fn leases(&self, place: usize) -> Option<&Leases> {
        match self.shared.get(place) {
            Some(holder) => holder.as_deref().map(|holder| &holder.leases),
            None => self.own.as_ref().map(|own| &own.accounts.leases),
        }
    }

    fn leases_mut(&mut self, place: usize) -> Option<&mut Leases> {
        match self.shared.get_mut(place) {
            Some(holder) => holder.as_deref_mut().map(|holder| &mut holder.leases),
            None => self.own.as_mut().map(|own| &mut own.accounts.leases),
        }
    }
}

impl Own<'_> {
    #[inline]
    fn account(&self) -> Option<&super::account::Account> {
        self.accounts.slab.get(self.at)
    }
}
