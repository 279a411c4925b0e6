//! The caps of one generation: what its config says, and what that is bound to in the ledger.
//!
//! A set can only be bound when all methods that any set speaks of are known, and those of routes are known only when
//! their filters are built. So [`Plans`] is made first, filters add their sets while they are built, and
//! [`Plans::bind`] ends it; from then on nothing of it changes.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use portcullis_caps::{BindError, BoundSet, CapSet, MethodId, Methods, TooManyMethods};

use super::service::CapLedger;

/// What a config says of caps, routes and hosts apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanSets {
    /// For all requests.
    pub gateway: Option<CapSet>,
    /// The plans.
    pub plans: Vec<CapSet>,
    /// What single consumers are held to beside their plans.
    pub consumers: Vec<CapSet>,
}

/// The caps of a generation that is being made, or was.
pub struct Plans {
    sets: PlanSets,
    /// Of routes and hosts, by the filters that have them.
    declared: Mutex<Vec<CapSet>>,
    bound: ArcSwapOption<Bound>,
}

/// Why the caps of a generation cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlansError {
    /// The methods.
    #[error(transparent)]
    Methods(#[from] TooManyMethods),
    /// A set.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl Plans {
    /// Those that a config says.
    #[must_use]
    pub fn new(sets: PlanSets) -> Self {
        Self { sets, declared: Mutex::default(), bound: ArcSwapOption::empty() }
    }

    /// Adds the set of a host or route; answers with its place in [`Bound::route`].
    pub(super) fn declare(&self, set: CapSet) -> usize {
        let mut declared = self.declared.lock();
        declared.push(set);
        declared.len() - 1
    }

    /// Binds everything, once all filters were built, and again when consumers have other caps of their own.
    ///
    /// # Errors
    /// More names than a process can number.
    pub fn bind(&self, caps: &CapLedger) -> Result<Arc<Bound>, PlansError> {
        let declared = self.declared.lock();
        let PlanSets { gateway, plans, consumers } = &self.sets;
        let own = caps.owned();
        let all = gateway.iter().chain(plans).chain(consumers).chain(own.iter()).chain(&*declared);
        let methods = {
            let mut known = caps.methods().lock();
            *known = known.with(all.flat_map(CapSet::patterns))?;
            known.clone()
        };
        let bind = |set: &CapSet| caps.ledger().bind(set, &methods);
        let named = |sets: &[CapSet]| -> Result<HashMap<Arc<str>, Arc<BoundSet>>, BindError> {
            sets.iter().map(|set| Ok((Arc::clone(&set.spec().name), bind(set)?))).collect()
        };
        // What the config says of a consumer goes before what the file does.
        let mut of_consumers = named(own.as_slice())?;
        of_consumers.extend(named(consumers)?);
        let bound = Arc::new(Bound {
            gateway: gateway.as_ref().map(&bind).transpose()?,
            plans: named(plans)?,
            consumers: of_consumers,
            routes: declared.iter().map(&bind).collect::<Result<_, _>>()?,
            methods,
            own,
        });
        self.bound.store(Some(Arc::clone(&bound)));
        Ok(bound)
    }

    /// What was bound; `None` before that.
    #[must_use]
    pub fn bound(&self) -> Option<Arc<Bound>> {
        self.bound.load_full()
    }
}

/// The caps of a generation, ready to decide by.
pub struct Bound {
    gateway: Option<Arc<BoundSet>>,
    plans: HashMap<Arc<str>, Arc<BoundSet>>,
    consumers: HashMap<Arc<str>, Arc<BoundSet>>,
    routes: Box<[Arc<BoundSet>]>,
    methods: Methods,
    /// The caps of consumers, of those that the file says, with which it was bound.
    own: Arc<Vec<CapSet>>,
}

impl Bound {
    /// What holds for all requests.
    #[must_use]
    pub fn gateway(&self) -> Option<&Arc<BoundSet>> {
        self.gateway.as_ref()
    }

    /// The plan of a name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Arc<BoundSet>> {
        self.plans.get(name)
    }

    /// What a consumer is held to beside its plan.
    #[must_use]
    pub fn consumer(&self, id: &str) -> Option<&Arc<BoundSet>> {
        // Most configs name none.
        if self.consumers.is_empty() { None } else { self.consumers.get(id) }
    }

    /// The sets of hosts and routes.
    #[must_use]
    pub const fn routes(&self) -> &[Arc<BoundSet>] {
        &self.routes
    }

    /// The set of a host or route, by its filter's place.
    pub(super) fn route(&self, at: usize) -> Option<&Arc<BoundSet>> {
        self.routes.get(at)
    }

    /// The set of a host or route, by its name.
    pub(super) fn route_named(&self, name: &str) -> Option<&Arc<BoundSet>> {
        self.routes.iter().find(|set| set.name() == name)
    }

    /// Whether it was bound with these caps of consumers.
    pub(super) fn knows(&self, own: &Arc<Vec<CapSet>>) -> bool {
        Arc::ptr_eq(&self.own, own)
    }

    /// The number of a method.
    #[must_use]
    pub fn method(&self, name: &str) -> MethodId {
        self.methods.find(name)
    }
}
