//! A simulated upstream: some workers, a queue, and what can be wrong with it.

use std::collections::VecDeque;

use portcullis_balance::Draws;

/// One second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Waiting requests past which an upstream refuses.
const BACKLOG: usize = 512;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// It serves, this many times slower than it should.
    Serving(f64),
    /// It has just started and is this many times slower, less from second to second, for so many seconds.
    Warming(f64, f64),
    /// It answers each request at once, with a 500.
    Failing,
    /// It takes requests and never answers.
    Hanging,
    /// It refuses connections.
    Down,
}

/// What becomes of an attempt that reaches it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Arrival {
    /// It is worked on, and will be done after so many nanoseconds.
    Works(u64),
    /// It waits for a worker.
    Waits,
    /// It is never answered.
    Hangs,
    /// It fails after so many nanoseconds.
    Fails(u64),
}

/// How busy its workers are, measured over windows of time: what it says is always a window old.
#[derive(Debug, Default)]
struct Measured {
    began: u64,
    at: u64,
    /// Nanoseconds that workers were busy for in the window.
    busy: u64,
    last: f64,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Server {
    /// What is wrong with it.
    pub(crate) mode: Mode,
    /// Since when, in nanoseconds.
    pub(crate) since: u64,
    workers: usize,
    mean: f64,
    spread: f64,
    busy: usize,
    measured: Measured,
    queue: VecDeque<usize>,
}

impl Server {
    /// So many workers, each taking a mean time (in seconds) with a log-normal spread.
    pub(crate) fn new(workers: usize, mean: f64, spread: f64) -> Self {
        Self {
            mode: Mode::Serving(1.0),
            since: 0,
            workers,
            mean,
            spread,
            busy: 0,
            measured: Measured::default(),
            queue: VecDeque::new(),
        }
    }

    /// Takes an attempt in.
    pub(crate) fn arrive(&mut self, now: u64, attempt: usize, draws: &mut Draws) -> Arrival {
        self.measure(now);
        match self.mode {
            Mode::Failing => Arrival::Fails(SECOND / 2_000),
            Mode::Down => Arrival::Fails(SECOND / 10_000),
            Mode::Hanging => Arrival::Hangs,
            Mode::Serving(_) | Mode::Warming(..) if self.busy < self.workers => {
                self.busy += 1;
                Arrival::Works(self.service(now, draws))
            }
            Mode::Serving(_) | Mode::Warming(..) if self.queue.len() < BACKLOG => {
                self.queue.push_back(attempt);
                Arrival::Waits
            }
            Mode::Serving(_) | Mode::Warming(..) => Arrival::Fails(SECOND / 10_000),
        }
    }

    /// A worker is free: the next attempt that is still wanted, and how long it takes.
    pub(crate) fn next(&mut self, now: u64, wanted: impl Fn(usize) -> bool, draws: &mut Draws) -> Option<(usize, u64)> {
        self.measure(now);
        self.busy = self.busy.saturating_sub(1);
        if !matches!(self.mode, Mode::Serving(_) | Mode::Warming(..)) {
            return None;
        }
        while let Some(attempt) = self.queue.pop_front() {
            if wanted(attempt) {
                self.busy += 1;
                return Some((attempt, self.service(now, draws)));
            }
        }
        None
    }

    /// Changes what is wrong. A restart loses what was in it.
    pub(crate) fn change(&mut self, now: u64, mode: Mode) -> Vec<usize> {
        self.since = now;
        self.mode = mode;
        match mode {
            Mode::Down => self.queue.drain(..).collect(),
            Mode::Serving(_) | Mode::Warming(..) | Mode::Failing | Mode::Hanging => Vec::new(),
        }
    }

    fn measure(&mut self, now: u64) {
        self.measured.busy += (now - self.measured.at) * self.busy as u64;
        self.measured.at = now;
    }

    /// The part of its workers that was busy in the last whole window of so many seconds.
    pub(crate) fn utilisation(&mut self, now: u64, window: f64) -> f64 {
        self.measure(now);
        let measured = &mut self.measured;
        let took = (now - measured.began) as f64;
        if took >= window * SECOND as f64 {
            let last = measured.busy as f64 / (took * self.workers as f64);
            *measured = Measured { began: now, at: now, busy: 0, last };
        }
        measured.last
    }

    fn service(&self, now: u64, draws: &mut Draws) -> u64 {
        let slower = match self.mode {
            Mode::Serving(times) => times,
            Mode::Warming(times, seconds) => {
                let done = (now - self.since) as f64 / (seconds * SECOND as f64);
                times + (1.0 - times) * done.min(1.0)
            }
            Mode::Failing | Mode::Hanging | Mode::Down => 1.0,
        };
        let factor = (self.spread * normal(draws) - self.spread * self.spread / 2.0).exp();
        (self.mean * slower * factor * SECOND as f64) as u64
    }
}

/// A number from 0 to 1.
pub(crate) fn unit(draws: &mut Draws) -> f64 {
    (draws.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A normally distributed number (Box and Muller).
fn normal(draws: &mut Draws) -> f64 {
    let radius = (-2.0 * (1.0 - unit(draws)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(draws)).cos()
}
