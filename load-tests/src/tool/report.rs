//! What a run brought: as JSON for machines, as a few lines for people.

use std::time::Duration;

use portcullis_engine::machine::Machine;
use portcullis_engine::outcome::Kind;
use portcullis_engine::plan::Criteria;
use portcullis_engine::proof::Proof;
use portcullis_engine::tally::{Tally, Unasked};
use portcullis_types::Percent;
use serde_json::{Value as Json, json};

use super::Ended;
use super::prove::{as_json, nanos};

/// The share of all cores that the hypervisor may take until a run says nothing.
const STEAL: f64 = 0.1;

/// A run that is over.
#[derive(Debug)]
pub struct Report<'a> {
    /// The plan's file, as it was named.
    pub plan: &'a str,
    /// Who was asked.
    pub to: String,
    /// The seed.
    pub seed: u64,
    /// The proof that went before.
    pub proof: Proof,
    /// What came of it.
    pub tally: &'a Tally,
    /// Of each request of the mix: its name, and its outcomes.
    pub requests: Vec<(String, Json)>,
    /// What the machine did, by window.
    pub windows: Vec<Machine>,
    /// How long requests were sent and counted.
    pub length: Duration,
    /// What the plan asks for.
    pub pass: Criteria,
    /// Whether a schedule decided; the tool is never late in a closed loop.
    pub open: bool,
}

/// A criterion of a plan, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of what, by the plan's word.
    pub name: &'static str,
    /// What is asked.
    pub criterion: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
    /// What it is to whom.
    pub why: &'static str,
    /// Whether lateness explains it where it does not hold, so that it says nothing beside a flaw.
    pub is_of_time: bool,
}

impl Asked {
    fn miss(&self) -> String {
        format!("{}, {}", self.found, self.criterion)
    }
}

