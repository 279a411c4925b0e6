//! The process's guards: on memory, on the event loop's delay, on connections.
//!
//! A task looks at the process a few times a second and sets a floor: requests of a lower priority are refused. So a
//! request costs one load of an atomic, and a refusal no more than its answer. What is looked at is shown as bounds:
//! use, limit, refusals.

mod memory;
mod standing;
mod turn;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_balance::Priority;
use portcullis_snapshot::settings::{MemoryBound, Overload};
use portcullis_telemetry::{Bound, Held, Metrics};
use portcullis_types::Reason;

use crate::core::Core;
use memory::Memory;
use standing::Standing;

/// How often the event loop is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// At every how many looks memory is read: the kernel writes a page of text for it.
const MEMORY_EVERY: u32 = 5;

/// The guards of a process.
pub(crate) struct Guard {
    /// How many of [`Priority::ALL`], from the least important on, are refused.
    floor: AtomicU8,
    of_memory: AtomicU8,
    of_delay: AtomicU8,
    memory: Arc<Bound>,
    delay: Arc<Bound>,
    connections: Arc<Bound>,
    settings: Mutex<Overload>,
}

/// The guards as they are now, for the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverloadState {
    /// The most important priority that is refused now, if any is.
    pub refuses: Option<&'static str>,
    /// Bytes in use, the bound, refusals; a bound of 0 is none.
    pub memory: [u64; 3],
    /// Microseconds of delay, the bound, refusals.
    pub event_loop_delay: [u64; 3],
    /// Open connections, the bound, refusals.
    pub connections: [u64; 3],
}

impl Guard {
    /// Guards that let all in, until they are told what to follow.
    pub(crate) fn new() -> Self {
        let off = Overload { memory: MemoryBound::Off, event_loop_delay: None, connections: Some(0) };
        Self {
            floor: AtomicU8::new(0),
            of_memory: AtomicU8::new(0),
            of_delay: AtomicU8::new(0),
            memory: Arc::default(),
            delay: Arc::default(),
            connections: Arc::default(),
            settings: Mutex::new(off),
        }
    }

    /// Exports what is looked at.
    pub(crate) fn show(&self, metrics: &Metrics) {
        metrics.attach_bound("process_memory_bytes", "gateway", &self.memory);
        metrics.attach_bound("event_loop_delay_microseconds", "gateway", &self.delay);
        metrics.attach_bound("process_clients", "gateway", &self.connections);
    }

    /// Whether a request of this priority may go on.
    pub(crate) fn admits(&self, priority: Priority) -> Result<(), Reason> {
        if priority as u8 >= self.floor.load(Ordering::Relaxed) {
            return Ok(());
        }
        let memory = (priority as u8) < self.of_memory.load(Ordering::Relaxed);
        let (bound, reason) =
            if memory { (&self.memory, Reason::MemoryPressure) } else { (&self.delay, Reason::EventLoopDelay) };
        bound.refuse();
        Err(reason)
    }

    /// A place among all connections.
    pub(crate) fn connection(&self) -> Result<Option<Held>, Reason> {
        if self.connections.limit() == 0 {
            return Ok(None);
        }
        self.connections.try_hold(1).map(Some).ok_or(Reason::ProcessConnections)
    }

    /// Whether requests of no particular priority are taken.
    pub(crate) fn is_open(&self) -> bool {
        self.floor.load(Ordering::Relaxed) <= Priority::Normal as u8
    }

