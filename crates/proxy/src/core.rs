//! What every connection and request of a gateway shares.

use arc_swap::{ArcSwap, Guard};
use rand::RngExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use portcullis_snapshot::{Cluster, Generations, RouteData, Settings};
use portcullis_telemetry::metrics::{Handles, Metrics};
use portcullis_telemetry::record::{Record, RecordOptions};
use portcullis_telemetry::ring::Ring;
use portcullis_telemetry::sink::{RecordSink as _, Sinks};
use portcullis_types::{GenerationId, ProxyError, Reason, RequestId};

use crate::calls::Lines;
use crate::gate::conn::Conn;
use crate::overload::Guard as OverloadGuard;
use crate::service::Mirrors;
use crate::streams::Streams;

/// Who hears of what happens: sinks of records, metric families, the ring of recent requests.
#[derive(Clone)]
pub struct Observers {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The last records, for `/api/requests`.
    pub recent: Arc<Ring>,
    /// The logs of the config and what wings add; replaced by a reload that changes the logs.
    pub sinks: Arc<ArcSwap<Sinks>>,
}

/// An id of a span: random, and never 0.
pub(crate) fn new_span() -> u64 {
    rand::rng().random::<u64>().max(1)
}

/// Shared by all connections.
pub(crate) struct Core {
    pub(crate) generations: Arc<Generations>,
    pub(crate) observers: Observers,
    /// Connections and what they started; a drain waits for them.
    pub(crate) tasks: TaskTracker,
    /// Turns `true` once, when the gateway drains.
    pub(crate) drain: watch::Sender<bool>,
    pub(crate) mirrors: Mirrors,
    /// How the gateway's own requests connect.
    pub(crate) lines: Lines,
    /// Open WebSockets and event streams.
    pub(crate) streams: Arc<Streams>,
    /// When the process itself refuses work.
    pub(crate) guard: OverloadGuard,
    options: ArcSwap<RecordOptions>,
    observe: AtomicBool,
    /// Requests of generations below this one end at their next byte.
    cut_below: AtomicU64,
}

impl Core {
    pub(crate) fn new(generations: Arc<Generations>, observers: Observers) -> Self {
        Self {
            generations,
            observers,
            tasks: TaskTracker::new(),
            drain: watch::Sender::new(false),
            mirrors: Mirrors::default(),
            lines: Lines::default(),
            streams: Arc::default(),
            guard: OverloadGuard::new(),
            options: ArcSwap::default(),
            observe: AtomicBool::new(true),
            cut_below: AtomicU64::new(0),
        }
    }

    /// A fresh id, never 0.
    pub(crate) fn new_id(&self) -> RequestId {
        RequestId(rand::rng().random::<u128>() | 1)
    }

    /// How long an idle connection is kept in a drain.
    pub(crate) fn drain_idle(&self) -> Duration {
        self.generations.peek().settings.drain_idle
    }

    /// How the gateway names itself.
    pub(crate) fn server_name(&self) -> String {
        self.generations.peek().settings.server_name.clone()
    }

    /// What records may hold.
    pub(crate) fn record_options(&self) -> Guard<Arc<RecordOptions>> {
        self.options.load()
    }

    /// Takes what a new generation says about records.
    pub(crate) fn follow(&self, settings: &Settings) {
        self.observe.store(settings.observe, Ordering::Relaxed);
        self.guard.follow(&settings.overload);
        self.options.store(Arc::new(settings.record_options()));
    }

    /// The record of a request that the gate answers by itself.
    pub(crate) fn new_record(&self, conn: &Conn, at: SystemTime) -> Record {
        Record::request(self.new_id(), self.generations.peek().id, at, conn.downstream.clone())
    }

    /// Bounds how many generations live: those below `oldest` get `grace`, then their requests end at their next byte.
    /// One that waits for an upstream ends at that upstream's timeout.
    pub(crate) fn drain_generations(self: &Arc<Self>, oldest: GenerationId, grace: Duration) {
        let core = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            core.cut_below.fetch_max(oldest.0, Ordering::Relaxed);
        });
    }

    /// Whether the requests of a generation may go on.
    pub(crate) fn allows(&self, generation: GenerationId) -> bool {
        portcullis_mutants::when!(FailsOnReload => return generation == self.generations.peek().id);
        generation.0 >= self.cut_below.load(Ordering::Relaxed)
    }

    /// Whether records and metrics are made.
    pub(crate) fn observes(&self) -> bool {
        self.observe.load(Ordering::Relaxed)
    }

    /// Hands a complete record on: metrics, recent requests, log.
    pub(crate) fn finish(&self, record: Record, route: Option<&RouteData>, cluster: Option<&Cluster>) {
        portcullis_mutants::when!(LeakedBuffer => if portcullis_mutants::one_in(1000) { portcullis_mutants::leak(1024) });
        portcullis_mutants::when!(Cpu10 => portcullis_mutants::work(2000));
        if !self.observes() {
            return;
        }
        let handles =
            Handles { route: route.map(|route| &*route.metrics), cluster: cluster.map(|cluster| &*cluster.metrics) };
        self.observers.metrics.observe(&record, &handles);
        let record = Arc::new(record);
        self.observers.recent.push(&record);
        self.observers.sinks.load().record(&record);
    }

    /// Records a connection that ended with a violation.
    pub(crate) fn connection_failed(&self, conn: &Conn, error: &ProxyError) {
        let (id, generation) = (self.new_id(), self.generations.peek().id);
        let mut record = Record::connection(id, generation, SystemTime::now(), conn.downstream.clone());
        record.fail(error);
        conn.listener.metrics.closed(Some(error.reason));
        self.finish(record, None, None);
    }

    /// Counts what the HTTP/2 layer rejected by itself.
    pub(crate) fn http2_rejected(&self, conn: &Conn, what: &'static str, cause: &'static str) {
        self.observers.metrics.gateway().failure(Reason::Http2ProtocolError);
        log::info!("http2 {what} by the layer itself: {cause}, peer {}", conn.downstream.peer);
    }

    /// Records a request that Pingora's parser refused after the strict check let it through.
    pub(crate) fn unparsed_request(&self, conn: &Conn, arrived: (Instant, SystemTime)) {
        let mut record = self.new_record(conn, arrived.1);
        record.status = 400;
        record.fail(&ProxyError::with_detail(Reason::MalformedRequest, "refused_by_parser"));
        record.timers.total = arrived.0.elapsed();
        self.finish(record, None, None);
    }
}
