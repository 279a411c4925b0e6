//! One window's load: a plan, sent by the engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_engine::drive::{self, Load as Drive, Pace, Source as _, Watch};
use portcullis_engine::http2::{self, Settings};
use portcullis_engine::outcome::Kind as Outcome;
use portcullis_engine::plan::{Plan, Protocol, When};
use portcullis_engine::schedule::Segment;
use portcullis_engine::tally::Tally;
use portcullis_engine::tls::Tls;
use portcullis_engine::websocket;
use portcullis_judge::window::{Failure as Kind, Histogram, Readings, Schedule};
use portcullis_yaml::OsLoader;

use crate::Failure;

/// When a request counts as sent late, and as sent very late.
const LATE: Duration = Duration::from_millis(1);
const VERY_LATE: Duration = Duration::from_millis(10);

/// Until a load begins, so that its first request is not late.
pub(super) const LEAD: Duration = Duration::from_millis(10);

/// Numbers that are looked through for a request of each kind.
const SEARCHED: u64 = 100_000;

/// The host that is asked for where the plan names none.
const HOST: &str = "load.test";

/// What every window sends.
#[derive(Debug)]
pub(super) struct Load {
    plan: Plan,
    authority: String,
    tls: Option<Tls>,
    upgrade: Option<Vec<u8>>,
    /// The plan as it stands in its file.
    text: String,
}

impl Load {
    /// Reads a plan. Whom it asks is said by the sides, its `to` only says whether TLS is spoken and what Host is.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let mut plan = Plan::read(file, &OsLoader)?;
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if plan.length() > Duration::from_secs(600) {
            return Err(format!("{}: a window of the judge has at most ten minutes", file.display()).into());
        }
        // Each side is warmed up when it is started; in a window what is sent is what is counted.
        plan.warm_up = Duration::ZERO;
        let authority = plan.to.as_ref().map_or_else(|| HOST.to_owned(), portcullis_engine::plan::Target::authority);
        let name = plan.to.as_ref().map_or(HOST, |to| to.name());
        let protocols: &[&str] = match plan.protocol {
            Protocol::Http1 | Protocol::Websocket => &["http/1.1"],
            Protocol::Http2 | Protocol::Grpc => &["h2"],
        };
        let secure = plan.to.as_ref().is_some_and(|to| to.tls);
        let tls =
            secure.then(|| Tls::new(plan.tls_name.as_deref().unwrap_or(name), &plan.trust, protocols)).transpose()?;
        let upgrade =
            (plan.protocol == Protocol::Websocket).then(|| websocket::upgrade(&plan.websocket, &authority, ""));
        Ok(Self { plan, authority, tls, upgrade, text })
    }

    /// A hash of what is sent and of how many connections are held beside it: equal where these are. (Before version 3 of the results, in
    /// which memory per connection was something else, it was another.)
    pub(super) fn digest(&self, hold: usize) -> String {
        blake3::hash(format!("{}\nheld {hold}", self.text).as_bytes()).to_hex().to_string()
    }

    /// How long a window is.
    pub(super) fn length(&self) -> Duration {
        self.plan.length()
    }

    /// Whether a connection can be held by a GET in plain HTTP/1.1.
    pub(super) fn is_plain(&self) -> bool {
        self.plan.protocol == Protocol::Http1 && self.tls.is_none()
    }

    /// Sends a window.
    pub(super) fn send(&self, to: SocketAddr, seed: u64) -> Result<Readings, Failure> {
        self.run(&Plan { seed, ..self.plan.clone() }, to, Instant::now() + LEAD)
    }

    /// Sends a window of half the rate, from a moment on: the other half goes to another side meanwhile.
    pub(super) fn send_half(&self, to: SocketAddr, seed: u64, start: Instant) -> Result<Readings, Failure> {
        self.run(&Plan { seed, when: half(&self.plan.when), ..self.plan.clone() }, to, start)
    }

    /// A request of each kind, with its name, as it is written to a connection.
    pub(super) fn samples(&self) -> Vec<(String, Vec<u8>)> {
        let mut mix = self.plan.mix(&self.authority);
        let names: Vec<String> = mix.requests().iter().map(|request| request.name.clone()).collect();
        let mut samples = BTreeMap::new();
        for number in 0..SEARCHED {
            let kind = mix.pick(number);
            if samples.contains_key(&kind) {
                continue;
            }
            let mut bytes = Vec::new();
            mix.write(number, &mut bytes);
            samples.insert(kind, bytes);
            if samples.len() == names.len() {
                break;
            }
        }
        samples.into_iter().filter_map(|(kind, bytes)| Some((names.get(kind)?.clone(), bytes))).collect()
    }

    /// Sends the plan's requests from a few callers that ask again when they are answered.
    pub(super) fn send_closed(
        &self,
        to: SocketAddr,
        connections: usize,
        length: Duration,
    ) -> Result<Readings, Failure> {
        let plan = Plan { when: When::Closed { connections, length }, ..self.plan.clone() };
        self.run(&plan, to, Instant::now() + LEAD)
    }

    fn run(&self, plan: &Plan, to: SocketAddr, start: Instant) -> Result<Readings, Failure> {
        let pace = plan.pace();
        let planned = match &pace {
            Pace::Open(schedule) => Some(u64::try_from(schedule.clone().count())?),
            Pace::Closed { .. } => None,
        };
        let drive = Drive {
            tls: self.tls.as_ref(),
            upgrade: self.upgrade.as_deref(),
            objective: plan.objective,
            timeout: plan.timeout,
            in_flight: plan.in_flight,
            ..Drive::new(to, pace)
        };
        let (mut mix, watch) = (plan.mix(&self.authority), Watch::default());
        let tally = match plan.protocol {
            Protocol::Http1 | Protocol::Websocket => drive::run(&drive, &mut mix, start, &watch)?,
            Protocol::Http2 | Protocol::Grpc => {
                let settings = Settings { connections: plan.connections, grpc: plan.protocol == Protocol::Grpc };
                http2::run(&drive, settings, &mut mix, start, &watch)?
            }
        };
        Ok(readings(&tally, planned, start.elapsed()))
    }
}

