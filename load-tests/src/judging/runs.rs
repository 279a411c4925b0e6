//! The reports of one run of a plan: what `run --out` leaves beside `run.json`.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_artifacts::report::VERSION;
use portcullis_artifacts::{Environment, Look, Measured, Metric, Outcome, Part, Report, SceneResult, Subject};
use portcullis_engine::machine::Machine;
use portcullis_judge::OnInconclusive;
use portcullis_judge::window::{self, Readings, Window};

use crate::Failure;
use crate::tool::Ended;
use crate::tool::report::{Asked, Report as Run};

use super::load::readings;
use super::output;

/// The machine and the moment in which a run began.
#[derive(Debug)]
pub struct Begun {
    at: jiff::Timestamp,
    start: Instant,
    environment: Environment,
}

impl Begun {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self { at: jiff::Timestamp::now(), start: Instant::now(), environment: output::environment() }
    }

    /// Writes `result.json`, `junit.xml`, `BASELINE.md` and `report.html` of a run that is over.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or what was counted does not add up.
    pub fn leave(self, run: &Run<'_>, out: &Path) -> Result<(), Failure> {
        output::write(&self.report(run)?, out)
    }

    fn report(self, run: &Run<'_>) -> Result<Report, Failure> {
        let seconds = self.start.elapsed().as_secs_f64();
        Ok(Report {
            version: VERSION,
            tool: format!("portcullis-load {}", env!("CARGO_PKG_VERSION")),
            began: self.at.to_string(),
            seconds,
            seed: run.seed,
            plan: run.plan.to_owned(),
            plan_digest: None,
            duet: false,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            environment: self.environment,
            baseline: Subject { what: run.to.clone(), revision: None },
            canary: None,
            judgement: None,
            inconclusive: OnInconclusive::Fail,
            twins: Vec::new(),
            pairs: Vec::new(),
            rulers: Vec::new(),
            scenes: vec![scene(run, seconds)?],
            scalability: None,
            series: Vec::new(),
        })
    }
}

fn scene(run: &Run<'_>, seconds: f64) -> Result<SceneResult, Failure> {
    let flaws = run.flaws();
    let asked = run.asked().into_iter().map(|asked| criterion(asked, flaws.first()));
    Ok(SceneResult {
        name: "run".to_owned(),
        outcome: match run.ended() {
            Ended::Passed => Outcome::Passed,
            Ended::Missed => Outcome::Failed,
            Ended::Invalid => Outcome::Invalid,
        },
        seconds,
        seed: run.seed,
        metrics: asked.chain(numbers(run)).collect(),
        windows: vec![part(run)?],
        notes: flaws,
    })
}

/// What is asked for. Of a run with a flaw nothing that lateness explains is a failure.
fn criterion(asked: Asked, flaw: Option<&String>) -> Metric {
    let Asked { name, criterion, holds, found, why, is_of_time } = asked;
    Metric {
        name: name.to_owned(),
        unit: String::new(),
        measured: None,
        found: Some(found),
        criterion: Some(criterion),
        kept: Some(holds),
        excused: flaw.filter(|_| !holds && is_of_time).cloned(),
        rationale: Some(format!("the plan asks for it: {why}")),
        rollback: None,
        hotfix: None,
    }
}

fn numbers(run: &Run<'_>) -> impl Iterator<Item = Metric> {
    let ms = |share| Some(run.tally.quantile(share)?.as_secs_f64() * 1e3);
    let rate = run.tally.counted.sent() as f64 / run.length.as_secs_f64().max(1e-9);
    let lag = run.tally.lag();
    let late = |time: Duration| Some(time.as_secs_f64() * 1e3);
    [
        ("requests", "", Some(run.tally.counted.sent() as f64)),
        ("rate", "requests/s", Some(rate)),
        ("p50", "ms", ms(0.5)),
        ("p90", "ms", ms(0.9)),
        ("p99", "ms", ms(0.99)),
        ("p99.9", "ms", ms(0.999)),
        ("how late the tool sent, p99", "ms", late(lag.p99)),
        ("how late the tool sent, p99.9", "ms", late(lag.p999)),
        ("requests that the bound in flight held back", "", Some(run.tally.delayed as f64)),
        ("most requests in flight", "", Some(run.tally.most_in_flight as f64)),
    ]
    .into_iter()
    .filter_map(|(name, unit, value)| Some(Metric::reported(name, unit, Measured::exact(value?))))
}

