//! A moment that a runtime waits for, to the microsecond: the runtime's own timers count in milliseconds.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Failure;

/// A timer.
#[derive(Debug)]
pub(super) struct Ticker(AsyncFd<OwnedFd>);

impl Ticker {
    #[expect(deprecated, reason = "unsound for descriptors that lie about theirs; an `OwnedFd` does not")]
    pub(super) fn new() -> Result<Self, Failure> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits for a moment. Dropped before, it waits for nothing.
    pub(super) async fn wait(&mut self, until: Instant) -> Result<(), Failure> {
        // Zero would turn it off.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: left.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        loop {
            let mut ready = self.0.readable().await?;
            // Readiness may be that of the setting before: only what can be read has come.
            if rustix::io::read(self.0.get_ref(), &mut [0; 8]).is_ok() {
                return Ok(());
            }
            ready.clear_ready();
        }
    }
}
