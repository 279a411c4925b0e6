//! One window's load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_engine::outcome::Kind as Became;
use portcullis_judge::window::{Failure as Kind, Histogram, Readings, Schedule};

use crate::Failure;
use crate::open_loop::{self, Arrivals, Load as OpenLoop, Method, Tally};

/// What every window sends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// Requests a second, of a Poisson schedule.
    pub(super) rate: f64,
    /// How long.
    pub(super) length: Duration,
    /// The target of the requests.
    pub(super) path: String,
    /// Their Host.
    pub(super) host: String,
    /// A request that takes longer is beyond the objective.
    pub(super) objective: Duration,
    /// Requests in flight at most.
    pub(super) in_flight: usize,
}

/// When a request counts as sent late, and as sent very late.
const LATE: Duration = Duration::from_millis(1);
const VERY_LATE: Duration = Duration::from_millis(10);

impl Load {
    /// Sends it, for a shorter time where it only warms up.
    pub(super) fn send(&self, to: SocketAddr, seed: u64, length: Duration) -> Result<Readings, Failure> {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.path, self.host).into_bytes();
        let requests = [request];
        let load = OpenLoop {
            to,
            method: Method::These(&requests),
            rate: self.rate,
            arrivals: Arrivals::Poisson,
            length,
            warm_up: Duration::ZERO,
            objective: self.objective,
            in_flight: self.in_flight,
            seed,
        };
        let start = Instant::now();
        let tally = open_loop::run(&load, start)?;
        Ok(readings(&tally, start.elapsed()))
    }
}

fn readings(tally: &Tally, elapsed: Duration) -> Readings {
    let mut refused = 0;
    let mut failed = BTreeMap::new();
    for one in &tally.failed {
        let kind = match one.status {
            Some(400..500) => {
                refused += 1;
                continue;
            }
            Some(500..600) => Kind::ServerError,
            Some(_) => Kind::UnexpectedStatus,
            None => without_status(one.kind),
        };
        *failed.entry(kind).or_insert(0_u64) += 1;
    }
    let requests = tally.requests();
    let unanswered = u64::try_from(tally.failed.len()).unwrap_or(u64::MAX);
    let values = tally.latency().iter_recorded();
    let latency = values.map(|value| (coarse(value.value_iterated_to()) * 1000, value.count_at_value()));
    let schedule =
        Schedule { planned: requests, late: tally.late(LATE), very_late: tally.late(VERY_LATE), capped: tally.delayed };
    Readings {
        requests,
        succeeded: requests.saturating_sub(unanswered),
        refused,
        failed,
        beyond_slo: tally.beyond.saturating_sub(refused),
        connections: u64::try_from(tally.most_in_flight).unwrap_or(u64::MAX),
        latency: Histogram::new(latency),
        seconds: elapsed.as_secs_f64(),
        schedule: Some(schedule),
        ..Readings::default()
    }
}

const fn without_status(kind: Became) -> Kind {
    match kind {
        Became::Connect => Kind::Connect,
        Became::Timeout | Became::Unfinished => Kind::Timeout,
        Became::Malformed => Kind::Protocol,
        Became::Mismatch => Kind::WrongContent,
        Became::Reset | Became::Status => Kind::Cut,
    }
}

/// Two digits: enough for a curve, and a file that one can open.
fn coarse(micros: u64) -> u64 {
    let digits = micros.checked_ilog10().unwrap_or_default().saturating_sub(1);
    let unit = 10_u64.pow(digits);
    micros.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_loop::Failed;
    use portcullis_engine::outcome::Kind as Became;
use portcullis_judge::window::Window;

    #[test]
    fn what_a_load_brought_adds_up() {
        let ms = Duration::from_millis;
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        (1..=90).for_each(|n| tally.answered(ms(n), ms(n)));
        let statuses = [Some(429), Some(404), Some(503), Some(302), None, None];
        statuses.into_iter().zip(91..).for_each(|(status, id)| {
            tally.failed(Failed { id, planned: ms(id), status, kind: Became::Reset });
        });
        for lag in [1, 2, 2, 11] {
            tally.sent(ms(lag));
        }
        let window = Window::new(readings(&tally, ms(1000))).unwrap();
        assert_eq!((window.requests, window.succeeded, window.refused), (96, 90, 2));
        let failed = [(Kind::Cut, 2), (Kind::ServerError, 1), (Kind::UnexpectedStatus, 1)];
        assert_eq!(window.failed, BTreeMap::from(failed));
        assert_eq!(window.beyond_slo, 40 + 4);
        assert_eq!(window.latency.len(), 90);
        let schedule = window.schedule.unwrap();
        assert_eq!((schedule.late, schedule.very_late), (3, 1));
    }

    #[test]
    fn two_digits_are_kept() {
        for (micros, kept) in [(0, 0), (7, 7), (99, 99), (101, 110), (1234, 1300), (50_000, 50_000)] {
            assert_eq!(coarse(micros), kept);
        }
    }
}