/// All of it as one window, with what the machine did in each second of it.
fn part(run: &Run<'_>) -> Result<Part, Failure> {
    let looked: f64 = run.windows.iter().map(|machine| machine.seconds).sum();
    let mean = |of: fn(&Machine) -> f64| {
        run.windows.iter().map(|machine| of(machine) * machine.seconds).sum::<f64>() / looked.max(1e-9)
    };
    let total = |of: fn(&Machine) -> u64| run.windows.iter().map(of).sum::<u64>();
    let held = run.windows.last().map(|machine| machine.resident).filter(|held| *held > 0);
    // All that was planned is sent.
    let planned = run.open.then(|| run.tally.counted.sent());
    let window = Window::new(Readings {
        cpu_ns: Some(total(|machine| machine.subject_cpu_ns)).filter(|cpu| *cpu > 0),
        rss_bytes: held,
        machine: window::Machine {
            steal: mean(|machine| machine.steal),
            neighbour_cpu: mean(|machine| machine.neighbour_cpu / f64::from(machine.cores.max(1))),
            run_queue_wait_ns: total(|machine| machine.subject_wait_ns),
        },
        ..readings(run.tally, planned, run.length)
    })?;
    let looks = run.windows.iter().scan(0.0, |ended, machine| {
        *ended += machine.seconds;
        Some(look(machine, *ended))
    });
    Ok(Part { name: "load".to_owned(), load: Some(window), looks: looks.collect() })
}

fn look(machine: &Machine, ended: f64) -> Look {
    let a_second = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() / machine.seconds.max(1e-9);
    Look {
        ended,
        seconds: machine.seconds,
        neighbour_cpu: machine.neighbour_cpu,
        steal: machine.steal * f64::from(machine.cores),
        subject_cpu: a_second(machine.subject_cpu_ns),
        subject_wait: a_second(machine.subject_wait_ns),
        tool_cpu: machine.own_cpu,
        tool_wait: a_second(machine.run_queue_wait_ns),
        subject_bytes: machine.resident,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::outcome::Kind;
    use portcullis_engine::plan::Criteria;
    use portcullis_engine::proof::Proof;
    use portcullis_engine::tally::{Failed, Tally};
    use portcullis_judge::Exit;

    use super::*;

    /// 98 requests of 10 ms, one reset, one without an answer in time, on a machine whose hypervisor took a fifth.
    fn tally() -> Tally {
        let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
        (0..98).for_each(|_| tally.answered(Duration::ZERO, Duration::from_millis(10)));
        for kind in [Kind::Reset, Kind::Timeout] {
            tally.failed(Failed { id: 1, planned: Duration::ZERO, status: None, kind });
        }
        tally
    }

    #[test]
    fn the_reports_end_as_the_run_does() {
        let tally = tally();
        for (failed, ended, exit, cases) in [
            ("0.5%", Ended::Missed, Exit::Rollback, [(true, "failed"), (false, "p50")]),
            ("1%", Ended::Invalid, Exit::Invalid, [(false, "failed"), (false, "p50")]),
        ] {
            let run = Run {
                plan: "plan.yaml",
                to: "http://a".to_owned(),
                seed: 1,
                proof: Proof { measured: Vec::new(), tries: 1 },
                tally: &tally,
                requests: Vec::new(),
                windows: vec![Machine { seconds: 1.0, cores: 2, steal: 0.2, ..Machine::default() }],
                length: Duration::from_secs(1),
                pass: Criteria {
                    failed: failed.parse().ok(),
                    p50: Some(Duration::from_millis(5)),
                    ..Criteria::default()
                },
                open: true,
            };
            assert_eq!(run.ended(), ended);
            let report = Begun::now().report(&run).unwrap();
            assert_eq!(report.exit(), exit, "{:?}", report.scenes);
            let junit = portcullis_artifacts::junit::document(&report).unwrap();
            for (fails, name) in cases {
                let case = junit.split(&format!("<testcase name=\"{name}\"")).nth(1).unwrap();
                let case = case.split("</testcase>").next().unwrap();
                assert_eq!((case.contains("<failure"), case.contains("<skipped")), (fails, !fails), "{case}");
            }
        }
    }
}
