//! Where endpoints come from: names, files, sources that a wing brings; asked in the background, for as long as some
//! generation names them.
//!
//! A [`Discovery`] belongs to a gateway. It follows the [`Feed`]s of the gateway's fleets, a task each, and ends the
//! overrides whose time is over. It has a thread of its own, since putting thousands of endpoints together takes
//! milliseconds. Invariants: nothing here is on the path of a request, of a start or of a reload, but for
//! [`Discovery::settle`], which has a bound; a failure never takes an endpoint away.

mod file;
mod folders;
mod names;
mod other;

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_filter::seam::EndpointSource;
use portcullis_snapshot::{Dns, Feed, Fleets, SourceKey};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use folders::Folders;
use names::Names;

/// How long a start or a reload waits for the first answers of sources that it names anew. Whoever has not answered by
/// then is waited for in the background, and its clusters have the endpoints that are known.
pub const FIRST_ANSWERS: Duration = Duration::from_secs(1);

/// See the crate's text.
pub struct Discovery {
    fleets: Arc<Fleets>,
    sources: BTreeMap<&'static str, Arc<dyn EndpointSource>>,
    names: Arc<Names>,
    folders: Arc<Folders>,
    running: Mutex<HashMap<SourceKey, Running>>,
    expiry: Mutex<Option<Task>>,
    home: Mutex<Option<Home>>,
}

/// The thread, which ends when this is dropped.
struct Home {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Home {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new().name("discovery".to_owned()).spawn(move || {
            // Either end means the same: the sender is gone.
            drop(runtime.block_on(stopped));
        })?;
        Ok(Self { handle, _stop: stop })
    }
}

/// A source that is followed.
struct Running {
    feed: Weak<Feed>,
    _task: Task,
}

/// A task that ends with its handle.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Discovery {
    /// Follows nothing so far.
    #[must_use]
    pub fn new(fleets: Arc<Fleets>, sources: BTreeMap<&'static str, Arc<dyn EndpointSource>>) -> Self {
        Self {
            fleets,
            sources,
            names: Arc::new(Names::new(&Dns::default())),
            folders: Arc::default(),
            running: Mutex::default(),
            expiry: Mutex::default(),
            home: Mutex::default(),
        }
    }

    /// Follows the sources that some generation names now, and no others. The system's resolvers and hosts are read anew.
    pub fn follow(&self, dns: &Dns) {
        let Some(home) = self.home() else { return };
        self.names.configure(dns);
        let feeds = self.fleets.feeds();
        let files = feeds.iter().filter_map(|feed| match feed.key() {
            SourceKey::File { path } => Some(path.clone()),
            SourceKey::Name { .. } | SourceKey::Service { .. } | SourceKey::Other { .. } => None,
        });
        self.folders.files(files.collect());
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        for feed in feeds {
            let same = |old: &Running| old.feed.ptr_eq(&Arc::downgrade(&feed));
            let kept = before.remove(feed.key()).filter(same);
            running.insert(feed.key().clone(), kept.unwrap_or_else(|| self.start(&feed, &home)));
        }
        drop(running);
        self.expiry.lock().get_or_insert_with(|| Task(home.spawn(expire(self.fleets.clone()))));
    }

    fn home(&self) -> Option<Handle> {
        let mut home = self.home.lock();
        if home.is_none() {
            match Home::new() {
                Ok(new) => *home = Some(new),
                Err(error) => log::error!("sources of endpoints are not followed: no thread: {error}"),
            }
        }
        home.as_ref().map(|home| home.handle.clone())
    }

    /// The task ends with the feed too: a feed that somebody held for a moment when [`Discovery::follow`] looked would
    /// otherwise be followed until the next look.
    fn start(&self, feed: &Arc<Feed>, home: &Handle) -> Running {
        let weak = Arc::downgrade(feed);
        let following = self.following(feed.key().clone(), weak.clone());
        let gone = feed.gone();
        let task = home.spawn(async move {
            tokio::select! {
                () = following => {}
                () = gone => {}
            }
        });
        Running { feed: weak, _task: Task(task) }
    }

    fn following(&self, key: SourceKey, feed: Weak<Feed>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match key {
            SourceKey::Name { .. } | SourceKey::Service { .. } => {
                Box::pin(names::follow(self.names.clone(), key, feed))
            }
            SourceKey::File { path } => Box::pin(file::follow(self.folders.clone(), path, feed)),
            SourceKey::Other { source, of } => {
                let source = self.sources.get(&*source).cloned();
                Box::pin(other::follow(source, of, feed))
            }
        }
    }

    /// Waits until every source has answered or failed once, [`FIRST_ANSWERS`] at the most.
    pub async fn settle(&self) {
        let all = async {
            for feed in self.fleets.feeds() {
                feed.settled().await;
            }
        };
        if tokio::time::timeout(FIRST_ANSWERS, all).await.is_err() {
            log::debug!("some sources of endpoints have not answered yet; they are waited for in the background");
        }
    }
}

/// Asks each source once, as a running gateway would: a sentence for each that does not answer within `limit`. Sources of
/// a wing are not asked.
pub async fn survey(keys: &[SourceKey], dns: &Dns, limit: Duration) -> Vec<Result<(), String>> {
    let names = Arc::new(Names::new(dns));
    let asked: Vec<_> = keys.iter().map(|key| tokio::spawn(ask(names.clone(), key.clone(), limit))).collect();
    let mut answers = Vec::with_capacity(asked.len());
    for asked in asked {
        answers.push(asked.await.unwrap_or_else(|error| Err(error.to_string())));
    }
    answers
}

async fn ask(names: Arc<Names>, key: SourceKey, limit: Duration) -> Result<(), String> {
    match &key {
        SourceKey::Name { .. } | SourceKey::Service { .. } => {
            let mut kept = HashMap::new();
            let asked = tokio::time::timeout(limit, names.ask(&key, &mut kept)).await;
            asked.map_err(|_| "no answer in time".to_owned())?.map(drop)
        }
        SourceKey::File { path } => file::read(path.clone()).await.map(drop),
        SourceKey::Other { .. } => Ok(()),
    }
}

/// Ends overrides when their time is over.
async fn expire(fleets: Arc<Fleets>) {
    let mut overridden = fleets.overridden();
    loop {
        let next = fleets.expire(Instant::now());
        let over = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            changed = overridden.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests;
