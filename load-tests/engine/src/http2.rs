//! The load's loop for HTTP/2 and gRPC: one thread, a few connections, a stream for each request.
//!
//! It keeps the rules of [`crate::drive`]: latency from the planned moment, a bound in flight that is reported, one outcome
//! for every request.

mod call;
mod ticker;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::Failure;
use crate::answer::Answer;
use crate::drive::{Load, Pace, Source as _, Watch};
use crate::outcome::{Kind, Outcome};
use crate::request::Mix;
use crate::tally::{Failed, Tally};

use call::{Ended, Pool};
use ticker::Ticker;

/// What of HTTP/2 a load says beside the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Connections.
    pub connections: usize,
    /// Whether requests are unary calls of gRPC.
    pub grpc: bool,
}

/// A request that is on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    id: u64,
    planned: Duration,
}

/// Sends a load that starts at a moment, and says what came of it.
///
/// # Errors
///
/// When there is no runtime, or nobody who speaks HTTP/2. Requests that fail are no error, they are counted.
pub fn run(
    load: &Load<'_>,
    settings: Settings,
    mix: &mut Mix,
    start: Instant,
    watch: &Watch,
) -> Result<Tally, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let pool = Pool::connect(load, settings).await?;
        let (ended, endings) = mpsc::unbounded_channel();
        let mut driver = Driver {
            load: load.clone(),
            mix,
            watch,
            start,
            pool: Rc::new(pool),
            ended,
            next: None,
            count: 0,
            in_flight: 0,
            held: VecDeque::new(),
            tally: Tally::new(load.objective, load.warm_up)?,
        };
        driver.drive(endings).await?;
        driver.tally.unasked = driver.pool.unasked.get();
        Ok(driver.tally)
    }))
}

struct Driver<'a> {
    load: Load<'a>,
    mix: &'a mut Mix,
    watch: &'a Watch,
    start: Instant,
    pool: Rc<Pool>,
    ended: mpsc::UnboundedSender<Ended>,
    next: Option<Duration>,
    count: u64,
    in_flight: usize,
    held: VecDeque<Flight>,
    tally: Tally,
}

impl Driver<'_> {
    async fn drive(&mut self, mut endings: mpsc::UnboundedReceiver<Ended>) -> Result<(), Failure> {
        let mut ticker = Ticker::new()?;
        ticker.wait(self.start).await?;
        self.next = self.planned();
        if let Pace::Closed { connections, .. } = self.load.pace {
            (0..connections).for_each(|_| self.ask_again());
        }
        loop {
            self.launch_due();
            if self.next.is_none() && self.in_flight == 0 && self.held.is_empty() {
                break;
            }
            let far = Duration::from_millis(100);
            let until = self.next.unwrap_or_else(|| self.start.elapsed() + far);
            tokio::select! {
                Some(ended) = endings.recv() => self.end(&ended),
                waited = ticker.wait(self.start + until) => waited?,
            }
        }
        self.tell();
        Ok(())
    }

    fn planned(&mut self) -> Option<Duration> {
        match &mut self.load.pace {
            Pace::Open(schedule) => schedule.next(),
            Pace::Closed { .. } => None,
        }
    }

    fn is_stopped(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    /// Nothing more is sent: what is planned is not any more, and what was held back stays unsent.
    fn give_up(&mut self) {
        self.next = None;
        for Flight { id, planned } in std::mem::take(&mut self.held) {
            self.tally.failed(Failed { id, planned, status: None, kind: Kind::Unfinished });
        }
    }

    fn launch_due(&mut self) {
        if self.is_stopped() {
            self.give_up();
        }
        while let Some(planned) = self.next.filter(|planned| *planned <= self.start.elapsed()) {
            self.next = self.planned();
            self.count += 1;
            let flight = Flight { id: self.count, planned };
            if self.in_flight >= self.load.in_flight {
                self.tally.delayed += 1;
                self.held.push_back(flight);
            } else {
                self.tally.sent(planned, self.start.elapsed().saturating_sub(planned));
                self.launch(flight);
            }
        }
    }

    fn ask_again(&mut self) {
        self.count += 1;
        self.launch(Flight { id: self.count, planned: self.start.elapsed() });
    }

    fn launch(&mut self, Flight { id, planned }: Flight) {
        self.in_flight += 1;
        self.tally.most_in_flight = self.tally.most_in_flight.max(self.in_flight);
        let kind = self.mix.pick(id);
        let request = self.mix.parts(kind, id);
        let left = (planned + self.load.timeout).saturating_sub(self.start.elapsed());
        let (pool, ended, looks) = (Rc::clone(&self.pool), self.ended.clone(), self.mix.looks(kind));
        tokio::task::spawn_local(async move {
            let reply = tokio::time::timeout(left, pool.call(id, request, looks)).await;
            let reply = reply.unwrap_or(Err(Kind::Timeout));
            // Nobody hears it only when the load is over.
            drop(ended.send(Ended { id, kind, planned, reply }));
        });
    }

    fn end(&mut self, ended: &Ended) {
        self.in_flight -= 1;
        let Ended { id, kind, planned, .. } = *ended;
        let (outcome, status) = match &ended.reply {
            Ok(reply) => {
                let answer = Answer {
                    status: reply.status,
                    head: &reply.head,
                    body: &reply.body,
                    length: reply.length,
                    grpc: reply.grpc,
                };
                (self.mix.judge(kind, id, &answer), Some(reply.status))
            }
            Err(kind) => (Outcome::Failed(*kind), None),
        };
        match outcome {
            Outcome::Succeeded => self.tally.answered(planned, self.start.elapsed().saturating_sub(planned)),
            Outcome::Refused => self.tally.refused(planned),
            Outcome::Failed(kind) => self.tally.failed(Failed { id, planned, status, kind }),
        }
        if self.count.is_multiple_of(256) {
            self.tell();
        }
        if self.is_stopped() {
            return self.give_up();
        }
        let over = self.start.elapsed() >= self.load.pace.length();
        while let Some(flight) = self.held.pop_front() {
            if flight.planned + self.load.timeout > self.start.elapsed() {
                return self.launch(flight);
            }
            let Flight { id, planned } = flight;
            self.tally.failed(Failed { id, planned, status: None, kind: Kind::Unfinished });
        }
        if matches!(self.load.pace, Pace::Closed { .. }) && !over {
            self.ask_again();
        }
    }

    fn tell(&self) {
        self.watch.done.store(self.tally.all.sent(), Ordering::Relaxed);
        self.watch.failed.store(self.tally.all.failures(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
