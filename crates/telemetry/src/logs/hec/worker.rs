//! The thread: takes lines from the inbox, keeps batches in order, sends one at a time, asks for acknowledgements.
//!
//! Nothing here waits for the far end but the one request that is on its way, beside which lines are still taken in and
//! spooled.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use portcullis_types::{ByteSize, Seldom};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use super::backlog::{Backlog, NotSpooled, Stage};
use super::client::{Client, Outcome};
use super::inbox::{HecDrop, Inbox};
use super::spool::SpoolDir;
use super::{Hec, HecError};

/// Batches that wait in memory before the spool is used.
const IN_MEMORY: usize = 2;
/// Batches that may be sent and not acknowledged.
const WINDOW: usize = 8;
/// How often acknowledgements are asked for.
const ASK: Duration = Duration::from_secs(1);
/// The first wait after a failure, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// How often a spool that another has, or that cannot be written, is tried again.
const SPOOL_AGAIN: Duration = Duration::from_millis(500);
/// A trouble that lasts is said again after this long.
const REMIND: Duration = Duration::from_secs(60);

/// The handle of a sink's thread.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) inbox: Arc<Inbox>,
    /// Nothing is ever sent; it ends with the thread.
    ended: Mutex<Receiver<()>>,
}

impl Handle {
    /// Delivers what can be delivered in time, spools the rest, and ends the thread. How many events were lost.
    pub(crate) fn close(&self, within: Duration) -> u64 {
        let before = self.inbox.drops(HecDrop::Closed);
        self.inbox.close(within);
        // Either it ended, or it is not waited for any longer.
        let _ = self.ended.lock().recv_timeout(within);
        self.inbox.drops(HecDrop::Closed) - before
    }
}

impl Drop for Handle {
    /// A sink that was opened and never used: nobody waits for its end.
    fn drop(&mut self) {
        if self.inbox.closing().is_none() {
            self.inbox.close(Duration::ZERO);
        }
    }
}

/// Starts the thread.
pub(super) fn start(name: &Arc<str>, settings: &Hec, queue: ByteSize, client: Client) -> Result<Handle, HecError> {
    if let Some(spool) = &settings.spool {
        let bad = |error| HecError::Spool { path: spool.path.clone(), error };
        SpoolDir::make(&spool.path).map_err(bad)?;
    }
    let inbox = Arc::new(Inbox::new(queue, settings.batch));
    let worker = Worker::new(name, settings, client, Arc::clone(&inbox));
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (alive, ended) = channel();
    thread::Builder::new().name(format!("log-{name}")).spawn(move || {
        runtime.block_on(worker.run());
        drop(alive);
    })?;
    Ok(Handle { inbox, ended: Mutex::new(ended) })
}

/// What a request came to, with the client that made it.
enum Report {
    Sent(u64, Outcome),
    Asked(Result<Vec<u64>, String>),
}

type Work = Pin<Box<dyn Future<Output = (Client, Report)> + Send>>;

pub(super) struct Worker {
    name: Arc<str>,
    settings: Hec,
    inbox: Arc<Inbox>,
    backlog: Backlog,
    /// Not there while a request is on its way.
    client: Option<Client>,
    /// When lines that wait for more become a batch.
    gathered: Option<Instant>,
    failures: u32,
    /// Nothing is sent before.
    next_try: Instant,
    next_ask: Instant,
    next_spool: Instant,
    behind: HecDrop,
    said: Seldom,
    close_by: Option<Instant>,
}

