//! Who keeps: the threads that write down what a ledger changes and that talk to Redis, behind one face.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_caps::{GatewayId, Ledger, Moment, SavedQuota, SavedQuotas};

use crate::error::StoreError;
use crate::index::Index;
use crate::journal::{Rotation, Sums, Totals, UsageQuery};
use crate::pending::MethodNames;
use crate::redis::{Leases, LinkStatus, RedisOptions};
use crate::spending::Spending;

mod handed;
mod saver;
mod status;

use saver::Saver;
pub use status::{KeeperStatus, Saving, SavingStatus};

/// The two clocks of the ledger, read now. All that reads or writes one ledger must read the same.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// What is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The directory of the store's file and of the journal. Made when it is not there.
    pub path: PathBuf,
    /// How often what changed is written. A crash loses what was spent in that time, and while a write took.
    pub save_every: Duration,
    /// The length of a window of the journal. Windows begin at multiples of it.
    pub window: Duration,
    /// The journal's files.
    pub rotation: Rotation,
    /// How gateways share caps, if they do.
    pub redis: Option<RedisOptions>,
    /// Whether it goes without a directory that cannot be used, and tries again and again, rather than not to begin.
    pub patient: bool,
}

impl StoreOptions {
    /// What holds when only the directory is said: twice a second, windows of a minute, no Redis.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            save_every: Self::SAVE_EVERY,
            window: Self::WINDOW,
            rotation: Rotation::default(),
            redis: None,
            patient: false,
        }
    }

    /// How often is written when nothing else is said.
    pub const SAVE_EVERY: Duration = Duration::from_millis(500);
    /// How long a window is when nothing else is said.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// The directory of the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        journal_of(&self.path)
    }
}

fn journal_of(path: &Path) -> PathBuf {
    path.join("usage")
}

/// Quotas of consumers that a ledger may drop, in memory: made before the ledger, which looks them up here, and filled by
/// a store when there is one.
#[derive(Clone, Default)]
pub struct Saved(Arc<Index>);

impl Saved {
    /// Where the ledger looks up consumers that it dropped.
    #[must_use]
    pub fn lookup(&self) -> Arc<dyn SavedQuotas> {
        Arc::clone(&self.0) as Arc<dyn SavedQuotas>
    }

    /// Notes quotas that were taken from the ledger, where no store does it.
    pub fn note<'a>(&self, quotas: impl IntoIterator<Item = &'a SavedQuota>) {
        quotas.into_iter().for_each(|quota| self.0.put(quota));
    }

    /// Drops windows that are over in every time zone.
    pub fn purge(&self, now: Moment) {
        self.0.purge(saver::first_windows(now.unix()));
    }
}

/// A store that was opened, before it keeps a ledger.
pub struct Kept {
    saver: Saver,
    options: StoreOptions,
}

impl Kept {
    /// Opens the store. One that another process has, as in an upgrade, is opened as soon as that one ends; until then
    /// consumers begin with nothing spent, and get what was saved then.
    ///
    /// A patient one that cannot be used at all is opened in the same way once it can.
    ///
    /// # Errors
    /// The directory cannot be used, or the file is damaged, and it is not patient: what to do is in the message.
    pub fn open(options: &StoreOptions, saved: &Saved, now: Moment) -> Result<Self, StoreError> {
        let saver = Saver::open(options, Arc::clone(&saved.0), now)?;
        Ok(Self { saver, options: options.clone() })
    }
}

/// The threads that keep. Dropped without [`Keeper::shutdown`] they write the rest, too.
pub struct Keeper {
    saver: Arc<Mutex<Saver>>,
    saving: Arc<Mutex<SavingStatus>>,
    leases: Mutex<Option<Leases>>,
    /// What leases are begun with.
    lend: Option<(RedisOptions, Arc<Ledger>, GatewayId)>,
    clock: Clock,
    thread: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
    journal: PathBuf,
}

