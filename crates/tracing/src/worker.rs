//! The thread: takes batches out of the queue, makes spans of them, sends one batch at a time.
//!
//! A batch that was not taken is sent again, with a growing pause, for as long as the exporter lives: what waits is bounded
//! by the queue, and the newest is what is dropped.

use std::sync::Arc;
use std::time::Duration;

use portcullis_telemetry::Exporter;
use portcullis_telemetry::metrics::SpanDrop;
use portcullis_types::Seldom;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::exporter::{Collector, Outcome};
use crate::inbox::{Batch, Inbox};
use crate::spans::{Shown, spans_of};

/// The first wait after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// A trouble that lasts is said again after this long.
const REMIND: Duration = Duration::from_secs(60);
/// What an idle thread sleeps; whoever has something for it wakes it.
const IDLE: Duration = Duration::from_secs(3600);

pub(crate) struct Worker {
    collector: Collector,
    inbox: Arc<Inbox>,
    shown: Shown,
    url: String,
    wait: Duration,
    failures: u32,
    /// Spans that were dropped in front of a full queue, as far as that was said.
    full: u64,
    said: Seldom,
    close_by: Option<Instant>,
}

impl Worker {
    pub(crate) fn new(settings: &Exporter, collector: Collector, inbox: Arc<Inbox>) -> Self {
        let full = inbox.metrics().drops(SpanDrop::QueueFull);
        Self {
            collector,
            inbox,
            shown: Shown::new(settings),
            url: settings.url.clone(),
            wait: settings.wait,
            failures: 0,
            full,
            said: Seldom::new(REMIND),
            close_by: None,
        }
    }

    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            if !self.deliver(&batch).await {
                return self.inbox.lose();
            }
            self.inbox.let_go();
        }
        self.inbox.lose();
    }

    /// The next batch: a full one, or what there is when its first span has waited long enough or the end is near. `None` at
    /// the end.
    async fn gather(&mut self) -> Option<Batch> {
        let mut gathered: Option<Instant> = None;
        loop {
            let now = Instant::now();
            self.look_for_end(now);
            let waiting = self.inbox.waiting();
            if let Some(close_by) = self.close_by {
                return if now < close_by { self.inbox.take() } else { None };
            }
            let due = (waiting > 0).then(|| *gathered.get_or_insert(now + self.wait));
            if self.inbox.has_batch() || due.is_some_and(|due| now >= due) {
                return self.inbox.take();
            }
            tokio::select! {
                () = self.inbox.news.notified() => {}
                () = sleep_until(due.unwrap_or(now + IDLE)) => {}
            }
        }
    }

    /// Notes when the end is to be, once there is to be one.
    fn look_for_end(&mut self, now: Instant) {
        if self.close_by.is_none() {
            self.close_by = self.inbox.closing().map(|within| now + within.mul_f32(0.75));
        }
    }

    /// Sends a batch until it is taken or refused; `false` when it is neither and the time is over.
    async fn deliver(&mut self, batch: &Batch) -> bool {
        loop {
            let spans = batch.records.iter().flat_map(|(record, why)| spans_of(record, *why, &self.shown)).collect();
            let sent = {
                let (inbox, collector) = (Arc::clone(&self.inbox), &self.collector);
                let sending = collector.send(spans);
                tokio::pin!(sending);
                loop {
                    tokio::select! {
                        sent = &mut sending => break Some(sent),
                        // The end may be wanted while the collector thinks.
                        () = inbox.news.notified(), if self.close_by.is_none() => {
                            self.close_by = inbox.closing().map(|within| Instant::now() + within.mul_f32(0.75));
                        }
                        () = sleep_until(self.close_by.unwrap_or_else(|| Instant::now() + IDLE)),
                            if self.close_by.is_some() => break None,
                    }
                }
            };
            match sent {
                None => return false,
                Some(Outcome::Done { rejected, says }) => return self.done(batch, rejected, says),
                Some(Outcome::Refused(why)) => return self.refused(batch, &why),
                Some(Outcome::Again { after, why }) => {
                    let until = self.failed(batch, after, &why);
                    if !self.pause(until).await {
                        return false;
                    }
                }
            }
        }
    }

    fn done(&mut self, batch: &Batch, rejected: u64, says: Option<String>) -> bool {
        let metrics = self.inbox.metrics();
        let rejected = rejected.min(batch.spans as u64);
        metrics.exported(batch.spans as u64 - rejected);
        metrics.dropped(SpanDrop::Partial, rejected);
        self.failures = 0;
        let full = metrics.drops(SpanDrop::QueueFull);
        let more = full - std::mem::replace(&mut self.full, full);
        if rejected > 0 || says.is_some() {
            let says = says.map(|says| format!(": {says}")).unwrap_or_default();
            self.say(&format!("the collector refuses {rejected} of {} spans{says}", batch.spans));
        } else if more > 0 {
            self.say(&format!("{more} spans were dropped since the queue was full"));
        } else if self.said.over() {
            log::info!("traces: the collector at {} takes spans again", self.url);
        }
        true
    }

    fn refused(&mut self, batch: &Batch, why: &str) -> bool {
        self.inbox.metrics().failed();
        self.inbox.metrics().dropped(SpanDrop::Rejected, batch.spans as u64);
        self.failures = 0;
        self.say(&format!("a batch of {} spans is refused for good: {why}", batch.spans));
        true
    }

    /// When the batch is to be sent again.
    fn failed(&mut self, batch: &Batch, after: Option<Duration>, why: &str) -> Instant {
        self.inbox.metrics().failed();
        self.failures = self.failures.saturating_add(1);
        let (first, most) = BACKOFF;
        let wait = first.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(most);
        // Half of it and a random part of the other half, so that gateways do not come back as one.
        let wait = wait.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        // A connection that was closed while it was idle is no trouble.
        if self.failures > 1 {
            let waiting = self.inbox.waiting() + batch.spans;
            self.say(&format!("{why}; {waiting} spans wait"));
        }
        Instant::now() + wait.max(after.unwrap_or_default())
    }

    /// Waits until then; `false` when the time is over before. Where the end is wanted, the last try is made at once.
    async fn pause(&mut self, until: Instant) -> bool {
        loop {
            let now = Instant::now();
            let ends = self.close_by.is_some();
            self.look_for_end(now);
            match self.close_by {
                Some(close_by) if now >= close_by => return false,
                Some(_) if !ends => return true,
                _ if now >= until => return true,
                _ => {}
            }
            let until = self.close_by.map_or(until, |close_by| until.min(close_by));
            // Only whether it was woken matters not at all.
            drop(timeout_at(until, self.inbox.news.notified()).await);
        }
    }

    fn say(&mut self, what: &str) {
        if self.said.is_due(Instant::now().into_std()) {
            log::warn!("traces: {}: {what}", self.url);
        }
    }
}
