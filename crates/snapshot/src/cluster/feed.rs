//! A source of endpoints that changes by itself: a name, a file, something that a wing brings.
//!
//! A [`Feed`] is shared by all clusters, of all generations, that name the same source. It holds the last good answer:
//! a failure never takes an endpoint away.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_filter::seam::{EndpointSink, FoundEndpoint};
use portcullis_telemetry::metrics::SourceMetrics;
use portcullis_types::quantity::format_duration;
use tokio::sync::watch;

use super::fleet::Fleet;

/// Where endpoints come from, other than the config's own text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKey {
    /// The addresses of a name (A, AAAA).
    Name {
        /// The host name.
        host: Arc<str>,
        /// The port of every address.
        port: u16,
    },
    /// The targets of a service (SRV, RFC 2782), each with its port, weight and priority.
    Service {
        /// The whole name, such as `_http._tcp.api.internal`.
        name: Arc<str>,
    },
    /// A file with a list.
    File {
        /// Its path.
        path: Arc<Path>,
    },
    /// A source that the binary was built with.
    Other {
        /// Its name.
        source: Arc<str>,
        /// What it is asked for.
        of: Arc<str>,
    },
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Service { name } => write!(f, "srv {name}"),
            Self::File { path } => write!(f, "file {}", path.display()),
            Self::Other { source, of } if of.is_empty() => write!(f, "source {source}"),
            Self::Other { source, of } => write!(f, "source {source} {of}"),
        }
    }
}

/// How a source does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStatus {
    /// How many endpoints its last good answer has.
    pub endpoints: usize,
    /// How long ago it answered last; `None` before its first answer.
    pub answered: Option<Duration>,
    /// Since when it fails, and why; `None` while it answers.
    pub failing: Option<(Duration, String)>,
}

impl FeedStatus {
    /// One word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match (&self.answered, &self.failing) {
            (_, Some(_)) => "failing",
            (None, None) => "waiting",
            (Some(_), None) => "answered",
        }
    }
}

impl fmt::Display for FeedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
        let count = |f: &mut fmt::Formatter<'_>| {
            write!(f, "{} endpoint{}", self.endpoints, if self.endpoints == 1 { "" } else { "s" })
        };
        match (self.answered, &self.failing) {
            (None, None) => f.write_str("no answer yet"),
            (Some(ago), None) => {
                count(f)?;
                write!(f, ", answered {} ago", whole(ago))
            }
            (None, Some((since, why))) => write!(f, "never answered, failing for {}: {why}", whole(*since)),
            (Some(ago), Some((since, why))) => {
                write!(f, "failing for {}: {why}; keeps the ", whole(*since))?;
                count(f)?;
                write!(f, " of its last answer, {} ago", whole(ago))
            }
        }
    }
}

/// A source with its last good answer. See the module's text.
pub struct Feed {
    key: SourceKey,
    metrics: Arc<SourceMetrics>,
    state: Mutex<State>,
    /// Those that were made with it, oldest first.
    fleets: Mutex<Vec<Weak<Fleet>>>,
    /// Whether it has answered or failed once.
    settled: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    found: Arc<[FoundEndpoint]>,
    answered: Option<Instant>,
    failing: Option<(Instant, String)>,
}

impl Feed {
    pub(super) fn new(key: SourceKey, metrics: Arc<SourceMetrics>) -> Self {
        Self { key, metrics, state: Mutex::default(), fleets: Mutex::default(), settled: watch::Sender::new(false) }
    }

    /// Which source.
    #[must_use]
    pub const fn key(&self) -> &SourceKey {
        &self.key
    }

    /// The last good answer; empty before the first.
    #[must_use]
    pub fn found(&self) -> Arc<[FoundEndpoint]> {
        self.state.lock().found.clone()
    }

    /// Takes an answer. Where it differs from the one before, new requests of every cluster that names this source see
    /// it before this returns.
    pub fn publish(&self, found: Vec<FoundEndpoint>, now: Instant) {
        if let Some((since, _)) = self.state.lock().failing.take() {
            let lasted = format_duration(Duration::from_secs(now.saturating_duration_since(since).as_secs()));
            log::info!("endpoints of {}: answered again, after {lasted}", self.key);
        }
        self.take(found, now);
        self.settled.send_replace(true);
    }

    /// Takes an answer of which a part is missing, and says so.
    pub fn publish_partly(&self, found: Vec<FoundEndpoint>, missing: String, now: Instant) {
        self.take(found, now);
        self.fail(missing, now);
    }

    fn take(&self, found: Vec<FoundEndpoint>, now: Instant) {
        let mut state = self.state.lock();
        let changed = *state.found != *found;
        state.answered = Some(now);
        self.metrics.answered(found.len() as u64, changed);
        if changed {
            log::info!("endpoints of {}: {} now, {} before", self.key, found.len(), state.found.len());
            state.found = found.into();
        }
        drop(state);
        if changed {
            self.refresh(now);
        }
    }

    /// Notes that there was no good answer: the last one stays. It is said once for each cause.
    pub fn fail(&self, why: String, now: Instant) {
        self.metrics.failed();
        let mut state = self.state.lock();
        let since = match &state.failing {
            Some((since, before)) if *before == why => Some(*since),
            Some((since, _)) => {
                log::warn!("endpoints of {}: {why}", self.key);
                Some(*since)
            }
            None => {
                let kept = state.found.len();
                log::warn!("endpoints of {}: {why}; {kept} of the last answer are kept", self.key);
                None
            }
        };
        state.failing = Some((since.unwrap_or(now), why));
        drop(state);
        self.settled.send_replace(true);
    }

    /// How it does.
    #[must_use]
    pub fn status(&self, now: Instant) -> FeedStatus {
        let state = self.state.lock();
        FeedStatus {
            endpoints: state.found.len(),
            answered: state.answered.map(|at| now.saturating_duration_since(at)),
            failing: state.failing.as_ref().map(|(at, why)| (now.saturating_duration_since(*at), why.clone())),
        }
    }

    /// Waits until it has answered or failed once.
    pub async fn settled(&self) {
        // The sender is this feed's own, so it does not go while this waits.
        drop(self.settled.subscribe().wait_for(|settled| *settled).await);
    }

    /// Waits until this is dropped, without keeping it: whoever follows its source has then no reader left.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut settled = self.settled.subscribe();
        async move { while settled.changed().await.is_ok() {} }
    }

    /// Lets a fleet hear of changes.
    pub(super) fn join(&self, fleet: &Arc<Fleet>) {
        let mut fleets = self.fleets.lock();
        fleets.retain(|fleet| fleet.strong_count() > 0);
        fleets.push(Arc::downgrade(fleet));
    }

    fn refresh(&self, now: Instant) {
        let fleets: Vec<_> = self.fleets.lock().iter().filter_map(Weak::upgrade).collect();
        // Oldest first: the newest generation's endpoints are the last to be made, and the ones that count.
        for fleet in fleets {
            fleet.refresh(now);
        }
    }
}

impl EndpointSink for Feed {
    fn found(&self, endpoints: Vec<FoundEndpoint>) {
        self.publish(endpoints, Instant::now());
    }

    fn failed(&self, why: String) {
        self.fail(why, Instant::now());
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("key", &self.key).finish_non_exhaustive()
    }
}