impl Keeper {
    /// Begins to keep a ledger that was made with [`Saved::lookup`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(kept: Kept, ledger: &Arc<Ledger>, names: MethodNames, clock: Clock) -> Result<Self, StoreError> {
        let Kept { mut saver, options } = kept;
        let failed = |error| StoreError::io(&options.path, error);
        saver.attach(ledger, names, clock());
        let gateway = GatewayId(saver.gateway());
        let saving = Arc::new(Mutex::new(saver.status()));
        let (stop, stopped) = channel();
        let saver = Arc::new(Mutex::new(saver));
        let thread = {
            let (saver, saving, clock, every) =
                (Arc::clone(&saver), Arc::clone(&saving), Arc::clone(&clock), options.save_every);
            let save = move || save(&saver, &saving, &clock, (every, &stopped));
            std::thread::Builder::new().name("store".to_owned()).spawn(save).map_err(failed)?
        };
        let journal = options.journal();
        let lend = options.redis.clone().map(|redis| (redis, Arc::clone(ledger), gateway));
        let thread = Mutex::new(Some((stop, thread)));
        let keeper = Self { saver, saving, leases: Mutex::default(), lend, clock, thread, journal };
        keeper.begin_leases().map_err(failed)?;
        Ok(keeper)
    }

    fn begin_leases(&self) -> std::io::Result<()> {
        let Some((redis, ledger, gateway)) = &self.lend else { return Ok(()) };
        let leases = Leases::start(redis, Arc::clone(ledger), *gateway, Arc::clone(&self.clock))?;
        *self.leases.lock() = Some(leases);
        Ok(())
    }

    /// Writes all, closes the store and gives leases back, so that the process that follows this one can have them.
    /// Waits for the disk, and for Redis as long as one command may take.
    ///
    /// # Errors
    /// Not all could be written; the store is closed nevertheless, and what is left goes where [`Keeper::unsent`] goes.
    pub fn hand_over(&self) -> Result<(), StoreError> {
        if let Some(leases) = self.leases.lock().as_ref() {
            leases.stop();
        }
        self.with_saver(|saver, now| saver.hand_over(now))
    }

    /// What was spent here since the store was handed over, as far as it was not given out yet, and a number for
    /// [`Keeper::received`].
    #[must_use]
    pub fn unsent(&self) -> Option<(u64, Spending)> {
        self.with_saver(|saver, _| saver.unsent())
    }

    /// The process that has the store wrote all up to a number.
    pub fn received(&self, number: u64) {
        self.with_saver(|saver, _| saver.received(number));
    }

    /// Opens the store again that was handed over, since the process that had it is gone.
    pub fn take_back(&self) {
        self.with_saver(|saver, now| saver.take_back(now));
        if let Err(error) = self.begin_leases() {
            log::error!("the thread that talks to Redis cannot be started again: {error}");
        }
    }

    /// Adds what the process before this one spent after it handed the store over. Whether it is on disk.
    #[must_use]
    pub fn add(&self, spending: Spending) -> bool {
        self.with_saver(|saver, now| saver.add(spending, now))
    }

    fn with_saver<T>(&self, act: impl FnOnce(&mut Saver, portcullis_caps::Moment) -> T) -> T {
        let mut saver = self.saver.lock();
        let done = act(&mut saver, (self.clock)());
        *self.saving.lock() = saver.status();
        done
    }

    /// How it goes. Waits for nothing.
    #[must_use]
    pub fn status(&self) -> KeeperStatus {
        KeeperStatus { saving: self.saving.lock().clone(), redis: self.link() }
    }

    /// How the link to Redis is, when there is one.
    #[must_use]
    pub fn link(&self) -> Option<LinkStatus> {
        self.leases.lock().as_ref().map(Leases::status)
    }

    /// What was used, up to the last write: the journal, and what is not in it yet. Reads files: not for a thread that
    /// serves requests.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn usage(&self, query: &UsageQuery) -> Result<Totals, StoreError> {
        let mut sums = Sums::new(query);
        let has_files = {
            let saver = self.saver.lock();
            saver.add_usage(query, &mut sums)?;
            saver.has_files()
        };
        if has_files {
            sums.add_files(&self.journal)?;
        }
        Ok(sums.totals)
    }

    /// Takes all that the ledger has, writes it, closes the journal's window, gives leases back, and ends the threads.
    /// To be called when no request is served any more; waits for the disk, and for Redis as long as one command may take.
    pub fn shutdown(&self) -> KeeperStatus {
        if let Some(leases) = self.leases.lock().as_ref() {
            leases.stop();
        }
        if let Some((stop, thread)) = self.thread.lock().take() {
            drop(stop);
            if thread.join().is_err() {
                log::error!("the thread that keeps the store ended badly; what it had not written is lost");
            }
        }
        self.status()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.shutdown();
    }
}

/// Saves every so often until it is told to stop, and then once more.
fn save(
    saver: &Mutex<Saver>,
    saving: &Mutex<SavingStatus>,
    clock: &Clock,
    (every, stopped): (Duration, &Receiver<()>),
) {
    let mut next = Instant::now() + every;
    loop {
        let end = match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        next = Instant::now() + every;
        let mut saver = saver.lock();
        if end {
            saver.finish(clock());
        } else {
            saver.tick(clock());
        }
        *saving.lock() = saver.status();
        if end {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