impl Worker {
    pub(super) fn new(name: &Arc<str>, settings: &Hec, client: Client, inbox: Arc<Inbox>) -> Self {
        let now = Instant::now();
        Self {
            name: Arc::clone(name),
            settings: settings.clone(),
            inbox,
            backlog: Backlog::default(),
            client: Some(client),
            gathered: None,
            failures: 0,
            next_try: now,
            next_ask: now,
            next_spool: now,
            behind: HecDrop::QueueFull,
            said: Seldom::new(REMIND),
            close_by: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut work: Option<Work> = None;
        loop {
            let now = Instant::now();
            self.attach(now);
            if let Some(ack) = self.settings.ack {
                self.take_back(now, ack);
            }
            self.fill(now);
            if work.is_none() {
                work = self.begin(now);
            }
            if self.is_over(now, work.is_some()) {
                break;
            }
            let wake = self.wake(now);
            tokio::select! {
                (client, report) = async {
                    match work.as_mut() {
                        Some(work) => work.await,
                        None => std::future::pending().await,
                    }
                } => {
                    (work, self.client) = (None, Some(client));
                    self.learn(report);
                }
                () = self.inbox.news.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
        self.end();
    }

    /// Takes the spool, once it is free.
    fn attach(&mut self, now: Instant) {
        let Some(spool) = &self.settings.spool else { return };
        if self.backlog.has_spool() || now < self.next_spool {
            return;
        }
        let attached = SpoolDir::lock(&spool.path).and_then(|dir| match dir {
            Some(dir) => self.backlog.attach(dir, spool.size.0).map(Some),
            None => Ok(None),
        });
        match attached {
            Ok(Some(0)) => {}
            Ok(Some(events)) => log::info!("log `{}`: {events} events wait in the spool", self.name),
            Ok(None) => self.next_spool = now + SPOOL_AGAIN,
            Err(error) => {
                self.next_spool = now + REMIND;
                log::warn!("log `{}`: the spool at {}: {error}", self.name, spool.path.display());
            }
        }
    }

    /// What was not acknowledged in time is to be sent again.
    fn take_back(&mut self, now: Instant, ack: Duration) {
        let late = now.checked_sub(ack).map_or(0, |before| self.backlog.overdue(before));
        if late > 0 {
            log::warn!("log `{}`: {late} batches were not acknowledged in time and are sent again", self.name);
        }
    }

    /// Makes batches of what waits in the inbox, for as long as there is room for them.
    fn fill(&mut self, now: Instant) {
        if self.close_by.is_none() {
            self.close_by = self.inbox.closing().map(|within| now + within.mul_f32(0.75));
        }
        self.behind = HecDrop::QueueFull;
        loop {
            if self.inbox.is_empty() {
                self.gathered = None;
                break;
            }
            let gathered = *self.gathered.get_or_insert(now + self.settings.batch.wait);
            if !self.inbox.has_batch() && now < gathered {
                break;
            }
            if self.backlog.waiting_in_memory() >= IN_MEMORY && !self.spool(now) {
                break;
            }
            let Some(lines) = self.inbox.take() else { break };
            self.backlog.add(lines, SystemTime::now());
            self.gathered = None;
        }
        if self.failures > 0 && self.backlog.in_memory() > 0 {
            // The far end is down: what lies on disk outlives this process.
            self.spool(now);
        }
        self.inbox.hold(self.backlog.in_memory(), self.behind);
    }

    /// Moves batches to the spool; `false` when some stay in memory.
    fn spool(&mut self, now: Instant) -> bool {
        if now < self.next_spool && self.backlog.has_spool() {
            self.behind = HecDrop::SpoolFailed;
            return false;
        }
        match self.backlog.spool_all() {
            Ok(()) => true,
            Err(NotSpooled::None) => false,
            Err(NotSpooled::Full) => {
                self.behind = HecDrop::SpoolFull;
                false
            }
            Err(NotSpooled::Failed(error)) => {
                self.behind = HecDrop::SpoolFailed;
                self.next_spool = now + SPOOL_AGAIN;
                self.say(&format!("the spool cannot be written: {error}"));
                false
            }
        }
    }

    /// The next request, if it is time for one.
    fn begin(&mut self, now: Instant) -> Option<Work> {
        if now < self.next_try {
            return None;
        }
        let acks = self.backlog.acks();
        if !acks.is_empty() && now >= self.next_ask {
            let mut client = self.client.take()?;
            return Some(Box::pin(async move {
                let asked = client.indexed(&acks).await;
                (client, Report::Asked(asked))
            }));
        }
        if acks.len() >= WINDOW || self.client.is_none() {
            return None;
        }
        let mut lost = 0;
        let next = self.backlog.begin(&mut lost);
        if lost > 0 {
            self.inbox.dropped(HecDrop::SpoolLost, lost);
            log::warn!("log `{}`: {lost} events are no longer in the spool", self.name);
        }
        let (place, body) = match next {
            Ok(next) => next?,
            Err(error) => {
                self.failed(now, None, &format!("the spool cannot be read: {error}"));
                return None;
            }
        };
        let mut client = self.client.take()?;
        Some(Box::pin(async move {
            let outcome = client.send(body).await;
            (client, Report::Sent(place, outcome))
        }))
    }

    fn learn(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Sent(place, Outcome::Done) => {
                self.inbox.wrote(self.backlog.remove(place));
                self.recovered();
            }
            Report::Sent(place, Outcome::Accepted(ack)) => {
                if self.backlog.acks().is_empty() {
                    self.next_ask = now + ASK;
                }
                self.backlog.sent(place, ack, now);
                self.recovered();
            }
            Report::Sent(place, Outcome::Refused(why)) => {
                let events = self.backlog.remove(place);
                self.inbox.dropped(HecDrop::Rejected, events);
                self.failures = 0;
                self.say(&format!("a batch of {events} events is refused for good: {why}"));
            }
            Report::Sent(place, Outcome::Again { after, why }) => {
                self.backlog.set(place, Stage::Waiting);
                self.failed(now, after, &why);
            }
            Report::Asked(Ok(indexed)) => {
                self.inbox.wrote(self.backlog.acknowledged(&indexed));
                self.next_ask = now + ASK;
                self.recovered();
            }
            Report::Asked(Err(why)) => {
                self.next_ask = now + ASK;
                self.failed(now, None, &why);
            }
        }
    }

    fn failed(&mut self, now: Instant, after: Option<Duration>, why: &str) {
        self.failures = self.failures.saturating_add(1);
        let (first, most) = BACKOFF;
        let wait = first.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(most);
        // Half of it and a random part of the other half, so that gateways do not come back as one.
        let wait = wait.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        self.next_try = now + wait.max(after.unwrap_or_default());
        // A connection that was closed while it was idle is no trouble.
        if self.failures > 1 {
            self.say(why);
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        if self.said.over() {
            log::info!("log `{}`: the collector takes events again", self.name);
        }
    }

    fn say(&mut self, what: &str) {
        if self.said.is_due(Instant::now().into_std()) {
            let (events, bytes) = (self.backlog.events_in_memory(), ByteSize(self.backlog.in_spool()));
            log::warn!("log `{}`: {what}; {events} events wait in memory, {bytes} in the spool", self.name);
        }
    }

    /// Whether a sink that is to end has nothing left to wait for.
    fn is_over(&self, now: Instant, working: bool) -> bool {
        let Some(close_by) = self.close_by else { return false };
        let nothing_left = self.backlog.is_empty() && self.inbox.is_empty() && !working;
        // With a spool, a far end that is down is not waited for.
        let is_down = self.failures > 0 && self.backlog.has_spool();
        nothing_left || is_down || now >= close_by
    }

    /// When there is something to do that nobody will tell of.
    fn wake(&self, now: Instant) -> Instant {
        let far = now + Duration::from_secs(3600);
        let busy = self.client.is_none();
        let acks = self.settings.ack.filter(|_| self.backlog.unacknowledged() > 0);
        let sends =
            (!busy && self.backlog.has_waiting() && self.backlog.unacknowledged() < WINDOW).then_some(self.next_try);
        let asks = acks.filter(|_| !busy).map(|_| self.next_ask.max(self.next_try));
        let takes_back = acks.map(|_| now + ASK);
        let attaches = (self.settings.spool.is_some() && !self.backlog.has_spool()).then_some(self.next_spool);
        let spools = (self.behind == HecDrop::SpoolFailed).then_some(self.next_spool);
        let times = [self.gathered, sends, asks, takes_back, attaches, spools, self.close_by];
        times.into_iter().flatten().filter(|time| *time > now).fold(far, Instant::min)
    }

    /// What is left goes to the spool, or is lost.
    fn end(mut self) {
        while let Some(lines) = self.inbox.take() {
            self.backlog.add(lines, SystemTime::now());
        }
        if let Err(NotSpooled::Failed(error)) = self.backlog.spool_all() {
            log::warn!("log `{}`: the spool cannot be written: {error}", self.name);
        }
        self.inbox.dropped(HecDrop::Closed, self.backlog.events_in_memory());
        self.inbox.hold(0, HecDrop::Closed);
    }
}
