//! A gateway as far as caps go: a ledger with two plans, and what carries its words to Redis. And load on it, which
//! notes how long each decision took.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_caps::{
    BoundSet, Cap, CapSet, CapSetSpec, Held, Ledger, LedgerOptions, MethodId, Methods, Moment, Outage, Request, Scope,
    Scopes, Terms, Unit, Zone,
};
use portcullis_store::{Clock, Keeper, Kept, LinkState, LinkStatus, RedisOptions, Saved, StoreOptions};

/// What a gateway's plans say about outages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Refuse,
    Local,
    /// A thousand a day, served locally in an outage.
    Quota,
}

/// A gateway.
pub(crate) struct Gateway {
    pub(crate) keeper: Keeper,
    pub(crate) ledger: Arc<Ledger>,
    clock: Clock,
    sets: [Arc<BoundSet>; 3],
    /// How long decisions took, without the time that other threads had the core.
    decided: Vec<Duration>,
    _directory: tempfile::TempDir,
}

fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || Moment::new(began.elapsed(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap()))
}

/// How long this thread has been ready to run and had no core (`/proc/thread-self/schedstat`, its second number, nanoseconds).
fn queued() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').nth(1).unwrap().parse().unwrap())
}

fn terms(most: u64) -> Terms {
    Terms { most, overdraft: most / 10, ahead: Terms::AHEAD, ttl: Terms::TTL }
}

impl Gateway {
    pub(crate) fn start(urls: &[String]) -> Self {
        Self::with(RedisOptions { urls: urls.to_vec(), ..RedisOptions::at("") })
    }

    pub(crate) fn with(redis: RedisOptions) -> Self {
        let (directory, clock, saved) = (tempfile::tempdir().unwrap(), clock(), Saved::default());
        let ledger = Ledger::new(LedgerOptions { shards: 8, saved: Some(saved.lookup()), ..LedgerOptions::default() });
        let (ledger, methods) = (Arc::new(ledger), Methods::default());
        let bind = |name: &str, outage, cap: Cap, most| {
            let each = vec![cap.shared_by_gateways(terms(most)).unwrap()];
            let spec = CapSetSpec { each, outage, ..CapSetSpec::new(Scope::Plan, name) };
            ledger.bind(&CapSet::build(spec).unwrap(), &methods).unwrap()
        };
        let rate = || Cap::rate(Unit::Requests, "2000/s".parse().unwrap(), 1_000).unwrap();
        let quota = Cap::quota(Unit::Requests, "1000/d".parse().unwrap(), Zone::utc()).unwrap();
        let sets = [
            bind("refuse", Outage::Refuse, rate(), 200),
            bind("local", Outage::LocalShare, rate(), 200),
            bind("quota", Outage::LocalShare, quota, 50),
        ];
        let mut options = StoreOptions::at(directory.path());
        options.redis = Some(redis);
        let kept = Kept::open(&options, &saved, clock()).unwrap();
        let keeper = Keeper::start(kept, &ledger, Arc::new(|_| "(http)".into()), Arc::clone(&clock)).unwrap();
        Self { keeper, ledger, clock, sets, decided: Vec::new(), _directory: directory }
    }

    /// One request; whether it is admitted.
    pub(crate) fn ask(&mut self, plan: Plan, id: &str) -> bool {
        let set = match plan {
            Plan::Refuse => &self.sets[0],
            Plan::Local => &self.sets[1],
            Plan::Quota => &self.sets[2],
        };
        let (id, calls) = (Arc::from(id), [MethodId::HTTP]);
        let scopes = Scopes::default().with(set);
        let request = Request { scopes, consumer: Some(&id), holds: Held::Requests, calls: &calls };
        let (queued, began) = (queued(), Instant::now());
        let admitted = self.ledger.decide((self.clock)(), &request).is_ok();
        let took = began.elapsed();
        self.decided.push(took.saturating_sub(self::queued().saturating_sub(queued)));
        admitted
    }

    pub(crate) fn link(&self) -> LinkStatus {
        self.keeper.link().unwrap()
    }

    /// Whether Redis counts as reachable.
    pub(crate) fn is_linked(&self) -> bool {
        (self.clock)().nanos < self.ledger.link(Outage::Refuse).up_until
    }

    /// A request of each rate every millisecond or so, until something holds; how long that took.
    pub(crate) fn load_until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&mut Self, Seen) -> bool,
    ) -> Duration {
        let began = Instant::now();
        loop {
            let seen = Seen { refuse: self.ask(Plan::Refuse, "acme"), local: self.ask(Plan::Local, "acme") };
            if holds(self, seen) {
                return began.elapsed();
            }
            assert!(began.elapsed() < within, "{what} did not come to hold: {:?}, {seen:?}", self.link());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Load until words are answered.
    pub(crate) fn until_leased(&mut self, what: &str) -> Duration {
        let before = self.link().grants;
        self.load_until(what, Duration::from_secs(20), |gateway, seen| {
            let link = gateway.link();
            seen.refuse && link.state == LinkState::Up && link.grants > before + 2 && gateway.is_linked()
        })
    }

    /// Load until the outage is named and the plans decide by their policies.
    pub(crate) fn until_out(&mut self, state: LinkState) -> Duration {
        self.load_until(state.as_str(), Duration::from_secs(20), |gateway, seen| {
            !seen.refuse && seen.local && !gateway.is_linked() && gateway.link().state == state
        })
    }

    /// The 99th of a hundred decisions.
    pub(crate) fn p99(&mut self) -> Duration {
        self.decided.sort_unstable();
        self.decided[self.decided.len() * 99 / 100]
    }
}

/// What one request of each plan got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) refuse: bool,
    pub(crate) local: bool,
}