impl Report<'_> {
    /// Why it says nothing, where it does not.
    #[must_use]
    pub fn flaws(&self) -> Vec<String> {
        let mut flaws: Vec<String> = self.proof.flaw().into_iter().collect();
        let lag = self.tally.lag();
        if self.open && !lag.held() {
            flaws.push(format!(
                "the machine did not hold the rate: one request in a hundred was sent {:?} late by the tool itself, one in a \
                 thousand {:?}",
                lag.p99, lag.p999
            ));
        }
        let steal = self.windows.iter().map(|window| window.steal).fold(0.0, f64::max);
        if steal > STEAL {
            flaws.push(format!("the hypervisor took {:.0} % of the cores in a window", steal * 100.0));
        }
        if self.tally.counted.sent() == 0 {
            flaws.push("no request was counted".to_owned());
        }
        flaws
    }

    /// What is asked for and does not hold, and no flaw explains.
    #[must_use]
    pub fn misses(&self) -> Vec<String> {
        self.missed(false)
    }

    /// What is asked for and does not hold, which beside a flaw says nothing.
    #[must_use]
    pub fn excused(&self) -> Vec<String> {
        self.missed(true)
    }

    fn missed(&self, excused: bool) -> Vec<String> {
        let flawed = !self.flaws().is_empty();
        let missed = self.asked().into_iter().filter(|asked| !asked.holds && (flawed && asked.is_of_time) == excused);
        missed.map(|asked| asked.miss()).collect()
    }

    /// Requests that failed since their time was up, at the client or at a gateway.
    fn late(&self) -> u64 {
        let of = |kind| self.tally.counted.failed.get(&kind).copied().unwrap_or_default();
        let is_late = |status: Option<u16>, kind| status == Some(504) && kind == Kind::Status;
        let answered = self.tally.failed.iter().filter(|failed| is_late(failed.status, failed.kind)).count();
        of(Kind::Timeout) + of(Kind::Unfinished) + answered as u64
    }

    /// Requests that failed though their time was not up.
    fn unexplained(&self) -> u64 {
        self.tally.counted.failures().saturating_sub(self.late())
    }

    /// Whether this share of the requests reaches into those that failed, even if those whose time was up had been answered.
    fn reaches_unexplained(&self, share: f64) -> bool {
        let counted = &self.tally.counted;
        let all = counted.succeeded + counted.failures();
        share * all as f64 > all.saturating_sub(self.unexplained()) as f64
    }

    /// What is asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shares().chain(self.quantiles()).chain(self.always_asked()).collect()
    }

    /// Shares that the plan asks for. Those that failed without lateness are counted against it on any machine.
    fn shares(&self) -> impl Iterator<Item = Asked> {
        let (counted, pass, late) = (&self.tally.counted, &self.pass, self.late());
        let sent = counted.sent();
        let failed = if late > 0 { format!("failed, {late} of them by their time") } else { "failed".to_owned() };
        let [refused, beyond] = ["were refused", "were beyond the objective"].map(str::to_owned);
        let failures = counted.failures();
        // Whatever failed is beyond the objective too.
        let waited = self.tally.beyond.saturating_sub(self.unexplained());
        let shares = [
            ("failed", failed, failures, late, pass.failed, "a caller got no answer, or a wrong one"),
            ("refused", refused, counted.refused, counted.refused, pass.refused, "a caller was turned away"),
            ("beyond", beyond, self.tally.beyond, waited, pass.beyond, "a caller waited too long"),
        ];
        shares.into_iter().filter_map(move |(name, what, count, late, most, why)| {
            let most: Percent = most?;
            // Both sides in millionths of the requests, so that nothing is rounded.
            let may = |count: u64| u128::from(count) * 1_000_000 <= u128::from(sent) * u128::from(most.millionths());
            Some(Asked {
                name,
                criterion: format!("{most} may"),
                holds: may(count),
                found: format!("{count} of {sent} requests {what}"),
                why,
                is_of_time: may(count.saturating_sub(late)),
            })
        })
    }

    fn quantiles(&self) -> impl Iterator<Item = Asked> {
        let pass = &self.pass;
        let quantiles = [
            ("p50", 0.5, pass.p50, "it is what most callers wait"),
            ("p99", 0.99, pass.p99, "one caller in a hundred waits longer"),
            ("p99.9", 0.999, pass.p999, "one caller in a thousand waits longer"),
        ];
        quantiles.into_iter().filter_map(|(name, share, most, why)| {
            let most = most?;
            let quantile = self.tally.quantile(share);
            let found = match quantile {
                Some(found) => format!("{name} is {found:.1?}"),
                None => format!("{name} lies among failed requests"),
            };
            let holds = quantile.is_some_and(|found| found <= most);
            let is_of_time = !self.reaches_unexplained(share);
            Some(Asked { name, criterion: format!("{most:.1?} is the most"), holds, found, why, is_of_time })
        })
    }

    /// What is asked for whatever the plan says.
    fn always_asked(&self) -> impl Iterator<Item = Asked> {
        let said = self.tally.unasked.said;
        let unasked = Asked {
            name: "unasked",
            criterion: "none may".to_owned(),
            holds: said == 0,
            found: format!("{said} times something came that no request had asked for"),
            why: "answers cannot be told apart",
            is_of_time: false,
        };
        let ended = self.windows.iter().any(|window| window.subject_ended);
        let lives = ended.then(|| Asked {
            name: "lives",
            criterion: "it must live".to_owned(),
            holds: false,
            found: "the process of --pid ended meanwhile".to_owned(),
            why: "who is gone answers nobody",
            is_of_time: false,
        });
        std::iter::once(unasked).chain(lives)
    }

    /// How it ended. A miss that lateness does not explain is one, whatever flaws there are.
    #[must_use]
    pub fn ended(&self) -> Ended {
        match (self.misses().is_empty(), self.flaws().is_empty()) {
            (false, _) => Ended::Missed,
            (true, false) => Ended::Invalid,
            (true, true) => Ended::Passed,
        }
    }

    /// For machines.
    #[must_use]
    pub fn json(&self) -> Json {
        let (tally, lag) = (self.tally, self.tally.lag());
        let failed = |counts: &portcullis_engine::outcome::Counts| -> Json {
            counts.failed.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect()
        };
        let counts = |counts: &portcullis_engine::outcome::Counts| {
            json!({
                "sent": counts.sent(),
                "succeeded": counts.succeeded,
                "refused": counts.refused,
                "failed": failed(counts),
            })
        };
        let quantiles: Json = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)]
            .into_iter()
            .map(|(name, share)| (name.to_owned(), json!(tally.quantile(share).map(nanos))))
            .collect();
        json!({
            "format": "portcullis-load/run/1",
            "plan": self.plan,
            "to": self.to,
            "seed": self.seed,
            "ended": match self.ended() {
                Ended::Passed => "passed",
                Ended::Missed => "missed",
                Ended::Invalid => "invalid",
            },
            "flaws": self.flaws(),
            "misses": self.misses(),
            "excused": self.excused(),
            "proof": as_json(&self.proof),
            "seconds": self.length.as_secs_f64(),
            "counted": counts(&tally.counted),
            "with_warm_up": counts(&tally.all),
            "beyond_objective": tally.beyond,
            "requests": self.requests.iter().cloned().collect::<serde_json::Map<String, Json>>(),
            "latency_ns": quantiles,
            "longest_ns": nanos(tally.longest()),
            "lag_ns": { "p99": nanos(lag.p99), "p999": nanos(lag.p999) },
            "unasked": {
                "connections_closed": tally.unasked.closed,
                "connections_cut": tally.unasked.cut,
                "answers": tally.unasked.said,
            },
            "in_flight": { "most": tally.most_in_flight, "delayed_by_the_bound": tally.delayed },
            "machine": self.windows.iter().map(machine).collect::<Vec<_>>(),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let tally = self.tally;
        let mut text = format!("{}\n", tally.counted);
        let ms = |share| {
            tally
                .quantile(share)
                .map_or_else(|| "among failed".to_owned(), |time| format!("{:.2} ms", time.as_secs_f64() * 1e3))
        };
        let rate = tally.counted.sent() as f64 / self.length.as_secs_f64().max(1e-9);
        text.push_str(&format!(
            "{rate:.0}/s; p50 {}, p90 {}, p99 {}, p99.9 {}\n",
            ms(0.5),
            ms(0.9),
            ms(0.99),
            ms(0.999)
        ));
        if tally.delayed > 0 {
            text.push_str(&format!(
                "the bound in flight was reached: {} requests waited for it, inside their latency\n",
                tally.delayed
            ));
        }
        if tally.unasked != Unasked::default() {
            text.push_str(&format!("connections and answers that ended or came {}\n", tally.unasked));
        }
        for flaw in self.flaws() {
            text.push_str(&format!("INVALID: {flaw}\n"));
        }
        for excused in self.excused() {
            text.push_str(&format!("cannot be told: {excused}\n"));
        }
        for miss in self.misses() {
            text.push_str(&format!("MISSED: {miss}\n"));
        }
        if self.ended() == Ended::Passed {
            text.push_str("PASSED\n");
        }
        text
    }
}

