//! What one request spends, from its admission to its end, and what a stream that it became goes on to spend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_caps::{Admission, BoundSet, Held, MethodId, Refusal, Request, RoutePart, Scopes, Spend, Standing};
use smallvec::SmallVec;

use super::plans::Bound;
use super::service::CapLedger;

/// Methods of calls. Batches of more are on the heap.
pub(super) type Calls = SmallVec<[MethodId; 6]>;

/// A route's or host's set, and the calls that are its own; `None` for all.
#[derive(Clone)]
pub(super) struct Part {
    /// The place of the set in the generation.
    pub(super) set: usize,
    pub(super) calls: Option<Calls>,
}

/// What a request is decided by.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) bound: Arc<Bound>,
    /// The id that state is kept by.
    pub(super) id: Arc<str>,
    /// Whose plan, when an identity filter said who calls.
    pub(super) plan: Option<Arc<str>>,
    pub(super) parts: SmallVec<[Part; 2]>,
    pub(super) calls: Calls,
    pub(super) holds: Held,
    /// Whether that it is a stream is only what the client says.
    pub(super) claimed: bool,
}

impl Terms {
    /// Works with the request as the ledger sees it.
    pub(super) fn with_request<T>(&self, work: impl FnOnce(&Request<'_>) -> T) -> T {
        with_scopes(&self.bound, self, |scopes| {
            work(&Request { scopes, consumer: Some(&self.id), holds: self.holds, calls: &self.calls })
        })
    }

    /// The same for another set of calls by the same caller, under the plans that serve now.
    fn with_other<T>(
        &self,
        caps: &CapLedger,
        (holds, calls): (Held, &[MethodId]),
        work: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        let newer = caps.newer(&self.bound);
        let bound = newer.as_ref().unwrap_or(&self.bound);
        with_scopes(bound, self, |scopes| work(&Request { scopes, consumer: Some(&self.id), holds, calls }))
    }
}

/// The sets of a generation that apply.
fn with_scopes<T>(bound: &Arc<Bound>, terms: &Terms, work: impl FnOnce(Scopes<'_>) -> T) -> T {
    let own = [
        bound.gateway(),
        // A plan that is gone since: what holds is what held.
        terms.plan.as_ref().and_then(|plan| bound.plan(plan).or_else(|| terms.bound.plan(plan))),
        bound.consumer(&terms.id),
    ];
    let scopes = own.into_iter().flatten().fold(Scopes::default(), |scopes, set| scopes.with(set));
    let same = Arc::ptr_eq(bound, &terms.bound);
    let set = |part: &Part| -> Option<&BoundSet> {
        let set = terms.bound.route(part.set)?;
        Some(if same { set } else { bound.route_named(set.name()).unwrap_or(set) })
    };
    let part = |part| Some(RoutePart { set: set(part)?, calls: part.calls.as_deref().filter(|_| same) });
    let parts: SmallVec<[RoutePart<'_>; 2]> = terms.parts.iter().filter_map(part).collect();
    let scopes = scopes.with_parts(&parts);
    work(if terms.claimed { scopes.claimed() } else { scopes })
}

/// What a request spends.
pub(super) struct Spending {
    pub(super) caps: Arc<CapLedger>,
    pub(super) terms: Terms,
    pub(super) admission: Admission,
    /// Bytes that were charged.
    charged: AtomicU64,
}

impl Spending {
    pub(super) const fn new(caps: Arc<CapLedger>, terms: Terms, admission: Admission) -> Self {
        Self { caps, terms, admission, charged: AtomicU64::new(0) }
    }

    /// How all caps stand that apply to the request.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let now = self.caps.now();
        self.terms.with_request(|request| self.caps.ledger().standings(now, request))
    }

    /// Charges bytes that pass; a cap that has none left after them.
    pub(super) fn stream(&self, bytes: u64) -> Result<(), Box<Refusal>> {
        self.charged.fetch_add(bytes, Ordering::Relaxed);
        self.charge(bytes)
    }

    /// Charges what is not charged yet of so many bytes in all, whoever else does so at the same time; a cap that has
    /// none left after them, if there were any.
    pub(super) fn stream_to(&self, total: u64) -> Result<(), Box<Refusal>> {
        let before = self.charged.fetch_max(total, Ordering::Relaxed);
        match total.saturating_sub(before) {
            0 => Ok(()),
            left => self.charge(left),
        }
    }

    /// Bytes that were charged.
    pub(super) fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    fn charge(&self, bytes: u64) -> Result<(), Box<Refusal>> {
        let now = self.caps.now();
        let what = (self.terms.holds, &*self.terms.calls);
        let charge =
            |request: &Request<'_>| self.caps.ledger().stream_bytes(now, &self.admission, request.scopes, bytes);
        self.terms.with_other(&self.caps, what, charge)
    }

    /// The cap of bytes that has none left.
    pub(super) fn dry(&self) -> Option<Refusal> {
        let now = self.caps.now();
        let what = (self.terms.holds, &*self.terms.calls);
        self.terms.with_other(&self.caps, what, |request| self.caps.ledger().dry(now, request))
    }

    /// Charges what is not charged yet of all the bytes that passed.
    pub(super) fn finish(&self, bytes: u64) {
        // The next request hears what is dry now.
        drop(self.stream_to(bytes));
    }

    fn decide(&self, holds: Held, calls: &[MethodId]) -> Result<Admission, Box<Refusal>> {
        let now = self.caps.now();
        let decide = |request: &Request<'_>| self.caps.ledger().decide(now, request);
        self.terms.with_other(&self.caps, (holds, calls), decide).map_err(Box::new)
    }

    fn method(&self, name: &str) -> MethodId {
        // Numbers mean the same in every generation, but a later one may know more.
        self.caps.newer(&self.terms.bound).as_ref().unwrap_or(&self.terms.bound).method(name)
    }
}

impl Spend for Spending {
    fn call(&self, methods: &[&str]) -> Result<Admission, Box<Refusal>> {
        let calls: Calls = methods.iter().map(|name| self.method(name)).collect();
        self.decide(Held::Requests, &calls)
    }

    fn hold(&self, held: Held, method: Option<&str>) -> Result<Admission, Box<Refusal>> {
        let calls: Calls = method.map(|name| self.method(name)).into_iter().collect();
        self.decide(held, &calls)
    }

    fn bytes(&self, bytes: u64) {
        // Who speaks on the stream hears of it at the next call.
        drop(self.stream(bytes));
    }

    fn credits(&self, method: &str, credits: u64) {
        let (now, method) = (self.caps.now(), self.method(method));
        let charge = |request: &Request<'_>| {
            self.caps.ledger().charge_credits(now, &self.admission, request.scopes, (method, credits));
        };
        self.terms.with_other(&self.caps, (self.terms.holds, &[method]), charge);
    }
}
