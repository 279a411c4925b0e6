//! The one ledger of a process, with its clock and the methods that all its generations know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use portcullis_caps::{CapSet, Ledger, LedgerOptions, Methods, Moment, TooManyMethods};

use super::plans::{Bound, Plans, PlansError};

/// The two clocks, read now.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// What everybody has spent, for as long as the process lives, whatever generation serves. It stands among the services
/// of filters; the `caps` filter, the admin API and whoever saves or shares state meet here.
pub struct CapLedger {
    ledger: Arc<Ledger>,
    clock: Clock,
    /// Those of all generations until now. A number means the same in each of them.
    methods: Mutex<Methods>,
    /// What the generation that serves says.
    current: ArcSwapOption<Bound>,
    /// Of whom that is; locked while either changes.
    serving: Mutex<Option<Arc<Plans>>>,
    /// What the file of consumers says of single ones.
    own: ArcSwap<Vec<CapSet>>,
    pub(super) counts: Counts,
}

/// What is refused without a cap.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) unknown_plan: AtomicU64,
    pub(super) no_room: AtomicU64,
    pub(super) dry_streams: AtomicU64,
}

/// What was refused without a cap, since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Requests of callers whose plan the gateway does not have.
    pub unknown_plan: u64,
    /// Requests of callers that found no room in the ledger.
    pub no_room: u64,
    /// Streams that were ended since a cap of bytes ran dry.
    pub dry_streams: u64,
}

impl Default for CapLedger {
    fn default() -> Self {
        Self::new(LedgerOptions::default())
    }
}

impl CapLedger {
    /// A ledger in which nobody has spent anything, by the clocks of this machine.
    #[must_use]
    pub fn new(options: LedgerOptions) -> Self {
        let began = Instant::now();
        Self::with_clock(options, move || {
            Moment::new(began.elapsed(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
        })
    }

    /// The same by another clock.
    pub fn with_clock(options: LedgerOptions, clock: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self {
            ledger: Arc::new(Ledger::new(options)),
            clock: Arc::new(clock),
            methods: Mutex::new(Methods::default()),
            current: ArcSwapOption::empty(),
            serving: Mutex::default(),
            own: ArcSwap::default(),
            counts: Counts::default(),
        }
    }

    /// The state of all caps.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The clock that all who read or write the ledger must read.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Now, by both clocks.
    #[must_use]
    pub fn now(&self) -> Moment {
        (self.clock)()
    }

    /// The name of a method's number, whichever generation gave it.
    #[must_use]
    pub fn method_name(&self, method: portcullis_caps::MethodId) -> String {
        self.methods.lock().name(method).to_owned()
    }

    /// What the generation that serves says; `None` before there is one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Bound>> {
        self.current.load_full()
    }

    /// Notes that a generation serves: what goes on for long, such as a WebSocket, is held to its plans from now on.
    ///
    /// # Errors
    /// Consumers came to have other caps of their own since it was bound, and cannot be held to them.
    pub fn serve(&self, plans: Arc<Plans>) -> Result<(), PlansError> {
        let mut serving = self.serving.lock();
        let known = plans.bound().filter(|bound| bound.knows(&self.owned()));
        let bound = known.map_or_else(|| plans.bind(self), Ok);
        self.current.store(plans.bound());
        *serving = Some(plans);
        bound.map(|_| ())
    }

    /// What the file of consumers says of single ones.
    pub(super) fn owned(&self) -> Arc<Vec<CapSet>> {
        self.own.load_full()
    }

    /// Whether the methods of these sets can be numbered.
    ///
    /// # Errors
    /// They cannot.
    pub fn fits(&self, own: &[CapSet]) -> Result<(), TooManyMethods> {
        self.methods.lock().with(own.iter().flat_map(CapSet::patterns)).map(|_| ())
    }

    /// Holds single consumers to caps of their own, in the place of those of before. The requests of the generation that
    /// serves are from now on decided by them.
    ///
    /// # Errors
    /// More names than a process can number; nothing changes.
    pub fn own(&self, sets: Vec<CapSet>) -> Result<(), PlansError> {
        let serving = self.serving.lock();
        if **self.own.load() == sets {
            return Ok(());
        }
        let before = self.own.swap(Arc::new(sets));
        let bound = serving.as_ref().map(|plans| plans.bind(self)).transpose();
        match bound {
            Ok(Some(bound)) => self.current.store(Some(bound)),
            Ok(None) => {}
            Err(error) => {
                self.own.store(before);
                return Err(error);
            }
        }
        Ok(())
    }

    /// What was refused without a cap.
    #[must_use]
    pub fn refused(&self) -> Refused {
        let Counts { unknown_plan, no_room, dry_streams } = &self.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Refused { unknown_plan: count(unknown_plan), no_room: count(no_room), dry_streams: count(dry_streams) }
    }

    /// The current plans' set for what goes on, when it is another than the one that admitted it.
    pub(super) fn newer(&self, than: &Arc<Bound>) -> Option<Arc<Bound>> {
        let current = self.current.load();
        current.as_ref().filter(|bound| !Arc::ptr_eq(bound, than)).cloned()
    }

    pub(super) const fn methods(&self) -> &Mutex<Methods> {
        &self.methods
    }
}
