//! All that a running gateway knows of who may call.
//!
//! One for a process, not for a generation of the config: consumers change by themselves, and a request of an old
//! generation is judged by the consumers of now. What requests are judged by is one [`Book`], taken once a request by
//! one atomic load; who changes a part of it puts another book in its place.
//!
//! Nothing here reads a file or a clock: who does, hands in what was read.

mod counts;
mod issuers;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use crate::directory::Directory;
use crate::key::HashSecret;
use crate::store::Remote;
use crate::throttle::{self, Throttle};

pub use counts::{Counts, Proof};
pub use issuers::TokenIssuer;
pub use status::{Outcome, Report, Status};

/// What requests are judged by.
#[derive(Clone)]
pub struct Book {
    /// The consumers.
    pub directory: Arc<Directory>,
    /// What their keys are hashed with.
    pub secret: HashSecret,
    /// Failures by network, and bans.
    pub throttle: Arc<Throttle>,
    /// Whose tokens are taken.
    pub issuers: Arc<[Arc<TokenIssuer>]>,
}

impl Book {
    /// The issuer of tokens of this `iss`.
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> Option<&Arc<TokenIssuer>> {
        self.issuers.iter().find(|one| one.issuer() == issuer)
    }
}

/// Who may call, for a process.
pub struct Identities {
    book: ArcSwap<Book>,
    /// Held while a book is made from the one before.
    changing: Mutex<()>,
    /// How often the book was replaced.
    changes: AtomicU64,
    counts: Counts,
    status: Mutex<Status>,
    remote: Option<Remote>,
    seed: u64,
}

impl Identities {
    /// Nobody. `entropy` is random, once a process: it decides where texts lie in tables, and no file of consumers was
    /// hashed with it.
    #[must_use]
    pub fn new(entropy: [u8; 32]) -> Self {
        let seed = entropy.as_chunks::<8>().0.iter().fold(0, |seed, chunk| seed ^ u64::from_le_bytes(*chunk));
        let book = Book {
            directory: Arc::new(Directory::new(seed)),
            secret: HashSecret::from_bytes(entropy),
            throttle: Arc::new(Throttle::new(throttle::Rules::default(), seed)),
            issuers: Arc::default(),
        };
        Self {
            book: ArcSwap::from_pointee(book),
            changing: Mutex::default(),
            changes: AtomicU64::new(0),
            counts: Counts::default(),
            status: Mutex::default(),
            remote: None,
            seed,
        }
    }

    /// With a store that is asked for whom the file does not have.
    #[must_use]
    pub fn with_store(self, remote: Remote) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// What requests are judged by now.
    #[must_use]
    pub fn book(&self) -> Guard<Arc<Book>> {
        self.book.load()
    }

    /// The store that is asked on a miss.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// The seed of this process.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Counters.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How the last loads went.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Notes how a load went.
    pub fn report(&self, report: Report) {
        self.status.lock().take(report);
    }

    /// Puts another book in the place of this one, one change after another.
    pub fn change(&self, change: impl FnOnce(&mut Book)) {
        let _one = self.changing.lock();
        let mut book = Book::clone(&self.book.load());
        change(&mut book);
        self.book.store(Arc::new(book));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Grows with each change that could end what goes on: consumers, keys, bans by operators. While it stays the same, who
    /// might call before still may, but for the end of a key's time.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.changes.load(Ordering::Acquire) + self.book().throttle.bans_added()
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").field("directory", &self.book().directory).finish_non_exhaustive()
    }
}
