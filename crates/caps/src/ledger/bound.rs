//! A set of caps with the numbers of its caps and the state it shares: what requests are decided by.

use std::sync::Arc;

use super::Ledger;
use super::holder::SharedState;
use super::leases::Deal;
use super::registry::{CapKey, Counts};
use crate::calendar::Period;
use crate::lease::Budget;
use crate::policy::{Cap, CapSet, Held, Limit, MethodId, MethodPattern, MethodRule, Methods, Outage, Scope};
use crate::slot::{CapId, Shape, SpecId};

/// Why a set cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The table of methods was made without this set.
    #[error("the table of methods does not have `{0}`")]
    Method(MethodPattern),
    /// More names of caps than a process can number.
    #[error("more than 262,143 names of caps since the gateway began")]
    TooManyCaps,
}

/// A set that requests are decided by. It may be bound by any number of generations: they share its state.
pub struct BoundSet {
    pub(super) scope: Scope,
    pub(super) name: Arc<str>,
    pub(super) outage: Outage,
    pub(super) each: Part,
    pub(super) shared: Part,
    /// Of what all share.
    pub(super) state: Arc<SharedState>,
    default_price: Option<u32>,
    /// By the place of a rule.
    prices: Box<[Option<u32>]>,
    /// The place of the rule for each method's number.
    rules: Box<[Option<u16>]>,
}

/// Caps that have their state in one place.
#[derive(Default)]
pub(super) struct Part {
    /// For all requests.
    pub(super) base: Box<[BoundCap]>,
    /// By the place of a rule.
    rules: Box<[Box<[BoundCap]>]>,
}

/// A cap with its number.
pub(super) struct BoundCap {
    pub(super) id: CapId,
    pub(super) spec: SpecId,
    pub(super) limit: Limit,
    pub(super) label: Arc<str>,
    pub(super) shadow: bool,
    /// How gateways share it, if they do.
    pub(super) deal: Option<Arc<Deal>>,
    pub(super) counts: Arc<Counts>,
}

impl Part {
    /// All caps, those of methods last.
    pub(super) fn all(&self) -> impl Iterator<Item = &BoundCap> {
        self.base.iter().chain(self.rules.iter().flatten())
    }
}

impl BoundSet {
    /// Whose caps they are.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The name of the plan or route.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it limits connections, of each consumer or of all together.
    pub(super) fn limits_connections(&self) -> bool {
        let mut caps = self.each.base.iter().chain(&self.shared.base);
        caps.any(|cap| matches!(cap.limit, Limit::AtOnce(Held::Connections, _)))
    }

    /// What one call costs, where this set says so.
    #[must_use]
    #[inline]
    pub fn price(&self, method: MethodId) -> Option<u32> {
        self.rule(method).and_then(|rule| self.prices.get(usize::from(rule)).copied().flatten()).or(self.default_price)
    }

    #[inline]
    fn rule(&self, method: MethodId) -> Option<u16> {
        self.rules.get(method.index()).copied().flatten()
    }

    /// The caps of a method's rule, in one of this set's parts.
    #[inline]
    pub(super) fn of_method<'a>(&self, part: &'a Part, method: MethodId) -> &'a [BoundCap] {
        let rule = self.rule(method).and_then(|rule| part.rules.get(usize::from(rule)));
        rule.map_or(&[], |caps| caps)
    }
}

impl Ledger {
    /// Makes a set ready for deciding. What was spent under the same names stays spent.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&self, set: &CapSet, methods: &Methods) -> Result<Arc<BoundSet>, BindError> {
        let spec = set.spec();
        let rules = methods.rules(set.patterns());
        if let Some(unknown) = set.patterns().find(|pattern| !methods.has(pattern)) {
            return Err(BindError::Method(unknown.clone()));
        }
        Ok(Arc::new(BoundSet {
            scope: spec.scope,
            name: Arc::clone(&spec.name),
            outage: spec.outage,
            each: self.part(set, false)?,
            shared: self.part(set, true)?,
            state: self.shared_state(spec.scope, &spec.name),
            default_price: spec.credits,
            prices: spec.methods.iter().map(|rule| rule.credits).collect(),
            rules,
        }))
    }

    fn part(&self, set: &CapSet, shared: bool) -> Result<Part, BindError> {
        let spec = set.spec();
        let caps = |of_rule: &MethodRule| if shared { of_rule.shared.clone() } else { of_rule.each.clone() };
        let base = if shared { &spec.shared } else { &spec.each };
        let bind_all = |pattern: Option<&MethodPattern>, caps: &[Cap]| -> Result<Box<[BoundCap]>, BindError> {
            caps.iter().map(|cap| self.bind_cap(set, shared, pattern, cap)).collect()
        };
        let rules = spec.methods.iter().map(|rule| bind_all(Some(&rule.pattern), &caps(rule)));
        Ok(Part { base: bind_all(None, base)?, rules: rules.collect::<Result<_, _>>()? })
    }

    fn bind_cap(
        &self,
        set: &CapSet,
        shared: bool,
        pattern: Option<&MethodPattern>,
        cap: &Cap,
    ) -> Result<BoundCap, BindError> {
        let spec = set.spec();
        let method = pattern.map(|pattern| format!("{pattern}.")).unwrap_or_default();
        let label: Arc<str> = format!("{}{method}{}", spec.scope.prefix(shared), cap.name()).into();
        let name = if spec.scope == Scope::Consumer { "".into() } else { Arc::clone(&spec.name) };
        let (shape, rate) = match cap.limit() {
            Limit::Rate(_, bucket) => (Shape::Bucket, self.registry.spec(bucket)),
            Limit::Quota(_, quota) => (shape_of(quota.period), SpecId::UNNUMBERED),
            Limit::AtOnce(..) => (Shape::Gauge, SpecId::UNNUMBERED),
        };
        let key = CapKey { scope: spec.scope, shared, set: name, cap: Arc::clone(&label), shape };
        let (id, counts) = self.registry.cap(key).ok_or(BindError::TooManyCaps)?;
        Ok(BoundCap {
            id,
            spec: rate,
            limit: cap.limit().clone(),
            label,
            shadow: spec.shadow || cap.is_in_shadow(),
            deal: cap.terms().zip(Budget::of(cap.limit())).map(|(&terms, budget)| Arc::new(Deal { budget, terms })),
            counts,
        })
    }

    /// The state that all of a route or plan share. One consumer's caps have none; they get one that nobody uses.
    pub(super) fn shared_state(&self, scope: Scope, name: &Arc<str>) -> Arc<SharedState> {
        if scope == Scope::Consumer {
            return Arc::default();
        }
        let mut shared = self.shared.lock();
        Arc::clone(shared.entry((scope, Arc::clone(name))).or_default())
    }
}

/// What the quota of a slot is counted by; `None` for what is no quota.
pub(super) const fn period_of(shape: Shape) -> Option<Period> {
    match shape {
        Shape::Day => Some(Period::Day),
        Shape::Month => Some(Period::Month),
        Shape::Bucket | Shape::Gauge => None,
    }
}

/// How the slot of a quota is read.
pub(super) const fn shape_of(period: Period) -> Shape {
    match period {
        Period::Day => Shape::Day,
        Period::Month => Shape::Month,
    }
}
