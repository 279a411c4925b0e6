//! The load's loop for HTTP/1.1 and WebSockets: one thread, sockets that never block, a schedule that nothing holds up.
//!
//! An open loop sends when its schedule says so, whether or not earlier requests are answered; a request that waits for
//! a place among those in flight waits inside its latency. A closed loop has a number of callers, each of which asks
//! again when it is answered; it hides the requests that would have waited, and is for comparing costs and for finding a
//! capacity.
//!
//! Invariants: what is sent when depends on the seed alone; requests in flight are bounded, and what the bound delayed is
//! counted; what the tool itself sent late is measured; every request that is sent gets one outcome.

mod connection;
mod transport;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::answer::Answer;
use crate::event::{Interest, Poll};
use crate::outcome::{Kind, Outcome};
use crate::schedule::Schedule;
use crate::slots::Slots;
use crate::tally::{Failed, Tally};
use crate::tls::Tls;

use connection::{Connection, Flight, Received, State};

/// How often it is looked whether a request's time is up.
const TICK: Duration = Duration::from_millis(10);

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// What is asked, and what its answers mean.
pub trait Source {
    /// Writes the request of a number, from 1, and says which kind of the mix it is.
    fn write(&mut self, number: u64, out: &mut Vec<u8>) -> usize;

    /// Whether the bodies of answers to this kind are looked at.
    fn looks(&self, _kind: usize) -> bool {
        false
    }

    /// What an answer means to the request of a number.
    fn judge(&mut self, kind: usize, number: u64, answer: &Answer<'_>) -> Outcome;
}

/// What decides when requests are sent.
#[derive(Debug, Clone)]
pub enum Pace {
    /// A schedule.
    Open(Schedule),
    /// So many callers, each with one request at a time, for so long.
    Closed {
        /// Callers.
        connections: usize,
        /// For how long.
        length: Duration,
    },
}

impl Pace {
    /// How long requests are sent.
    #[must_use]
    pub fn length(&self) -> Duration {
        match self {
            Self::Open(schedule) => schedule.length(),
            Self::Closed { length, .. } => *length,
        }
    }
}

/// How a load is sent.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Who is asked.
    pub to: SocketAddr,
    /// Addresses that connections come from, in turns; none for the system's choice.
    pub from: &'a [IpAddr],
    /// The TLS of connections, where there is one.
    pub tls: Option<&'a Tls>,
    /// The handshake, where requests are messages on WebSockets.
    pub upgrade: Option<&'a [u8]>,
    /// When.
    pub pace: Pace,
    /// Requests that are planned before this moment are sent and not counted.
    pub warm_up: Duration,
    /// A counted request that takes longer, or fails, is beyond the objective.
    pub objective: Duration,
    /// How long after its planned moment an answer may come.
    pub timeout: Duration,
    /// Requests in flight at most.
    pub in_flight: usize,
}

impl Load<'_> {
    /// To somebody, by a schedule: no TLS, no warm-up, 5 s for an answer, 4,000 in flight.
    #[must_use]
    pub const fn new(to: SocketAddr, pace: Pace) -> Self {
        Self {
            to,
            from: &[],
            tls: None,
            upgrade: None,
            pace,
            warm_up: Duration::ZERO,
            objective: Duration::from_millis(50),
            timeout: Duration::from_secs(5),
            in_flight: 4000,
        }
    }
}

/// How far a load has come, for who watches it; and a way to end it.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests with an outcome.
    pub done: AtomicU64,
    /// Of them, those that failed.
    pub failed: AtomicU64,
    /// Ends the load: nothing more is sent.
    pub stop: AtomicBool,
}

