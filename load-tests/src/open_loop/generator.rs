//! The load tool's loop: one thread, sockets that never block, and a schedule that nothing holds up.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::event::{Interest, Poll};
use crate::slots::Slots;

use super::connection::{Connection, Flight, Received, State};
use super::schedule::Schedule;
use super::tally::{Failed, Tally};
use super::{Load, Method};

/// How long answers may still come after the last request was planned.
const GRACE: Duration = Duration::from_secs(5);

/// Sends a load that starts at a moment, and says what came of it. It returns when all is answered, or after a grace of
/// five seconds; what is not answered by then has failed.
///
/// # Errors
///
/// When the process has no descriptors left. Requests that fail are no error, they are counted.
pub fn run(load: &Load<'_>, start: Instant) -> Result<Tally, Failure> {
    let mut schedule = Schedule::new(load.arrivals, load.rate, load.length, load.seed);
    let next = schedule.next();
    let mut generator = Generator {
        load: *load,
        start,
        schedule,
        next,
        count: 0,
        poll: Poll::new()?,
        connections: Slots::default(),
        idle: Vec::new(),
        held: VecDeque::new(),
        in_flight: 0,
        request: Vec::with_capacity(128),
        tally: Tally::new(load.objective, load.warm_up)?,
    };
    generator.drive()?;
    Ok(generator.tally)
}

struct Generator<'a> {
    load: Load<'a>,
    start: Instant,
    schedule: Schedule,
    next: Option<Duration>,
    count: u64,
    poll: Poll,
    connections: Slots<Connection>,
    /// Connections to use; the one that was used last is used first.
    idle: Vec<u64>,
    /// Requests whose moment came while too many were in flight.
    held: VecDeque<Flight>,
    in_flight: usize,
    request: Vec<u8>,
    tally: Tally,
}

impl Generator<'_> {
    fn drive(&mut self) -> Result<(), Failure> {
        let end = self.start + self.load.length + GRACE;
        let mut ready = Vec::new();
        loop {
            self.launch_due()?;
            let over = self.next.is_none() && self.in_flight == 0 && self.held.is_empty();
            if over || Instant::now() >= end {
                break;
            }
            let until = self.next.map_or(end, |planned| self.start + planned);
            self.poll.wait(until, &mut ready)?;
            for token in ready.drain(..) {
                self.on_ready(token)?;
                // A full batch takes a millisecond; the schedule does not wait for it.
                self.launch_due()?;
            }
        }
        self.give_up();
        Ok(())
    }

    fn launch_due(&mut self) -> Result<(), Failure> {
        while let Some(planned) = self.next {
            let now = self.start.elapsed();
            if Instant::now() < self.start || planned > now {
                break;
            }
            self.next = self.schedule.next();
            self.count += 1;
            let flight = Flight { id: self.count, planned };
            if self.in_flight >= self.load.in_flight {
                self.tally.delayed += 1;
                self.held.push_back(flight);
            } else {
                self.tally.sent(now.saturating_sub(planned));
                self.launch(flight)?;
            }
        }
        Ok(())
    }

    fn launch(&mut self, flight: Flight) -> Result<(), Failure> {
        self.in_flight += 1;
        self.tally.most_in_flight = self.tally.most_in_flight.max(self.in_flight);
        while let Some(token) = self.idle.pop() {
            if self.send(token, flight) {
                return Ok(());
            }
            // Closed since its last answer; nothing was sent.
            self.connections.remove(token);
        }
        let token = self.connections.insert(Connection::open(self.load.to, flight)?);
        match self.connections.get_mut(token) {
            Some(connection) => self.poll.add(&*connection, token, Interest::Write),
            None => Ok(()),
        }
    }

    fn send(&mut self, token: u64, flight: Flight) -> bool {
        let Some(connection) = self.connections.get_mut(token) else { return false };
        self.request.clear();
        let id = flight.id;
        let written = match self.load.method {
            Method::Get => write!(self.request, "GET /r/{id} HTTP/1.1\r\nHost: rig.test\r\n\r\n"),
            Method::Post => {
                write!(self.request, "POST /r/{id} HTTP/1.1\r\nHost: rig.test\r\nContent-Length: 4\r\n\r\nbody")
            }
            Method::These(requests) => {
                let turn = usize::try_from(id).unwrap_or_default() % requests.len().max(1);
                self.request.write_all(requests.get(turn).map_or(&[], Vec::as_slice))
            }
        };
        connection.state = State::Waiting(flight);
        written.is_ok() && connection.send(&self.request)
    }

    fn on_ready(&mut self, token: u64) -> Result<(), Failure> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        match connection.state {
            State::Idle => {
                // Whatever comes unasked is the other side's end of it.
                self.connections.remove(token);
                self.idle.retain(|other| *other != token);
            }
            State::Connecting(flight) => {
                let open = connection.is_open();
                if open {
                    self.poll.change(&*connection, token, Interest::Read)?;
                }
                if !open || !self.send(token, flight) {
                    self.end(token, flight, Received::Cut)?;
                }
            }
            State::Waiting(flight) => {
                let received = connection.receive();
                if received != Received::Part {
                    self.end(token, flight, received)?;
                }
            }
        }
        Ok(())
    }

    /// A request has come to its end; one that was held back takes its place.
    fn end(&mut self, token: u64, flight: Flight, received: Received) -> Result<(), Failure> {
        self.in_flight -= 1;
        let Flight { id, planned } = flight;
        match received {
            Received::Answer { status: 200, .. } => {
                self.tally.answered(planned, self.start.elapsed().saturating_sub(planned));
            }
            Received::Answer { status, .. } => self.tally.failed(Failed { id, planned, status: Some(status) }),
            Received::Cut | Received::Part => self.tally.failed(Failed { id, planned, status: None }),
        }
        if let Received::Answer { closes: false, .. } = received
            && let Some(connection) = self.connections.get_mut(token)
        {
            connection.state = State::Idle;
            self.idle.push(token);
        } else {
            self.connections.remove(token);
        }
        match self.held.pop_front() {
            Some(flight) => self.launch(flight),
            None => Ok(()),
        }
    }

    fn give_up(&mut self) {
        let open = self.connections.tokens(|connection| connection.state != State::Idle);
        let held = std::mem::take(&mut self.held);
        let flying = open.into_iter().filter_map(|token| match self.connections.get_mut(token)?.state {
            State::Connecting(flight) | State::Waiting(flight) => Some(flight),
            State::Idle => None,
        });
        for Flight { id, planned } in flying.chain(held) {
            self.tally.failed(Failed { id, planned, status: None });
        }
    }
}

#[cfg(test)]
mod tests;
