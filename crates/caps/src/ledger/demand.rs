//! What a request wants of which caps.

use std::sync::Arc;

use smallvec::SmallVec;

use super::bound::{BoundCap, BoundSet, Part};
use crate::policy::{Held, Limit, MethodId, Scope, Unit};

/// The sets that apply to a request, at most one of each scope.
#[derive(Clone, Copy, Default)]
pub struct Scopes<'a>([Option<&'a BoundSet>; 4]);

impl<'a> Scopes<'a> {
    /// Adds a set, in the place of one of the same scope.
    #[must_use]
    pub const fn with(mut self, set: &'a BoundSet) -> Self {
        let [gateway, route, plan, consumer] = &mut self.0;
        let place = match set.scope() {
            Scope::Gateway => gateway,
            Scope::Route => route,
            Scope::Plan => plan,
            Scope::Consumer => consumer,
        };
        *place = Some(set);
        self
    }

    /// The price of one call: what the consumer's own set says, or its plan, or 1.
    #[must_use]
    #[inline]
    pub fn price(&self, method: MethodId) -> u32 {
        let [_, _, plan, own] = &self.0;
        own.and_then(|set| set.price(method)).or_else(|| plan.and_then(|set| set.price(method))).unwrap_or(1)
    }

    /// The sets, in the order of their scopes.
    fn sets(&self) -> impl Iterator<Item = (usize, &'a BoundSet)> {
        self.0.into_iter().enumerate().filter_map(|(place, set)| set.map(|set| (place, set)))
    }

    pub(super) fn set(&self, place: usize) -> Option<&'a BoundSet> {
        self.0.get(place).copied().flatten()
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

/// Where the state of an account's caps is, after the three that are shared.
pub(super) const OWN: usize = 3;

/// What is wanted of one cap.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) cap: &'a BoundCap,
    pub(super) set: &'a BoundSet,
    /// Whose state: 0 to 2 for what gateway, route and plan share, [`OWN`] for the consumer's.
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
        (cost > 0).then_some(cost)
    }
}

impl<'a> Request<'a> {
    /// What all calls cost together.
    pub(super) fn credits(&self) -> u64 {
        self.calls.iter().map(|method| u64::from(self.scopes.price(*method))).sum()
    }

    /// Everything that is wanted, in the order of the scopes.
    #[inline]
    pub(super) fn demands(&self, purpose: Purpose) -> Demands<'a> {
        let mut demands = Demands::new();
        let (requests, credits) = (self.calls.len() as u64, self.credits());
        for (place, set) in self.scopes.sets() {
            let own = self.consumer.map(|_| (&set.each, OWN));
            for (part, place) in [Some((&set.shared, place)), own].into_iter().flatten() {
                for cap in &part.base {
                    if let Some(cost) = purpose.cost(&cap.limit, requests, credits) {
                        demands.push(Demand { cap, set, place, cost });
                    }
                }
                self.of_methods(&mut demands, (set, part, place), purpose);
            }
        }
        demands
    }

    /// What the rules of the calls' methods want. Calls of one rule are summed up.
    #[inline]
    fn of_methods(&self, demands: &mut Demands<'a>, whose: (&'a BoundSet, &'a Part, usize), purpose: Purpose) {
        let (set, part, place) = whose;
        let first = demands.len();
        for method in self.calls {
            let price = u64::from(self.scopes.price(*method));
            for cap in set.of_method(part, *method) {
                let Some(cost) = purpose.cost(&cap.limit, 1, price) else { continue };
                let same = demands.iter_mut().skip(first).find(|demand| demand.cap.id == cap.id);
                match (same, &cap.limit) {
                    (
                        Some(demand),
                        Limit::Rate(Unit::Requests | Unit::Credits, _)
                        | Limit::Quota(Unit::Requests | Unit::Credits, _),
                    ) => {
                        demand.cost = demand.cost.saturating_add(cost);
                    }
                    // Held once, and looked at once for a byte, however many calls there are.
                    (Some(_), Limit::Rate(Unit::Bytes, _) | Limit::Quota(Unit::Bytes, _) | Limit::AtOnce(..)) => {}
                    (None, _) => demands.push(Demand { cap, set, place, cost }),
                }
            }
        }
    }
}