/// Sends a load that starts at a moment, and says what came of it. It returns when every request has its outcome, which
/// is a timeout after the last one was sent at the latest.
///
/// # Errors
///
/// When the process has no descriptors left. Requests that fail are no error, they are counted.
pub fn run(load: &Load<'_>, source: &mut dyn Source, start: Instant, watch: &Watch) -> Result<Tally, Failure> {
    let mut driver = Driver {
        load: load.clone(),
        source,
        watch,
        start,
        now: Duration::ZERO,
        next: None,
        count: 0,
        poll: Poll::new()?,
        connections: Slots::default(),
        idle: Vec::new(),
        held: VecDeque::new(),
        deadlines: VecDeque::new(),
        in_flight: 0,
        request: Vec::with_capacity(512),
        buffer: vec![0; BUFFER],
        tally: Tally::new(load.objective, load.warm_up)?,
    };
    driver.next = driver.planned();
    driver.drive()?;
    Ok(driver.tally)
}

struct Driver<'a> {
    load: Load<'a>,
    source: &'a mut dyn Source,
    watch: &'a Watch,
    start: Instant,
    /// The time since the start, looked at once for each event.
    now: Duration,
    next: Option<Duration>,
    count: u64,
    poll: Poll,
    connections: Slots<Connection>,
    /// Connections to use; the one that was used last is used first.
    idle: Vec<u64>,
    /// Requests whose moment came while too many were in flight.
    held: VecDeque<Flight>,
    /// Requests in the order of their ends, each with its connection.
    deadlines: VecDeque<(Duration, u64, u64)>,
    in_flight: usize,
    request: Vec<u8>,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Driver<'_> {
    fn drive(&mut self) -> Result<(), Failure> {
        let mut ready = Vec::new();
        if let Pace::Closed { connections, .. } = self.load.pace {
            while Instant::now() < self.start {
                self.poll.wait(self.start, &mut ready)?;
            }
            (0..connections).try_for_each(|_| self.launch_new(Duration::ZERO))?;
        }
        let mut tick = TICK;
        loop {
            self.look_at_clock();
            self.launch_due()?;
            if self.now >= tick {
                self.expire()?;
                tick = self.now + TICK;
            }
            let over = self.next.is_none() && self.in_flight == 0 && self.held.is_empty();
            if over && (matches!(self.load.pace, Pace::Open(_)) || self.is_late()) {
                break;
            }
            let until = self.next.map_or(tick, |planned| planned.min(tick));
            self.poll.wait(self.start + until, &mut ready)?;
            for token in ready.drain(..) {
                self.look_at_clock();
                // A full batch takes a millisecond; the schedule does not wait for it.
                self.launch_due()?;
                self.on_ready(token)?;
            }
        }
        self.tell();
        Ok(())
    }

    fn look_at_clock(&mut self) {
        self.now = self.start.elapsed();
    }

    fn is_late(&self) -> bool {
        self.now >= self.load.pace.length() || self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    /// Nothing more is sent: what is planned is not any more, and what was held back stays unsent.
    fn give_up(&mut self) {
        self.next = None;
        for Flight { id, planned, .. } in std::mem::take(&mut self.held) {
            self.tally.failed(Failed { id, planned, status: None, kind: Kind::Unfinished });
        }
    }

    fn planned(&mut self) -> Option<Duration> {
        match &mut self.load.pace {
            Pace::Open(schedule) => schedule.next(),
            Pace::Closed { .. } => None,
        }
    }

    fn launch_due(&mut self) -> Result<(), Failure> {
        if self.is_stopped() {
            self.give_up();
        }
        while let Some(planned) = self.next.filter(|planned| *planned <= self.now) {
            // A start that lies ahead has elapsed by nothing.
            if self.now.is_zero() {
                break;
            }
            self.next = self.planned();
            self.count += 1;
            let flight = Flight { id: self.count, planned, kind: 0 };
            if self.in_flight >= self.load.in_flight {
                self.tally.delayed += 1;
                self.held.push_back(flight);
            } else {
                self.tally.sent(planned, self.now.saturating_sub(planned));
                self.launch(flight)?;
            }
        }
        Ok(())
    }

    /// The next request of a caller in a closed loop.
    fn launch_new(&mut self, planned: Duration) -> Result<(), Failure> {
        self.count += 1;
        self.launch(Flight { id: self.count, planned, kind: 0 })
    }

    fn launch(&mut self, flight: Flight) -> Result<(), Failure> {
        self.in_flight += 1;
        self.tally.most_in_flight = self.tally.most_in_flight.max(self.in_flight);
        while let Some(token) = self.idle.pop() {
            if self.send(token, flight)? {
                return Ok(());
            }
            // Closed since its last answer; nothing was sent.
            self.leave(token);
        }
        let turn = usize::try_from(self.tally.opened).unwrap_or_default();
        let from = self.load.from.get(turn % self.load.from.len().max(1)).copied();
        self.tally.opened += 1;
        let token = self.connections.insert(Connection::open(self.load.to, from, self.load.tls, flight)?);
        self.deadlines.push_back((flight.planned + self.load.timeout, flight.id, token));
        match self.connections.get_mut(token) {
            Some(connection) => self.poll.add(&connection.transport, token, Interest::Write),
            None => Ok(()),
        }
    }

    fn send(&mut self, token: u64, mut flight: Flight) -> Result<bool, Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(false) };
        self.request.clear();
        flight.kind = self.source.write(flight.id, &mut self.request);
        let fresh = !matches!(connection.state, State::Idle);
        connection.state = State::Waiting(flight);
        if !connection.send(&self.request, self.source.looks(flight.kind)) {
            return Ok(false);
        }
        if !fresh {
            self.deadlines.push_back((flight.planned + self.load.timeout, flight.id, token));
        }
        self.settle(token)?;
        Ok(true)
    }

    /// Waits for room on a connection as long as it has bytes that wait for it.
    fn settle(&mut self, token: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        let waiting = connection.transport.is_waiting();
        if waiting != connection.both {
            connection.both = waiting;
            let interest = if waiting { Interest::Both } else { Interest::Read };
            self.poll.change(&connection.transport, token, interest)?;
        }
        Ok(())
    }

    fn on_ready(&mut self, token: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        if let State::Connecting(flight) = connection.state {
            return self.on_connected(token, flight);
        }
        if connection.both {
            if !connection.transport.flush() {
                return self.on_received(token, Received::Cut(Kind::Reset));
            }
            self.settle(token)?;
        }
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        let received = connection.receive(&mut self.buffer);
        if received == Received::Part {
            self.note_unasked(token);
            return Ok(());
        }
        self.on_received(token, received)
    }

    /// Counts what a connection brought that nobody had asked for.
    fn note_unasked(&mut self, token: u64) {
        if let Some(connection) = self.connections.get_mut(token) {
            self.tally.unasked.merge(connection.take_unasked());
        }
    }

    /// Leaves a connection that took no request, and sees how it had ended.
    fn leave(&mut self, token: u64) {
        if let Some(connection) = self.connections.get_mut(token) {
            connection.state = State::Idle;
            // What it takes no bytes from may have come with a goodbye.
            let received = connection.receive(&mut self.buffer);
            let received = if received == Received::Part { Received::Cut(Kind::Reset) } else { received };
            connection.ends_idle(received);
        }
        self.note_unasked(token);
        self.connections.remove(token);
    }

    fn on_connected(&mut self, token: u64, flight: Flight) -> Result<(), Failure> {
        if self.is_stopped() {
            return self.end(token, flight, Received::Cut(Kind::Unfinished));
        }
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        if !connection.transport.is_open() {
            return self.end(token, flight, Received::Cut(Kind::Connect));
        }
        self.poll.change(&connection.transport, token, Interest::Read)?;
        let sent = match self.load.upgrade {
            Some(handshake) => {
                connection.state = State::Upgrading(flight);
                let sent = connection.send(handshake, false);
                self.settle(token)?;
                sent
            }
            None => self.send(token, flight)?,
        };
        if sent { Ok(()) } else { self.end(token, flight, Received::Cut(Kind::Reset)) }
    }

    fn on_received(&mut self, token: u64, received: Received) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        match connection.state {
            State::Idle | State::Connecting(_) => {
                connection.ends_idle(received);
                self.note_unasked(token);
                self.connections.remove(token);
                self.idle.retain(|other| *other != token);
                Ok(())
            }
            State::Upgrading(flight)
                if received == (Received::Whole { closes: false }) && connection.answer().status == 101 =>
            {
                connection.upgraded();
                if self.send(token, flight)? { Ok(()) } else { self.end(token, flight, Received::Cut(Kind::Reset)) }
            }
            State::Upgrading(flight) => {
                // A handshake that was refused is judged as an answer; the connection is no WebSocket.
                let received =
                    if let Received::Whole { .. } = received { Received::Whole { closes: true } } else { received };
                self.end(token, flight, received)
            }
            State::Waiting(flight) => self.end(token, flight, received),
        }
    }

    /// A request has come to its end; one that was held back, or the caller's next, takes its place.
    fn end(&mut self, token: u64, flight: Flight, received: Received) -> Result<(), Failure> {
        self.in_flight -= 1;
        let Flight { id, planned, kind } = flight;
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        let (outcome, status) = match received {
            Received::Whole { .. } => {
                let answer = connection.answer();
                (self.source.judge(kind, id, &answer), Some(answer.status))
            }
            Received::Ended => (Outcome::Failed(Kind::Reset), None),
            Received::Cut(kind) => (Outcome::Failed(kind), None),
            Received::Part => (Outcome::Failed(Kind::Timeout), None),
        };
        match outcome {
            Outcome::Succeeded => self.tally.answered(planned, self.now.saturating_sub(planned)),
            Outcome::Refused => self.tally.refused(planned),
            Outcome::Failed(kind) => self.tally.failed(Failed { id, planned, status, kind }),
        }
        self.tally.unasked.merge(connection.take_unasked());
        // What was answered before it was sent to its end leaves a connection on which nothing else can be said.
        if received == (Received::Whole { closes: false }) && !connection.transport.is_waiting() {
            connection.state = State::Idle;
            self.idle.push(token);
        } else {
            self.connections.remove(token);
        }
        if self.count.is_multiple_of(1024) {
            self.tell();
        }
        if self.is_stopped() {
            self.give_up();
            return Ok(());
        }
        match (&self.load.pace, self.held.pop_front()) {
            (_, Some(flight)) => self.launch(flight),
            (Pace::Closed { .. }, None) if !self.is_late() => self.launch_new(self.now),
            (Pace::Closed { .. } | Pace::Open(_), None) => Ok(()),
        }
    }

    /// Requests whose time is up have failed, those that were held back too.
    fn expire(&mut self) -> Result<(), Failure> {
        while let Some((_, id, token)) = self.deadlines.front().copied().filter(|(at, ..)| *at <= self.now) {
            self.deadlines.pop_front();
            let Some(connection) = self.connections.get_mut(token) else { continue };
            match connection.state {
                State::Connecting(flight) | State::Upgrading(flight) | State::Waiting(flight) if flight.id == id => {
                    self.end(token, flight, Received::Part)?;
                }
                State::Connecting(_) | State::Upgrading(_) | State::Waiting(_) | State::Idle => {}
            }
        }
        while let Some(flight) = self.held.front().copied().filter(|held| held.planned + self.load.timeout <= self.now)
        {
            self.held.pop_front();
            self.tally.failed(Failed { id: flight.id, planned: flight.planned, status: None, kind: Kind::Unfinished });
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.watch.done.store(self.tally.all.sent(), Ordering::Relaxed);
        self.watch.failed.store(self.tally.all.failures(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
