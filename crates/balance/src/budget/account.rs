//! The account of a budget: slots of time, changed by compare-and-swap. Its invariant is that of the module above.

use std::time::{Duration, Instant};

use super::{BudgetPolicy, Spent};
use crate::atomics::{AtomicU64, Ordering};

/// Slots of the window.
const SLOTS: usize = 10;
/// Requests, and repetitions, that a slot counts at most; it stays there then.
const FULL: u64 = (1 << 24) - 1;

/// A share of the requests that may be done over again. One per cluster, kept across reloads.
#[derive(Debug)]
pub struct Budget {
    policy: BudgetPolicy,
    began: Instant,
    /// One step of the window in nanoseconds.
    step: u64,
    /// The lap that the slot was last used in (16 bits), requests, repetitions (24 bits each).
    slots: [AtomicU64; SLOTS],
    /// The lap, and repetitions asked for.
    asked: [AtomicU64; SLOTS],
}

/// A slot, unpacked.
#[derive(Clone, Copy)]
struct Slot {
    lap: u64,
    requests: u64,
    granted: u64,
}

impl Slot {
    const fn unpack(bits: u64) -> Self {
        Self { lap: bits >> 48, requests: (bits >> 24) & FULL, granted: bits & FULL }
    }

    const fn pack(self) -> u64 {
        self.lap << 48 | self.requests << 24 | self.granted
    }

    /// This slot in the lap that now is: empty when it is of an older one, itself when it is of a newer one.
    const fn in_lap(self, lap: u64) -> Self {
        if self.lap == lap || self.is_newer(lap) { self } else { Self { lap, requests: 0, granted: 0 } }
    }

    /// Whether a worker whose clock reads a little later has used it already. What that worker spent counts.
    const fn is_newer(self, lap: u64) -> bool {
        matches!(self.lap.wrapping_sub(lap) & 0xffff, 1 | 2)
    }
}

impl Budget {
    /// A budget that has seen nothing.
    #[must_use]
    pub fn new(policy: BudgetPolicy, now: Instant) -> Self {
        let step = policy.window.max(Duration::from_millis(10)).as_nanos() / SLOTS as u128;
        Self {
            policy,
            began: now,
            step: u64::try_from(step).unwrap_or(u64::MAX),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            asked: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &BudgetPolicy {
        &self.policy
    }

    /// Counts a request, its first attempt; repetitions are not counted here.
    pub fn request(&self, now: Instant) {
        self.add(&self.slots, now, |slot| Slot { requests: (slot.requests + 1).min(FULL), ..slot });
    }

    /// Asks for a repetition. When this answers `true` it is spent, whether it is then made or not.
    #[must_use = "what is granted is spent"]
    pub fn grant(&self, now: Instant) -> bool {
        self.add(&self.asked, now, |slot| Slot { requests: (slot.requests + 1).min(FULL), ..slot });
        // First spend, then look, then take back: whoever looks later sees what was spent before.
        let full = self.add(&self.slots, now, |slot| Slot { granted: slot.granted + 1, ..slot });
        let spent = self.spent(now);
        if !full && spent.granted <= spent.allowed {
            return true;
        }
        if !full {
            self.add(&self.slots, now, |slot| Slot { granted: slot.granted.saturating_sub(1), ..slot });
        }
        false
    }

    /// The account of the window.
    #[must_use]
    pub fn spent(&self, now: Instant) -> Spent {
        let tick = self.tick(now);
        let mut spent = Spent::default();
        for (at, (slot, asked)) in (0..).zip(self.slots.iter().zip(&self.asked)) {
            let read = |slot: &AtomicU64| Slot::unpack(slot.load(Ordering::SeqCst)).in_lap(lap_of(at, tick));
            spent.asked += read(asked).requests;
            let slot = read(slot);
            spent.requests += slot.requests;
            spent.granted += slot.granted;
        }
        let share = spent.requests * u64::from(self.policy.share.millionths()) / 1_000_000;
        let share = if spent.asked > 2 * share { share / 2 } else { share };
        let floor = u64::from(self.policy.floor) * u64::try_from(self.policy.window.as_millis()).unwrap_or(0) / 1000;
        spent.allowed = share.max(floor);
        spent
    }

    /// Steps since the beginning.
    fn tick(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX) / self.step
    }

    /// Changes the slot of this moment; answers whether nothing could be added since it is full.
    fn add(&self, slots: &[AtomicU64; SLOTS], now: Instant, change: impl Fn(Slot) -> Slot) -> bool {
        let tick = self.tick(now);
        let at = tick % SLOTS as u64;
        let Some(cell) = usize::try_from(at).ok().and_then(|at| slots.get(at)) else { return true };
        let lap = lap_of(at, tick);
        let mut before = cell.load(Ordering::Relaxed);
        loop {
            let slot = Slot::unpack(before);
            let slot = slot.in_lap(lap);
            let after = change(slot);
            if after.granted > FULL {
                return true;
            }
            match cell.compare_exchange_weak(before, after.pack(), Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return false,
                Err(now) => before = now,
            }
        }
    }
}

/// The lap, from 1, that a slot is in while the window ends at this tick: this lap's if the slot was reached already,
/// the one's before otherwise. 0 stands for a slot that was never used.
const fn lap_of(at: u64, tick: u64) -> u64 {
    let lap = tick / SLOTS as u64 + 1;
    let lap = if at <= tick % SLOTS as u64 { lap } else { lap - 1 };
    // 16 bits: a slot that nobody touched for 65,535 windows would count once more.
    lap & 0xffff
}