/// The same at half the rate.
fn half(when: &When) -> When {
    match when {
        When::Open(segments) => {
            let half = |part: &Segment| Segment { from: part.from / 2.0, to: part.to / 2.0, ..*part };
            When::Open(segments.iter().map(half).collect())
        }
        When::Closed { connections, length } => When::Closed { connections: connections.div_ceil(2), length: *length },
    }
}

pub(crate) fn readings(tally: &Tally, planned: Option<u64>, elapsed: Duration) -> Readings {
    let latency = tally.latency().iter_recorded();
    let latency = latency.map(|value| (coarse(value.value_iterated_to()) * 1000, value.count_at_value()));
    let schedule = planned.map(|planned| Schedule {
        planned,
        late: tally.late(LATE),
        very_late: tally.late(VERY_LATE),
        capped: tally.delayed,
    });
    Readings {
        requests: tally.counted.sent(),
        succeeded: tally.counted.succeeded,
        refused: tally.counted.refused,
        failed: failures(tally),
        beyond_slo: tally.beyond,
        connections: u64::try_from(tally.most_in_flight).unwrap_or(u64::MAX),
        latency: Histogram::new(latency),
        seconds: elapsed.as_secs_f64(),
        schedule,
        ..Readings::default()
    }
}

/// Failures by kind; of statuses those of 500 and above are told apart.
fn failures(tally: &Tally) -> BTreeMap<Kind, u64> {
    let mut failed = BTreeMap::new();
    let server_errors = tally.failed.iter().filter(|one| one.kind == Outcome::Status);
    let server_errors = server_errors.filter(|one| one.status.is_some_and(|status| status >= 500)).count();
    let server_errors = u64::try_from(server_errors).unwrap_or(u64::MAX);
    for (kind, count) in &tally.counted.failed {
        let parts = match kind {
            Outcome::Connect => [(Kind::Connect, *count), (Kind::Connect, 0)],
            Outcome::Reset | Outcome::Goodbye => [(Kind::Cut, *count), (Kind::Cut, 0)],
            Outcome::Timeout | Outcome::Unfinished => [(Kind::Timeout, *count), (Kind::Timeout, 0)],
            Outcome::Status => {
                [(Kind::ServerError, server_errors), (Kind::UnexpectedStatus, count.saturating_sub(server_errors))]
            }
            Outcome::Malformed => [(Kind::Protocol, *count), (Kind::Protocol, 0)],
            Outcome::Mismatch => [(Kind::WrongContent, *count), (Kind::WrongContent, 0)],
        };
        for (kind, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
            *failed.entry(kind).or_insert(0) += count;
        }
    }
    failed
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
    use portcullis_engine::tally::Failed;
    use portcullis_judge::window::Window;

    #[test]
    fn what_a_load_brought_adds_up() {
        let ms = Duration::from_millis;
        let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
        (1..=90).for_each(|n| tally.answered(ms(n), ms(n)));
        tally.refused(ms(91));
        let failures = [
            (Some(503), Outcome::Status),
            (Some(404), Outcome::Status),
            (None, Outcome::Reset),
            (None, Outcome::Timeout),
            (None, Outcome::Unfinished),
            (Some(200), Outcome::Mismatch),
        ];
        for ((status, kind), id) in failures.into_iter().zip(92..) {
            tally.failed(Failed { id, planned: ms(id), status, kind });
        }
        for lag in [1, 2, 2, 11] {
            tally.sent(Duration::ZERO, ms(lag));
        }
        let window = Window::new(readings(&tally, Some(97), ms(1000))).unwrap();
        assert_eq!((window.requests, window.succeeded, window.refused), (97, 90, 1));
        let failed = [
            (Kind::Cut, 1),
            (Kind::Timeout, 2),
            (Kind::ServerError, 1),
            (Kind::UnexpectedStatus, 1),
            (Kind::WrongContent, 1),
        ];
        assert_eq!(window.failed, BTreeMap::from(failed));
        assert_eq!(window.beyond_slo, 40 + 6);
        assert_eq!(window.latency.len(), 90);
        let schedule = window.schedule.unwrap();
        assert_eq!((schedule.planned, schedule.late, schedule.very_late), (97, 3, 1));
    }

    fn read(text: &str) -> Load {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        std::fs::write(&file, text).unwrap();
        Load::read(&file).unwrap()
    }

    const PLAN: &str = "version: 1\nto: http://shop.test\nload:\n  - constant: { rate: 100/s, for: 1s }\nrequests:\n  \
        - { name: often, weight: 99, path: \"/a/@{n}\" }\n  - { name: rare, path: /b, body: text }\n";

    #[test]
    fn a_sample_of_each_kind_is_what_a_connection_gets() {
        let samples = read(PLAN).samples();
        let names: Vec<&str> = samples.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["often", "rare"]);
        let text = |place: usize| String::from_utf8(samples[place].1.clone()).unwrap();
        assert!(text(0).starts_with("GET /a/") && text(0).contains("Host: shop.test\r\n"), "{}", text(0));
        assert!(text(1).starts_with("POST /b ") && text(1).ends_with("\r\n\r\ntext"), "{}", text(1));
    }

    #[test]
    fn half_a_load_lasts_as_long_and_sends_half() {
        let plan = read(PLAN).plan;
        let count = |when: When| match (Plan { when, ..plan.clone() }).pace() {
            Pace::Open(schedule) => schedule.count(),
            Pace::Closed { connections, .. } => connections,
        };
        let (whole, halved) = (count(plan.when.clone()), count(half(&plan.when)));
        assert!((98..=100).contains(&whole) && (48..=50).contains(&halved), "{whole} {halved}");
        let closed = |connections| When::Closed { connections, length: Duration::from_secs(1) };
        assert_eq!((half(&closed(9)), half(&closed(1))), (closed(5), closed(1)));
    }

    #[test]
    fn two_digits_are_kept() {
        for (micros, kept) in [(0, 0), (7, 7), (99, 99), (101, 110), (1234, 1300), (50_000, 50_000)] {
            assert_eq!(coarse(micros), kept);
        }
    }
}
