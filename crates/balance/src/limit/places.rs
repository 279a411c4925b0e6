//! The places of a limit: taken by compare-and-swap, so that racing workers never take more than there are.

use crate::atomics::{AtomicU32, Ordering::Relaxed};

/// How many there are, and how many are taken.
#[derive(Debug)]
pub(crate) struct Places {
    limit: AtomicU32,
    taken: AtomicU32,
}

impl Places {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: AtomicU32::new(limit), taken: AtomicU32::new(0) }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Relaxed);
    }

    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Takes a place while no more than this part of the limit, in per cent, is taken, nor of this bound; one may always
    /// be. Answers with how many are taken then.
    pub(crate) fn take_below(&self, part: u64, most: u32) -> Option<u32> {
        let mut before = self.taken();
        loop {
            let limit = u64::from(self.limit().min(most));
            let most = u32::try_from(limit * part / 100).unwrap_or(u32::MAX).max(1);
            if before >= most {
                return None;
            }
            match self.taken.compare_exchange_weak(before, before + 1, Relaxed, Relaxed) {
                Ok(_) => return Some(before + 1),
                Err(now) => before = now,
            }
        }
    }

    pub(crate) fn give_back(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}
