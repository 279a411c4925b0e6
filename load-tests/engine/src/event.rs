//! Waiting for sockets and for a moment, to the microsecond: epoll with a timer of its own.
//!
//! `epoll_wait` counts in milliseconds, which is as much as a whole answer of the sample origins takes. Level-triggered:
//! what is not read now is told again.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Failure;

/// Events that are taken at once.
const BATCH: usize = 256;

/// The token of the timer; no caller's.
const TIMER: u64 = u64::MAX;

/// What a socket is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, a connection to accept, or the other side's end.
    Read,
    /// The end of connecting, or room for more bytes.
    Write,
    /// Either.
    Both,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// Sockets that are waited for. A socket that is closed leaves by itself.
#[derive(Debug)]
pub struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: Option<Instant>,
}

impl Poll {
    /// Waits for nothing yet.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> Result<Self, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer, armed: None })
    }

    /// Waits for a socket under a token, which is not `u64::MAX`.
    ///
    /// # Errors
    ///
    /// When the socket is waited for already.
    pub fn add(&self, socket: impl AsFd, token: u64, interest: Interest) -> Result<(), Failure> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Waits for something else of a socket.
    ///
    /// # Errors
    ///
    /// When the socket is not waited for.
    pub fn change(&self, socket: impl AsFd, token: u64, interest: Interest) -> Result<(), Failure> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token), interest.flags())?)
    }

    /// Waits for a socket no more.
    ///
    /// # Errors
    ///
    /// When the socket is not waited for.
    pub fn remove(&self, socket: impl AsFd) -> Result<(), Failure> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until a socket is ready or the moment has come, and fills `ready` with the tokens of what is.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn wait(&mut self, until: Instant, ready: &mut Vec<u64>) -> Result<(), Failure> {
        ready.clear();
        self.arm(until)?;
        let mut events = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        match epoll::wait(&self.epoll, &mut events, None) {
            Ok((events, _)) => {
                ready.extend(events.iter().map(|event| event.data.u64()).filter(|&token| token != TIMER))
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Setting the timer also forgets that it went off, so nobody has to read it.
    fn arm(&mut self, until: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        if self.armed == Some(until) && until > now {
            return Ok(());
        }
        // Zero would turn it off.
        let left = until.saturating_duration_since(now).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: left.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        self.armed = Some(until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tells_who_is_ready_and_only_them() {
        let mut poll = Poll::new().unwrap();
        let (mut left, right) = UnixStream::pair().unwrap();
        poll.add(&right, 7, Interest::Read).unwrap();
        let mut ready = vec![1, 2, 3];
        poll.wait(Instant::now(), &mut ready).unwrap();
        assert!(ready.is_empty());
        left.write_all(b"x").unwrap();
        poll.wait(Instant::now() + Duration::from_secs(60), &mut ready).unwrap();
        assert_eq!(ready, [7]);
        poll.change(&right, 8, Interest::Write).unwrap();
        poll.wait(Instant::now() + Duration::from_secs(60), &mut ready).unwrap();
        assert_eq!(ready, [8]);
    }
}
