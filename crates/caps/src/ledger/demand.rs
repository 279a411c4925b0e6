//! What a request wants of which caps.

use std::sync::Arc;

use smallvec::SmallVec;

use super::bound::{BoundCap, BoundSet, Part};
use crate::policy::{Held, Limit, MethodId, Scope, Unit};

/// The sets that apply to a request: at most one of the gateway, a plan and a consumer, and any of routes.
#[derive(Clone, Copy, Default)]
pub struct Scopes<'a> {
    gateway: Option<&'a BoundSet>,
    route: Option<&'a BoundSet>,
    parts: &'a [RoutePart<'a>],
    plan: Option<&'a BoundSet>,
    own: Option<&'a BoundSet>,
    claimed: bool,
}

/// A route's set, where a request concerns several: a batch that is sent in parts, or a route within a host that has
/// caps of its own.
#[derive(Clone, Copy)]
pub struct RoutePart<'a> {
    /// The set; of [`Scope::Route`].
    pub set: &'a BoundSet,
    /// The calls that are the route's; `None` for all of the request's.
    pub calls: Option<&'a [MethodId]>,
}

impl<'a> Scopes<'a> {
    /// Adds a set, in the place of one of the same scope.
    #[must_use]
    pub const fn with(mut self, set: &'a BoundSet) -> Self {
        let place = match set.scope() {
            Scope::Gateway => &mut self.gateway,
            Scope::Route => &mut self.route,
            Scope::Plan => &mut self.plan,
            Scope::Consumer => &mut self.own,
        };
        *place = Some(set);
        self
    }

    /// Adds routes' sets, in the place of others, beside one that was added alone. A set that stands twice is asked
    /// for the calls of both.
    #[must_use]
    pub const fn with_parts(mut self, parts: &'a [RoutePart<'a>]) -> Self {
        self.parts = parts;
        self
    }

    /// A connection that is held is one by its client's word alone. Sets that limit no connections count it as a request:
    /// else the word would be all it takes to be held to nothing.
    #[must_use]
    pub const fn claimed(mut self) -> Self {
        self.claimed = true;
        self
    }

    /// The price of one call: what the consumer's own set says, or its plan, or 1.
    #[must_use]
    #[inline]
    pub fn price(&self, method: MethodId) -> u32 {
        self.own.and_then(|set| set.price(method)).or_else(|| self.plan.and_then(|set| set.price(method))).unwrap_or(1)
    }

    /// What calls cost together.
    fn credits(&self, calls: &[MethodId]) -> u64 {
        calls.iter().map(|method| u64::from(self.price(*method))).sum()
    }

    /// The sets with their places and calls, in the order of their scopes.
    fn sets(&self, all: &'a [MethodId]) -> impl Iterator<Item = (usize, &'a BoundSet, &'a [MethodId])> {
        let one = move |place, set: Option<&'a BoundSet>| set.map(|set| (place, set, all));
        let scopes = *self;
        let parts = (ROUTES..).zip(self.parts).map(move |(place, part)| {
            let place = if scopes.may_repeat() { scopes.first_place(place, part.set) } else { place };
            (place, part.set, part.calls.unwrap_or(all))
        });
        let first = [one(GATEWAY, self.gateway), one(ROUTE, self.route)].into_iter().flatten();
        first.chain(parts).chain([one(PLAN, self.plan), one(NO_PLACE, self.own)].into_iter().flatten())
    }

    /// How many places there are for what is shared.
    pub(super) const fn places(&self) -> usize {
        ROUTES + self.parts.len()
    }

    /// The set whose shared state has a place.
    pub(super) fn set(&self, place: usize) -> Option<&'a BoundSet> {
        match place {
            GATEWAY => self.gateway,
            ROUTE => self.route,
            PLAN => self.plan,
            _ => self.parts.get(place.checked_sub(ROUTES)?).map(|part| part.set),
        }
    }

    /// The first place whose state is that of this set, so that no state is locked twice.
    fn first_place(&self, place: usize, set: &BoundSet) -> usize {
        let mut before = [ROUTE].into_iter().chain(ROUTES..place);
        let same = |at: &usize| self.set(*at).is_some_and(|other| Arc::ptr_eq(&other.state, &set.state));
        before.find(same).unwrap_or(place)
    }

    /// Whether a cap of a set may be wanted twice.
    const fn may_repeat(&self) -> bool {
        self.parts.len() > 1 || (!self.parts.is_empty() && self.route.is_some())
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The sets that apply.
    pub scopes: Scopes<'a>,
    /// Who asks, by a stable id. Without one only what all share applies: give anonymous callers an id, such as their
    /// network, if they are to be told apart.
    pub consumer: Option<&'a Arc<str>>,
    /// What is held until the admission is dropped: a request, a connection, a subscription.
    pub holds: Held,
    /// The methods of the calls: one, several for a batch, [`MethodId::HTTP`] for a request that is no call. A
    /// connection that is opened may have none.
    pub calls: &'a [MethodId],
}

/// The places of states that are shared; those of several routes come last.
pub(super) const GATEWAY: usize = 0;
pub(super) const ROUTE: usize = 1;
pub(super) const PLAN: usize = 2;
pub(super) const ROUTES: usize = 3;
/// Where the state of the consumer's caps is: in its account.
pub(super) const OWN: usize = usize::MAX;
/// A consumer's own caps share nothing.
const NO_PLACE: usize = OWN - 1;

/// What is wanted of one cap.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) cap: &'a BoundCap,
    pub(super) set: &'a BoundSet,
    /// Whose state: that of a shared place, or [`OWN`].
    pub(super) place: usize,
    /// What is spent; at least this must be there.
    pub(super) cost: u64,
}