/// What the machine did in a window.
#[must_use]
pub fn machine(window: &Machine) -> Json {
    json!({
        "seconds": window.seconds,
        "cores": window.cores,
        "steal": window.steal,
        "neighbour_cpu": window.neighbour_cpu,
        "own_cpu": window.own_cpu,
        "run_queue_wait_ns": window.run_queue_wait_ns,
        "subject_cpu_ns": window.subject_cpu_ns,
        "subject_wait_ns": window.subject_wait_ns,
        "resident_bytes": window.resident,
        "subject_ended": window.subject_ended,
        "pressure": window.pressure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_engine::proof::{Driver, Measured};
    use portcullis_engine::tally::{Failed, Lag};

    fn proof() -> Proof {
        let ms = Duration::from_millis;
        let measured = Measured {
            driver: Driver::Http1,
            stall: ms(500),
            p90: ms(200),
            measured_p90: ms(201),
            p99: ms(470),
            measured_p99: ms(470),
            lag: Lag::default(),
            failed: 0,
        };
        Proof { measured: vec![measured], tries: 1 }
    }

    /// 1,000 requests of 1 ms, of which one failed and ten were refused.
    fn tally() -> Tally {
        let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
        (0..989).for_each(|_| tally.answered(Duration::ZERO, Duration::from_millis(1)));
        (0..10).for_each(|_| tally.refused(Duration::ZERO));
        tally.failed(Failed { id: 5, planned: Duration::ZERO, status: None, kind: Kind::Reset });
        (0..1000).for_each(|_| tally.sent(Duration::ZERO, Duration::from_micros(10)));
        tally
    }

    fn report(tally: &Tally, pass: Criteria) -> Report<'_> {
        Report {
            plan: "plan.yaml",
            to: "http://a".to_owned(),
            seed: 1,
            proof: proof(),
            tally,
            requests: Vec::new(),
            windows: vec![Machine { cores: 2, ..Machine::default() }],
            length: Duration::from_secs(1),
            pass,
            open: true,
        }
    }

    fn percent(text: &str) -> Option<Percent> {
        text.parse().ok()
    }

    #[test]
    fn misses_are_what_the_plan_asks_for_and_does_not_hold() {
        let tally = tally();
        for (pass, expected) in [
            (Criteria::default(), None),
            (Criteria { failed: percent("0.1%"), refused: percent("1%"), ..Criteria::default() }, None),
            (Criteria { failed: percent("0%"), ..Criteria::default() }, Some("1 of 1000 requests failed, 0% may")),
            (Criteria { refused: percent("0.9%"), ..Criteria::default() }, Some("10 of 1000 requests were refused")),
            (Criteria { p99: Some(Duration::from_micros(900)), ..Criteria::default() }, Some("p99 is 1.0ms")),
            (Criteria { p999: Some(Duration::from_secs(9)), ..Criteria::default() }, Some("lies among failed")),
        ] {
            let report = report(&tally, pass);
            let misses = report.misses();
            let ended = if expected.is_some() { Ended::Missed } else { Ended::Passed };
            assert_eq!(report.ended(), ended, "{misses:?} {:?}", report.flaws());
            assert!(
                expected.is_none_or(|expected| misses[0].starts_with(expected) || misses[0].contains(expected)),
                "{misses:?}"
            );
        }
    }

    /// A load that the machine did not hold.
    fn late() -> Tally {
        let mut late = tally();
        (0..50).for_each(|_| late.sent(Duration::ZERO, Duration::from_millis(3)));
        late
    }

    #[test]
    fn what_the_machine_did_not_hold_is_invalid_and_not_slow() {
        let late = late();
        let strict = Criteria { p99: Some(Duration::from_micros(900)), refused: percent("0%"), ..Criteria::default() };
        let found = report(&late, strict);
        assert_eq!((found.ended(), found.misses().len(), found.excused().len()), (Ended::Invalid, 0, 2));
        let text = found.text();
        assert!(text.contains("INVALID: the machine did not hold the rate") && !text.contains("MISSED"), "{text}");
        assert!(text.contains("cannot be told: 10 of 1000 requests were refused, 0% may"), "{text}");
        assert_eq!(Report { open: false, ..report(&late, Criteria::default()) }.ended(), Ended::Passed);
        let tally = tally();
        let mut stolen = report(&tally, Criteria::default());
        stolen.windows = vec![Machine { steal: 0.2, ..Machine::default() }];
        assert_eq!(stolen.ended(), Ended::Invalid);
        let mut unproven = report(&tally, Criteria::default());
        unproven.proof.measured[0].measured_p90 = Duration::from_millis(180);
        assert_eq!(unproven.json()["ended"], "invalid");
    }

    #[test]
    fn what_no_lateness_explains_is_a_miss_on_any_machine() {
        let failed = |status, kind| Failed { id: 6, planned: Duration::ZERO, status, kind };
        // Of 1,001 requests one was reset; another failed so.
        for (another, most, ended) in [
            (failed(None, Kind::Timeout), "0%", Ended::Missed),
            (failed(None, Kind::Timeout), "0.1%", Ended::Invalid),
            (failed(None, Kind::Unfinished), "0.1%", Ended::Invalid),
            (failed(Some(504), Kind::Status), "0.1%", Ended::Invalid),
            (failed(Some(500), Kind::Status), "0.1%", Ended::Missed),
            (failed(None, Kind::Mismatch), "0.1%", Ended::Missed),
            (failed(None, Kind::Mismatch), "1%", Ended::Invalid),
        ] {
            let mut tally = late();
            tally.failed(another);
            let report = report(&tally, Criteria { failed: percent(most), ..Criteria::default() });
            assert_eq!(report.ended(), ended, "{another:?} {most}");
            assert_eq!(report.json()["ended"], if ended == Ended::Missed { "missed" } else { "invalid" });
            let text = report.text();
            assert_eq!(text.contains("MISSED: 2 of 1001 requests failed"), ended == Ended::Missed, "{text}");
            assert!(text.contains("INVALID: the machine did not hold the rate"), "{text}");
        }
        // The same of all that failures count in: 990 of 1,000 were answered in time, the others failed so or took so long.
        let (beyond, p99) = (
            Criteria { beyond: percent("0.9%"), ..Criteria::default() },
            Criteria { p99: Some(Duration::from_secs(9)), ..Criteria::default() },
        );
        let p999 = Criteria { p999: Some(Duration::from_secs(9)), ..Criteria::default() };
        let strict = Criteria { p50: Some(Duration::from_micros(900)), ..Criteria::default() };
        let (reset, timeout) = (failed(None, Kind::Reset), failed(None, Kind::Timeout));
        let wrong = failed(Some(500), Kind::Status);
        for (pass, failures, slow, ended) in [
            (&beyond, vec![wrong; 10], 0, Ended::Missed),
            (&beyond, vec![timeout; 10], 0, Ended::Invalid),
            (&beyond, vec![reset; 9], 1, Ended::Invalid),
            (&p99, vec![wrong; 11], 0, Ended::Missed),
            (&p99, vec![timeout; 11], 0, Ended::Invalid),
            (&p99, [vec![wrong; 5], vec![timeout; 6]].concat(), 0, Ended::Invalid),
            (&p999, vec![reset; 2], 9, Ended::Missed),
            (&strict, vec![reset; 10], 0, Ended::Invalid),
        ] {
            let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
            (0..990).for_each(|_| tally.answered(Duration::ZERO, Duration::from_millis(1)));
            (0..slow).for_each(|_| tally.answered(Duration::ZERO, Duration::from_secs(4)));
            failures.iter().for_each(|one| tally.failed(*one));
            (0..1000).for_each(|_| tally.sent(Duration::ZERO, Duration::from_millis(3)));
            assert_eq!(report(&tally, pass.clone()).ended(), ended, "{pass:?} {failures:?}");
        }
        // Nothing but wrong answers, and a tool that was 1 ms late.
        let mut tally = Tally::new(Duration::from_millis(50), Duration::ZERO).unwrap();
        (0..100).for_each(|_| tally.failed(wrong));
        (0..100).for_each(|_| tally.sent(Duration::ZERO, Duration::from_micros(1100)));
        for pass in [beyond, p99] {
            assert_eq!(report(&tally, pass.clone()).ended(), Ended::Missed, "{pass:?}");
        }
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_a_miss_whatever_the_plan_says() {
        let mut tally = tally();
        tally.unasked.closed = 7;
        assert_eq!(report(&tally, Criteria::default()).ended(), Ended::Passed, "a server may close what is idle");
        tally.unasked.said = 1;
        let report = report(&tally, Criteria::default());
        assert_eq!(report.ended(), Ended::Missed);
        assert!(report.text().contains("1 times something came") && report.text().contains("7 closed"));
        assert_eq!(report.json()["unasked"]["answers"], 1);
        let mut late = late();
        late.unasked.said = 1;
        assert_eq!(self::report(&late, Criteria::default()).ended(), Ended::Missed, "on any machine");
    }

    #[test]
    fn a_server_that_ended_is_a_miss_and_the_rest_is_told() {
        let tally = tally();
        let mut ended = report(&tally, Criteria::default());
        ended.windows.push(Machine { subject_ended: true, ..Machine::default() });
        assert_eq!(ended.ended(), Ended::Missed);
        assert!(ended.text().contains("MISSED: the process of --pid ended meanwhile"), "{}", ended.text());
        assert_eq!(ended.json()["machine"][1]["subject_ended"], true);
        ended.windows.push(Machine { steal: 0.5, ..Machine::default() });
        assert_eq!((ended.ended(), ended.flaws().len()), (Ended::Missed, 1), "on any machine");
    }

    #[test]
    fn the_json_adds_up() {
        let tally = tally();
        let json = report(&tally, Criteria::default()).json();
        let counted = &json["counted"];
        let number = |value: &Json| value.as_u64().unwrap();
        let failed: u64 = counted["failed"].as_object().unwrap().values().map(number).sum();
        assert_eq!(number(&counted["sent"]), number(&counted["succeeded"]) + number(&counted["refused"]) + failed);
        assert_eq!((&json["latency_ns"]["p999"], &json["ended"]), (&Json::Null, &"passed".into()));
    }
}