    /// Whether requests of any priority are refused.
    pub(crate) fn is_raised(&self) -> bool {
        self.floor.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn state(&self) -> OverloadState {
        let floor = usize::from(self.floor.load(Ordering::Relaxed));
        let shown = |bound: &Bound| [bound.used(), bound.limit(), bound.refused()];
        OverloadState {
            refuses: floor.checked_sub(1).and_then(|at| Priority::ALL.get(at).map(|priority| priority.as_str())),
            memory: shown(&self.memory),
            event_loop_delay: shown(&self.delay),
            connections: shown(&self.connections),
        }
    }

    /// Takes what a generation says.
    pub(crate) fn follow(&self, settings: &Overload) {
        let connections = settings.connections.map_or_else(memory::half_of_descriptors, u64::from);
        self.connections.set_limit(connections);
        let memory = match settings.memory {
            MemoryBound::Off => 0,
            MemoryBound::Bytes(bytes) => bytes,
            MemoryBound::Share(share) => {
                let all = Memory::default().limit().unwrap_or(0);
                let part = u128::from(all) * u128::from(share.millionths()) / 1_000_000;
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        };
        self.memory.set_limit(memory);
        let delay = settings.event_loop_delay.unwrap_or_default();
        self.delay.set_limit(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        *self.settings.lock() = *settings;
    }

    /// Sets the floor after a look: how much memory is used, and how late the look was.
    fn looked(&self, used: u64, late: Duration, standing: &mut Standing, now: Instant) {
        let bound = self.settings.lock().event_loop_delay;
        self.memory.set_used(used);
        self.delay.set_used(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
        let of_memory = level_of_memory(used, self.memory.limit());
        let of_delay = bound.map_or(0, |bound| standing.level(now, late, bound));
        self.of_memory.store(of_memory, Ordering::Relaxed);
        self.of_delay.store(of_delay, Ordering::Relaxed);
        let (before, floor) = (self.floor.load(Ordering::Relaxed), of_memory.max(of_delay));
        self.floor.store(floor, Ordering::Relaxed);
        if before != floor {
            let refused = self.state().refuses.unwrap_or("no");
            log::warn!(
                "overload: refusing {refused} requests and below ({used} bytes in use, event loop {late:?} late)"
            );
        }
    }
}

/// How many priorities are refused: the first from the limit on, each other a sixteenth later.
fn level_of_memory(used: u64, limit: u64) -> u8 {
    if limit == 0 {
        return 0;
    }
    let over = |step: &u8| u128::from(used) * 16 >= u128::from(limit) * u128::from(16 + *step);
    (0..4u8).filter(over).count().try_into().unwrap_or(4)
}

/// Looks at the process until the gateway is gone.
pub(crate) async fn watch(core: Weak<Core>) {
    let (memory, mut standing) = (Memory::default(), Standing::default());
    let (mut looks, mut used) = (0u32, 0);
    loop {
        let due = tokio::time::Instant::now() + LOOK;
        let turn = turn::after(LOOK).await;
        let Some(core) = core.upgrade() else { return };
        let now = Instant::now();
        // The timer's wheel turns once a millisecond: so much is no delay.
        let late = turn.saturating_duration_since(due).saturating_sub(Duration::from_millis(1));
        if looks.is_multiple_of(MEMORY_EVERY) {
            used = memory.used().unwrap_or(0);
        }
        looks = looks.wrapping_add(1);
        core.guard.looked(used, late, &mut standing, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_priority_has_a_sixteenth_more_memory() {
        for (used, expected) in [(0, 0), (799, 0), (800, 1), (849, 1), (850, 2), (900, 3), (950, 4), (2_000, 4)] {
            assert_eq!(level_of_memory(used, 800), expected, "{used}");
        }
        assert_eq!(level_of_memory(u64::MAX, 0), 0);
    }

    #[test]
    fn refuses_from_the_least_important_on_and_says_why() {
        let guard = Guard::new();
        let settings = Overload {
            memory: MemoryBound::Bytes(800),
            event_loop_delay: Some(Duration::from_millis(50)),
            connections: Some(1),
        };
        guard.follow(&settings);
        let (mut standing, now) = (Standing::default(), Instant::now());
        guard.looked(850, Duration::ZERO, &mut standing, now);
        assert_eq!(guard.admits(Priority::Normal), Err(Reason::MemoryPressure));
        assert_eq!(guard.admits(Priority::Important), Ok(()));
        assert!(!guard.is_open());
        let late = Duration::from_millis(60);
        guard.looked(0, late, &mut standing, now);
        guard.looked(0, late, &mut standing, now + Duration::from_secs(1));
        assert_eq!(guard.admits(Priority::Sheddable), Err(Reason::EventLoopDelay));
        assert_eq!(guard.admits(Priority::Normal), Ok(()));
        let held = guard.connection();
        assert!(held.is_ok() && guard.connection().is_err_and(|reason| reason == Reason::ProcessConnections));
        assert_eq!(guard.state().refuses, Some("sheddable"));
    }
}