/// Room for the caps of a rich plan without an allocation.
pub(super) type Demands<'a> = SmallVec<[Demand<'a>; 20]>;

/// Which caps are meant.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Those that decide, with what the calls cost.
    Decide(Held),
    /// Those that are charged for bytes afterwards.
    Bytes(u64),
    /// Those that are charged for credits afterwards.
    Credits(u64),
}

impl Purpose {
    /// What so many calls that cost so much spend of a cap; `None` when it is not meant.
    #[inline]
    fn cost(self, limit: &Limit, requests: u64, credits: u64) -> Option<u64> {
        let unit = match (self, limit) {
            (Self::Decide(holds), Limit::AtOnce(held, _)) => return (*held == holds).then_some(1),
            (Self::Bytes(_) | Self::Credits(_), Limit::AtOnce(..)) => return None,
            (_, Limit::Rate(unit, _) | Limit::Quota(unit, _)) => *unit,
        };
        let cost = match (self, unit) {
            (Self::Decide(_), Unit::Requests) => requests,
            (Self::Decide(_), Unit::Credits) => credits,
            // Spent later, but there must be a byte.
            (Self::Decide(_), Unit::Bytes) => 1,
            (Self::Bytes(bytes), Unit::Bytes) => bytes,
            (Self::Credits(credits), Unit::Credits) => credits,
            (Self::Bytes(_), Unit::Requests | Unit::Credits) | (Self::Credits(_), Unit::Requests | Unit::Bytes) => 0,
        };
        portcullis_mutants::when!(DoubleCountedCap => return (cost > 0).then_some(cost * 2));
        (cost > 0).then_some(cost)
    }

    /// What it is to a set when nobody knows whether a connection is one.
    fn in_doubt(self, set: &BoundSet) -> Self {
        match self {
            Self::Decide(Held::Connections) if !set.limits_connections() => Self::Decide(Held::Requests),
            Self::Decide(_) | Self::Bytes(_) | Self::Credits(_) => self,
        }
    }
}

impl<'a> Request<'a> {
    /// What all calls cost together.
    pub(super) fn credits(&self) -> u64 {
        self.scopes.credits(self.calls)
    }

    /// Everything that is wanted, in the order of the scopes.
    #[inline]
    pub(super) fn demands(&self, purpose: Purpose) -> Demands<'a> {
        let mut demands = Demands::new();
        let all = self.credits();
        for (place, set, calls) in self.scopes.sets(self.calls) {
            let purpose = if self.scopes.claimed { purpose.in_doubt(set) } else { purpose };
            let credits = if std::ptr::eq(calls, self.calls) { all } else { self.scopes.credits(calls) };
            let requests = calls.len() as u64;
            let own = self.consumer.map(|_| (&set.each, OWN));
            for (part, place) in [Some((&set.shared, place)), own].into_iter().flatten() {
                let first = demands.len();
                for cap in &part.base {
                    if let Some(cost) = purpose.cost(&cap.limit, requests, credits) {
                        demands.push(Demand { cap, set, place, cost });
                    }
                }
                self.of_methods(&mut demands, (set, part, place), calls, purpose);
                if self.scopes.may_repeat() {
                    merge(&mut demands, first);
                }
            }
        }
        demands
    }

    /// Every cap of the sets once, those of all methods too: to look at, not to decide by.
    pub(super) fn everything(&self) -> Demands<'a> {
        let mut demands = Demands::new();
        for (place, set, _) in self.scopes.sets(self.calls) {
            let own = self.consumer.map(|_| (&set.each, OWN));
            for (part, place) in own.into_iter().chain([(&set.shared, place)]) {
                demands.extend(part.all().map(|cap| Demand { cap, set, place, cost: 0 }));
            }
        }
        demands
    }

    /// What the rules of the calls' methods want. Calls of one rule are summed up.
    #[inline]
    fn of_methods(
        &self,
        demands: &mut Demands<'a>,
        (set, part, place): (&'a BoundSet, &'a Part, usize),
        calls: &[MethodId],
        purpose: Purpose,
    ) {
        let first = demands.len();
        for method in calls {
            let price = u64::from(self.scopes.price(*method));
            for cap in set.of_method(part, *method) {
                let Some(cost) = purpose.cost(&cap.limit, 1, price) else { continue };
                match demands.iter_mut().skip(first).find(|demand| demand.cap.id == cap.id) {
                    Some(demand) => demand.add(cost),
                    None => demands.push(Demand { cap, set, place, cost }),
                }
            }
        }
    }
}

impl Demand<'_> {
    /// The same cap is wanted once more.
    const fn add(&mut self, cost: u64) {
        match &self.cap.limit {
            Limit::Rate(Unit::Requests | Unit::Credits, _) | Limit::Quota(Unit::Requests | Unit::Credits, _) => {
                self.cost = self.cost.saturating_add(cost);
            }
            // Held once, and looked at once for a byte, however many calls there are.
            Limit::Rate(Unit::Bytes, _) | Limit::Quota(Unit::Bytes, _) | Limit::AtOnce(..) => {}
        }
    }
}

/// Adds what is wanted from `first` on to what is wanted of the same caps already: a route that stands twice.
#[cold]
fn merge(demands: &mut Demands<'_>, first: usize) {
    let mut at = first;
    while let Some(Demand { cap, cost, .. }) = demands.get(at).copied() {
        match demands.iter_mut().take(first).find(|demand| demand.cap.id == cap.id) {
            Some(before) => {
                before.add(cost);
                demands.remove(at);
            }
            None => at += 1,
        }
    }
}
